"""The cache of the index on disk: used if it is whole and fits, made anew if not, and never trusted."""

import logging
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from service.store.embedded import files
from service.store.embedded.files import CacheKey, load_index, save_index
from service.store.embedded.store import EmbeddedStore
from service.store.index.flat import FlatIndex
from tests.service.store.conftest import embedded
from tests.service.store.damages import DAMAGES, flip
from tests.service.store.naive import ids, shoe, shoes

KEY = CacheKey(uuid="a" * 32, seq=7, rows=20, dimension=8)


@pytest.fixture
def file(folder: Path) -> Path:
    """The cache of a closed store with 50 shoes."""
    with closing(embedded(folder)) as store:
        store.upsert(shoes(50))
    return folder / "overall.faiss"


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes FAISS was given to read, each time."""
    sizes: list[int] = []
    original = FlatIndex.from_bytes

    def counted(data: memoryview, *, threads: int = 1) -> FlatIndex:
        sizes.append(len(data))
        return original(data, threads=threads)

    monkeypatch.setattr(FlatIndex, "from_bytes", counted)
    return sizes


def require_answers(folder: Path, count: int = 50) -> None:
    """Each shoe is found by its own vector."""
    with closing(EmbeddedStore.open(folder)) as store:
        for record in shoes(count):
            assert ids(store.search(record.vector[None], 1)[0]) == [record.item.id]


def test_a_start_uses_the_cache(file: Path, loads: list[int]) -> None:
    """A whole cache of the same state is read, and not written again."""
    before = file.stat().st_mtime_ns
    require_answers(file.parent)
    assert len(loads) == 1
    assert file.stat().st_mtime_ns == before


def test_a_missing_cache_is_made_anew(file: Path, loads: list[int], caplog: pytest.LogCaptureFixture) -> None:
    """It is derived, so deleting it loses nothing; the log says what happened."""
    before = file.read_bytes()
    file.unlink()
    with caplog.at_level(logging.INFO):
        require_answers(file.parent)
    assert not loads
    assert file.read_bytes() == before
    assert "making it anew from 50 shoes" in caplog.text


OWN_DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    **{f"flipped at {place}": flip(place) for place in (0.02, 0.08, 0.13)},
    "another header": lambda data: data.replace(b"{", b"{ ", 1),
    "header without end": lambda data: files.MAGIC + b"{" * 10_000,
}
ALL_DAMAGES = DAMAGES | OWN_DAMAGES


@pytest.mark.parametrize("damage", ALL_DAMAGES.values(), ids=ALL_DAMAGES.keys())
def test_a_damaged_cache_never_reaches_faiss(
    file: Path, loads: list[int], caplog: pytest.LogCaptureFixture, damage: Callable[[bytes], bytes]
) -> None:
    """FAISS is not safe to read damaged bytes; the digest is compared first, and the file is made anew."""
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    require_answers(file.parent)
    assert not loads
    assert "torn or damaged" in caplog.text
    assert file.read_bytes() == whole


def test_a_stale_cache_is_made_anew(file: Path, loads: list[int]) -> None:
    """One that was true before the last change is not true now."""
    stale = file.read_bytes()
    with closing(EmbeddedStore.open(file.parent)) as store:
        store.upsert([shoe("shoe-0", [99.0])])
    loads.clear()
    file.write_bytes(stale)
    with closing(EmbeddedStore.open(file.parent)) as store:
        assert store.vector("shoe-0")[0] == 99.0
        assert ids(store.search(shoe("query", [99.0]).vector[None], 1)[0]) == ["shoe-0"]
    assert not loads


def test_the_cache_of_another_store_is_made_anew(file: Path, loads: list[int], tmp_path: Path) -> None:
    """Two stores with as many shoes and as many changes don't take each other's cache."""
    with closing(embedded(tmp_path / "other")) as other:
        other.upsert(shoes(50, seed=1))
    shutil.copy(tmp_path / "other" / file.name, file)
    require_answers(file.parent)
    assert not loads


def test_closing_leaves_a_cache_of_the_last_state(file: Path, loads: list[int]) -> None:
    """Whoever changed the catalogue writes the cache as it goes; whoever read does not."""
    with closing(EmbeddedStore.open(file.parent)) as reader:
        with closing(EmbeddedStore.open(file.parent)) as writer:
            writer.delete(["shoe-49"])
        written = file.stat().st_mtime_ns
        assert reader.info().count == 49
    assert file.stat().st_mtime_ns == written
    loads.clear()
    require_answers(file.parent, 49)
    assert len(loads) == 1


@pytest.mark.parametrize(
    "other",
    [
        CacheKey(uuid="b" * 32, seq=7, rows=20, dimension=8),
        CacheKey(uuid="a" * 32, seq=8, rows=20, dimension=8),
        CacheKey(uuid="a" * 32, seq=7, rows=21, dimension=8),
        CacheKey(uuid="a" * 32, seq=7, rows=20, dimension=9),
    ],
)
def test_a_cache_fits_one_state_only(tmp_path: Path, other: CacheKey) -> None:
    """Uuid, change, size and dimension must all be right."""
    vectors = np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32)
    file = tmp_path / "overall.faiss"
    assert save_index(file, KEY, FlatIndex.of(vectors))
    loaded = load_index(file, KEY)
    assert loaded is not None
    np.testing.assert_array_equal(loaded.vectors(np.arange(20)), vectors)
    assert load_index(file, other) is None


def test_a_wrong_size_behind_a_right_digest_is_refused(tmp_path: Path) -> None:
    """A header that promises other than FAISS then finds is a lie, however well it is signed."""
    file = tmp_path / "overall.faiss"
    save_index(file, KEY, FlatIndex.of(np.zeros((19, 8), dtype=np.float32)))
    assert load_index(file, KEY) is None


def test_bytes_that_faiss_does_not_know_are_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as those of a FAISS of another version, written whole."""
    file = tmp_path / "overall.faiss"
    whole = FlatIndex.of(np.zeros((20, 8), dtype=np.float32))
    foreign = b"XXXX" + whole.to_bytes()
    monkeypatch.setattr(FlatIndex, "to_bytes", lambda self: foreign)
    save_index(file, KEY, whole)
    assert load_index(file, KEY) is None
    assert "can read" in caplog.text


def test_a_cache_that_cannot_be_written_or_read_is_only_logged(
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
    leftover, other = file.with_name(".overall.faiss.abc123.tmp"), file.with_name(".other.abc123.tmp")
    leftover.write_bytes(b"half of it")
    other.write_bytes(b"somebody else's")
    with closing(EmbeddedStore.open(file.parent)) as store:
        store.upsert(shoes(60))
    assert not leftover.exists()
    assert other.exists()
    require_answers(file.parent, 60)
