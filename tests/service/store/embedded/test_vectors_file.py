"""The vectors' file alone: mapped if it is whole, and nothing else."""

import logging
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from service.store.embedded.files import load_vectors, read_seq, save_vectors
from tests.service.store.clusters import clusters
from tests.service.store.damages import DAMAGES

UUID = "a" * 32
VECTORS = clusters(500)
NUMBERS = np.arange(500, dtype=np.int64) * 3 + 1


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A whole one, of change number 7."""
    path = tmp_path / "vectors.bin"
    assert save_vectors(path, UUID, 7, NUMBERS, VECTORS)
    return path


def test_comes_back_as_it_was_saved(file: Path) -> None:
    """With the checksums that the truth has too, mapped and not to be written to."""
    stored = load_vectors(file, UUID, 8)
    assert stored is not None
    assert stored.seq == read_seq(file, UUID) == 7
    np.testing.assert_array_equal(stored.numbers, NUMBERS)
    np.testing.assert_array_equal(stored.vectors, VECTORS)
    assert stored.checksums.tolist() == [crc32(vector.tobytes()) for vector in VECTORS]
    assert not stored.vectors.flags.writeable
    assert stored.vectors.ctypes.data % 4096 == 0


def test_the_same_vectors_have_the_same_digest(file: Path, tmp_path: Path) -> None:
    """Two processes that save one state save one file; another state has another digest."""
    digests = []
    for name, seq in (("again", 7), ("later", 8)):
        assert save_vectors(tmp_path / name, UUID, seq, NUMBERS, VECTORS)
        stored = load_vectors(tmp_path / name, UUID, 8)
        assert stored is not None
        digests.append(stored.digest)
    first = load_vectors(file, UUID, 8)
    assert first is not None
    assert first.digest == digests[0] != digests[1]


def test_a_file_that_is_replaced_stays_mapped(file: Path) -> None:
    """Whoever searches in the old one goes on to; nobody waits for anybody."""
    stored = load_vectors(file, UUID, 8)
    assert stored is not None
    assert save_vectors(file, UUID, 8, NUMBERS[:10], VECTORS[:10] + np.float32(1))
    np.testing.assert_array_equal(stored.vectors, VECTORS)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_no_file(
    file: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[bytes], bytes]
) -> None:
    """Whatever happened to it, the log says that it is not used."""
    file.write_bytes(damage(file.read_bytes()))
    assert load_vectors(file, UUID, 8) is None
    assert str(file) in caplog.text
    assert isinstance(read_seq(file, UUID), int)


def test_every_byte_counts(file: Path) -> None:
    """Wherever a bit flips, but in the padding after the header, the file is not used."""
    whole = file.read_bytes()
    header = whole.index(b"}\n") + 2
    places = [*range(header), *np.random.default_rng(0).integers(4096, len(whole), 60).tolist()]
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1
        file.write_bytes(damaged)
        assert load_vectors(file, UUID, 8) is None, place


def test_of_another_store_or_dimension_it_is_no_file(file: Path) -> None:
    """Uuid and dimension have to be right."""
    assert load_vectors(file, "b" * 32, 8) is None
    assert load_vectors(file, UUID, 9) is None
    assert read_seq(file, "b" * 32) == -1


def test_one_that_is_not_there_is_only_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As information: it is made anew."""
    with caplog.at_level(logging.INFO):
        assert load_vectors(tmp_path / "vectors.bin", UUID, 8) is None
    assert "is not there" in caplog.text
    assert read_seq(tmp_path / "vectors.bin", UUID) == -1


def test_a_folder_that_cannot_be_written_is_only_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """And nothing is left behind."""
    (tmp_path / "taken").write_bytes(b"")
    assert not save_vectors(tmp_path / "taken" / "vectors.bin", UUID, 7, NUMBERS, VECTORS)
    assert "could not be written" in caplog.text
    assert list(tmp_path.iterdir()) == [tmp_path / "taken"]
