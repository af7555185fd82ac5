"""`embed`: a folder of pictures to a file of vectors."""

import sys
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from model.checkpoint import load_checkpoint
from model.embedder import Embedder
from tests.support.commands import Done, run_main
from tests.support.stack import draw_shoe, make_checkpoint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures, one of which is none, and a checkpoint beside them."""
    make_checkpoint(tmp_path / "checkpoint")
    (tmp_path / "shoes" / "boots").mkdir(parents=True)
    (tmp_path / "shoes" / "boots" / "a.jpg").write_bytes(draw_shoe(1))
    (tmp_path / "shoes" / "b.jpg").write_bytes(draw_shoe(2))
    (tmp_path / "shoes" / "c.jpg").write_bytes(b"no picture")
    return tmp_path


def embed(folder: Path, out: str) -> Done:
    """Run the command."""
    arguments = ("--checkpoint", str(folder / "checkpoint"), "--device", "cpu", "--workers", "1")
    return run_main("embed", str(folder / "shoes"), "--out", str(folder / out), *arguments)


def expected(folder: Path) -> np.ndarray:
    """The vectors that the library makes."""
    return Embedder(load_checkpoint(folder / "checkpoint")).embed([draw_shoe(2), draw_shoe(1)])


def test_npz(folder: Path) -> None:
    """Ids, paths and vectors in the catalogue's order, with the checkpoint's digest; a bad picture is named."""
    done = embed(folder, "vectors.npz")
    assert done.status == 0, done.error
    assert "2 vectors of 8 numbers" in done.output
    assert "left out: c: " in done.error
    with np.load(folder / "vectors.npz") as file:
        assert list(file["id"]) == ["b", "boots:a"]
        assert list(file["image"]) == ["b.jpg", "boots/a.jpg"]
        np.testing.assert_allclose(file["vector"], expected(folder), atol=1e-5)
        assert str(file["checkpoint"]) == load_checkpoint(folder / "checkpoint").digest


def test_parquet(folder: Path) -> None:
    """The same as columns, the digest in the schema's metadata."""
    done = embed(folder, "vectors.parquet")
    assert done.status == 0, done.error
    table = parquet.read_table(folder / "vectors.parquet")
    assert table.column("id").to_pylist() == ["b", "boots:a"]
    assert table.column("image").to_pylist() == ["b.jpg", "boots/a.jpg"]
    assert str(table.schema.field("vector").type) == "fixed_size_list<element: float>[8]"
    np.testing.assert_allclose(np.array(table.column("vector").to_pylist()), expected(folder), atol=1e-5)
    assert table.schema.metadata[b"checkpoint"].decode() == load_checkpoint(folder / "checkpoint").digest


def test_refusals(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another ending, a missing pyarrow, and a folder without a picture that can be read are one line."""
    assert ".parquet and .npz" in embed(folder, "vectors.csv").error
    for name in ("boots/a.jpg", "b.jpg"):
        (folder / "shoes" / name).write_bytes(b"no picture")
    assert "none of the pictures" in embed(folder, "vectors.npz").error.splitlines()[-1]
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert "pip install 'solemate[parquet]'" in embed(folder, "vectors.parquet").error
