"""What the garbage collector has to look at."""

import gc

__all__ = ["settle_memory"]


def settle_memory() -> None:
    """Collect what is garbage now, and have the collector pass over all that is left, from now on.

    What a process has loaded (torch, the application, the catalogue's shoes) stays as long as it serves. A full
    collection walks all of it with the interpreter held: a tenth of a second and more with 50,000 shoes, for every
    request under way, every few seconds under load. To be called when something large has come or gone.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
