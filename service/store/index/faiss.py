"""What the store uses of FAISS beside its indexes: its threads, and searches that look at some rows only."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import faiss as untyped_faiss
import numpy as np
from numpy.typing import NDArray

__all__ = ["faiss", "omp_threads", "selecting", "selector"]

# What stubs FAISS has describe the C++ functions, not the Python layer over them.
faiss: Any = untyped_faiss


def selector(mask: NDArray[np.bool_]) -> object:
    """FAISS's selector of the rows where `mask`, (N,), is True."""
    chosen: object = faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
    return chosen


def selecting(mask: NDArray[np.bool_]) -> object:
    """Parameters of one search that looks only at the rows where `mask`, (N,), is True."""
    parameters: object = faiss.SearchParameters(sel=selector(mask))
    return parameters


@contextmanager
def omp_threads(count: int) -> Iterator[None]:
    """Let FAISS use `count` threads for what this thread asks of it.

    OpenMP keeps the number for each thread that calls it, so setting it once at the start would not reach the threads
    of a server; and where torch shares the OpenMP library, it must find its own number again.
    """
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
