"""The store of one machine: SQLite is the truth, FAISS in memory answers.

Every query is answered out of an immutable `Snapshot`. Before it is, one `PRAGMA data_version` (a few
microseconds) tells whether any process has committed a change since; if so, the changes not yet seen make the next
snapshot, and one assignment puts it in place. Searches that run meanwhile keep the snapshot they began with.

Up to `exact_shoes` shoes every search is exact. Beyond, `service.store.embedded.background` makes inverted
indexes, whose recall is measured; until they are there, and where they find too little, searches stay exact.
"""

import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from service.store.base import OVERALL, Filter, Hit, Item, Page, Record, StoreInfo, StoreSpec, Weights, require_positive
from service.store.embedded.background import LOCK, BackgroundIndexer
from service.store.embedded.database import BUSY_SECONDS, Truth, encode
from service.store.embedded.files import derived_files, load, save_small
from service.store.embedded.snapshot import Layout, Segment, Snapshot

DATABASE = "catalog.sqlite"

EXACT_UP_TO = 100_000
"""Default of the shoes up to which searches are exact: they are scanned in about a millisecond."""

MIN_RECALL = 0.98


class StoreOptions(TypedDict, total=False):
    """How a store is opened; see `EmbeddedStore`."""

    threads: int
    record_recall: Callable[[str, float], None] | None
    exact_shoes: int
    min_recall: float


RECENT_MOST = 256
"""Recent shoes that a small catalogue keeps beside its base; beyond them, or when others go, the two are merged."""


class EmbeddedStore:
    """A `VectorStore` in a folder. Safe for several threads and, each with its own instance, several processes.

    `catalog.sqlite` holds everything. `vectors.bin` only spares a start the reading of all vectors. A small catalogue
    copies it, and cuts its slices' vectors from it; all processes map a large one's, which has each slice's
    index in a file.
    """

    def __init__(
        self,
        truth: Truth,
        *,
        threads: int = 1,
        record_recall: Callable[[str, float], None] | None = None,
        exact_shoes: int = EXACT_UP_TO,
        min_recall: float = MIN_RECALL,
    ) -> None:
        """Read the whole catalogue; see `open` and `create`.

        Args:
            truth: is closed with the store.
            threads: how many one search may use.
            record_recall: is called with a slice's name and the recall@10 of its searches from now on: as measured of
                an index, or 1 where they are exact.
            exact_shoes: up to so many shoes every search is exact.
            min_recall: the recall@10, in [0, 1], without which searches stay exact beyond that too.
        """
        self._truth = truth
        self._layout = Layout(truth.spec.slices, exact_shoes, threads)
        self._indexer = BackgroundIndexer(self, truth, minimum=min_recall, record_recall=record_recall)
        self._wrote = False
        # Guards the reading connection and the place of the snapshot, not the snapshot.
        self._refreshing = threading.Lock()
        self._seen = truth.data_version()
        self._snapshot = load(truth, self._layout)
        if record_recall is not None:
            for slice_name in (OVERALL, *truth.spec.slices):
                record_recall(slice_name, 1.0)
        self._request_missing(self._snapshot, OVERALL)

    @classmethod
    def create(cls, folder: Path, spec: StoreSpec, **options: Unpack[StoreOptions]) -> "EmbeddedStore":
        """Make an empty store, and its folder, or open the one that is there if it has the same specification.

        Raises:
            ArtifactMismatch: a store of another specification is there.
            ArtifactCorrupt: a store is there that fails its check.
            ArtifactError: the folder can't be written.
        """
        return cls._of(Truth.create(Path(folder) / DATABASE, spec), options)

    @classmethod
    def open(
        cls, folder: Path, *, busy_seconds: float = BUSY_SECONDS, **options: Unpack[StoreOptions]
    ) -> "EmbeddedStore":
        """Open the store in `folder`, which may be read-only. `busy_seconds`: see `Truth`.

        Raises:
            ArtifactMissing: there is none; the message names the command that makes one.
            ArtifactCorrupt: it fails its check.
        """
        return cls._of(Truth(Path(folder) / DATABASE, busy_seconds=busy_seconds), options)

    @classmethod
    def _of(cls, truth: Truth, options: StoreOptions) -> "EmbeddedStore":
        try:
            return cls(truth, **options)
        except BaseException:
            truth.close()
            raise

    @staticmethod
    def remove(folder: Path) -> None:
        """Delete the store's own files in `folder`, and no others, so that `create` starts anew."""
        for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", LOCK):
            (Path(folder) / name).unlink(missing_ok=True)
        for path in derived_files(Path(folder)):
            path.unlink()

    def info(self) -> StoreInfo:
        """What is in the store now; the fingerprint is the same in every process that sees the same catalogue."""
        snapshot = self.current()
        spec = self._truth.spec
        tuned = snapshot.base.tuned.get(OVERALL)
        return StoreInfo(
            count=len(snapshot),
            dimension=spec.dimension,
            slices=dict(spec.slices),
            checkpoint=spec.checkpoint,
            fingerprint=hashlib.sha256(f"{self._truth.uuid}:{snapshot.seq}".encode()).hexdigest()[:16],
            root=spec.root,
            uuid=self._truth.uuid,
            index="exact" if tuned is None else "approximate",
            recall=None if tuned is None else tuned.recall,
        )

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        *,
        condition: str | Weights = OVERALL,
        filter: Filter | None = None,
        vectors: bool = False,
    ) -> list[list[Hit]]:
        """See `VectorStore.search`. Equal distances come in the order of insertion."""
        require_positive("k", k)
        snapshot = self.current()
        found = snapshot.search(queries, k, condition=condition, filter=filter, vectors=vectors)
        self._request_missing(snapshot, condition)
        return found

    def get(self, item_id: str) -> Item:
        """One shoe. Raises UnknownItem."""
        return self.current().get(item_id)

    def vector(self, item_id: str) -> NDArray[np.float32]:
        """One shoe's vector, (D,) float32. Raises UnknownItem."""
        return self.current().vector(item_id)

    def record(self, item_id: str) -> Record:
        """See `VectorStore.record`. Raises UnknownItem."""
        snapshot = self.current()
        return Record(snapshot.get(item_id), snapshot.vector(item_id))

    def page(self, *, limit: int, cursor: str | None = None, filter: Filter | None = None) -> Page:
        """Shoes in the order of their insertion, `limit` at a time; one that is replaced keeps its place."""
        require_positive("limit", limit)
        return self.current().page(limit=limit, cursor=cursor, filter=filter)

    def sample(self, count: int) -> list[Record]:
        """See `VectorStore.sample`."""
        return self.current().sample(count)

    def facets(self, filter: Filter | None = None) -> dict[str, dict[str, int]]:
        """See `VectorStore.facets`: attributes by name, values most frequent first, no zeros."""
        return self.current().facets(filter)

    def upsert(self, records: Iterable[Record], *, overwrite: bool = True) -> int:
        """See `VectorStore.upsert`: in one transaction. Raises StorageFull and StorageReadOnly among ArtifactErrors."""
        # Written down before the transaction begins: `records` may be slow, and others want to write too.
        encoded = [encode(record, self._truth.spec.dimension) for record in records]
        if encoded:
            self._truth.upsert(encoded, overwrite=overwrite)
            self._wrote = True
        return len(encoded)

    def patch(self, item_id: str, attributes: Mapping[str, tuple[str, ...]]) -> Item:
        """See `VectorStore.patch`: in one transaction, durable once it returns. Raises as `upsert`, and UnknownItem."""
        item = self._truth.patch(item_id, attributes)
        self._wrote = True
        return item

    def delete(self, ids: Sequence[str]) -> int:
        """Remove by id, in one transaction: all or nothing, durable once it returns. Returns how many were there."""
        removed = self._truth.delete(ids) if ids else 0
        self._wrote |= removed > 0
        return removed

    def build_indexes(self, slice_names: Iterable[str] | None = None) -> None:
        """Make now what a large catalogue would have made while it is served; a small one needs nothing.

        Args:
            slice_names: those whose searches are to be fast; all, if left out.
        """
        snapshot = self.current()
        if snapshot.base.is_large:
            self._indexer.build_all((OVERALL, *self._layout.slices) if slice_names is None else slice_names, snapshot)

    def close(self) -> None:
        """Write the cache anew if this instance changed the catalogue; release files and connections."""
        try:
            self._indexer.close()
            if self._wrote:
                self._wrote = False
                save_small(self._truth, self.current())
        finally:
            with self._refreshing:
                self._truth.close()

    # For `BackgroundIndexer`.

    def put_base(self, old: Segment, new: Segment) -> None:
        """Put a base with more indexes in the place of one that is otherwise the same, if that is still there."""
        with self._refreshing:
            self._snapshot = self._snapshot.with_indexes(old, new)

    def put_snapshot(self, new: Snapshot) -> None:
        """Put a snapshot with a new base in place, and what has happened since on top of it."""
        with self._refreshing:
            self._snapshot = self._caught_up(new)

    def _request_missing(self, snapshot: Snapshot, condition: str | Weights) -> None:
        if snapshot.base.is_large and isinstance(condition, str):
            self._indexer.request_missing(snapshot, condition)

    def current(self) -> Snapshot:
        """The snapshot that holds every change acknowledged before this call, by any process."""
        with self._refreshing:
            version = self._truth.data_version()
            if version != self._seen:
                self._snapshot = self._caught_up(self._snapshot)
                self._seen = version
            return self._snapshot

    def _caught_up(self, snapshot: Snapshot) -> Snapshot:
        """What a snapshot is after all that has happened since."""
        changes = self._truth.changes(snapshot.seq)
        if changes.seq == snapshot.seq:
            return snapshot
        snapshot = snapshot.after(changes)
        # A large base is made anew in the background, see `BackgroundIndexer`.
        if not snapshot.base.is_large and (snapshot.base.gone or len(snapshot.recent) > RECENT_MOST):
            return snapshot.compacted()
        return snapshot
