import gc
import weakref
from collections.abc import Iterator

import pytest

from service.server.run import freeze_memory


@pytest.fixture(autouse=True)
def _thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


class Ring:
    """Only the garbage collector can end it."""

    def __init__(self) -> None:
        self.itself = self


def test_what_is_there_is_passed_over() -> None:
    """After settling, the collector's oldest generation holds next to nothing, whatever was loaded before."""
    kept = [Ring() for _ in range(1000)]
    freeze_memory()
    assert gc.get_freeze_count() > len(kept)
    assert len(gc.get_objects()) < len(kept)


def test_what_has_gone_is_collected() -> None:
    """Garbage that an earlier settling passed over, when it was still in use, is collected by the next one."""
    ring = Ring()
    watched = weakref.ref(ring)
    freeze_memory()
    del ring
    gc.collect()
    assert watched() is not None
    freeze_memory()
    assert watched() is None
