"""Inspection and copies of a catalogue's SQLite file, also while it is in use."""

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from model.errors import ArtifactCorrupt
from model.text import nfc
from service.store.base import Item
from service.store.embedded.database import check, connect_to_read, decode_items, read_meta, text_checksum, translated

__all__ = ["copy_database", "inspect_database", "read_items"]

MOST_PROBLEMS = 100
"""Largest number of SQLite's own problems that are reported."""

EVERY_TEXT = "SELECT id, image, attributes, checksum FROM shoes ORDER BY number"
EVERY_ROW = "SELECT id, image, attributes, checksum, vector, vector_checksum, seq FROM shoes ORDER BY number"


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
    _, facts = read_meta(connection, path)
    connection.execute("BEGIN")  # rows and the last change's number as of one moment
    last = int(connection.execute("SELECT value FROM meta WHERE key = 'seq'").fetchone()[0])
    for item_id, image, attributes, checksum, blob, blob_checksum, seq in connection.execute(EVERY_ROW):
        if text_checksum(item_id, image, attributes) != checksum:
            yield f"shoe {item_id!r}: its id, picture and attributes fail their checksum"
        if zlib.crc32(blob) != blob_checksum:
            yield f"shoe {item_id!r}: its vector fails its checksum"
        elif len(blob) != 4 * facts.dimension:
            yield f"shoe {item_id!r}: its vector has {len(blob)} bytes, not {4 * facts.dimension}"
        elif not np.isfinite(np.frombuffer(blob, dtype="<f4")).all():
            yield f"shoe {item_id!r}: its vector has a number that is not finite"
        if item_id != nfc(item_id):
            yield (
                f"shoe {item_id!r}: its id is not in Unicode's normal form C, so nothing finds it; index with "
                "--rebuild, or export the catalogue and import it into a new one"
            )
        if seq > last:
            yield f"shoe {item_id!r}: its last change has the number {seq}, and the catalogue's is {last}"
    connection.execute("COMMIT")
