"""The training loop: one run, from images in memory to a checkpoint on disk."""

import copy
import logging
import math
import signal
import time
from collections.abc import Collection
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from model.errors import TrainingError
from model.localizer import Localizer
from model.preprocess import to_float
from model.progress import Progress, progress
from model.stopping import stop_on_signals
from training.augment import draw_changes, erase, mirror, reframe
from training.batches import batch_indices
from training.board import Board
from training.config import TrainConfig
from training.data.images import ImageSet, digest_ids
from training.distributed import Team
from training.output import Output, open_output
from training.photos.batch import DRAWS, draw_batch
from training.photos.confidence import Seen
from training.run import Passed, Run, prepare_run
from training.saver import Saver
from training.state import STATE_FILE, load_state
from training.stopping import best_epoch, is_over
from training.suitability import find_shortcomings
from training.tuning import tune

__all__ = ["learning_rate", "train", "train_step"]

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
    overwrite: bool = False,
    save_every: float = SECONDS_BETWEEN_SAVES,
    excluded: Collection[str] = (),
    vgg_weights: Path | None = None,
    localizer: Localizer | None = None,
    scenes: Seen | None = None,
    tensorboard: bool = False,
    team: Team | None = None,
) -> None:
    """Train a network and leave its checkpoint in `out`.

    Every epoch's randomness is drawn from (seed, epoch), so a run that was killed and resumed gives the same weights,
    to the bit, as one that was not. Ctrl-C leaves a checkpoint of the weights as they are (the best ones, where the
    run may stop early), and raises on.

    Args:
        images: the shoes; a share of them is held out by the configuration.
        config: the run.
        out: the checkpoint's folder.
        device: where to train.
        source: what the catalogue was read from, for the model card.
        resume: go on from the state in `out`, if there is one.
        overwrite: `out` may hold a finished checkpoint, which stays there until this run is finished.
        save_every: seconds between two saves of the state; it is saved between epochs only.
        excluded: ids that were kept out of `images`, for the record.
        vgg_weights: for the perceptual term; None takes those in torch's cache.
        localizer: goes into the checkpoint; None for a network that takes pictures as they are.
        scenes: pictures without a shoe, to fit the confidence on.
        tensorboard: write event files into `out/tensorboard`.
        team: the processes that share each batch, of which this is one; None is this one alone.

    Raises:
        TrainingError: `out` holds a finished checkpoint that may not be replaced, the loss is not finite, an attribute
            can't make triplets, the state is of another run, the processes of the team were not started alike, or
            TensorBoard or the weights of VGG19 are missing.
    """
    team = team or Team()
    run = prepare_run(images, config, device, team, vgg_weights, localizer=localizer, scenes=scenes)
    fingerprint = config.fingerprint(images.ids, run.vgg_sha256)
    output = open_output(out, fingerprint, resume=resume, overwrite=overwrite)
    if resume and not output.finished and (output.work / STATE_FILE).exists():
        load_state(output.work, run.state, fingerprint)
        _log.info("going on after epoch %d of %d on %s", run.state.epoch, config.epochs, run.state.execution)
    if not team.agrees(f"{fingerprint} {output.staged} {output.finished} {run.state.epoch}"):
        raise TrainingError(
            "the processes of this training differ in their catalogue, options or state: each needs the same ones, "
            "and --out on a disk that all of them see"
        )
    if output.finished:
        _log.info("the training in %s is already finished", out)
        return
    if run.state.epoch == 0:
        _begin(images, run, output)
    facts = {"catalog": source, **_describe_excluded(excluded), "vgg_sha256": run.vgg_sha256, "processes": team.size}
    saver = Saver(output, run, fingerprint=fingerprint, facts=facts, save_every=save_every)
    try:
        with (
            team.quiet(),
            run.state.execution.applied(),
            _open_board(output.work, run.state.epoch, wanted=tensorboard and team.leads) as board,
            # An interrupt raised wherever it comes is lost where Python ignores errors: in finalizers and callbacks.
            stop_on_signals(signal.SIGINT) as stop,
        ):
            _loop(replace(run, stop=stop), saver, board)
    except KeyboardInterrupt:
        saver.checkpoint()
        if team.leads:
            kept = "keeps the checkpoint it had" if output.staged else "holds a usable checkpoint"
            _log.warning("interrupted: %s %s; --resume goes on from the last whole epoch", out, kept)
        raise
    saver.finish()


def _begin(images: ImageSet, run: Run, output: Output) -> None:
    """What comes before the first epoch of a run that is not resumed."""
    with run.team.quiet():
        for each in find_shortcomings(images, run):
            _log.warning("warning: %s", each)
        if run.team.leads:
            output.clear()
        run.state.execution = tune(run, train_step)


def _loop(run: Run, saver: Saver, board: Board | None) -> None:
    """The epochs that are left."""
    state, config = run.state, run.config
    left = len(run.pixels) * (config.epochs - state.epoch)
    with progress(desc="train", unit="images", total=left) as shown:
        while state.epoch < config.epochs:
            if run.team.follow(decision=is_over(state.history, config.patience)):
                _log.info("stopped early: epoch %s of %d measured best", best_epoch(state.history), state.epoch)
                break
            state.history.append(_epoch(run, shown))
            state.epoch += 1
            if config.patience and best_epoch(state.history) == state.epoch:
                state.best = copy.deepcopy(state.current).eval()
            if board is not None:
                board.show(state.history[-1])
            saver.after_epoch()


def learning_rate(config: TrainConfig, done: float) -> float:
    """The learning rate when the share `done` of all steps is done: linear warm-up, then half a cosine."""
    if done < WARM_UP:
        return config.learning_rate * (0.05 + 0.95 * done / WARM_UP)
    return config.learning_rate * max(0.002, 0.5 * (1.0 + math.cos(math.pi * (done - WARM_UP) / (1.0 - WARM_UP))))


def _epoch(run: Run, shown: Progress) -> dict[str, Any]:
    """One pass over the training shoes; returns its figures."""
    state, config = run.state, run.config
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + state.epoch)
    smallest = max(2, run.team.size)
    batches = batch_indices(len(run.pixels), config.batch_size, run.weights, generator, smallest=smallest)
    start = time.perf_counter()
    sums: dict[str, float] = {}
    state.network.train()
    for step, rows in enumerate(batches):
        if run.stop():
            raise KeyboardInterrupt
        done = (state.epoch + step / len(batches)) / config.epochs
        figures = run.team.average(train_step(run, rows, done, generator))
        if not (math.isfinite(figures["loss"]) and math.isfinite(figures["gradient_norm"])):
            raise TrainingError(
                f"the loss or its gradient is not finite in epoch {state.epoch + 1}, step {step + 1} ({figures}); the "
                f"checkpoint before it was kept. A lower --learning-rate helps most often."
            )
        if state.average is not None:
            state.average.update(state.network, state.epoch * len(batches) + step + 1)
        for name, value in figures.items():
            sums[name] = sums.get(name, 0.0) + value
        shown.note(_summary(run, {name: value / (step + 1) for name, value in sums.items()}))
        shown.update(len(rows))
    seconds = time.perf_counter() - start
    return {
        "epoch": state.epoch + 1,
        "seconds": round(seconds, 3),
        "images_per_second": round(len(run.pixels) / seconds, 1),
        "learning_rate": learning_rate(config, (state.epoch + 1) / config.epochs),
        "training": {name: value / len(batches) for name, value in sums.items()},
        "validation": _measure(run),
    }


def _measure(run: Run) -> dict[str, float]:
    """The figures on the held-out shoes after this epoch; none where they are not due, or measured by the leader."""
    epoch = run.state.epoch + 1
    due = epoch % run.config.validate_every == 0 or epoch == run.config.epochs
    if not due or not run.team.leads or len(run.validation) < 2:
        return {}
    return run.validation.measure(run.state.current, run.device)


def train_step(run: Run, rows: torch.Tensor, done: float, generator: torch.Generator) -> dict[str, float]:
    """One step of gradient descent on the shoes `rows`, when the share `done` of the training is done: its figures."""
    team, config, optimizer = run.team, run.config, run.state.optimizer
    # Drawn for the whole batch, so that each shoe's draw does not depend on how many processes share it.
    draws = team.share(draw_changes(len(rows), generator))
    noise = team.share(torch.randn(len(rows), config.network.latent_size, generator=generator)).to(run.device)
    own = team.share(rows)
    images = to_float(run.pixels[own].to(run.device))
    reference = drawing_weights = None
    if run.views is None:
        images, altered = _augment(config, images, draws)
        shown = images
    else:
        views = team.share(torch.rand(len(rows), DRAWS, generator=generator))
        shown, images, reference, is_view = draw_batch(images, run.views, own, views, config.photos.share)
        drawing_weights = torch.where(is_view, config.photos.drawing_weight, 1.0).to(run.device)
        altered = erase(reframe(shown, config.augment, draws), config.augment, draws)
        others = team.share(draw_changes(len(rows), generator))
        reference = erase(reframe(reference, config.augment, others), config.augment, others)
        shown, altered, reference = (
            each.contiguous(memory_format=torch.channels_last) for each in (shown, altered, reference)
        )
    features = None
    with run.precise:
        passed: Passed = run.forward(shown, altered, noise, reference)
        if run.perceptual is not None:
            features = run.perceptual(torch.sigmoid(passed.logits), images).total
    terms = run.objective(
        images,
        passed.logits,
        passed.posterior,
        rows,
        progress=done,
        generator=generator,
        perceptual=features,
        guesses=passed.guesses,
        references=passed.references,
        drawing_weights=drawing_weights,
    )
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(config, done)
    optimizer.zero_grad(set_to_none=True)
    terms.total.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(run.forward.parameters(), config.clip_norm)
    optimizer.step()
    return terms.named() | {"gradient_norm": norm.item()}


def _augment(config: TrainConfig, images: torch.Tensor, draws: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The pictures to draw, and what the encoder, or the conditions' one of two, sees of them: (B, C, H, W) twice."""
    images = mirror(images, config.augment, draws)
    reframed = reframe(images, config.augment, draws)
    if not config.network.has_two_encoders:
        # The decoder can't know of changes that the one encoder does not tell it of.
        images = reframed
    shown = erase(reframed, config.augment, draws)
    last = torch.channels_last
    return images.contiguous(memory_format=last), shown.contiguous(memory_format=last)


def _summary(run: Run, figures: dict[str, float]) -> str:
    parts = [f"epoch {run.state.epoch + 1}/{run.config.epochs}", f"rec {figures['reconstruction']:.0f}"]
    parts.append(f"kl {figures['kl']:.1f}")
    parts += [f"{name.removeprefix('triplet/')} {value:.2f}" for name, value in figures.items() if "triplet/" in name]
    return " ".join(parts)


def _open_board(out: Path, epoch: int, *, wanted: bool) -> AbstractContextManager[Board | None]:
    return closing(Board(out / "tensorboard", epoch)) if wanted else nullcontext()


def _describe_excluded(ids: Collection[str]) -> dict[str, Any]:
    """How many, and a digest by which a list of ids can be known again as the one that was kept out of training."""
    return {"excluded": len(ids), "excluded_sha256": digest_ids(ids) if ids else None}
