"""``python -m service`` is the command ``readmit``."""

from service.cli import main

main()
