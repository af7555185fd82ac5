"""The store of one machine: SQLite is the truth, FAISS in memory answers.

Every question is answered out of an immutable `Snapshot`. Before it is, one `PRAGMA data_version` (a few
microseconds) tells whether any process has committed a change since; if so, the changes not yet seen make the next
snapshot, and one assignment puts it in place. Searches that run meanwhile keep the snapshot they began with.
"""

import hashlib
import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.errors import QueryError
from service.store import rows
from service.store.base import OVERALL, Filter, Hit, Item, Page, Recall, Record, SearchWatch, StoreInfo, Weights
from service.store.cache import CacheKey, load_index, save_index
from service.store.flat import FlatIndex
from service.store.snapshot import Snapshot
from service.store.sqlite import BUSY_SECONDS
from service.store.truth import Facts, Truth

__all__ = ["EmbeddedStore"]

logger = logging.getLogger(__name__)

DATABASE = "catalog.sqlite"
CACHE = "overall.faiss"


class EmbeddedStore:
    """A `VectorStore` in a folder. Safe for several threads and, each with its own instance, several processes.

    `catalog.sqlite` holds everything. `overall.faiss` only spares a start the reading of all vectors; the indexes of
    the conditions are cut from it in memory, which takes less time than reading a file would.
    """

    def __init__(self, truth: Truth, *, threads: int = 1, watch: SearchWatch | None = None) -> None:
        """Read the whole catalogue; see `open` and `create`."""
        self._truth = truth
        self._threads = threads
        self._watch = watch
        self._cache = truth.path.with_name(CACHE)
        self._cached_seq = -1
        self._wrote = False
        # Guards the reading connection and the place of the snapshot, not the snapshot.
        self._refreshing = threading.Lock()
        self._seen = truth.data_version()
        self._snapshot = self._load()

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        dimension: int,
        slices: Mapping[str, tuple[int, int]],
        checkpoint: str,
        root: str | Path,
        threads: int = 1,
    ) -> "EmbeddedStore":
        """Make an empty store, or open the one that is there if these facts are its own.

        Args:
            folder: is made if need be.
            dimension: D, the size of every vector.
            slices: condition -> (start, stop) of its part of the vector; without `overall`.
            checkpoint: digest of the checkpoint that makes the vectors.
            root: the folder under which the pictures lie.
            threads: how many one search may use.

        Raises:
            ArtifactMismatch: a store with other facts is there.
            ArtifactCorrupt: a store is there that fails its check.
            ArtifactError: the folder can't be written.
            ValueError: a slice does not lie within the vector, or is called `overall`.
        """
        for name, (start, stop) in slices.items():
            if name == OVERALL or not 0 <= start < stop <= dimension:
                raise ValueError(f"the slice {name!r} ({start}, {stop}) does not fit a vector of {dimension}")
        pairs = {name: (int(start), int(stop)) for name, (start, stop) in slices.items()}
        facts = Facts(int(dimension), pairs, checkpoint, str(root))
        return cls._started(Truth.create(Path(folder) / DATABASE, facts), threads)

    @classmethod
    def open(
        cls, folder: Path, *, threads: int = 1, watch: SearchWatch | None = None, busy_seconds: float = BUSY_SECONDS
    ) -> "EmbeddedStore":
        """Open the store in `folder`, which may be read-only.

        Args:
            folder: of an earlier `create`.
            threads: how many one search may use.
            watch: is told of every search.
            busy_seconds: how long a change waits for those of other processes.

        Raises:
            ArtifactMissing: there is none; the message names the command that makes one.
            ArtifactCorrupt: it fails its check.
        """
        return cls._started(Truth(Path(folder) / DATABASE, busy_seconds=busy_seconds), threads, watch)

    @classmethod
    def _started(cls, truth: Truth, threads: int, watch: SearchWatch | None = None) -> "EmbeddedStore":
        try:
            return cls(truth, threads=threads, watch=watch)
        except BaseException:
            truth.close()
            raise

    @staticmethod
    def remove(folder: Path) -> None:
        """Delete the store's own files in `folder`, and no others, so that `create` starts anew."""
        for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", CACHE):
            (Path(folder) / name).unlink(missing_ok=True)

    def info(self) -> StoreInfo:
        """What is in the store now; the fingerprint is the same in every process that sees the same catalogue."""
        snapshot = self._current()
        facts = self._truth.facts
        return StoreInfo(
            count=len(snapshot),
            dimension=facts.dimension,
            slices=dict(facts.slices),
            checkpoint=facts.checkpoint,
            fingerprint=hashlib.sha256(f"{self._truth.uuid}:{snapshot.seq}".encode()).hexdigest()[:16],
            root=facts.root,
            uuid=self._truth.uuid,
        )

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        *,
        condition: str | Weights = OVERALL,
        filter: Filter | None = None,
        exclude: str | None = None,
        vectors: bool = False,
    ) -> list[list[Hit]]:
        """See `VectorStore.search`. Equal distances come in the order of insertion."""
        require_positive("k", k)
        checked = check_queries(queries, self._truth.facts.dimension)
        snapshot = self._current()
        found = snapshot.search(checked, k, condition=condition, filter=filter, exclude=exclude, vectors=vectors)
        if self._watch is not None and len(checked):

            def compare(index: int) -> Recall:
                query, hits = checked[index], found[index]
                return snapshot.compare(query, hits, k, condition=condition, filter=filter, exclude=exclude)

            self._watch.offer(len(checked), compare)
        return found

    def get(self, item_id: str) -> Item:
        """One shoe. Raises UnknownItem."""
        return self._current().get(item_id)

    def vector(self, item_id: str) -> NDArray[np.float32]:
        """One shoe's vector, (D,) float32. Raises UnknownItem."""
        return self._current().vector(item_id)

    def page(self, *, limit: int, cursor: str | None = None, filter: Filter | None = None) -> Page:
        """Shoes in the order of their insertion, `limit` at a time; one that is replaced keeps its place."""
        require_positive("limit", limit)
        return self._current().page(limit=limit, cursor=cursor, filter=filter)

    def facets(self, filter: Filter | None = None) -> dict[str, dict[str, int]]:
        """See `VectorStore.facets`: attributes by name, values most frequent first, no zeros."""
        return self._current().facets(filter)

    def ids(self) -> set[str]:
        """Every shoe's id, so that an ingest that was cut short goes on where it stopped."""
        return self._current().ids()

    def upsert(self, records: Iterable[Record], *, overwrite: bool = True) -> int:
        """Insert or replace by id, in one transaction: all or nothing, durable once it returns.

        Returns:
            How many records were given; of several with one id, the last one stays.

        Raises:
            QueryError: a record's vector has the wrong shape or a value that is not finite.
            ItemExists: one of the ids is there, and `overwrite` is False.
            StoreBusy: another process holds the catalogue for too long.
            StorageFull, StorageReadOnly, ArtifactError: the disk is full, or the folder can't be written.
        """
        # Written down before the transaction begins: `records` may be slow, and others want to write too.
        encoded = [rows.encode(record, self._truth.facts.dimension) for record in records]
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

    def close(self) -> None:
        """Write the cache anew if this instance changed the catalogue; release files and connections."""
        try:
            if self._wrote:
                self._wrote = False
                self._save_cache(self._current())
        finally:
            with self._refreshing:
                self._truth.close()

    def _current(self) -> Snapshot:
        """The snapshot that holds every change acknowledged before this call, by any process."""
        with self._refreshing:
            version = self._truth.data_version()
            if version != self._seen:
                changes = self._truth.changes(self._snapshot.seq)
                if changes.seq != self._snapshot.seq:
                    self._snapshot = self._snapshot.after(changes, threads=self._threads)
                self._seen = version
            return self._snapshot

    def _load(self) -> Snapshot:
        """The snapshot of a start: vectors from the cache if it fits, or else from SQLite."""
        facts = self._truth.facts
        state = self._truth.state()
        key = CacheKey(self._truth.uuid, state.seq, state.shoes, facts.dimension)
        index = load_index(self._cache, key, threads=self._threads) if state.shoes else None
        if index is not None:
            changes = self._truth.changes(0, vectors=False)
            # Another process may have written in between; then the cache is stale after all.
            if changes.seq == state.seq:
                self._cached_seq = state.seq
                return Snapshot.of(changes, index, facts.slices)
        changes = self._truth.changes(0)
        snapshot = Snapshot.of(changes, FlatIndex.of(changes.vectors, threads=self._threads), facts.slices)
        if len(snapshot):
            logger.info("%s: making it anew from %d shoes", self._cache, len(snapshot))
            self._save_cache(snapshot)
        return snapshot

    def _save_cache(self, snapshot: Snapshot) -> None:
        if snapshot.seq != self._cached_seq:
            key = CacheKey(self._truth.uuid, snapshot.seq, len(snapshot), self._truth.facts.dimension)
            if save_index(self._cache, key, snapshot.index):
                self._cached_seq = snapshot.seq


def require_positive(field: str, value: int) -> None:
    """Raise QueryError unless `value` is at least 1."""
    if value < 1:
        raise QueryError(field, f"{field} must be at least 1, not {value}")


def check_queries(queries: ArrayLike, dimension: int) -> NDArray[np.float32]:
    """Queries as (B, dimension) float32. Raises QueryError for another shape, or a value that is not finite."""
    with np.errstate(over="ignore"):
        checked = np.asarray(queries, dtype=np.float32)
    if checked.ndim != 2 or checked.shape[1] != dimension:
        raise QueryError("vector", f"queries have the shape (B, {dimension}), not {checked.shape}")
    if not np.isfinite(checked).all():
        raise QueryError("vector", "a query has a value that is not finite")
    return checked
