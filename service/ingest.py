"""A catalogue's pictures into vectors in a store, batch by batch; what is already there is not done again."""

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from model.catalog import BadRow, Catalog, Shoe, check_bad_rows, decode_shoes
from model.files import write_atomic
from model.progress import Progress, progress
from service.engine import PictureEmbedder
from service.store.base import Item, Record, VectorStore
from service.uploads import is_upload

__all__ = ["BAD_ROWS", "LEDGER", "IndexReport", "Ledger", "Stamp", "index_catalog", "is_complete"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

LEDGER = "pictures.jsonl"
UNFINISHED = "indexing-unfinished"
BAD_ROWS = "bad-rows.csv"

PAGE = 1000

Stamp = tuple[int, int]
"""A picture file's size in bytes and its time of modification in nanoseconds: the cheap way to see that it changed."""


@dataclass(frozen=True)
class IndexReport:
    """What an indexing did, in shoes."""

    embedded: int
    kept: int
    removed: int
    left_out: int


class Ledger:
    """Which state of its picture each vector was made from: one line of JSON a shoe, the last one counts.

    Lines are added after their shoes are in the store. After a kill in between, the store has shoes that the ledger
    lacks: they are embedded again, at most a batch. A torn last line is passed over.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stamps: dict[str, Stamp] = dict(_read_stamps(path))

    def add(self, stamps: Mapping[str, Stamp]) -> None:
        """Append what was just stored."""
        self.stamps.update(stamps)
        with self.path.open("ab") as file:
            # The newline comes first as well: a line that a kill has torn must not swallow this one.
            file.write(b"\n" + _format_stamps(stamps))
            file.flush()
            os.fsync(file.fileno())

    def compact(self, ids: Iterable[str]) -> None:
        """Rewrite it with these shoes only."""
        self.stamps = {item_id: self.stamps[item_id] for item_id in ids if item_id in self.stamps}
        write_atomic(self.path, _format_stamps(self.stamps))

    @staticmethod
    def remove(folder: Path) -> None:
        """Forget everything: each picture will be embedded again."""
        (folder / LEDGER).unlink(missing_ok=True)


@dataclass
class _Plan:
    """What is to be done with each shoe of the catalogue."""

    to_embed: list[Shoe] = field(default_factory=list)
    to_update: list[Shoe] = field(default_factory=list)  # the attributes changed, the picture did not
    kept: int = 0
    stamps: dict[str, Stamp] = field(default_factory=dict)
    bad_rows: list[BadRow] = field(default_factory=list)


def is_complete(folder: Path) -> bool:
    """Whether the last indexing into `folder` ran to its end."""
    return not (folder / UNFINISHED).exists()


def index_catalog(
    catalog: Catalog,
    embedder: PictureEmbedder,
    store: VectorStore,
    folder: Path,
    *,
    batch_size: int = 256,
    max_bad_share: float = 0.02,
) -> IndexReport:
    """Bring the store to what the catalogue is: new and changed shoes embedded, vanished ones removed.

    Shoes that were uploaded stay, unless the catalogue has one of the same id.

    Each batch is acknowledged by the store before the next one starts, so an interrupted run goes on where it stopped.

    Args:
        catalog: what to index.
        embedder: made from the checkpoint whose digest the store has.
        store: made for `catalog.root`.
        folder: where the ledger and the report of bad rows are kept; beside the store's own files.
        batch_size: shoes embedded and stored at once.
        max_bad_share: the share of rows, in [0, 1], that may be bad.

    Raises:
        CatalogError: more is bad. What was stored until then stays.
    """
    ledger = Ledger(folder / LEDGER)
    plan = _make_plan(catalog, store, ledger)
    check = _BadRowCheck(catalog.size, [*catalog.bad_rows, *plan.bad_rows], max_bad_share, folder / BAD_ROWS)
    check.stop_if_over()
    (folder / UNFINISHED).touch()
    todo = len(plan.to_embed)
    if todo:
        logger.info("%d shoes to embed, %d are in the store already", todo, plan.kept + len(plan.to_update))
        with progress(desc="index", unit="shoes", total=todo + plan.kept, initial=plan.kept) as shown:
            _embed(plan, embedder, store, catalog.root, batch_size=batch_size, ledger=ledger, check=check, shown=shown)
    for shoes in _batches(plan.to_update, batch_size):
        store.upsert([Record(_to_item(shoe, catalog.root), store.vector(shoe.id)) for shoe in shoes])
    bad = {row.row for row in check.bad_rows[len(catalog.bad_rows) :]}  # these name shoes; the catalogue's own, rows
    current = {shoe.id for shoe in catalog.shoes if shoe.id not in bad}
    # What was uploaded was never in the catalogue, and so can't have vanished from it.
    gone = [item.id for item in _items(store) if item.id not in current and not is_upload(item.image)]
    removed = store.delete(gone)
    ledger.compact(current)
    check.report()
    (folder / UNFINISHED).unlink(missing_ok=True)
    return IndexReport(
        embedded=len(current) - plan.kept - len(plan.to_update),
        kept=plan.kept + len(plan.to_update),
        removed=removed,
        left_out=len(check.bad_rows),
    )


class _BadRowCheck:
    """Gathers bad rows, and stops as soon as there are too many of them: the rest could not make it good again."""

    def __init__(self, size: int, bad_rows: Sequence[BadRow], max_share: float, path: Path) -> None:
        self.bad_rows = list(bad_rows)
        self._size, self._max_share, self._path = size, max_share, path

    def add(self, row: BadRow) -> None:
        self.bad_rows.append(row)
        self.stop_if_over()

    def stop_if_over(self) -> None:
        if len(self.bad_rows) > self._max_share * self._size:
            self.report()

    def report(self) -> None:
        check_bad_rows(self._size, self.bad_rows, max_share=self._max_share, report=self._path)


def _make_plan(catalog: Catalog, store: VectorStore, ledger: Ledger) -> _Plan:
    stored = {item.id: item for item in _items(store)}
    plan = _Plan()
    for shoe in catalog.shoes:
        try:
            status = shoe.image.stat()
        except OSError as error:
            plan.bad_rows.append(BadRow(shoe.id, f"can't read {shoe.image}: {error.strerror or error}"))
            continue
        stamp = plan.stamps[shoe.id] = (status.st_size, status.st_mtime_ns)
        known = stored.get(shoe.id)
        item = _to_item(shoe, catalog.root)
        if known is None or known.image != item.image or ledger.stamps.get(shoe.id) != stamp:
            plan.to_embed.append(shoe)
        elif dict(known.attributes) != dict(item.attributes):
            plan.to_update.append(shoe)
        else:
            plan.kept += 1
    return plan


def _embed(
    plan: _Plan,
    embedder: PictureEmbedder,
    store: VectorStore,
    root: Path,
    *,
    batch_size: int,
    ledger: Ledger,
    check: _BadRowCheck,
    shown: Progress,
) -> None:
    decoded = decode_shoes(plan.to_embed, embedder.preprocessor)
    for batch in _batches(decoded, batch_size):
        shoes: list[Shoe] = []
        pixels: list[NDArray[np.uint8]] = []
        for shoe, picture in batch:
            if isinstance(picture, BadRow):
                check.add(picture)
            else:
                shoes.append(shoe)
                pixels.append(picture)
        if shoes:
            vectors = embedder.embed_pixels(np.stack(pixels))
            items = [_to_item(shoe, root) for shoe in shoes]
            store.upsert([Record(item, vector) for item, vector in zip(items, vectors, strict=True)])
            ledger.add({shoe.id: plan.stamps[shoe.id] for shoe in shoes})
        shown.update(len(batch))


def _to_item(shoe: Shoe, root: Path) -> Item:
    return Item(id=shoe.id, image=shoe.image.relative_to(root).as_posix(), attributes=dict(shoe.attributes))


def _items(store: VectorStore) -> Iterator[Item]:
    cursor: str | None = None
    while True:
        page = store.page(limit=PAGE, cursor=cursor)
        yield from page.items
        cursor = page.next
        if cursor is None:
            return


def _batches(values: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(values)
    while batch := list(islice(iterator, size)):
        yield batch


def _read_stamps(path: Path) -> Iterator[tuple[str, Stamp]]:
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            item_id, size, modified = json.loads(line)
        except ValueError:
            continue
        yield item_id, (size, modified)


def _format_stamps(stamps: Mapping[str, Stamp]) -> bytes:
    return b"".join(json.dumps([item_id, *stamp]).encode() + b"\n" for item_id, stamp in stamps.items())
