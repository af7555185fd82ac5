"""`export-onnx`: the networks of a checkpoint as files that ONNX Runtime runs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.checkpoint import load_checkpoint, save_checkpoint
from model.embedder import Embedder
from model.errors import TrainingError
from model.inference import TorchNetworks
from model.localizer import Localizer, LocalizerConfig
from model.onnx_checkpoint import open_session
from tests.support.stack import make_checkpoint
from training.onnx_export import export_onnx

PIXELS = np.random.default_rng(3).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with a localizer and weights of its slices."""
    folder = tmp_path_factory.mktemp("checkpoint")
    made = make_checkpoint(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        localizer = Localizer(LocalizerConfig(size=16, widths=(4, 8))).eval()
    preprocess = replace(made.preprocess, framing="subject")
    save_checkpoint(folder, replace(made, localizer=localizer, preprocess=preprocess, overall={"closure": 3.0}))
    return folder


@pytest.fixture(scope="module")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of its files."""
    out = tmp_path_factory.mktemp("onnx")
    assert max(export_onnx(checkpoint, out).values()) < 1e-4
    return out


def run(file: Path, pixels: np.ndarray) -> np.ndarray:
    """What ONNX Runtime makes of pixels."""
    (answer,) = open_session(file).run(None, {"pixels": pixels})
    return np.asarray(answer)


@pytest.mark.parametrize("count", [1, 3])
def test_encoder(checkpoint: Path, exported: Path, count: int) -> None:
    """Pixels as they lie in memory become the library's vectors, slices weighed, in batches of any size."""
    expected = Embedder(load_checkpoint(checkpoint)).embed_pixels(np.ascontiguousarray(PIXELS.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(run(exported / "encoder.onnx", PIXELS[:count]), expected[:count], atol=1e-4)


def test_localizer(checkpoint: Path, exported: Path) -> None:
    """The localizer's mask is the library's, in [0, 1]."""
    localizer = load_checkpoint(checkpoint).localizer
    assert localizer is not None
    expected = localizer.masks(np.ascontiguousarray(PIXELS.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(run(exported / "localizer.onnx", PIXELS), expected, atol=1e-4)


def test_description(checkpoint: Path, exported: Path) -> None:
    """What turns a picture into pixels is said beside the files, with the checkpoint that they are from."""
    described = json.loads((exported / "preprocess.json").read_text())
    assert described["checkpoint"] == load_checkpoint(checkpoint).digest
    assert described["preprocess"]["framing"] == "subject"
    assert described["slices"] == {"category": [0, 3], "closure": [3, 5], "free": [5, 8]}
    assert described["localizer"]["size"] == 16
    session = open_session(exported / "encoder.onnx")
    assert session.get_modelmeta().custom_metadata_map["checkpoint"] == described["checkpoint"]


def test_difference(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that answers otherwise than the library is refused, and nothing is written."""
    embed = TorchNetworks.embed
    monkeypatch.setattr(TorchNetworks, "embed", lambda self, pixels: embed(self, pixels) + np.float32(1e-2))
    with pytest.raises(TrainingError, match=r"encoder\.onnx differs by 0\.01 from torch"):
        export_onnx(checkpoint, tmp_path / "out")
    assert not (tmp_path / "out").exists()
