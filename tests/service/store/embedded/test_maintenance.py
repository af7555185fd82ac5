"""Looking a catalogue's file over, and copying it in use."""

import sqlite3
import threading
import zlib
from contextlib import closing
from pathlib import Path

import pytest

from model.errors import ArtifactMissing
from service.store.embedded.database import copy_database, inspect_database
from service.store.embedded.store import DATABASE, EmbeddedStore
from tests.service.store.conftest import embedded
from tests.service.store.naive import shoe, shoes


def change(folder: Path, statement: str, *values: object) -> None:
    """Change a row behind the store's back."""
    with closing(sqlite3.connect(folder / DATABASE)) as connection, connection:
        connection.execute(statement, values)


@pytest.fixture
def filled(folder: Path) -> Path:
    """A catalogue of 50 shoes, closed."""
    with closing(embedded(folder)) as store:
        store.upsert(shoes(50))
        store.patch("shoe-3", {"Gender": ("Men",)})
        store.delete(["shoe-4"])
    return folder


class TestInspecting:
    def test_a_whole_one(self, filled: Path) -> None:
        """Of a catalogue as the store leaves it there is nothing to say, also while it is in use."""
        assert list(inspect_database(filled / DATABASE)) == []
        with closing(embedded(filled)) as store:
            store.upsert(shoes(10, prefix="more"))
            assert list(inspect_database(filled / DATABASE)) == []

    def test_every_row_that_is_wrong(self, filled: Path) -> None:
        """Each row that fails a check is told by its id, and the others are looked at all the same."""
        change(filled, "UPDATE shoes SET attributes = '{}' WHERE id = 'shoe-1'")
        change(filled, "UPDATE shoes SET vector = zeroblob(32) WHERE id = 'shoe-2'")
        change(filled, "UPDATE shoes SET seq = 9000 WHERE id = 'shoe-6'")
        found = list(inspect_database(filled / DATABASE))
        assert [text.split(":")[0] for text in found] == [f"shoe 'shoe-{number}'" for number in (1, 2, 6)]
        assert "fail their checksum" in found[0]
        assert "vector fails its checksum" in found[1]
        assert "9000" in found[2]

    def test_numbers_that_are_none(self, filled: Path) -> None:
        """A vector whose checksum is right may be wrong nevertheless: too short, or not finite."""
        nan, short = b"\x00\x00\xc0\x7f" * 8, bytes(8)
        for name, blob in (("shoe-1", nan), ("shoe-2", short)):
            change(
                filled, "UPDATE shoes SET vector = ?, vector_checksum = ? WHERE id = ?", blob, zlib.crc32(blob), name
            )
        found = list(inspect_database(filled / DATABASE))
        assert len(found) == 2
        assert "not finite" in found[0]
        assert "8 bytes, not 32" in found[1]

    def test_a_damaged_file(self, filled: Path) -> None:
        """Damage of the file itself is told, and makes no trace."""
        data = bytearray((filled / DATABASE).read_bytes())
        data[5000:9000] = b"\xff" * 4000
        (filled / DATABASE).write_bytes(data)
        assert list(inspect_database(filled / DATABASE))
        (filled / DATABASE).write_bytes(b"nonsense" * 1000)
        assert len(list(inspect_database(filled / DATABASE))) == 1

    def test_none(self, folder: Path) -> None:
        """Where there is no catalogue, that is an error that says how to make one."""
        with pytest.raises(ArtifactMissing, match="index"):
            list(inspect_database(folder / DATABASE))


class TestCopying:
    def test_is_a_catalogue(self, filled: Path, tmp_path: Path) -> None:
        """The copy is one file that a store opens, with the same shoes."""
        (tmp_path / "copy").mkdir()
        items = copy_database(filled / DATABASE, tmp_path / "copy" / DATABASE)
        assert [path.name for path in (tmp_path / "copy").iterdir()] == [DATABASE]
        with closing(EmbeddedStore.open(filled)) as one, closing(EmbeddedStore.open(tmp_path / "copy")) as other:
            assert one.info() == other.info()
            assert one.page(limit=100) == other.page(limit=100)
            assert list(one.page(limit=100).items) == items
            assert other.upsert(shoes(1, prefix="more")) == 1

    def test_is_of_one_moment(self, folder: Path, tmp_path: Path) -> None:
        """While batches are written, a copy has whole batches only, and keeps nobody from writing."""
        over = threading.Event()
        with closing(embedded(folder)) as store:
            store.upsert(shoe(f"0-{place}", [0.0]) for place in range(20))

            def write() -> None:
                number = 0
                while not over.is_set():
                    number += 1
                    store.upsert(shoe(f"{number}-{place}", [1.0]) for place in range(20))

            writing = threading.Thread(target=write)
            writing.start()
            try:
                counts = [len(copy_database(folder / DATABASE, tmp_path / f"copy-{n}.sqlite")) for n in range(5)]
            finally:
                over.set()
                writing.join()
        assert all(count % 20 == 0 for count in counts)
        assert counts == sorted(counts)

    def test_of_none(self, folder: Path, tmp_path: Path) -> None:
        """There must be something to copy."""
        with pytest.raises(ArtifactMissing):
            copy_database(folder / DATABASE, tmp_path / "copy.sqlite")
