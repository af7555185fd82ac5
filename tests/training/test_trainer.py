import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from model.checkpoint import Condition, load_checkpoint
from model.errors import TrainingError
from model.preprocess import PreprocessConfig
from model.tvae import Slice, TVAEConfig
from tests.training.images import coloured_squares
from training import trainer
from training.config import TrainConfig
from training.objective import ObjectiveConfig
from training.state import STATE_FILE
from training.trainer import learning_rate, train

CPU = torch.device("cpu")
CONFIG = TrainConfig(
    network=TVAEConfig(image_size=16, widths=(8, 16), slices=(Slice("colour", 4), Slice("free", 4))),
    preprocess=PreprocessConfig(size=16),
    conditions=(Condition("colour", ("Colour",)),),
    objective=ObjectiveConfig(triplet_weight=1000.0),
    epochs=4,
    batch_size=32,
    learning_rate=5e-3,
    validation_share=0.2,
)
IMAGES = coloured_squares(160)


def _train(out: Path, config: TrainConfig = CONFIG, *, resume: bool = False, save_every: float = 0.0) -> dict[str, Any]:
    train(IMAGES, config, out, device=CPU, source="squares", resume=resume, save_every=save_every)
    metrics: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return metrics


def _losses(metrics: dict[str, Any]) -> list[dict[str, float]]:
    return [epoch["training"] for epoch in metrics["history"]]


def test_training_learns(tmp_path: Path) -> None:
    """The losses fall, held-out triplets come in order, and the checkpoint loads with its condition and card."""
    metrics = _train(tmp_path, replace(CONFIG, epochs=30))
    first, last = metrics["history"][0], metrics["history"][-1]
    assert last["training"]["loss"] < first["training"]["loss"]
    assert last["validation"]["mse"] < first["validation"]["mse"]
    assert last["validation"]["triplet_accuracy/colour/Colour"] > 0.9
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.digest == metrics["checkpoint"]
    assert checkpoint.conditions == CONFIG.conditions
    assert checkpoint.training["epoch"] == 30
    card = (tmp_path / "README.md").read_text()
    assert checkpoint.digest in card
    assert "Colour" in card
    assert not (tmp_path / STATE_FILE).exists()


def test_the_seed_decides(tmp_path: Path) -> None:
    """The same seed gives the same weights, to the bit; another seed gives others."""
    first = _train(tmp_path / "a")["checkpoint"]
    assert _train(tmp_path / "b")["checkpoint"] == first
    assert _train(tmp_path / "c", replace(CONFIG, seed=1))["checkpoint"] != first


def _stop_after(epochs: int, error: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    whole: Callable[..., dict[str, Any]] = trainer._epoch

    def epoch(run: Any, shown: Any) -> dict[str, Any]:
        if run.state.epoch == epochs:
            raise error
        return whole(run, shown)

    monkeypatch.setattr(trainer, "_epoch", epoch)


def test_resume_is_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that dies and is resumed has the losses and the weights, to the bit, of one that does not."""
    whole = _train(tmp_path / "whole")
    with monkeypatch.context() as patch:
        _stop_after(2, MemoryError, patch)
        with pytest.raises(MemoryError):
            _train(tmp_path / "cut")
    resumed = _train(tmp_path / "cut", resume=True)
    assert _losses(resumed) == _losses(whole)
    assert resumed["checkpoint"] == whole["checkpoint"]


def test_interrupt_leaves_a_usable_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C leaves a checkpoint that loads and says how far it came."""
    _stop_after(1, KeyboardInterrupt, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        _train(tmp_path)
    assert load_checkpoint(tmp_path).training["epoch"] == 1


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    """Resuming a run that is over leaves its checkpoint alone."""
    _train(tmp_path)
    before = (tmp_path / "weights.safetensors").stat().st_mtime_ns
    _train(tmp_path, resume=True)
    assert (tmp_path / "weights.safetensors").stat().st_mtime_ns == before


def test_resuming_another_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state made with other settings is not mixed with these."""
    with monkeypatch.context() as patch:
        _stop_after(2, MemoryError, patch)
        with pytest.raises(MemoryError):
            _train(tmp_path)
    with pytest.raises(TrainingError, match="other settings"):
        _train(tmp_path, replace(CONFIG, learning_rate=1e-3), resume=True)


def test_a_damaged_state_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A torn resume file says which file to delete."""
    with monkeypatch.context() as patch:
        _stop_after(2, MemoryError, patch)
        with pytest.raises(MemoryError):
            _train(tmp_path)
    path = tmp_path / STATE_FILE
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(Exception, match=f"{STATE_FILE} can't be read"):
        _train(tmp_path, resume=True)


def test_a_loss_that_is_not_finite_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A diverging run stops with the step and the terms, and keeps the last good checkpoint."""

    def explode(config: TrainConfig, done: float) -> float:
        return math.inf if done > 0.5 else 1e-3

    monkeypatch.setattr(trainer, "learning_rate", explode)
    with pytest.raises(TrainingError, match=r"not finite in epoch 3, step \d+"):
        _train(tmp_path)
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.training["epoch"] == 2
    assert all(torch.isfinite(value).all() for value in checkpoint.tvae.state_dict().values())


def test_plain_vae(tmp_path: Path) -> None:
    """Without conditions the run is a VAE: no triplet term, and a checkpoint without conditions."""
    network = replace(CONFIG.network, slices=(Slice("free", 8),))
    metrics = _train(tmp_path, replace(CONFIG, network=network, conditions=(), epochs=1))
    assert set(_losses(metrics)[0]) == {"loss", "reconstruction", "kl"}
    assert load_checkpoint(tmp_path).conditions == ()


def test_bf16_trains(tmp_path: Path) -> None:
    """Half precision gives finite losses close to those of float32."""
    full = _losses(_train(tmp_path / "full", replace(CONFIG, precision="float32", epochs=1)))[0]
    half = _losses(_train(tmp_path / "half", replace(CONFIG, precision="bf16", epochs=1)))[0]
    assert half["reconstruction"] == pytest.approx(full["reconstruction"], rel=0.05, abs=20)


def test_a_missing_attribute_is_named(tmp_path: Path) -> None:
    """A condition on an attribute that no shoe has lists those there are."""
    config = replace(CONFIG, conditions=(Condition("colour", ("Color",)),))
    with pytest.raises(TrainingError, match=r"'Color'.*Colour, Size"):
        _train(tmp_path, config)


def test_learning_rate_schedule() -> None:
    """The rate grows to its peak, falls from there, and ends near 0."""
    rates = [learning_rate(CONFIG, step / 100) for step in range(100)]
    peak = max(range(100), key=rates.__getitem__)
    assert rates[peak] == pytest.approx(CONFIG.learning_rate, rel=0.02)
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] < 0.01 * CONFIG.learning_rate
