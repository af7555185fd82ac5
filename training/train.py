"""Training, from pictures in memory to a saved checkpoint: data, network, optimizer, loop, save.

`train` is the whole of it; what it calls stands below it, in the order of the calls. `sampling.py` makes the batches,
`objective.py` the loss, `checkpointing.py` the files; `distributed.py` has the processes that share each batch.

All randomness of an epoch is drawn from (seed, epoch), so a run that was killed and resumed gives the same weights, to
the bit, as one that was not.
"""

import copy
import logging
import math
import signal
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from model.errors import TrainingError, TrainingInterrupted
from model.localizer import Localizer
from model.progress import Progress, progress
from model.stopping import stop_on_signals
from model.tvae import INSTANCE, TVAE
from training.averaging import WeightAverage
from training.checkpointing import RunFolder, TrainingState, describe_run, open_run, save_run, save_state
from training.config import TrainConfig
from training.data.images import ImageSet, split_by_group
from training.distributed import ProcessGroup
from training.early_stopping import best_epoch, is_over
from training.execution import tune, usual_execution
from training.figures.tensorboard import TensorBoardWriter, open_writer
from training.network import ForwardPass, TrainingNetwork, make_classifiers
from training.objective import Objective, encode_conditions, summarize
from training.perceptual import PerceptualLoss
from training.photos.batch import ViewTensors
from training.photos.confidence import FramedPictures
from training.photos.drawing import drawing_stage
from training.plan import check_sizes, find_shortcomings
from training.sampling import batch_indices, make_batch, sampling_weights
from training.schedule import one_cycle
from training.validation import Validation

_log = logging.getLogger(__name__)

SECONDS_BETWEEN_SAVES = 10.0


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
    scenes: FramedPictures | None = None,
    tensorboard: bool = False,
    process_group: ProcessGroup | None = None,
) -> None:
    """Train a network and leave its checkpoint in `out`.

    Ctrl-C ends it before the next step: a checkpoint of the weights as they are (the best ones, where the run may stop
    early) is saved, and TrainingInterrupted is raised.

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
        process_group: the processes that share each batch, of which this is one; None is this one alone.

    Raises:
        TrainingError: `out` holds a finished checkpoint that may not be replaced, the loss is not finite, an attribute
            can't make triplets, the state is of another run, the processes were not started alike, or
            TensorBoard or the weights of VGG19 are missing.
        TrainingInterrupted: by Ctrl-C.
    """
    process_group = process_group or ProcessGroup()
    run = prepare_run(images, config, device, process_group, vgg_weights, localizer=localizer, scenes=scenes)
    facts = describe_run(run, images, source, excluded)
    folder = open_run(run, out, facts["fingerprint"], resume=resume, overwrite=overwrite)
    if folder.finished:
        _log.info("the training in %s is already finished", out)
        return
    if not run.state.history:
        _begin(images, run, folder)
    with (
        process_group.silence_others(),
        run.state.execution.applied(),
        open_writer(folder.work, len(run.state.history), wanted=tensorboard and process_group.is_leader) as writer,
        # An interrupt raised wherever it comes is lost where Python ignores errors: in finalizers and callbacks.
        stop_on_signals(signal.SIGINT) as stop,
    ):
        complete = _train_epochs(run, folder.work, facts, save_every=save_every, writer=writer, stop=stop)
    if not complete:
        save_run(run, folder.work, facts, finished=False)
        kept = "keeps the checkpoint it had" if folder.staged else "holds a usable checkpoint"
        again = f"--{'overwrite' if folder.staged else 'resume'} begins anew: no epoch was finished"
        if run.state.history:
            again = "--resume goes on from the last saved epoch"
        raise TrainingInterrupted(f"interrupted: {out} {kept}; {again}")
    save_run(run, folder.folder, facts, finished=True)
    if process_group.is_leader:
        folder.discard()


@dataclass
class Run:
    """What stays the same through a run, beside the state that does not.

    Attributes:
        network: `TrainingNetwork` of the state's network; its gradients are averaged over all processes.
        perceptual: None where the objective has no such term.
        pixels: (N, C, H, W) uint8 of the shoes to train on.
        views: photo views of these shoes; None for catalogue pictures alone.
        weights: (N,) how often to draw each; None is alike.
        validation: on the shoes held out.
        localizer: goes into the checkpoint; None without one.
        scenes: without a shoe, where the network learns from photos.
    """

    config: TrainConfig
    device: torch.device
    process_group: ProcessGroup
    state: TrainingState
    network: nn.Module
    objective: Objective
    perceptual: PerceptualLoss | None
    pixels: torch.Tensor
    views: ViewTensors | None
    weights: torch.Tensor | None
    validation: Validation
    localizer: Localizer | None
    scenes: FramedPictures | None


def prepare_run(
    images: ImageSet,
    config: TrainConfig,
    device: torch.device,
    process_group: ProcessGroup,
    vgg_weights: Path | None,
    *,
    localizer: Localizer | None = None,
    scenes: FramedPictures | None = None,
) -> Run:
    """Split the images, and make the network, its optimizer and its objective."""
    # Data
    kept, held_out = split_by_group(images.groups, config.validation_share, config.seed)
    check_sizes(len(kept), len(held_out), config, process_group.world_size)
    training = images.take(kept)
    bounds = config.network.slice_bounds
    instance = slice(*bounds[INSTANCE]) if INSTANCE in bounds else None
    conditions = encode_conditions(config.conditions, bounds, training.attributes)

    # Network
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        tvae = TVAE(config.network)
        classifiers = make_classifiers(conditions if config.objective.label_weight > 0 else ()).to(device=device)
    tvae = process_group.synchronize_norms(tvae).to(device=device)
    tvae.to(memory_format=torch.channels_last)

    # Optimizer
    optimizer = torch.optim.AdamW(
        [*tvae.parameters(), *classifiers.parameters()],
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        betas=(0.9, 0.99),
        fused=True,
    )
    state = TrainingState(
        network=tvae,
        classifiers=classifiers,
        optimizer=optimizer,
        execution=usual_execution(config, process_group),
        average=WeightAverage(tvae, config.ema_decay) if config.ema_decay > 0 else None,
    )
    perceptual = None
    if config.objective.perceptual_weight > 0:
        perceptual = PerceptualLoss(config.objective.perceptual_layers, vgg_weights).to(device)
    return Run(
        config=config,
        device=device,
        process_group=process_group,
        state=state,
        network=process_group.wrap(TrainingNetwork(tvae, conditions, classifiers)),
        objective=Objective(config.objective, conditions, process_group, instance),
        perceptual=perceptual,
        pixels=torch.from_numpy(training.pixels),
        views=None if training.views is None else ViewTensors.of(training.views),
        weights=sampling_weights([each.table for each in conditions], config.balance),
        validation=Validation(images.take(held_out), config),
        localizer=localizer,
        scenes=scenes,
    )


def _begin(images: ImageSet, run: Run, folder: RunFolder) -> None:
    """Before the first epoch: warn of poor data, clear the folder, and choose threads and precision."""
    with run.process_group.silence_others():
        for each in find_shortcomings(images, run.config, run.objective.conditions):
            _log.warning("warning: %s", each)
        if run.process_group.is_leader:
            folder.clear()
        run.state.execution = tune(run, train_step)


def _train_epochs(
    run: Run,
    work: Path,
    facts: Mapping[str, Any],
    *,
    save_every: float,
    writer: TensorBoardWriter | None,
    stop: Callable[[], bool],
) -> bool:
    """The epochs that are left, each with its validation and, now and then, a save; False where `stop` ended them."""
    state, config, process_group = run.state, run.config, run.process_group
    saved = -math.inf  # the first epoch is saved in any case
    left = config.total_epochs - len(state.history)
    with progress(desc="train", unit="images", total=len(run.pixels) * left) as shown:
        while (stage := _next_stage(run)) is not None:
            figures = train_epoch(stage, shown, stop)
            if figures is None:
                return False
            state.history.append(figures)
            state.epoch += 1
            if state.stage == 0 and config.patience and best_epoch(state.history) == state.epoch:
                state.best = copy.deepcopy(state.current).eval()
            if writer is not None:
                writer.add_epoch(figures)
            if process_group.is_leader and time.monotonic() - saved >= save_every:
                save_state(work, state, facts["fingerprint"])
                save_run(run, work, facts, finished=False)
                saved = time.monotonic()
    return True


def _next_stage(run: Run) -> Run | None:
    """The run as the next epoch takes it; None where all epochs are done."""
    state, config = run.state, run.config
    if state.stage == 0:
        if state.epoch < config.epochs:
            if not run.process_group.broadcast(decision=is_over(state.history, config.patience)):
                return run
            _log.info("stopped early: epoch %s of %d measured best", best_epoch(state.history), state.epoch)
        if not config.drawing_epochs:
            return None
        state.begin_drawing_stage()
    return drawing_stage(run) if state.epoch < config.drawing_epochs else None


def train_epoch(run: Run, shown: Progress, stop: Callable[[], bool]) -> dict[str, Any] | None:
    """One pass over the training shoes: its figures, or None where `stop` ended it early."""
    state, config = run.state, run.config
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + len(state.history))
    smallest = max(2, run.process_group.world_size)
    batches = batch_indices(len(run.pixels), config.batch_size, run.weights, generator, smallest=smallest)
    start = time.perf_counter()
    sums: dict[str, float] = {}
    run.network.train()
    for step, rows in enumerate(batches):
        if stop():
            return None
        done = (state.epoch + step / len(batches)) / config.epochs
        figures = run.process_group.mean(train_step(run, rows, done, generator))
        if not (math.isfinite(figures["loss"]) and math.isfinite(figures["gradient_norm"])):
            raise TrainingError(
                f"the loss or its gradient is not finite in epoch {len(state.history) + 1}, step {step + 1} "
                f"({figures}); the checkpoint before it was kept. A lower --learning-rate helps most often."
            )
        if state.average is not None:
            state.average.update(state.network, state.epoch * len(batches) + step + 1)
        for name, value in figures.items():
            sums[name] = sums.get(name, 0.0) + value
        means = {name: value / (step + 1) for name, value in sums.items()}
        shown.note(f"{'drawing ' * state.stage}epoch {state.epoch + 1}/{config.epochs} {summarize(means)}")
        shown.update(len(rows))
    seconds = time.perf_counter() - start
    epoch = state.epoch + 1
    due = epoch % config.validate_every == 0 or epoch == config.epochs
    return {
        "epoch": len(state.history) + 1,
        "seconds": round(seconds, 3),
        "images_per_second": round(len(run.pixels) / seconds, 1),
        "learning_rate": config.learning_rate * one_cycle(epoch / config.epochs),
        "training": {name: value / len(batches) for name, value in sums.items()},
        "validation": run.validation.measure(state.current, run.device) if due and run.process_group.is_leader else {},
    }


def train_step(run: Run, rows: torch.Tensor, done: float, generator: torch.Generator) -> dict[str, float]:
    """One step of gradient descent on the shoes `rows`, when the share `done` of the training is done: its figures."""
    config, optimizer = run.config, run.state.optimizer
    batch = make_batch(
        run.pixels, run.views, rows, config, generator=generator, process_group=run.process_group, device=run.device
    )
    perceptual = None
    with torch.autocast(run.device.type, torch.bfloat16, enabled=run.state.execution.precision == "bf16"):
        output: ForwardPass = run.network(batch.encoded, batch.altered, batch.noise, batch.reference)
        if run.perceptual is not None:
            perceptual = run.perceptual(torch.sigmoid(output.logits), batch.target)
    terms = run.objective(
        batch.target,
        output.logits,
        output.posterior,
        rows,
        progress=done,
        generator=generator,
        perceptual=perceptual,
        class_logits=output.class_logits,
        references=output.references,
        drawing_weights=batch.drawing_weights,
    )
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * one_cycle(done)
    optimizer.zero_grad(set_to_none=True)
    terms.total.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(run.network.parameters(), config.clip_norm)
    optimizer.step()
    return terms.named() | {"gradient_norm": norm.item()}
