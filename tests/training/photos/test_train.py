"""Trainings for photos as a person starts them, from the command to an evaluation."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from model.checkpoint import load_checkpoint
from model.embedder import Embedder
from model.tvae import INSTANCE, NETWORK_PRESETS
from tests.training.photos.shoes import shorten_stage
from tests.training.runs import cut_after
from training import validation
from training.checkpointing import STATE_FILE
from training.cli import app
from training.demo_catalog import draw_demo_catalog
from training.photos import stage
from training.photos.state import STAGE_FILE


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def _train(catalog: Path, out: Path, *more: object) -> Result:
    return _run(
        *("train", "--preset", "photos", "--catalog", catalog, "--out", out, "--condition", "Category:4"),
        *("--photo-views", 1, "--latent-size", 48, "--batch-size", 12, "--validation-share", 0.25, "--save-every", 0),
        *("--device", "cpu", "--threads", 1, "--precision", "float32", "--no-onnx", *more),
    )


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """28 drawn shoes."""
    folder = tmp_path_factory.mktemp("demo") / "shoes"
    draw_demo_catalog(folder, count=28)
    return folder


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    """Little to teach the localizer, a narrow network, and photos that count wherever the shoe is found in them."""
    with pytest.MonkeyPatch.context() as patch:
        shorten_stage(patch)
        patch.setitem(NETWORK_PRESETS, "shoes-large", replace(NETWORK_PRESETS["shoes-large"], widths=(8, 8, 16, 16)))
        patch.setattr(validation, "MIN_PHOTOS", 1)
        patch.setattr("training.photos.views.LEAST_OVERLAP", 0.0)
        yield


@pytest.fixture(scope="module")
def whole(catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a run of two epochs that nothing interrupted."""
    out = tmp_path_factory.mktemp("trained") / "whole"
    result = _train(catalog, out, "--epochs", 2)
    assert result.exit_code == 0, result.output
    assert not (out / STAGE_FILE).exists()
    return out


@pytest.mark.slow
def test_from_a_catalogue_to_figures(catalog: Path, whole: Path, tmp_path: Path) -> None:
    """One command trains; its checkpoint has a localizer and weights, and answers photos that another command made."""
    checkpoint = load_checkpoint(whole)
    assert checkpoint.localizer is not None
    assert checkpoint.preprocess.framing == "subject"
    names = [part.name for part in checkpoint.tvae.config.slices]
    assert names == ["Category", INSTANCE, "free"]
    assert checkpoint.overall.keys() == set(names)
    confidences = Embedder(checkpoint).estimate_confidence(np.zeros((2, 48), dtype=np.float32), [None, None])
    assert confidences is not None
    assert all(0.0 <= each <= 1.0 for each in confidences)
    history = json.loads((whole / "metrics.json").read_text())["history"]
    assert ["instance" in epoch["training"] for epoch in history] == [True, True, False, False]
    assert all(np.isfinite(epoch["training"]["instance"]) for epoch in history[:2])
    validated = history[-1]["validation"]
    assert 0.0 <= validated["photo_recall@1"] <= validated["photo_recall@10"] <= 1.0
    embedder = Embedder(checkpoint)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64), dtype=np.uint8)
    start, stop = embedder.slices["Category"]
    lengths = np.linalg.norm(embedder.embed_pixels(pixels)[:, start:stop], axis=1)
    assert lengths == pytest.approx(checkpoint.overall["Category"] * (stop - start) ** 0.5, rel=1e-4)

    (tmp_path / "rooms").mkdir()
    for number in range(2):
        room = np.random.default_rng(number).integers(0, 256, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(room).resize((320, 240)).save(tmp_path / "rooms" / f"{number}.png")
    photos, figures = tmp_path / "photos", tmp_path / "figures"
    result = _run("make-photos", "--catalog", catalog, "--backgrounds", tmp_path / "rooms", "--out", photos)
    assert result.exit_code == 0, result.output
    result = _run(
        *("evaluate-photos", "--catalog", catalog, "--photos", photos, "--checkpoint", whole, "--out", figures),
        *("--device", "cpu"),
    )
    assert result.exit_code == 0, result.output
    measured = json.loads((figures / "photos.json").read_text())
    assert (measured["shoes"], measured["photos"], measured["localizer"]) == (28, 28, True)
    assert measured["checkpoint"] == checkpoint.digest
    assert [row["order"] for row in measured["rows"]] == ["overall", *names]
    assert measured["attribute"] == "Category"
    assert (figures / "photos.png").stat().st_size > 10_000


@pytest.mark.slow
def test_a_resumed_run_goes_on_at_once(
    catalog: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not teach the localizer again, and equals an uninterrupted run to the bit; then nothing is kept.

    Resumed once more it says that it is finished, and does nothing.
    """
    learn, taught = stage.learn_from_photos, []

    def observed(*arguments: Any, **options: Any) -> Any:
        taught.append(options["taught"])
        return learn(*arguments, **options)

    monkeypatch.setattr(stage, "learn_from_photos", observed)
    with cut_after(1, monkeypatch):
        cut = _train(catalog, tmp_path, "--epochs", 2)
        if cut.exception is not None:
            raise cut.exception
    assert {STAGE_FILE, STATE_FILE} <= {path.name for path in tmp_path.iterdir()}
    assert len(taught) == 1
    result = _train(catalog, tmp_path, "--epochs", 2, "--resume")
    assert result.exit_code == 0, result.output
    assert len(taught) == 1
    digest = load_checkpoint(whole).digest
    assert load_checkpoint(tmp_path).digest == digest
    assert [path.name for path in tmp_path.iterdir() if path.name in {STAGE_FILE, STATE_FILE}] == []
    again = _train(catalog, tmp_path, "--epochs", 2, "--resume", "--overwrite")
    assert again.exit_code == 0, again.output
    assert "is already finished" in again.output
    assert len(taught) == 1
    assert load_checkpoint(tmp_path).digest == digest
