"""What the clinic sees: scores, their explanations in words, and the command ``readmit``."""

from typing import Final

VERSION: Final = "0.1.0"
