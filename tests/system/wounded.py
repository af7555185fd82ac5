"""`python -m tests.system.wounded`: `python -m service`, in which SIGUSR1 kills the thread that runs batches.

It dies where it stands, by an exception that nothing in it can foresee, as in a fault of the interpreter. All else is
the service as it is.
"""

import ctypes
import signal
import threading
from types import FrameType

from service.cli.main import main

THREAD = "batcher-encode"


def kill_thread(_signal: int, _frame: FrameType | None) -> None:
    """Raise SystemExit in the thread, wherever it is."""
    for thread in threading.enumerate():
        if thread.name == THREAD and thread.ident is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))


# Here, and not below: the workers are started afresh and import this as their main module, too.
signal.signal(signal.SIGUSR1, kill_thread)

if __name__ == "__main__":
    main()
