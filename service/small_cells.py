"""The smallest count that the service gives of people, wherever it counts them."""

from typing import Final

SMALLEST_CELL: Final = 11
"""No count from 1 to 10, as the Centers for Medicare & Medicaid Services ask for; that of the
transparency report (``training.monitoring.transparency``), which the service does not load."""
