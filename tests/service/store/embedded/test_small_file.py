"""The vectors' file of a small catalogue: used as far as it is whole and fits, made anew if not, and never trusted."""

import logging
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from service.store.embedded import files
from service.store.embedded.store import EmbeddedStore
from tests.service.store.conftest import embedded
from tests.service.store.damages import DAMAGES, flip
from tests.service.store.naive import ids, shoe, shoes

ANEW = "read 50 vectors"
"""What the log says where they come from the database."""


@pytest.fixture
def file(folder: Path) -> Path:
    """That of a closed store with 50 shoes."""
    with closing(embedded(folder)) as store:
        store.upsert(shoes(50))
    return folder / "vectors.bin"


@pytest.fixture(autouse=True)
def _log_all(caplog: pytest.LogCaptureFixture) -> None:
    """The log says where the vectors come from."""
    caplog.set_level(logging.INFO)


def require_answers(folder: Path, count: int = 50) -> None:
    """Each shoe is found by its own vector."""
    with closing(EmbeddedStore.open(folder)) as store:
        for record in shoes(count):
            assert ids(store.search(record.vector[None], 1)[0]) == [record.item.id]


def test_a_start_uses_the_file(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A whole file of the same state is used, and not written again."""
    before = file.stat().st_mtime_ns
    caplog.clear()
    require_answers(file.parent)
    assert ANEW not in caplog.text
    assert file.stat().st_mtime_ns == before


def test_a_missing_file_is_made_anew(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is derived, so deleting it loses nothing; the log says what happened."""
    before = file.read_bytes()
    file.unlink()
    require_answers(file.parent)
    assert ANEW in caplog.text
    assert file.read_bytes() == before


def test_the_file_of_older_versions_goes_once_its_vectors_are_in_the_new_one(file: Path) -> None:
    """They kept the vectors as FAISS's own bytes."""
    before, old = file.read_bytes(), file.with_name("overall.faiss")
    file.rename(old)
    require_answers(file.parent)
    assert file.read_bytes() == before
    assert not old.exists()


OWN_DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    **{f"flipped at {place}": flip(place) for place in (0.3, 0.34, 0.67)},
    "header without an end": lambda data: files.MAGIC + b"{" * 10_000,
}
ALL_DAMAGES = DAMAGES | OWN_DAMAGES


@pytest.mark.parametrize("damage", ALL_DAMAGES.values(), ids=ALL_DAMAGES.keys())
def test_a_damaged_file_is_made_anew(
    file: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[bytes], bytes]
) -> None:
    """The digest is compared before anything in it is used."""
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    require_answers(file.parent)
    assert "torn or damaged" in caplog.text
    assert ANEW in caplog.text
    assert file.read_bytes() == whole


def test_of_a_stale_file_only_what_is_still_true_is_used(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What was true before the last changes is not true now; the file is brought up to date."""
    stale = file.read_bytes()
    with closing(EmbeddedStore.open(file.parent)) as store:
        store.upsert([shoe("shoe-0", [99.0]), shoe("new", [98.0])])
        store.delete(["shoe-1"])
    current = file.read_bytes()
    file.write_bytes(stale)
    caplog.clear()
    with closing(EmbeddedStore.open(file.parent)) as store:
        assert store.vector("shoe-0")[0] == 99.0
        assert ids(store.search(shoe("query", [99.0]).vector[None], 2)[0]) == ["shoe-0", "new"]
        assert store.info().count == 50
    assert "read" not in caplog.text
    assert file.read_bytes() == current


def test_a_file_of_a_later_state_than_the_database_is_made_anew(
    file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as beside a database that was put back."""
    shutil.copy(file.with_name("catalog.sqlite"), tmp_path / "kept.sqlite")
    with closing(EmbeddedStore.open(file.parent)) as store:
        store.upsert([shoe("shoe-0", [99.0])])
    shutil.copy(tmp_path / "kept.sqlite", file.with_name("catalog.sqlite"))
    require_answers(file.parent)
    assert ANEW in caplog.text


def test_the_file_of_another_store_is_made_anew(file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Two stores with as many shoes and as many changes don't take each other's."""
    with closing(embedded(tmp_path / "other")) as other:
        other.upsert(shoes(50, seed=1))
    shutil.copy(tmp_path / "other" / file.name, file)
    require_answers(file.parent)
    assert ANEW in caplog.text


def test_closing_leaves_a_file_of_the_last_state(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever changed the catalogue writes it as it goes; whoever read does not."""
    with closing(EmbeddedStore.open(file.parent)) as reader:
        with closing(EmbeddedStore.open(file.parent)) as writer:
            writer.delete(["shoe-49"])
        written = file.stat().st_mtime_ns
        assert reader.info().count == 49
    assert file.stat().st_mtime_ns == written
    caplog.clear()
    require_answers(file.parent, 49)
    assert "read" not in caplog.text
    assert file.stat().st_mtime_ns == written


def test_closing_leaves_the_file_of_another_catalogue(file: Path, tmp_path: Path) -> None:
    """Whether a link was turned to it or a folder took the place: it is not written over with the old one's vectors."""
    other, link = tmp_path / "other", tmp_path / "current"
    with closing(embedded(other)) as store:
        store.upsert(shoes(50, seed=1))
    theirs = (other / file.name).read_bytes()
    link.symlink_to(file.parent)
    with closing(EmbeddedStore.open(link)) as store:
        store.delete(["shoe-49"])
        link.unlink()
        link.symlink_to(other)
    assert (other / file.name).read_bytes() == theirs
    require_answers(file.parent, 49)
    with closing(EmbeddedStore.open(file.parent)) as store:
        store.delete(["shoe-48"])
        file.parent.rename(tmp_path / "old")
        other.rename(file.parent)
    assert file.read_bytes() == theirs


def test_an_emptied_catalogue_opens(file: Path) -> None:
    """All shoes of the file are gone; new ones are found."""
    with closing(EmbeddedStore.open(file.parent)) as store:
        store.delete([record.item.id for record in shoes(50)])
    with closing(EmbeddedStore.open(file.parent)) as store:
        assert store.info().count == 0
        store.upsert([shoe("new", [98.0])])
        assert ids(store.search(shoe("query", [99.0]).vector[None], 2)[0]) == ["new"]


def test_a_file_that_cannot_be_written_or_read_is_only_logged(
    file: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store answers all the same."""
    file.unlink()
    file.mkdir()

    def full(path: Path, parts: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write_parts", full)
    require_answers(file.parent)
    assert "can't be read" in caplog.text
    assert "No space left" in caplog.text


def test_what_a_killed_writer_left_is_removed(file: Path) -> None:
    """Temporary files of processes that were killed while they wrote don't pile up; other files stay."""
    leftover, other = file.with_name(".vectors.bin.abc123.tmp"), file.with_name(".other.abc123.tmp")
    leftover.write_bytes(b"half of it")
    other.write_bytes(b"somebody else's")
    with closing(EmbeddedStore.open(file.parent)) as store:
        store.upsert(shoes(60))
    assert not leftover.exists()
    assert other.exists()
    require_answers(file.parent, 60)
