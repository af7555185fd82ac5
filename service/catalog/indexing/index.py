"""A catalogue's pictures into vectors in a store, batch by batch; what is already there is not done again."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from model.catalog import BadRow, Catalog, Shoe, check_bad_rows
from model.embedder import PictureEmbedder, Vector
from model.progress import Progress, progress
from service.catalog.images import Uploads, is_upload
from service.catalog.indexing.embed_pool import CHUNK, EmbeddedShoe, EmbedPool, PoolBroken, PoolFactory, threads
from service.catalog.indexing.ledger import WHOLE, Ledger, Shard, Stamp, begin, finish
from service.catalog.writer import PATIENCE
from service.errors import UnknownItem
from service.store.base import Item, Record, VectorStore, find_item, iterate_items

logger = logging.getLogger(__name__)

T = TypeVar("T")

BAD_ROWS = "bad-rows.csv"


@dataclass(frozen=True)
class IndexReport:
    """What an indexing did, in shoes."""

    embedded: int
    kept: int
    removed: int
    left_out: int


class IndexingStopped(Exception):
    """An indexing was stopped; everything that it had begun to store is in the store.

    Attributes:
        left: shoes that are still to embed.
    """

    def __init__(self, left: int) -> None:
        super().__init__(f"{left} shoes are still to embed")
        self.left = left


@dataclass
class _Plan:
    """What is to be done with each shoe of the catalogue."""

    to_embed: list[Shoe] = field(default_factory=list)
    to_update: list[Shoe] = field(default_factory=list)  # the attributes changed, the picture did not
    kept: int = 0
    stored: list[str] = field(default_factory=list)  # ids, of every part, without uploads
    items: dict[str, Item] = field(default_factory=dict)
    stamps: dict[str, Stamp] = field(default_factory=dict)
    bad_rows: list[BadRow] = field(default_factory=list)


def index_catalog(
    catalog: Catalog,
    embedder: PictureEmbedder,
    store: VectorStore,
    folder: Path,
    *,
    batch_size: int = 256,
    max_bad_share: float = 0.02,
    shard: Shard = WHOLE,
    make_pool: PoolFactory | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> IndexReport:
    """Bring the store to what the catalogue is: new and changed shoes embedded, vanished ones removed.

    The worker pool embeds ahead while a batch is stored. Each batch is acknowledged by the store and then recorded in
    the ledger before the next one is given to it, so an interrupted run goes on where it stopped.
    Shoes that were uploaded stay, unless the catalogue has one of the same id. The store may be changed meanwhile.

    Args:
        catalog: what to index.
        embedder: made from the checkpoint whose digest the store has.
        store: made for `catalog.root`.
        folder: where the ledger and the report of bad rows are kept; beside the store's own files.
        batch_size: shoes stored at once.
        max_bad_share: the share of rows, in [0, 1], that may be bad.
        shard: the part of the catalogue to index; the others, and the shoes of theirs that vanished, are left alone.
        make_pool: gives the worker pool for so many pictures; a single thread unless it is given.
        stop: asked now and then whether to stop.

    Raises:
        CatalogError: more is bad. What was stored until then stays.
        ArtifactError: something can't be written. What was stored until then stays.
        StoreBusy: other processes' changes take too long. What was stored until then stays.
        IndexingStopped: `stop` said so. What was stored until then stays.
    """
    catalog = shard.take(catalog)
    ledger = Ledger(folder)
    plan = _make_plan(catalog, store, ledger)
    report = folder / (BAD_ROWS if shard == WHOLE else f"bad-rows-{shard.number}-of-{shard.count}.csv")
    check = _BadRowCheck(catalog.size, [*catalog.bad_rows, *plan.bad_rows], max_bad_share, report)
    check.stop_if_over()
    begin(folder, shard)
    uploads = Uploads(folder)
    todo = len(plan.to_embed)
    if todo:
        logger.info("%d shoes to embed, %d are in the store already", todo, plan.kept + len(plan.to_update))
        writer = _Writer(plan, store, uploads, ledger, check)
        with (
            progress(desc="index", unit="shoes", total=todo + plan.kept, initial=plan.kept) as shown,
            (make_pool or partial(_one_thread, embedder))(todo) as pool,
        ):
            writer.write_all(pool, batch_size, shown, stop)
    for shoes in _batches(plan.to_update, batch_size):
        _update(store, uploads, [plan.items[shoe.id] for shoe in shoes])
    bad = {row.row for row in check.bad_rows[len(catalog.bad_rows) :]}  # these name shoes; the catalogue's own, rows
    current = {shoe.id for shoe in catalog.shoes if shoe.id not in bad}
    vanished = [item_id for item_id in plan.stored if item_id not in current and shard.holds(item_id)]
    removed = _remove(store, uploads, vanished) if vanished else 0
    ledger.compact(current, shard)
    check.report()
    finish(folder, shard)
    return IndexReport(
        embedded=len(current) - plan.kept - len(plan.to_update),
        kept=plan.kept + len(plan.to_update),
        removed=removed,
        left_out=len(check.bad_rows),
    )


def _one_thread(embedder: PictureEmbedder, _pictures: int) -> AbstractContextManager[EmbedPool]:
    return threads(embedder, 1)


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
    stored = {item.id: item for item in iterate_items(store)}
    # What was uploaded was never in the catalogue, and so can't have vanished from it.
    plan = _Plan(stored=[item.id for item in stored.values() if not is_upload(item.image)])
    for shoe in catalog.shoes:
        try:
            status = shoe.image.stat()
        except OSError as error:
            plan.bad_rows.append(BadRow(shoe.id, f"can't read {shoe.image}: {error.strerror or error}"))
            continue
        stamp = plan.stamps[shoe.id] = (status.st_size, status.st_mtime_ns)
        known = stored.get(shoe.id)
        item = plan.items[shoe.id] = _to_item(shoe, catalog.root)
        if known is None or known.image != item.image or ledger.stamps.get(shoe.id) != stamp:
            plan.to_embed.append(shoe)
        elif dict(known.attributes) != dict(item.attributes):
            plan.to_update.append(shoe)
        else:
            plan.kept += 1
    return plan


class _Writer:
    """Brings what a pool has embedded into the store, batch by batch."""

    def __init__(self, plan: _Plan, store: VectorStore, uploads: Uploads, ledger: Ledger, check: _BadRowCheck) -> None:
        self._plan, self._store, self._uploads, self._ledger, self._check = plan, store, uploads, ledger, check
        self._batch: list[tuple[Shoe, Vector]] = []

    def write_all(self, pool: EmbedPool, batch_size: int, shown: Progress, stop: Callable[[], bool]) -> None:
        """Embed and store all of the plan. Raises IndexingStopped."""
        left = len(self._plan.to_embed)
        try:
            with closing(pool.embed(self._plan.to_embed, min(CHUNK, batch_size))) as chunks:
                for chunk in chunks:
                    self._take(chunk, batch_size)
                    left -= len(chunk)
                    shown.update(len(chunk))
                    if stop():
                        break
        except PoolBroken:
            # Whoever stops a service sends SIGTERM to all of its processes.
            if not stop():
                raise
        self._write()
        if left and stop():
            raise IndexingStopped(left)

    def _take(self, chunk: Sequence[EmbeddedShoe], batch_size: int) -> None:
        for shoe, result in chunk:
            if isinstance(result, BadRow):
                self._check.add(result)
                continue
            self._batch.append((shoe, result))
            if len(self._batch) == batch_size:
                self._write()

    def _write(self) -> None:
        if self._batch:
            with self._uploads.changing(PATIENCE):  # no import's vector comes between a vector and its stamp
                self._store.upsert([Record(self._plan.items[shoe.id], vector) for shoe, vector in self._batch])
                self._ledger.add({shoe.id: self._plan.stamps[shoe.id] for shoe, _ in self._batch})
            self._batch.clear()


def _update(store: VectorStore, uploads: Uploads, items: Sequence[Item]) -> None:
    """Give shoes their new attributes, but those that were deleted or have another picture since the plan was made."""
    with uploads.changing(PATIENCE):
        records = []
        for item in items:
            with suppress(UnknownItem):
                stored = store.record(item.id)
                if stored.item.image == item.image:
                    records.append(Record(item, stored.vector))
        store.upsert(records)


def _remove(store: VectorStore, uploads: Uploads, ids: Sequence[str]) -> int:
    """Remove shoes, but those that were uploaded since the plan was made. Returns how many were there."""
    with uploads.changing(PATIENCE):
        found = [find_item(store, item_id) for item_id in ids]
        return store.delete([item.id for item in found if item is not None and not is_upload(item.image)])


def _to_item(shoe: Shoe, root: Path) -> Item:
    path, folder = str(shoe.image), f"{root}/"
    # A cut is ten times faster than pathlib, which is asked only where it may say something else.
    image = path[len(folder) :] if path.startswith(folder) else shoe.image.relative_to(root).as_posix()
    return Item(id=shoe.id, image=image, attributes=dict(shoe.attributes))


def _batches(values: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(values)
    while batch := list(islice(iterator, size)):
        yield batch
