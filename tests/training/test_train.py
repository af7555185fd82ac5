import json
import math
import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.models.vgg import cfgs, make_layers

from model.checkpoint import load_checkpoint
from model.errors import ArtifactCorrupt, TrainingError, TrainingInterrupted
from model.files import sha256_bytes
from model.tvae import INSTANCE, TVAE, Slice
from tests.training.runs import CONFIG, CPU, IMAGES, cut_after, interrupt_after
from tests.training.test_perceptual import save
from training import objective
from training import train as trainer
from training.checkpointing import CURVES_FILE, STATE_FILE
from training.config import AugmentConfig, PhotoConfig, TrainConfig
from training.data.images import ImageSet
from training.photos.views import Views
from training.schedule import one_cycle
from training.train import train
from training.validation import Validation


def _train(out: Path, config: TrainConfig = CONFIG, *, save_every: float = 0.0, **options: Any) -> dict[str, Any]:
    source = "csv:/home/me/squares.csv?id=id&image=pictures/{id}.jpg"
    train(IMAGES, config, out, device=CPU, source=source, save_every=save_every, **options)
    metrics: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return metrics


def _losses(metrics: dict[str, Any]) -> list[dict[str, float]]:
    return [epoch["training"] for epoch in metrics["history"]]


def test_training_learns(tmp_path: Path) -> None:
    """The losses fall, held-out triplets come in order, and the checkpoint has its condition, card and curves."""
    metrics = _train(tmp_path, replace(CONFIG, epochs=30))
    first, last = metrics["history"][0], metrics["history"][-1]
    assert last["training"]["loss"] < first["training"]["loss"]
    assert last["validation"]["mse"] < first["validation"]["mse"]
    assert last["validation"]["triplet_accuracy/colour/Colour"] > 0.9
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.digest == metrics["checkpoint"]
    assert checkpoint.conditions == CONFIG.conditions
    assert checkpoint.nearness == {}  # of too few held-out shoes
    assert checkpoint.training["epoch"] == 30
    card = (tmp_path / "README.md").read_text()
    assert checkpoint.digest in card
    assert "Colour" in card
    assert "shoes of `squares.csv`" in card
    assert "/home" not in card  # whoever searches may read it
    assert (tmp_path / CURVES_FILE).read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / STATE_FILE).exists()


def test_scores_are_calibrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With enough held-out shoes, the checkpoint has the scores of whole vectors and of each slice."""
    monkeypatch.setattr("training.validation.MIN_CALIBRATED", 2)
    _train(tmp_path, replace(CONFIG, epochs=1))
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.nearness.keys() == {"overall", *CONFIG.network.slice_bounds}


def test_the_seed_decides(tmp_path: Path) -> None:
    """The same seed gives the same weights, to the bit; another seed gives others."""
    first = _train(tmp_path / "a")["checkpoint"]
    assert _train(tmp_path / "b")["checkpoint"] == first
    assert _train(tmp_path / "c", replace(CONFIG, seed=1))["checkpoint"] != first


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ema_decay": 0.9},
        {"patience": 5, "epochs": 6, "validate_every": 2},
        {"patience": 2, "ema_decay": 0.9},
        {
            "network": replace(CONFIG.network, separate=True, sphere=True, encoder_blocks=(0, 1)),
            "objective": replace(CONFIG.objective, label_weight=100.0),
            "augment": AugmentConfig(shift=0.1, colour=0.1, erase=0.5),
        },
    ],
    ids=["plain", "average", "patience", "both", "two encoders and labels"],
)
def test_resume_is_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    """A run that dies and is resumed has the losses and the weights, to the bit, of one that does not."""
    config = replace(CONFIG, **options)
    whole = _train(tmp_path / "whole", config)
    with cut_after(2, monkeypatch):
        _train(tmp_path / "cut", config)
    resumed = _train(tmp_path / "cut", config, resume=True)
    assert _losses(resumed) == _losses(whole)
    assert [epoch["validation"] for epoch in resumed["history"]] == [epoch["validation"] for epoch in whole["history"]]
    assert resumed["checkpoint"] == whole["checkpoint"]


def _measure_as(accuracies: list[float], monkeypatch: pytest.MonkeyPatch) -> list[dict[str, torch.Tensor]]:
    """Let the validations find these accuracies; returns the weights that each of them saw."""
    seen: list[dict[str, torch.Tensor]] = []

    def measure(validation: Validation, tvae: TVAE, *others: object) -> dict[str, float]:
        seen.append({name: value.clone() for name, value in tvae.state_dict().items()})
        return {"mse": 1.0, "triplet_accuracy/colour": accuracies[len(seen) - 1]}

    monkeypatch.setattr(Validation, "measure", measure)
    return seen


def _has_weights(folder: Path, weights: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, weights[name]) for name, value in load_checkpoint(folder).tvae.state_dict().items())


def test_early_stop_keeps_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where two measurements are no better, the run ends with the weights of the best one, and says so."""
    seen = _measure_as([0.5, 0.8, 0.7, 0.8, 0.9], monkeypatch)
    metrics = _train(tmp_path, replace(CONFIG, epochs=10, patience=2))
    assert len(metrics["history"]) == 4
    assert _has_weights(tmp_path, seen[1])
    facts = load_checkpoint(tmp_path).training
    assert (facts["epoch"], facts["weights_of_epoch"], facts["finished"]) == (4, 2, True)
    assert "after epoch 2" in (tmp_path / "README.md").read_text()
    _train(tmp_path, replace(CONFIG, epochs=10, patience=2), resume=True)
    assert len(seen) == 4


def test_early_stop_after_a_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was best before a run was cut off still counts, and its weights are still there."""
    config = replace(CONFIG, epochs=10, patience=3)
    seen = _measure_as([0.8, 0.7, 0.6, 0.5], monkeypatch)
    with cut_after(2, monkeypatch):
        _train(tmp_path, config)
    assert len(_train(tmp_path, config, resume=True)["history"]) == 4
    assert _has_weights(tmp_path, seen[0])


def test_patience_needs_held_out_shoes(tmp_path: Path) -> None:
    """A run can't wait for better measurements that nobody makes."""
    with pytest.raises(TrainingError, match=r"patience is 2, but 0 shoes are held out.*validation_share is 0"):
        _train(tmp_path, replace(CONFIG, patience=2, validation_share=0.0))


def test_validation_now_and_then(tmp_path: Path) -> None:
    """Epochs are measured as often as asked, the last one in any case."""
    history = _train(tmp_path, replace(CONFIG, validate_every=3))["history"]
    assert [bool(epoch["validation"]) for epoch in history] == [False, False, True, True]


def test_the_average_is_kept(tmp_path: Path) -> None:
    """With an average of the weights the losses are those of the same run without, and the checkpoint is another."""
    plain, averaged = _train(tmp_path / "plain"), _train(tmp_path / "average", replace(CONFIG, ema_decay=0.9))
    assert _losses(averaged) == _losses(plain)
    assert averaged["checkpoint"] != plain["checkpoint"]
    assert averaged["history"][-1]["validation"] != plain["history"][-1]["validation"]


def test_excluded_ids_are_on_record(tmp_path: Path) -> None:
    """The checkpoint knows how many ids were kept out, and a digest to know their list again by, in any order."""
    facts = []
    for folder, excluded in (("a", ("x", "y")), ("b", ("y", "x")), ("c", ())):
        _train(tmp_path / folder, replace(CONFIG, epochs=1), excluded=excluded)
        facts.append(load_checkpoint(tmp_path / folder).training)
    assert [each["excluded"] for each in facts] == [2, 2, 0]
    assert facts[0]["excluded_sha256"] == facts[1]["excluded_sha256"] == sha256_bytes(b"x\ny")
    assert facts[2]["excluded_sha256"] is None


def test_perceptual_term(tmp_path: Path) -> None:
    """The term is in the history and in the gradient; other weights of VGG19 make another run, their place does not."""
    for seed, name in enumerate(("vgg", "other")):
        torch.manual_seed(seed)
        save(make_layers(cfgs["E"][:2], batch_norm=False), tmp_path / f"{name}.pth")
    shutil.copy(tmp_path / "vgg.pth", tmp_path / "copy.pth")
    weighed = replace(CONFIG.objective, perceptual_weight=1000.0, perceptual_layers=("relu1_1", "relu1_2"))
    config = replace(CONFIG, objective=weighed, epochs=1)
    first = _train(tmp_path / "out", config, vgg_weights=tmp_path / "vgg.pth")
    assert first["history"][0]["training"]["perceptual"] > 0
    plain = _losses(_train(tmp_path / "plain", replace(CONFIG, epochs=1)))[0]
    assert _losses(first)[0]["reconstruction"] != plain["reconstruction"]
    fingerprint = load_checkpoint(tmp_path / "out").training["fingerprint"]
    for name, same in (("copy", True), ("other", False)):
        _train(tmp_path / name, config, vgg_weights=tmp_path / f"{name}.pth")
        assert (load_checkpoint(tmp_path / name).training["fingerprint"] == fingerprint) is same


def test_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every epoch's figures are in the event files once, also those of a run that was cut off and resumed."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with cut_after(2, monkeypatch):
        _train(tmp_path, tensorboard=True)
    metrics = _train(tmp_path, tensorboard=True, resume=True)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    scalars = events.Scalars("training/triplet/colour/Colour")
    assert [each.step for each in scalars] == [1, 2, 3, 4]
    assert [each.value for each in scalars] == pytest.approx([e["triplet/colour/Colour"] for e in _losses(metrics)])
    assert {"validation/mse", "run/learning_rate", "training/loss"} <= set(events.Tags()["scalars"])


def test_tensorboard_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package the error names the extra that brings it, before anything is trained."""
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(TrainingError, match=r"solemate\[tensorboard\]"):
        _train(tmp_path, tensorboard=True)
    assert not (tmp_path / "config.json").exists()


def test_interrupt_leaves_a_usable_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C leaves a checkpoint that loads and says how far it came; the error says how to go on."""
    with interrupt_after(1, monkeypatch), pytest.raises(TrainingInterrupted, match=r"usable checkpoint; --resume"):
        _train(tmp_path)
    assert load_checkpoint(tmp_path).training["epoch"] == 1


class Interrupting:
    """Where Python ignores whatever is raised, there comes a Ctrl-C."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_is_never_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever runs when it comes, the training ends before its next step, and can go on from there to the same end."""
    whole = _train(tmp_path / "whole")
    step, taken = trainer.train_step, 0

    def interrupted(*arguments: Any) -> dict[str, float]:
        nonlocal taken
        taken += 1
        figures = step(*arguments)
        if taken == 7:
            Interrupting()
        return figures

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(trainer, "train_step", interrupted)
            with pytest.raises(TrainingInterrupted):
                _train(tmp_path / "cut")
    finally:
        signal.signal(signal.SIGINT, before)
    assert taken == 7
    assert load_checkpoint(tmp_path / "cut").training["epoch"] == 1
    resumed = _train(tmp_path / "cut", resume=True)
    assert _losses(resumed) == _losses(whole)


def test_a_state_that_cannot_be_resumed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state made with other settings is not mixed with these, and a torn one says which file to delete."""
    with cut_after(2, monkeypatch):
        _train(tmp_path)
    with pytest.raises(TrainingError, match="other settings"):
        _train(tmp_path, replace(CONFIG, learning_rate=1e-3), resume=True)
    path = tmp_path / STATE_FILE
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ArtifactCorrupt, match=f"{STATE_FILE} can't be read"):
        _train(tmp_path, resume=True)


def test_a_loss_that_is_not_finite_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A diverging run stops with the step and the terms, and keeps the last good checkpoint."""

    def explode(done: float) -> float:
        return math.inf if done > 0.5 else 1.0

    monkeypatch.setattr(trainer, "one_cycle", explode)
    with pytest.raises(TrainingError, match=r"not finite in epoch 3, step \d+"):
        _train(tmp_path)
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.training["epoch"] == 2
    assert all(torch.isfinite(value).all() for value in checkpoint.tvae.state_dict().values())


def test_a_replacement_that_is_interrupted_early_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first epoch is saved however short it is, so that a run that replaces a checkpoint can be gone on with."""
    _train(tmp_path, replace(CONFIG, epochs=1))
    other = replace(CONFIG, epochs=3, seed=1)
    with interrupt_after(2, monkeypatch), pytest.raises(TrainingInterrupted, match="goes on from the last saved epoch"):
        _train(tmp_path, other, save_every=1000.0, overwrite=True)
    _train(tmp_path, other, resume=True)
    _train(tmp_path / "whole", other)
    assert load_checkpoint(tmp_path).digest == load_checkpoint(tmp_path / "whole").digest


@pytest.mark.parametrize("replaces", [False, True])
def test_an_interrupt_before_the_first_epoch_names_how_to_begin_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replaces: bool
) -> None:
    """What the message names is taken by the next run: nothing is there yet that a replacement could go on from."""
    other, way = replace(CONFIG, epochs=2, seed=1), "overwrite" if replaces else "resume"
    if replaces:
        _train(tmp_path, replace(CONFIG, epochs=1))
    with interrupt_after(0, monkeypatch), pytest.raises(TrainingInterrupted, match=f"--{way} begins anew"):
        _train(tmp_path, other, overwrite=replaces)
    _train(tmp_path, other, **{way: True})
    assert load_checkpoint(tmp_path).training["epoch"] == 2


def test_a_gradient_that_is_not_finite_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gradient that spoils the weights stops the run at once, though the loss before it was finite."""

    def spoil(distances: torch.Tensor, *others: object, **options: object) -> torch.Tensor:
        return (distances.sum() * 0.0).sqrt()

    monkeypatch.setattr(objective, "triplet_loss", spoil)
    with pytest.raises(TrainingError, match=r"not finite in epoch 1, step 1 .*'gradient_norm': nan"):
        _train(tmp_path)


def test_plain_vae(tmp_path: Path) -> None:
    """Without conditions the run is a VAE: no triplet term, and a checkpoint without conditions."""
    network = replace(CONFIG.network, slices=(Slice("free", 8),))
    metrics = _train(tmp_path, replace(CONFIG, network=network, conditions=(), epochs=1))
    assert set(_losses(metrics)[0]) == {"loss", "reconstruction", "kl", "gradient_norm"}
    assert load_checkpoint(tmp_path).conditions == ()


def test_bf16_trains(tmp_path: Path) -> None:
    """Half precision gives finite losses close to those of float32."""
    full = _losses(_train(tmp_path / "full", replace(CONFIG, precision="float32", epochs=1)))[0]
    half = _losses(_train(tmp_path / "half", replace(CONFIG, precision="bf16", epochs=1)))[0]
    assert half["reconstruction"] == pytest.approx(full["reconstruction"], rel=0.05, abs=20)


def test_learning_rate_schedule() -> None:
    """The rate grows to its peak, falls from there, and ends near 0."""
    rates = [one_cycle(step / 100) for step in range(100)]
    peak = max(range(100), key=rates.__getitem__)
    assert rates[peak] == pytest.approx(1.0, rel=0.02)
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] < 0.01


def _photographed() -> ImageSet:
    """The squares with two photos each, one of them a mirror image, under noise and in other light."""
    random = np.random.default_rng(0)
    lit = np.stack([IMAGES.pixels, IMAGES.pixels[..., ::-1]], axis=1) * random.uniform(0.7, 1.0, (160, 2, 1, 1, 1))
    photos = np.clip(lit + random.normal(0, 60, lit.shape), 0, 255).astype(np.uint8)
    flags = np.ones((160, 2), dtype=np.bool_)
    return replace(
        IMAGES, views=Views(photos, flags, flags & np.array([False, True]), np.ones(flags.shape), np.ones(flags.shape))
    )


PHOTO_CONFIG = replace(
    CONFIG,
    network=replace(
        CONFIG.network, slices=(Slice("colour", 4), Slice(INSTANCE, 12), Slice("free", 4)), separate=True, sphere=True
    ),
    objective=replace(CONFIG.objective, triplet_weight=300.0, label_weight=100.0, instance_weight=500.0),
    augment=AugmentConfig(shift=0.02, colour=0.1, erase=0.3),
    photos=PhotoConfig(views=2, share=0.5),
    threads=1,
    precision="float32",
)


def test_photos_learn_to_find_their_shoes(tmp_path: Path) -> None:
    """Held-out photos find their own shoe ever more often, and the checkpoint weighs its slices for it."""
    train(_photographed(), replace(PHOTO_CONFIG, epochs=25), tmp_path, device=CPU, source="squares")
    history = json.loads((tmp_path / "metrics.json").read_text())["history"]
    first, last = history[0], history[24]
    assert last["training"]["instance"] < 0.5 * first["training"]["instance"]
    assert last["validation"]["photo_recall@1"] > max(0.8, first["validation"]["photo_recall@1"])
    assert last["validation"]["triplet_accuracy/colour/Colour"] > 0.9
    assert load_checkpoint(tmp_path).overall.keys() == {"colour", INSTANCE, "free"}


def test_drawing_stage_orders_as_before(tmp_path: Path) -> None:
    """It follows the other epochs and draws held-out shoes better; ordered slices stay as they were, to the bit."""
    images, stage = _photographed(), replace(PHOTO_CONFIG.photos, drawing_stage=0.5)
    for name, photos in (("without", replace(stage, drawing_stage=0.0)), ("with", stage)):
        config = replace(PHOTO_CONFIG, epochs=8, photos=photos, validate_every=8)
        train(images, config, tmp_path / name, device=CPU, source="squares")
    history = json.loads((tmp_path / "with" / "metrics.json").read_text())["history"]
    assert [each["epoch"] for each in history] == list(range(1, 13))
    before, after = history[7]["validation"], history[11]["validation"]
    assert after["mse"] < 0.9 * before["mse"]
    assert {name: value for name, value in after.items() if name != "mse"} == {
        name: value for name, value in before.items() if name != "mse"
    }
    pictures = torch.from_numpy(images.pixels / np.float32(255))
    plain, drawn = (load_checkpoint(tmp_path / name).tvae.mean(pictures) for name in ("without", "with"))
    assert torch.equal(plain[:, :16], drawn[:, :16])
    assert not torch.equal(plain[:, 16:], drawn[:, 16:])


@pytest.mark.parametrize("epochs", [2, 4, 5], ids=["before it", "at its start", "in it"])
@pytest.mark.parametrize("options", [{}, {"ema_decay": 0.9, "patience": 3}], ids=["plain", "average and patience"])
def test_learning_from_photos_resumes_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], epochs: int
) -> None:
    """A run on photos that dies and is resumed has the losses and the checkpoint, to the bit, of one that does not.

    It dies before, at the start of, and in the drawing stage.
    """
    photos = replace(PHOTO_CONFIG.photos, drawing_stage=0.5)
    images, config = _photographed(), replace(PHOTO_CONFIG, photos=photos, **options)
    usual: dict[str, Any] = {"device": CPU, "source": "squares", "save_every": 0.0}
    train(images, config, tmp_path / "whole", **usual)
    with cut_after(epochs, monkeypatch):
        train(images, config, tmp_path / "cut", **usual)
    train(images, config, tmp_path / "cut", resume=True, **usual)
    whole, resumed = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("whole", "cut"))
    assert _losses(resumed) == _losses(whole)
    assert resumed["checkpoint"] == whole["checkpoint"]
    assert load_checkpoint(tmp_path / "cut").overall == load_checkpoint(tmp_path / "whole").overall
