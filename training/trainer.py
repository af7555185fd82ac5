"""The training loop: one run, from images in memory to a checkpoint on disk."""

import logging
import math
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from model.errors import ArtifactError, TrainingError
from model.files import write_json
from model.progress import Progress, progress
from model.tvae import TVAE, reparameterize
from training.augment import augment
from training.batches import batch_indices, sampling_weights
from training.card import write_card
from training.config import TrainConfig
from training.data.images import ImageSet, split_by_group
from training.labels import encode_labels
from training.objective import ConditionLabels, Objective, Terms, condition_labels
from training.state import STATE_FILE, RunState, load_state, save_state
from training.validation import validate

__all__ = ["train"]

_log = logging.getLogger(__name__)

SECONDS_BETWEEN_SAVES = 10.0
WARM_UP = 0.1
"""Share of the steps over which the learning rate grows."""


def train(
    images: ImageSet,
    config: TrainConfig,
    out: Path,
    *,
    device: torch.device,
    source: str,
    resume: bool = False,
    save_every: float = SECONDS_BETWEEN_SAVES,
) -> None:
    """Train a network and leave its checkpoint in `out`.

    Every epoch's randomness is drawn from (seed, epoch), so a run that was killed and resumed gives the same weights,
    to the bit, as one that was not. Ctrl-C leaves a checkpoint of the weights as they are, and raises on.

    Args:
        images: the shoes; a share of them is held out by the configuration.
        config: the run.
        out: the checkpoint's folder.
        device: where to train.
        source: what the catalogue was read from, for the model card.
        resume: go on from the state in `out`, if there is one.
        save_every: seconds between two saves of the state; it is saved between epochs only.

    Raises:
        TrainingError: the loss is not finite, an attribute can't make triplets, or the state is of another run.
    """
    out.mkdir(parents=True, exist_ok=True)
    run = _prepare(images, config, device)
    fingerprint = config.fingerprint(images.ids)
    if resume and _is_finished(out, fingerprint):
        _log.info("the training in %s is already finished", out)
        return
    if resume and (out / STATE_FILE).exists():
        load_state(out, run.state, fingerprint)
        _log.info("going on after epoch %d of %d", run.state.epoch, config.epochs)
    saver = _Saver(out, run, fingerprint, source, save_every)
    steps = len(run.pixels) * (config.epochs - run.state.epoch)
    try:
        with progress(desc="train", unit="images", total=steps) as shown:
            while run.state.epoch < config.epochs:
                run.state.history.append(_epoch(run, shown))
                run.state.epoch += 1
                saver.after_epoch()
    except KeyboardInterrupt:
        saver.checkpoint()
        _log.warning("interrupted: %s holds a usable checkpoint; --resume goes on from its last whole epoch", out)
        raise
    saver.finish()


@dataclass
class _Run:
    """What stays the same through a run, beside the state that does not."""

    config: TrainConfig
    device: torch.device
    tvae: TVAE
    state: RunState
    objective: Objective
    pixels: torch.Tensor
    weights: torch.Tensor | None
    validation: ImageSet
    precise: AbstractContextManager[None] = field(repr=False)


def _prepare(images: ImageSet, config: TrainConfig, device: torch.device) -> _Run:
    kept, held_out = split_by_group(images.groups, config.validation_share, config.seed)
    if len(kept) < 2:
        raise TrainingError(f"{len(kept)} shoes are left to train on; expected at least 2")
    training = images.take(kept)
    conditions = _conditions(training, config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        tvae = TVAE(config.network)
    tvae = tvae.to(device=device)
    tvae.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        tvae.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, betas=(0.9, 0.99), fused=True
    )
    return _Run(
        config=config,
        device=device,
        tvae=tvae,
        state=RunState(network=tvae, optimizer=optimizer, epoch=0, history=[]),
        objective=Objective(config.objective, conditions),
        pixels=torch.from_numpy(training.pixels),
        weights=sampling_weights([each.table for each in conditions], config.balance),
        validation=images.take(held_out),
        precise=torch.autocast(device.type, torch.bfloat16, enabled=_use_bf16(config, device)),
    )


def _conditions(training: ImageSet, config: TrainConfig) -> Sequence[ConditionLabels]:
    attributes = {name for each in config.conditions for name in each.attributes}
    labels = {name: encode_labels(training.attributes, name) for name in attributes}
    return condition_labels(config.conditions, config.network.slice_bounds, labels)


def _use_bf16(config: TrainConfig, device: torch.device) -> bool:
    if config.precision != "auto":
        return config.precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    # Releases of torch before the question could be asked get float32, which is right everywhere.
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name, False) for name in ("amx_bf16", "avx512_bf16"))


def learning_rate(config: TrainConfig, done: float) -> float:
    """The learning rate when the share `done` of all steps is done: linear warm-up, then half a cosine."""
    if done < WARM_UP:
        return config.learning_rate * (0.05 + 0.95 * done / WARM_UP)
    return config.learning_rate * max(0.002, 0.5 * (1.0 + math.cos(math.pi * (done - WARM_UP) / (1.0 - WARM_UP))))


def _epoch(run: _Run, shown: Progress) -> dict[str, Any]:
    """One pass over the training shoes; returns its figures."""
    generator = torch.Generator().manual_seed(run.config.seed * 1_000_003 + run.state.epoch)
    batches = batch_indices(len(run.pixels), run.config.batch_size, run.weights, generator)
    start = time.perf_counter()
    sums: dict[str, float] = {}
    run.tvae.train()
    for step, rows in enumerate(batches):
        done = (run.state.epoch + step / len(batches)) / run.config.epochs
        figures = _step(run, rows, done, generator).named()
        if not math.isfinite(figures["loss"]):
            raise TrainingError(
                f"the loss is not finite in epoch {run.state.epoch + 1}, step {step + 1} ({figures}); the checkpoint "
                f"before it was kept. A lower --learning-rate helps most often."
            )
        for name, value in figures.items():
            sums[name] = sums.get(name, 0.0) + value
        shown.note(_summary(run, {name: value / (step + 1) for name, value in sums.items()}))
        shown.update(len(rows))
    seconds = time.perf_counter() - start
    figures = {name: value / len(batches) for name, value in sums.items()}
    measured = validate(run.tvae, run.validation, run.config, run.device) if len(run.validation) > 1 else {}
    return {
        "epoch": run.state.epoch + 1,
        "seconds": round(seconds, 3),
        "images_per_second": round(len(run.pixels) / seconds, 1),
        "training": figures,
        "validation": measured,
    }


def _step(run: _Run, rows: torch.Tensor, done: float, generator: torch.Generator) -> Terms:
    """One step of gradient descent on the shoes `rows`, when the share `done` of the training is done."""
    images = run.pixels[rows].to(run.device).to(torch.float32).div_(255.0)
    images = augment(images, run.config.augment, generator).contiguous(memory_format=torch.channels_last)
    noise = torch.randn(len(rows), run.config.network.latent_size, generator=generator).to(run.device)
    with run.precise:
        posterior = run.tvae.encode(images)
        logits = run.tvae.decode_logits(reparameterize(posterior, noise))
    terms = run.objective(images, logits, posterior, rows, progress=done, generator=generator)
    for group in run.state.optimizer.param_groups:
        group["lr"] = learning_rate(run.config, done)
    run.state.optimizer.zero_grad(set_to_none=True)
    terms.total.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(run.tvae.parameters(), run.config.clip_norm)
    run.state.optimizer.step()
    return terms


def _summary(run: _Run, figures: dict[str, float]) -> str:
    parts = [f"epoch {run.state.epoch + 1}/{run.config.epochs}", f"rec {figures['reconstruction']:.0f}"]
    parts.append(f"kl {figures['kl']:.1f}")
    parts += [f"{name.removeprefix('triplet/')} {value:.2f}" for name, value in figures.items() if "triplet/" in name]
    return " ".join(parts)


class _Saver:
    """Writes what a run leaves behind, now and then and at its end."""

    def __init__(self, out: Path, run: _Run, fingerprint: str, source: str, save_every: float) -> None:
        self.out, self.run, self.fingerprint, self.source = out, run, fingerprint, source
        self.save_every = save_every
        self._last = time.monotonic()

    def after_epoch(self) -> None:
        """Save the state, unless that was done a moment ago."""
        if time.monotonic() - self._last >= self.save_every:
            save_state(self.out, self.run.state, self.fingerprint)
            self.checkpoint()
            self._last = time.monotonic()

    def finish(self) -> None:
        """The run is over: a checkpoint, and no state to resume."""
        self.checkpoint()
        (self.out / STATE_FILE).unlink(missing_ok=True)

    def checkpoint(self) -> None:
        """Write the weights as they are, with their metrics and the model card."""
        run = self.run
        facts = {
            "catalog": self.source,
            "shoes": len(run.pixels),
            "held_out": len(run.validation),
            "seed": run.config.seed,
            "validation_share": run.config.validation_share,
            "epoch": run.state.epoch,
            "epochs": run.config.epochs,
            "fingerprint": self.fingerprint,
            "config": asdict(run.config),
        }
        checkpoint = Checkpoint(run.tvae, run.config.preprocess, run.config.conditions, facts)
        digest = save_checkpoint(self.out, checkpoint)
        write_json(self.out / "metrics.json", {"checkpoint": digest, "history": run.state.history})
        write_card(self.out, digest, checkpoint, run.state.history)


def _is_finished(out: Path, fingerprint: str) -> bool:
    try:
        facts = load_checkpoint(out).training
    except ArtifactError:
        return False
    return facts.get("fingerprint") == fingerprint and facts.get("epoch") == facts.get("epochs")
