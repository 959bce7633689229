"""`python -m mtlrun` is the command `mtlrun`."""

import sys

from mtlrun.cli import main

if __name__ == "__main__":
    sys.exit(main())
