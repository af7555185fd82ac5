"""An inverted index on disk: used if it is whole and good enough, and never trusted."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.store.embedded.files import IndexKey, load_tuned, save_tuned
from service.store.index.ivf import InvertedIndex, Tuned
from service.store.index.tuning import tune
from tests.service.store.clusters import clusters
from tests.service.store.damages import DAMAGES

VECTORS = clusters(1000)
KEY = IndexKey(vectors="d" * 64, rows=1000, slice=(0, 8), minimum=0.9)


@pytest.fixture(scope="module")
def tuned() -> Tuned:
    """An index of 1,000 vectors."""
    made = tune(InvertedIndex.build(VECTORS), VECTORS, 0.9)
    assert made is not None
    return made


@pytest.fixture
def file(tmp_path: Path, tuned: Tuned) -> Path:
    """A whole one."""
    path = tmp_path / "slice-0-8.faiss"
    assert save_tuned(path, KEY, tuned)
    return path


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes FAISS was given to read, each time."""
    sizes: list[int] = []
    original = InvertedIndex.from_bytes

    def counted(data: memoryview, *, threads: int = 1) -> InvertedIndex:
        sizes.append(len(data))
        return original(data, threads=threads)

    monkeypatch.setattr(InvertedIndex, "from_bytes", counted)
    return sizes


def test_comes_back_as_it_was_saved(file: Path, tuned: Tuned) -> None:
    """With what was measured, and the same candidates."""
    again = load_tuned(file, KEY)
    assert again is not None
    assert (again.settings, again.recall) == (tuned.settings, tuned.recall)
    expected = tuned.index.candidates(VECTORS[:9], 20, probes=3)
    np.testing.assert_array_equal(again.index.candidates(VECTORS[:9], 20, probes=3), expected)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_never_reaches_faiss(
    file: Path, loads: list[int], caplog: pytest.LogCaptureFixture, damage: Callable[[bytes], bytes]
) -> None:
    """FAISS is not safe to read damaged bytes; the digest is compared first."""
    file.write_bytes(damage(file.read_bytes()))
    assert load_tuned(file, KEY) is None
    assert not loads
    assert "can't be used" in caplog.text


@pytest.mark.parametrize(
    "other",
    [
        replace(KEY, vectors="e" * 64),
        replace(KEY, rows=999),
        replace(KEY, slice=(0, 7)),
        replace(KEY, minimum=0.95),
    ],
)
def test_of_other_vectors_or_a_lower_recall_it_is_not_used(file: Path, loads: list[int], other: IndexKey) -> None:
    """Also one that was good enough for less than is wanted now."""
    assert load_tuned(file, other) is None
    assert not loads


def test_one_for_a_higher_recall_is_used(file: Path) -> None:
    """It finds more than it has to."""
    assert load_tuned(file, replace(KEY, minimum=0.5)) is not None


def test_a_wrong_size_behind_a_right_digest_is_refused(tmp_path: Path, tuned: Tuned) -> None:
    """A header that promises other than FAISS then finds is a lie, however well it is signed."""
    key = replace(KEY, rows=1001)
    assert save_tuned(tmp_path / "lie", key, tuned)
    assert load_tuned(tmp_path / "lie", key) is None


def test_bytes_that_faiss_does_not_know_are_refused(
    tmp_path: Path, tuned: Tuned, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as those of a FAISS of another version, written whole."""
    foreign = memoryview(b"XXXX" + bytes(tuned.index.to_bytes()))
    monkeypatch.setattr(InvertedIndex, "to_bytes", lambda self: foreign)
    assert save_tuned(tmp_path / "foreign", KEY, tuned)
    assert load_tuned(tmp_path / "foreign", KEY) is None
    assert "can read" in caplog.text


def test_a_folder_that_cannot_be_written_is_only_logged(
    tmp_path: Path, tuned: Tuned, caplog: pytest.LogCaptureFixture
) -> None:
    """The index serves all the same."""
    (tmp_path / "taken").write_bytes(b"")
    assert not save_tuned(tmp_path / "taken" / "file", KEY, tuned)
    assert "could not be written" in caplog.text
