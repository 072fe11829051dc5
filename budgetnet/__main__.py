"""``python -m budgetnet``."""

import sys

from budgetnet.cli import main

if __name__ == "__main__":
    sys.exit(main())
