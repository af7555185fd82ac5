import os
from pathlib import Path

import numpy as np
import pytest

from model.errors import CatalogError
from tests.training.reproduce.mnist.digits import write_idx, write_mnist
from training.data.mnist import DIGIT, download_mnist, read_mnist

TEST_DATA = Path(os.environ.get("SOLEMATE_TEST_DATA", "../shared/data"))


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("place", [".", "raw", "MNIST/raw"])
def test_files_are_found(tmp_path: Path, place: str, suffix: str) -> None:
    """The four files are read gzipped or not, in the folder itself or where torchvision puts them."""
    write_mnist(tmp_path / place, 30, 20, suffix)
    training, test = read_mnist(tmp_path)
    assert training.pixels.shape == (30, 1, 28, 28)
    assert test.pixels.shape == (20, 1, 28, 28)
    assert [each[DIGIT] for each in test.attributes[8:12]] == [("8",), ("9",), ("0",), ("1",)]
    assert len({*training.ids, *test.ids}) == 50


def test_missing_files_are_named(tmp_path: Path) -> None:
    """A folder without one of the files says which, and how to get it."""
    write_mnist(tmp_path, 10, 10)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(CatalogError, match=r"no t10k-labels-idx1-ubyte.*--download"):
        read_mnist(tmp_path)


@pytest.mark.parametrize(
    ("content", "named"),
    [(b"", "nothing"), (b"\x00\x00\x0d\x03", "00 00 0d 03"), (b"\x00\x00\x08\x03\x00\x00", "truncated")],
)
def test_damaged_files_are_named(tmp_path: Path, content: bytes, named: str) -> None:
    """A file that is empty, of another type or cut off is an error that names it."""
    write_mnist(tmp_path, 10, 10, "")
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(CatalogError, match=f"train-images-idx3-ubyte.*{named}"):
        read_mnist(tmp_path)


def test_a_torn_archive_is_named(tmp_path: Path) -> None:
    """A gzip that ends early is an error that names it."""
    write_mnist(tmp_path, 10, 10)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CatalogError, match=r"can't read .*train-images"):
        read_mnist(tmp_path)


def test_other_data_is_refused(tmp_path: Path) -> None:
    """Pictures of another size, labels of another count and labels that are no digits are refused."""
    write_mnist(tmp_path, 10, 10)
    labels = tmp_path / "train-labels-idx1-ubyte.gz"
    write_idx(labels, np.arange(9, dtype=np.uint8))
    with pytest.raises(CatalogError, match="expected as many labels as pictures"):
        read_mnist(tmp_path)
    write_idx(labels, np.arange(10, dtype=np.uint8) + 1)
    with pytest.raises(CatalogError, match="not digits"):
        read_mnist(tmp_path)


def test_download_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be fetched, the error says what to put where by hand."""

    def fail(root: str, *, download: bool) -> None:
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz")

    monkeypatch.setattr("torchvision.datasets.MNIST", fail)
    with pytest.raises(CatalogError, match="by hand"):
        download_mnist(tmp_path)


@pytest.mark.skipif(not (TEST_DATA / "mnist").is_dir(), reason=f"no {TEST_DATA / 'mnist'}; set SOLEMATE_TEST_DATA")
def test_the_real_files() -> None:
    """MNIST itself has its published sizes, and its first test picture is a 7."""
    training, test = read_mnist(TEST_DATA / "mnist")
    assert (len(training), len(test)) == (60_000, 10_000)
    assert test.attributes[0] == {DIGIT: ("7",)}
