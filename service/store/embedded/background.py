"""The background indexer: builds indexes and base segments of a large catalogue in a thread, while the old ones serve.

Two things are built: the inverted index of a slice, once it is asked for; and a new base, when much has changed
since the old one was made. Both are put in place in one step; what changes meanwhile is in the recent segment,
and searched exactly. Of several processes one makes them, and the others take them from its files.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from service.store.base import OVERALL
from service.store.embedded.database import Truth
from service.store.embedded.files import (
    VECTORS,
    IndexKey,
    index_file,
    load,
    load_tuned,
    load_vectors,
    read_seq,
    save_tuned,
    save_vectors,
)
from service.store.embedded.snapshot import Segment, Snapshot
from service.store.index.ivf import InvertedIndex, Stopped, Tuned
from service.store.index.tuning import tune
from service.store.locks import locked

if TYPE_CHECKING:
    from service.store.embedded.store import EmbeddedStore

logger = logging.getLogger(__name__)

LOCK = "growth.lock"
"""File that the process which builds an index, or a base, has locked."""

BASE = ""
"""Request for a new base, in place of a slice's name."""

PENDING_LEAST = 4096
PENDING_SHARE = 0.02
"""Changes beside the base, in rows and as a share of it, beyond both of which a new base is built."""


class BackgroundIndexer:
    """Builds what is requested, one after the other; its thread ends when nothing is."""

    def __init__(
        self,
        store: "EmbeddedStore",
        truth: Truth,
        *,
        minimum: float,
        record_recall: Callable[[str, float], None] | None = None,
    ) -> None:
        """Start nothing yet.

        Args:
            store: whose snapshots are to grow.
            truth: where its files are; its connection is not used.
            minimum: recall@10 that an inverted index has to reach; else the searches stay exact.
            record_recall: called with the slice's name and the recall of each index that is put in place.
        """
        self._store, self._path, self._minimum, self._record_recall = store, truth.file, minimum, record_recall
        self._uuid, self._dimension = truth.uuid, truth.spec.dimension
        self._changed = threading.Condition()
        self._requested: list[str] = []
        self._failed: dict[str, int] = {}  # what -> seq of the base for which it could not be made
        self._thread: threading.Thread | None = None
        self._stopping = False

    def request_missing(self, snapshot: Snapshot, slice_name: str = OVERALL) -> None:
        """See to it that what a search of a large catalogue by this slice lacks is made. Takes no time."""
        base = snapshot.base
        if slice_name not in base.tuned and self._failed.get(slice_name) != base.seq:
            self.request(slice_name, base.seq)
        if snapshot.pending > max(PENDING_LEAST, PENDING_SHARE * len(base)) and self._failed.get(BASE) != base.seq:
            self.request(BASE, base.seq)

    def build_all(self, slice_names: Iterable[str], snapshot: Snapshot) -> None:
        """Make all that a snapshot's searches by some slices lack, and wait until it is there, or can't be made."""
        if snapshot.pending:
            self.request(BASE, snapshot.base.seq)
        for slice_name in slice_names:
            self.request(slice_name, snapshot.base.seq)
        with self._changed:
            self._changed.wait_for(lambda: not self._requested)

    def request(self, what: str, seq: int) -> None:
        """Have the index of a slice made, or a new base, unless it is on its way or could not be made for `seq`."""
        with self._changed:
            if self._stopping or what in self._requested or self._failed.get(what) == seq:
                return
            self._requested.append(what)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="growth", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Give up what is under way, as soon as that is possible."""
        with self._changed:
            self._stopping = True
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        # Not with a niceness of its own: a thread that is kept waiting while it holds Python's lock keeps all waiting.
        while True:
            with self._changed:
                if self._stopping:
                    self._requested.clear()
                if not self._requested:
                    self._thread = None
                    self._changed.notify_all()
                    return
                what = self._requested[0]
            seq = -1  # of no base: where not even that can be read, the next search asks again
            try:
                seq = self._store.current().base.seq
                made = self._rebuild_base() if what == BASE else self._index(what)
            except Stopped:
                made = True
            except Exception:
                logger.exception("%s: %s could not be made; searches go on without", self._path, what or "a new base")
                made = False
            with self._changed:
                if not made:
                    self._failed[what] = seq
                self._requested.remove(what)

    def _index(self, slice_name: str) -> bool:
        """Make a slice's inverted index and put it in place; whether it finds enough."""
        base = self._store.current().base
        if not base.is_large or slice_name in base.tuned:
            return True
        with self._exclusive():
            if not base.digest:
                stored = self._stored(base)
                self._store.put_base(base, stored)
                base = stored
            tuned = self._tuned(base, slice_name)
        if tuned is None:
            return False
        self._store.put_base(base, base.with_tuned(slice_name, tuned))
        self._report(slice_name, tuned)
        return True

    def _rebuild_base(self) -> bool:
        """Make a new base of all that is there now, with the indexes that the old one has, and put it in place."""
        with self._exclusive():
            snapshot = self._store.current()
            old, path = snapshot.base, self._path.with_name(VECTORS)
            if read_seq(path, self._uuid) <= old.seq:  # else another process has just made one
                new = snapshot.compacted()
                if new.base.is_large:
                    new = Snapshot.of(self._stored(new.base))
            else:
                truth = Truth(self._path, checked=False)
                try:
                    new = load(truth, old.layout)
                finally:
                    truth.close()
            base = new.base
            for slice_name in old.tuned if base.is_large else ():
                if (tuned := self._tuned(base, slice_name)) is not None:
                    base = base.with_tuned(slice_name, tuned)
            self._store.put_snapshot(new.with_indexes(new.base, base))
        for slice_name, tuned in base.tuned.items():
            self._report(slice_name, tuned)
        return True

    def _stored(self, base: Segment) -> Segment:
        """The same base with its vectors in a file that other processes can share, if such a file can be made."""
        path = self._path.with_name(VECTORS)
        if read_seq(path, self._uuid) == base.seq and (found := self._mapped(base)) is not None:
            return found
        if not save_vectors(path, self._uuid, base.seq, base.numbers, base.vectors):
            return base
        return self._mapped(base) or base

    def _mapped(self, base: Segment) -> Segment | None:
        """The same base with its vectors where the file has them; None if it does not have them."""
        stored = load_vectors(self._path.with_name(VECTORS), self._uuid, self._dimension)
        if stored is None or stored.seq != base.seq or not np.array_equal(stored.numbers, base.numbers):
            return None
        return base.in_file(stored.vectors, stored.digest)

    def _tuned(self, base: Segment, slice_name: str) -> Tuned | None:
        """The inverted index of a slice: from its file, or made and kept there; None if it finds too little."""
        columns, threads = base.columns(slice_name), base.layout.threads
        path = index_file(self._path.parent, columns.start, columns.stop)
        key = IndexKey(base.digest, len(base), (columns.start, columns.stop), self._minimum)
        if base.digest and (kept := load_tuned(path, key, threads=threads)) is not None:
            return kept
        began = perf_counter()
        vectors = base.view(slice_name)
        index = InvertedIndex.build(vectors, threads=threads, stop=self._is_stopping)
        built = perf_counter()
        tuned = tune(index, vectors, self._minimum, stop=self._is_stopping)
        seconds = (built - began, perf_counter() - built)
        if tuned is None:
            logger.warning(
                "%s: by %s an inverted index finds less than %.3f of the ten nearest; searches stay exact, and slow",
                *(self._path, slice_name, self._minimum),
            )
            return None
        logger.info(
            "%s: an index of %d shoes by %s, recall@10 %.4f, built in %.1f s and tuned in %.1f s: %s",
            *(self._path, len(base), slice_name, tuned.recall, *seconds, tuned.settings),
        )
        if base.digest:
            save_tuned(path, key, tuned)
        return tuned

    def _report(self, slice_name: str, tuned: Tuned) -> None:
        if self._record_recall is not None:
            self._record_recall(slice_name, tuned.recall)

    def _is_stopping(self) -> bool:
        return self._stopping

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Be the only process that builds something; where no lock can be made nothing can be shared either."""
        with ExitStack() as stack:
            with suppress(OSError):
                if not stack.enter_context(locked(self._path.parent / LOCK, give_up=self._is_stopping)):
                    raise Stopped
            yield
