"""What runs a checkpoint's networks: ONNX Runtime and torch give the same, and the first only where its files fit."""

import json
import logging
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model import runtime
from model.checkpoint import save_checkpoint
from model.errors import ArtifactError, ArtifactMissing, QueryError
from model.files import sha256_bytes
from model.onnx_checkpoint import DECODER_FILE, DESCRIPTION_FILE, ENCODER_FILE, FOLDER, LOCALIZER_FILE, load_onnx
from model.runtime import open_embedder
from tests.model.networks import tiny_checkpoint, tiny_localizer
from training.onnx_export import export_onnx

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (70, 3, 16, 16), dtype=np.uint8)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with a localizer, a scale mark and weights of its slices, and its ONNX files."""
    folder = tmp_path_factory.mktemp("exported")
    checkpoint = tiny_checkpoint()
    framed = replace(checkpoint.preprocess, framing="subject")
    save_checkpoint(
        folder, replace(checkpoint, preprocess=framed, localizer=tiny_localizer(), overall={"type": 3.0, "free": 0.5})
    )
    export_onnx(folder)
    return folder


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    """A copy, to be damaged."""
    return Path(shutil.copytree(exported, tmp_path / "checkpoint"))


def test_both_give_the_same(exported: Path) -> None:
    """Vectors, drawings and masks agree to 1e-4 of the largest number, in one batch and in several."""
    ours, theirs = (open_embedder(exported, runtime=name) for name in ("onnx", "torch"))
    assert (ours.networks.runtime, theirs.networks.runtime) == ("onnx", "torch")
    vectors = theirs.embed_pixels(PIXELS)
    assert (ours.dimension, ours.slices, ours.checkpoint.digest) == (
        *(theirs.dimension, theirs.slices, theirs.checkpoint.digest),
    )
    for given in (PIXELS, PIXELS[:1]):
        embedded = ours.embed_pixels(given)
        assert embedded.dtype == np.float32
        np.testing.assert_allclose(embedded, vectors[: len(given)], rtol=0, atol=1e-4 * np.abs(vectors).max())
    np.testing.assert_allclose(ours.decode(vectors[:5]), theirs.decode(vectors[:5]), rtol=0, atol=1e-4)
    localizer, reference = ours.preprocessor.localizer, theirs.preprocessor.localizer
    assert localizer is not None
    assert reference is not None
    assert localizer.size == reference.size == 32
    photos = RANDOM.integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)
    np.testing.assert_allclose(localizer.masks(photos), reference.masks(photos), rtol=0, atol=1e-4)


def test_facts_are_the_checkpoints(exported: Path) -> None:
    """What a checkpoint holds beside its networks is the same without torch."""
    ours, theirs = load_onnx(exported), open_embedder(exported, runtime="torch").checkpoint
    for name in ("preprocess", "conditions", "training", "digest", "overall", "confidence", "nearness", "network"):
        assert getattr(ours, name) == getattr(theirs, name)


def foreign(folder: Path) -> None:
    """Put another checkpoint in its place, beside the files that were made of the one before."""
    save_checkpoint(folder, replace(tiny_checkpoint(), localizer=tiny_localizer()))


def unreadable(folder: Path) -> None:
    """A network that ONNX Runtime can't read, with the right digest."""
    description = folder / FOLDER / DESCRIPTION_FILE
    described = json.loads(description.read_bytes())
    described["sha256"][ENCODER_FILE] = sha256_bytes(b"no network")
    description.write_text(json.dumps(described))
    (folder / FOLDER / ENCODER_FILE).write_bytes(b"no network")


def cut(name: str) -> Callable[[Path], object]:
    """Leave half of a file."""

    def damage(folder: Path) -> None:
        content = (folder / FOLDER / name).read_bytes()
        (folder / FOLDER / name).write_bytes(content[: len(content) // 2])

    return damage


DAMAGES: dict[str, tuple[Callable[[Path], object], str, int]] = {
    "encoder cut": (cut(ENCODER_FILE), "encoder.onnx fails its digest", logging.WARNING),
    "localizer cut": (cut(LOCALIZER_FILE), "localizer.onnx fails its digest", logging.WARNING),
    "description cut": (cut(DESCRIPTION_FILE), "preprocess.json is broken", logging.WARNING),
    "unreadable": (unreadable, "can't be run here", logging.WARNING),
    "another checkpoint's": (foreign, "were not made of the checkpoint", logging.WARNING),
    "one missing": (
        lambda folder: (folder / FOLDER / DECODER_FILE).unlink(),
        "decoder.onnx: No such file",
        logging.INFO,
    ),
    "none": (lambda folder: shutil.rmtree(folder / FOLDER), "preprocess.json: No such file", logging.INFO),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_files_that_do_not_fit(folder: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    """Torch runs the networks, and the log names the file and the command; ONNX Runtime alone is refused with both."""
    damage, message, level = DAMAGES[name]
    damage(folder)
    with caplog.at_level(logging.INFO):
        embedder = open_embedder(folder)
    assert embedder.networks.runtime == "torch"
    assert np.isfinite(embedder.embed_pixels(PIXELS[:2])).all()
    (line,) = (record for record in caplog.records if record.name == "model.runtime")
    assert message in line.getMessage()
    assert f"export-onnx --checkpoint {folder}" in line.getMessage()
    assert line.levelno == level
    with pytest.raises(ArtifactError, match="export-onnx --checkpoint"):
        open_embedder(folder, runtime="onnx")


def test_not_installed(exported: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Where there is no ONNX Runtime, torch runs the networks."""
    monkeypatch.delitem(sys.modules, "model.onnx_checkpoint")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with caplog.at_level(logging.INFO):
        assert open_embedder(exported).networks.runtime == "torch"
    assert "onnxruntime is not installed" in caplog.text


def test_devices(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime is for the CPU: torch is asked for a GPU, and looks for one where a driver is there."""
    monkeypatch.setattr(runtime, "GPU_DEVICES", ())
    assert open_embedder(exported, device="AUTO").networks.runtime == "onnx"
    monkeypatch.setattr(runtime, "GPU_DEVICES", (str(exported),))
    assert open_embedder(exported, device="auto").networks.runtime == "torch"
    assert open_embedder(exported, device="cpu").networks.runtime == "onnx"
    with pytest.raises(QueryError, match="expected auto, cpu or cuda"):
        open_embedder(exported, device="abacus")
    with pytest.raises(QueryError, match="ONNX Runtime runs on the CPU"):
        open_embedder(exported, runtime="onnx", device="cuda")


def test_no_checkpoint(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A folder without a checkpoint is named as that, whatever is to run it."""
    with caplog.at_level(logging.INFO), pytest.raises(ArtifactMissing, match="no checkpoint in"):
        open_embedder(tmp_path)
    assert not caplog.records
