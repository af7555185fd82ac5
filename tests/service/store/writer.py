"""A process that writes into a store until it is killed: `python -m tests.service.store.writer FOLDER [BATCHES]`.

Batch n inserts SIZE new shoes and puts n into the shoe "last"; then the first shoe of every earlier batch is removed.
Its number is printed once the store has acknowledged all of that.
"""

import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

from service.store.base import Record
from service.store.embedded.store import EmbeddedStore
from tests.service.store.naive import ids_in, shoe

SIZE = 40
LAST = "last"


def batch(number: int) -> Iterator[Record]:
    """The records of one batch, whose vectors say which batch it is."""
    for place in range(SIZE):
        yield shoe(f"{number}-{place}", [number, place], {"Batch": (f"{number}",)})
    yield shoe(LAST, [-1.0, number])


def write(store: EmbeddedStore, number: int) -> None:
    """One batch, in one transaction, and the removal, in another."""
    store.upsert(batch(number))
    store.delete([f"{earlier}-0" for earlier in range(number)])
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def main(folder: Path, batches: int | None) -> None:
    """Go on after the last batch that is in the store."""
    with closing(EmbeddedStore.open(folder)) as store:
        first = int(store.vector(LAST)[1]) + 1 if LAST in ids_in(store) else 0
        for number in count(first) if batches is None else range(first, first + batches):
            write(store, number)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
