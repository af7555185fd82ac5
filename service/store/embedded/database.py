"""The truth of a catalogue on disk: shoes and vectors as rows in SQLite, every change numbered.

Each change of a shoe takes the next sequence number, in the same transaction as the change itself. A removal leaves
its number behind. A reader that knows the catalogue as of one number can so ask for what came after it.
"""

import json
import logging
import secrets
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.errors import ArtifactCorrupt, ArtifactError, ArtifactMismatch, ArtifactMissing, StorageFull, StorageReadOnly
from model.files import explain_failure, sync_folder
from model.text import nfc
from service.errors import ItemExists, StoreBusy, UnknownItem
from service.store.base import REBUILD, Item, Record, StoreSpec, check_vector, encode_attributes, require_same

logger = logging.getLogger(__name__)

BUSY_SECONDS = 30.0
"""Default of the seconds that a change waits for those of others."""

MOST_PROBLEMS = 100
"""Largest number of SQLite's own problems that are reported."""

BUSY_RETRY = 2
"""`Retry-After` of a change that found the catalogue busy, in seconds."""

REPLACED = "the catalogue was replaced on disk, and has to be loaded anew before it can be changed; nothing was stored"


def connect(path: Path, mode: str, *, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """A connection in autocommit mode; `mode` is one of SQLite's URI modes (ro, rw, rwc), or `immutable`."""
    flag = "mode=ro&immutable=1" if mode == "immutable" else f"mode={mode}"
    uri = f"{path.absolute().as_uri()}?{flag}"
    connection = sqlite3.connect(uri, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    try:
        # FULL: in WAL mode, NORMAL would let a power cut take back acknowledged writes.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_read(path: Path, *, named: Path | None = None) -> sqlite3.Connection:
    """A read-only connection, also where the folder is read-only and SQLite can't make its WAL files.

    Args:
        path: of the file.
        named: what to call it in errors, where that differs.
    """
    if not path.is_file():
        command = "python -m service index --catalog PATH"
        folder = (named or path).parent
        raise ArtifactMissing(f"{folder} holds no indexed catalogue ({path.name}); make one with `{command}`")
    try:
        return connect(path, "ro")
    except sqlite3.OperationalError as error:
        if primary_code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
        log = path.with_name(f"{path.name}-wal")
        if log.exists() and log.stat().st_size > 0:
            # Immutable would leave out what only the log holds, some of it acknowledged.
            raise
        logger.info("%s lies in a read-only folder: changes by others stay unseen until it is opened again", path)
        return connect(path, "immutable")


def identify(path: Path) -> tuple[int, int]:
    """What tells a file from one that is put in its place: its device and its inode. Raises OSError."""
    status = path.stat()
    return status.st_dev, status.st_ino


@contextmanager
def transaction(connection: sqlite3.Connection, kind: Literal["IMMEDIATE", "DEFERRED"]) -> Iterator[None]:
    """A transaction: IMMEDIATE, to write, which no other process can enter; DEFERRED, to read all as of one moment."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk may have rolled back already.
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code of an error; 0 where the error came from Python's wrapper itself."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn the errors of SQLite and of the file system into ArtifactError, with the file and the way out.

    Where only somebody else's change is in the way, it is StoreBusy, which names no file, as clients see it.
    """
    try:
        yield
    except sqlite3.ProgrammingError as error:
        raise ArtifactError(f"{path}: {error}") from error
    except sqlite3.Error as error:
        match primary_code(error):
            case sqlite3.SQLITE_FULL:
                message = "the disk is full; nothing of this change was stored. Free some space and try again"
                raise StorageFull(f"{path}: {message}") from error
            case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
                message = f"no permission, or a read-only disk ({error}); make the folder readable and writable"
                raise StorageReadOnly(f"{path}: {message}") from error
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                message = "another process has been changing the catalogue for too long; nothing was stored, try again"
                raise StoreBusy(message, retry_after=BUSY_RETRY) from error
            case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_NOMEM:
                message = f"the disk or the memory failed ({error})"
            case _:
                raise ArtifactCorrupt(f"{path} is no whole catalogue ({error}); {REBUILD}") from error
        raise ArtifactError(f"{path}: {message}") from error
    except OSError as error:
        raise explain_failure(path, error) from error


APPLICATION_ID = 0x534F4C45  # "SOLE"
SCHEMA_VERSION = "1"

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE shoes (
    number INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of insertion; a removed shoe's number never comes back
    seq INTEGER NOT NULL,                      -- of its last change
    id TEXT NOT NULL UNIQUE,
    image TEXT NOT NULL,
    attributes TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    vector_checksum INTEGER NOT NULL,
    vector BLOB NOT NULL
) STRICT;
CREATE INDEX shoes_by_seq ON shoes (seq);
CREATE TABLE removals (seq INTEGER PRIMARY KEY, number INTEGER NOT NULL) STRICT;
"""

UPSERT = """
INSERT INTO shoes (seq, id, image, attributes, checksum, vector, vector_checksum) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, image = excluded.image, attributes = excluded.attributes,
    checksum = excluded.checksum, vector = excluded.vector, vector_checksum = excluded.vector_checksum
"""

PATCH = "UPDATE shoes SET seq = ?, attributes = ?, checksum = ? WHERE id = ?"

EVERY_TEXT = "SELECT id, image, attributes, checksum FROM shoes ORDER BY number"
EVERY_ROW = "SELECT id, image, attributes, checksum, vector, vector_checksum, seq FROM shoes ORDER BY number"

TEXT_OF = "SELECT id, image, attributes, checksum FROM shoes WHERE id = ?"
# All of them are read in the order of the table; without `INDEXED BY`, SQLite would read few in that order as well.
ALL, FEW = "shoes", "shoes INDEXED BY shoes_by_seq"
TEXTS_SINCE = (
    "SELECT number, seq, vector_checksum, id, image, attributes, checksum FROM {} WHERE seq > ? ORDER BY number"
)
VECTORS_SINCE = "SELECT vector, vector_checksum FROM {} WHERE seq > ? ORDER BY number"
VECTORS_AT_ONCE = 16_384
REMOVALS_SINCE = "SELECT number FROM removals WHERE seq > ?"


class Row(NamedTuple):
    """A shoe as SQLite keeps it.

    Attributes:
        id: the shoe's id.
        image: its picture's path, relative to the catalogue's root.
        attributes: JSON, attribute -> list of values.
        checksum: CRC-32 of the three texts above.
        vector: D little-endian float32.
        vector_checksum: CRC-32 of `vector`. Two checksums, since a start from the cache reads no vectors.
    """

    id: str
    image: str
    attributes: str
    checksum: int
    vector: bytes
    vector_checksum: int


def encode(record: Record, dimension: int) -> Row:
    """Serialize one shoe."""
    item = record.item
    blob = check_vector(record, dimension).tobytes()
    attributes, checksum = encode_text(item)
    return Row(item.id, item.image, attributes, checksum, blob, zlib.crc32(blob))


def encode_text(item: Item) -> tuple[str, int]:
    """A shoe's attributes as JSON, and the checksum of its texts. Raises QueryError for one that can't be stored."""
    attributes = encode_attributes(item)
    return attributes, text_checksum(item.id, item.image, attributes)


def text_checksum(item_id: str, image: str, attributes: str) -> int:
    """CRC-32 of a row's texts; the NUL keeps a character from wandering from one text to the next unseen."""
    return zlib.crc32(f"{item_id}\0{image}\0{attributes}".encode())


def decode_items(rows: Sequence[tuple[str, str, str, int]]) -> list[Item]:
    """Read back (id, image, attributes, checksum) of many shoes; those with equal attributes share one mapping."""
    for item_id, image, attributes, checksum in rows:
        if text_checksum(item_id, image, attributes) != checksum:
            raise ArtifactCorrupt(f"the row of shoe {item_id!r} fails its checksum")
    known: dict[tuple[str, ...], tuple[str, ...]] = {}

    def shared(raw: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
        return {
            name: known.setdefault(values, values) for name, values in zip(raw, map(tuple, raw.values()), strict=True)
        }

    texts = list(dict.fromkeys(row[2] for row in rows))
    # One call for all of them is several times faster than one call each.
    parsed = json.loads(f"[{','.join(texts)}]", object_hook=shared)
    attributes_of = dict(zip(texts, parsed, strict=True))
    return [Item(item_id, image, attributes_of[text]) for item_id, image, text, _ in rows]


def decode_vectors(rows: Sequence[tuple[bytes, int]], dimension: int) -> NDArray[np.float32]:
    """Read back (vector, vector_checksum) of many shoes.

    Returns:
        (N, dimension) float32.
    """
    for number, (vector, checksum) in enumerate(rows):
        if len(vector) != 4 * dimension or zlib.crc32(vector) != checksum:
            raise ArtifactCorrupt(f"the vector of row {number} fails its checksum")
    joined = b"".join(vector for vector, _ in rows)
    return np.frombuffer(joined, dtype="<f4").astype(np.float32, copy=False).reshape(-1, dimension)


@dataclass(frozen=True)
class Changes:
    """What happened to a catalogue after some sequence number.

    Attributes:
        seq: of the last change in here.
        numbers: (N,) int64, ascending; the shoes that are new or changed.
        items: those N shoes.
        vectors: (N, D) float32; (0, D) where they were not asked for.
        removed: (R,) int64, numbers of shoes that are gone (some of which the reader may never have seen).
        seqs: (N,) int64, of each shoe's last change.
        checksums: (N,) uint32, CRC-32 of each shoe's vector.
    """

    seq: int
    numbers: NDArray[np.int64]
    items: list[Item]
    vectors: NDArray[np.float32]
    removed: NDArray[np.int64]
    seqs: NDArray[np.int64]
    checksums: NDArray[np.uint32]


class Truth:
    """A catalogue's SQLite file: one connection that reads, and one that writes, opened by the first write.

    Writing is safe from several threads and processes. The reading methods share one connection: call them from one
    thread at a time.

    Attributes:
        path: as it was given, for messages.
        file: what that led to when it was opened.
        uuid: the store's.
        spec: its specification.
    """

    def __init__(self, path: Path, *, checked: bool = True, busy_seconds: float = BUSY_SECONDS) -> None:
        """Open `path` to read, and check it unless that has been done.

        Args:
            path: of the file. Where a link leads to it, this stays with what the link led to now.
            checked: whether to look through all of it first.
            busy_seconds: how long a change waits for those of others.
        """
        self.path = path
        # The folder may be a link that is turned to another catalogue: reads, writes and derived files must not part.
        self.file = path.resolve()
        self._busy_seconds = busy_seconds
        self._writing = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        self._closed = False
        with translated(path):
            self._reader = connect_to_read(self.file, named=path)
            try:
                self._identity = identify(self.file)
                if checked:
                    check(self._reader, path)
                self.uuid, self.spec = read_meta(self._reader, path)
            except BaseException:
                self._reader.close()
                raise

    @classmethod
    def create(cls, path: Path, spec: StoreSpec) -> "Truth":
        """Make the file and its folder; open it if it is there already."""
        with translated(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            sync_folder(path.parent.parent)
            connection = connect(path, "rwc")
            try:
                make_schema(connection, spec)
            finally:
                connection.close()
        truth = cls(path)
        try:
            require_same(path, truth.spec, spec)
        except ArtifactMismatch:
            truth.close()
            raise
        return truth

    def data_version(self) -> int:
        """A number that moves whenever another connection, of any process, has committed a change."""
        with translated(self.path):
            return int(self._reader.execute("PRAGMA data_version").fetchone()[0])

    def is_in_place(self) -> bool:
        """Whether the file that was opened is still the one of that path: its folder may have been replaced."""
        try:
            return identify(self.file) == self._identity
        except OSError:
            return False

    def changes(self, since: int, *, vectors: bool = True) -> Changes:
        """All that happened after the change number `since`, as of one moment."""
        table = FEW if since else ALL
        try:
            with translated(self.path), transaction(self._reader, "DEFERRED"):
                seq = last_seq(self._reader)
                texts = self._reader.execute(TEXTS_SINCE.format(table), (since,)).fetchall()
                matrix = self._read_vectors(table, since, len(texts) if vectors else 0)
                gone = self._reader.execute(REMOVALS_SINCE, (since,)).fetchall() if since else []
            return Changes(
                seq=seq,
                numbers=np.array([row[0] for row in texts], dtype=np.int64),
                items=decode_items([row[3:] for row in texts]),
                vectors=matrix,
                removed=np.array([row[0] for row in gone], dtype=np.int64),
                seqs=np.array([row[1] for row in texts], dtype=np.int64),
                checksums=np.array([row[2] for row in texts], dtype=np.uint32),
            )
        except ArtifactCorrupt as error:
            if str(error).startswith(str(self.path)):
                raise
            raise ArtifactCorrupt(f"{self.path}: {error}; {REBUILD}") from error

    def upsert(self, new: Sequence[Row], *, overwrite: bool = True) -> None:
        """Insert or replace by id, in one transaction; durable once it returns."""
        with self._writing_transaction() as (connection, seq):
            if not overwrite:
                refuse_known(connection, new)
            numbered = enumerate(new, start=seq + 1)
            connection.executemany(
                UPSERT,
                ((n, r.id, r.image, r.attributes, r.checksum, r.vector, r.vector_checksum) for n, r in numbered),
            )
            set_seq(connection, seq + len(new))

    def patch(self, item_id: str, attributes: Mapping[str, tuple[str, ...]]) -> Item:
        """Replace these attributes of one shoe, in one transaction; durable once it returns. No values remove one."""
        with self._writing_transaction() as (connection, seq):
            (item,) = decode_items(connection.execute(TEXT_OF, (item_id,)).fetchall()) or (None,)
            if item is None:
                raise UnknownItem(item_id)
            patched = item.patched(attributes)
            text, checksum = encode_text(patched)
            connection.execute(PATCH, (seq + 1, text, checksum, item_id))
            set_seq(connection, seq + 1)
        return patched

    def delete(self, ids: Sequence[str]) -> int:
        """Remove by id, in one transaction; durable once it returns. Returns how many were there."""
        removed = 0
        with self._writing_transaction() as (connection, seq):
            for item_id in ids:
                row = connection.execute("SELECT number FROM shoes WHERE id = ?", (item_id,)).fetchone()
                if row is not None:
                    removed += 1
                    connection.execute("DELETE FROM shoes WHERE number = ?", row)
                    connection.execute("INSERT INTO removals (seq, number) VALUES (?, ?)", (seq + removed, *row))
            if removed:
                set_seq(connection, seq + removed)
        return removed

    def close(self) -> None:
        """Close both connections, the writing one last: it folds the write-ahead log into the file."""
        self._reader.close()
        with self._writing:
            self._closed = True
            if self._writer is not None:
                self._writer.close()

    def _read_vectors(self, table: str, since: int, count: int) -> NDArray[np.float32]:
        """The vectors of `count` shoes, or of none: (count, D). A few at a time: SQLite's form takes twice as much."""
        vectors = np.empty((count, self.spec.dimension), dtype=np.float32)
        if count:
            cursor = self._reader.execute(VECTORS_SINCE.format(table), (since,))
            start = 0
            while blobs := cursor.fetchmany(VECTORS_AT_ONCE):
                vectors[start : start + len(blobs)] = decode_vectors(blobs, self.spec.dimension)
                start += len(blobs)
        return vectors

    @contextmanager
    def _writing_transaction(self) -> Iterator[tuple[sqlite3.Connection, int]]:
        """The writing connection within a transaction, and the last change's number.

        Raises StoreBusy where another catalogue is in the place of the one that is read: what is written would be in
        the wrong one of the two.
        """
        with self._writing, translated(self.path):
            if self._closed:
                raise ArtifactError(f"{self.path} is closed")
            if self._writer is None and self.is_in_place():
                self._writer = connect(self.file, "rw", busy_seconds=self._busy_seconds)
            # A copy has the same uuid, and a file that was written over is the same file: so both are compared.
            if self._writer is None or not self.is_in_place() or read_uuid(self._writer) != self.uuid:
                if self._writer is not None:
                    self._writer.close()
                self._writer = None
                raise StoreBusy(REPLACED, retry_after=BUSY_RETRY)
            with transaction(self._writer, "IMMEDIATE"):
                yield self._writer, last_seq(self._writer)


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging. SQLite does not wait where another process is about to do the same."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def make_schema(connection: sqlite3.Connection, spec: StoreSpec) -> None:
    """Fill an empty file, in one transaction; leave any other as it is."""
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables:
        return
    _log_ahead(connection)
    with transaction(connection, "IMMEDIATE"):
        # Asked again: another process may have been quicker.
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            for statement in SCHEMA.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            meta = {
                "schema": SCHEMA_VERSION,
                "uuid": secrets.token_hex(16),
                "seq": "0",
                "dimension": str(spec.dimension),
                "slices": json.dumps(spec.slices),
                "checkpoint": spec.checkpoint,
                "root": spec.root,
            }
            connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())


def refuse_known(connection: sqlite3.Connection, new: Sequence[Row]) -> None:
    """Raise ItemExists if one of the shoes is there."""
    for row in new:
        if connection.execute("SELECT 1 FROM shoes WHERE id = ?", (row.id,)).fetchone() is not None:
            raise ItemExists(row.id)


def last_seq(connection: sqlite3.Connection) -> int:
    """The last change's number."""
    return int(connection.execute("SELECT value FROM meta WHERE key = 'seq'").fetchone()[0])


def read_uuid(connection: sqlite3.Connection) -> str:
    """The catalogue's uuid."""
    return str(connection.execute("SELECT value FROM meta WHERE key = 'uuid'").fetchone()[0])


def set_seq(connection: sqlite3.Connection, seq: int) -> None:
    """Record the last change's number."""
    connection.execute("UPDATE meta SET value = ? WHERE key = 'seq'", (str(seq),))


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Raise ArtifactCorrupt unless the file is whole, and a catalogue of solemate."""
    verdict = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0]).splitlines()[-1]
    if verdict != "ok":
        raise ArtifactCorrupt(f"{path} is damaged ({verdict}); {REBUILD}")
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise ArtifactCorrupt(f"{path} is no catalogue of solemate, or one that was never finished; {REBUILD}")


def read_meta(connection: sqlite3.Connection, path: Path) -> tuple[str, StoreSpec]:
    """The store's uuid and its specification. Raises ArtifactCorrupt for a format version that is not known."""
    meta = dict(connection.execute("SELECT key, value FROM meta"))
    if (version := meta.get("schema")) != SCHEMA_VERSION:
        raise ArtifactCorrupt(f"{path} has the format version {version}, not {SCHEMA_VERSION}; {REBUILD}")
    try:
        slices = {str(name): (int(start), int(stop)) for name, (start, stop) in json.loads(meta["slices"]).items()}
        int(meta["seq"])
        return meta["uuid"], StoreSpec(int(meta["dimension"]), slices, meta["checkpoint"], meta["root"])
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ArtifactCorrupt(f"{path} has a broken table of facts ({error!r}); {REBUILD}") from error


def inspect_database(path: Path) -> Iterator[str]:
    """Everything that is wrong with a catalogue's file: in SQLite's own eyes, and in each row.

    Takes as long as reading all of it does. The file may be in use.

    Raises:
        ArtifactMissing: there is none.
        ArtifactError: it can't be read, for another reason than damage.
    """
    try:
        with translated(path), closing(connect_to_read(path)) as connection:
            yield from _inspect(connection, path)
    except ArtifactCorrupt as error:
        yield str(error)


def copy_database(path: Path, target: Path) -> list[Item]:
    """Copy a catalogue's file as it is at one moment, without keeping anybody from changing it meanwhile.

    Returns:
        The shoes in the copy, which is checked, and a single file.

    Raises:
        ArtifactMissing: there is none.
        ArtifactCorrupt: the copy fails its check.
        ArtifactError: it can't be read, or the copy can't be written.
    """
    with translated(path), closing(connect_to_read(path)) as source, closing(sqlite3.connect(target)) as copy:
        copy.execute("PRAGMA synchronous = FULL")
        source.backup(copy)
        check(copy, target)
        return decode_items(copy.execute(EVERY_TEXT).fetchall())


def read_items(path: Path) -> list[Item]:
    """The shoes of a catalogue's file, in their order, whatever made their vectors.

    Raises:
        ArtifactMissing: there is none.
        ArtifactCorrupt: it fails its check.
        ArtifactError: it can't be read.
    """
    with translated(path), closing(connect_to_read(path)) as connection:
        check(connection, path)
        return decode_items(connection.execute(EVERY_TEXT).fetchall())


def _inspect(connection: sqlite3.Connection, path: Path) -> Iterator[str]:
    for (verdict,) in connection.execute(f"PRAGMA integrity_check({MOST_PROBLEMS})"):
        if verdict != "ok":
            yield f"{path}: {verdict}"
    check(connection, path)
    _, spec = read_meta(connection, path)
    with transaction(connection, "DEFERRED"):  # rows and the last change's number as of one moment
        last = last_seq(connection)
        for item_id, image, attributes, checksum, blob, blob_checksum, seq in connection.execute(EVERY_ROW):
            if text_checksum(item_id, image, attributes) != checksum:
                yield f"shoe {item_id!r}: its id, picture and attributes fail their checksum"
            if zlib.crc32(blob) != blob_checksum:
                yield f"shoe {item_id!r}: its vector fails its checksum"
            elif len(blob) != 4 * spec.dimension:
                yield f"shoe {item_id!r}: its vector has {len(blob)} bytes, not {4 * spec.dimension}"
            elif not np.isfinite(np.frombuffer(blob, dtype="<f4")).all():
                yield f"shoe {item_id!r}: its vector has a number that is not finite"
            if item_id != nfc(item_id):
                yield (
                    f"shoe {item_id!r}: its id is not in Unicode's normal form C, so nothing finds it; index with "
                    "--rebuild, or export the catalogue and import it into a new one"
                )
            if seq > last:
                yield f"shoe {item_id!r}: its last change has the number {seq}, and the catalogue's is {last}"
