"""`python -m mtlrun` is the command `mtlrun`."""

import ctypes
import os
import signal
import sys

from mtlrun.cli import main

SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux's prctl


def end_with_parent() -> None:
    """Asks for SIGTERM, and so a checkpoint, when the sweep that started this run is killed."""
    parent = os.environ.pop("MTLRUN_ENDS_WITH", None)
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(SET_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() != int(parent):  # killed before this line
        sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    end_with_parent()
    sys.exit(main())
