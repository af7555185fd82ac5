"""A run on disk: its folder, its state for an exact resume, and its checkpoint with metrics, curves and model card.

No pickle: tensors as safetensors, the rest of the state as their metadata.
"""

import copy
import json
import logging
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from model.errors import ArtifactCorrupt, ArtifactError, TrainingError
from model.files import write_atomic, write_json
from model.tvae import TVAE
from training.averaging import WeightAverage
from training.data.images import ImageSet, digest_ids
from training.early_stopping import best_epoch
from training.evaluation.tables import to_document, to_pipe
from training.execution import Execution
from training.figures.curves import draw_curves
from training.photos.confidence import learn_confidence

if TYPE_CHECKING:
    from training.train import Run

_log = logging.getLogger(__name__)

CURVES_FILE = "training-curves.png"
STATE_FILE = "resume.safetensors"

STAGING = "next"
"""The folder, inside the checkpoint's, of a run that is to replace it. Inside, because the checkpoint's own folder may
be a mounted volume, beside which nothing can be written or renamed."""


@dataclass(frozen=True)
class RunFolder:
    """The folders of a run.

    Attributes:
        folder: the checkpoint's.
        work: the run's state and unfinished checkpoints; `folder` itself unless that holds a finished checkpoint.
        finished: `folder` holds the result of this very run: there is nothing to do.
    """

    folder: Path
    work: Path
    finished: bool = False

    @property
    def staged(self) -> bool:
        """Does `folder` keep another checkpoint until this run is over?"""
        return self.work != self.folder

    def clear(self) -> None:
        """Make the work folder for a run that starts; what an abandoned one left in a staged folder is removed."""
        if self.staged:
            shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True, exist_ok=True)

    def discard(self) -> None:
        """Remove what only an unfinished run needs, once `folder` holds its checkpoint."""
        events = self.work / "tensorboard"
        if self.staged and events.is_dir():
            shutil.rmtree(self.folder / events.name, ignore_errors=True)
            events.rename(self.folder / events.name)
        (self.work / STATE_FILE).unlink(missing_ok=True)
        if self.staged:
            shutil.rmtree(self.work, ignore_errors=True)


def open_folder(folder: Path, fingerprint: str, *, resume: bool, overwrite: bool) -> RunFolder:
    """Choose where the run of this fingerprint writes; writes nothing yet.

    Args:
        folder: the checkpoint's.
        fingerprint: of the run.
        resume: go on with an unfinished run, and leave a finished one of the same fingerprint alone.
        overwrite: a finished checkpoint may be replaced, when the new one is finished.
    """
    staging = folder / STAGING
    if resume and is_state_of(staging / STATE_FILE, fingerprint):
        return RunFolder(folder, staging)
    facts = _finished_facts(folder)
    if facts is None:
        return RunFolder(folder, folder)
    if resume and facts.get("fingerprint") == fingerprint:
        return RunFolder(folder, folder, finished=True)
    # Whoever resumes a staged run has allowed the replacement before.
    if not overwrite and not (resume and (staging / STATE_FILE).exists()):
        raise _refusal(folder)
    return RunFolder(folder, staging)


def is_finished(folder: Path, fingerprint: str) -> bool:
    """Whether the folder holds the result of the run of this fingerprint, and no unfinished run to replace it."""
    facts = _finished_facts(folder)
    return (
        facts is not None and facts.get("fingerprint") == fingerprint and not (folder / STAGING / STATE_FILE).exists()
    )


def refuse_finished(folder: Path) -> None:
    """Raise TrainingError where the folder holds a finished checkpoint."""
    if _finished_facts(folder) is not None:
        raise _refusal(folder)


def _refusal(folder: Path) -> TrainingError:
    return TrainingError(
        f"{folder} holds a finished checkpoint: --overwrite trains anew and replaces it once the new one is finished; "
        f"--out names another folder"
    )


def _finished_facts(folder: Path) -> Mapping[str, Any] | None:
    """What the folder's checkpoint says of its training; None where it is unfinished, damaged or missing.

    A checkpoint that does not say whether it is finished counts as finished: nothing tells that it may be lost.
    """
    if (folder / STATE_FILE).exists():
        return None
    try:
        facts = load_checkpoint(folder).training
    except ArtifactError:
        return None
    return None if facts.get("finished") is False else facts


@dataclass
class TrainingState:
    """Everything that the next epoch depends on. All randomness is drawn from (seed, epoch), so no generator is in it.

    Attributes:
        classifiers: of the label term, which are needed in training only.
        execution: how its steps are computed, from the first to the last.
        stage: 0 where all of the network learns, 1 in the drawing stage.
        epoch: epochs of this stage that are done.
        history: figures of each epoch of all stages.
        average: of the weights, where the run keeps one.
        best: the weights that measured best so far, where the run may stop early.
    """

    network: TVAE
    classifiers: nn.ModuleList
    optimizer: torch.optim.Optimizer
    execution: Execution
    stage: int = 0
    epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    average: WeightAverage[TVAE] | None = None
    best: TVAE | None = None

    @property
    def current(self) -> TVAE:
        """The weights to measure and to use: the average, where there is one."""
        return self.network if self.average is None else self.average.network

    @property
    def best_epoch(self) -> int | None:
        """The epoch whose weights are kept, where that may be another than the last."""
        return None if self.best is None else best_epoch(self.history)

    def begin_drawing_stage(self) -> None:
        """Go on from the weights to use with the first epoch of the drawing stage."""
        used = (self.best or self.current).state_dict()
        self.network.load_state_dict(used)
        if self.average is not None:
            self.average.network.load_state_dict(used)
        self.best, self.stage, self.epoch = None, 1, 0


def save_state(folder: Path, state: TrainingState, fingerprint: str) -> None:
    """Write the state atomically. Raises OSError; the state before is then still there."""
    networks: dict[str, nn.Module | None] = {
        "network": state.network,
        "classifiers": state.classifiers,
        "best": state.best,
    }
    if state.average is not None:
        networks["average"] = state.average.network
    tensors = {
        f"{role}.{name}": value.detach().cpu()
        for role, network in networks.items()
        if network is not None
        for name, value in network.state_dict().items()
    }
    for index, moments in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value.detach().cpu() for name, value in moments.items()}
    metadata = {
        "fingerprint": fingerprint,
        "progress": json.dumps(
            {
                "stage": state.stage,
                "epoch": state.epoch,
                "history": state.history,
                "execution": asdict(state.execution),
            }
        ),
    }
    contiguous = {name: value.contiguous() for name, value in tensors.items()}
    write_atomic(folder / STATE_FILE, safetensors.torch.save(contiguous, metadata=metadata))


def load_state(folder: Path, state: TrainingState, fingerprint: str) -> None:
    """Put a saved state into `state`'s network and optimizer."""
    path = folder / STATE_FILE
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        if metadata["fingerprint"] != fingerprint:
            raise TrainingError(
                f"{path} is of a run with other settings or other shoes: repeat that run's options to resume it, or "
                f"leave --resume out to start anew"
            )
        progress = json.loads(metadata["progress"])
        state.network.load_state_dict(_part(tensors, "network"))
        state.classifiers.load_state_dict(_part(tensors, "classifiers"))
        if state.average is not None:
            state.average.network.load_state_dict(_part(tensors, "average"))
        if best := _part(tensors, "best"):
            state.best = copy.deepcopy(state.network).eval()
            state.best.load_state_dict(best)
        _load_moments(state.optimizer, _part(tensors, "optimizer"))
        state.stage, state.epoch = int(progress["stage"]), int(progress["epoch"])
        state.history = list(progress["history"])
        state.execution = Execution(**progress["execution"])
    except (safetensors.SafetensorError, LookupError, ValueError, TypeError, RuntimeError) as error:
        raise ArtifactCorrupt(f"{path} can't be read ({error}); delete it to start the training anew") from None


def open_run(run: "Run", out: Path, fingerprint: str, *, resume: bool, overwrite: bool) -> RunFolder:
    """Choose where the run writes, as `open_folder` does, and load the state that it goes on from, if there is one."""
    folder = open_folder(out, fingerprint, resume=resume, overwrite=overwrite)
    state = run.state
    if resume and not folder.finished and (folder.work / STATE_FILE).exists():
        load_state(folder.work, state, fingerprint)
        _log.info("going on after epoch %d of %d on %s", len(state.history), run.config.total_epochs, state.execution)
    if not run.process_group.agrees(f"{fingerprint} {folder.staged} {folder.finished} {len(state.history)}"):
        raise TrainingError(
            "the processes of this training differ in their catalogue, options or state: each needs the same ones, "
            "and --out on a disk that all of them see"
        )
    return folder


def is_state_of(path: Path, fingerprint: str) -> bool:
    """Is there a readable state, and is it of the run of this fingerprint?"""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return bool((file.metadata() or {}).get("fingerprint") == fingerprint)
    except (FileNotFoundError, NotADirectoryError, safetensors.SafetensorError):
        return False


def _part(tensors: Mapping[str, torch.Tensor], role: str) -> dict[str, torch.Tensor]:
    """What is named `role.`, without that."""
    return {name.removeprefix(f"{role}."): value for name, value in tensors.items() if name.startswith(f"{role}.")}


def _load_moments(optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        index, _, moment = name.partition(".")
        moments.setdefault(int(index), {})[moment] = _laid_out_as(parameters[int(index)], value)
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})


def _laid_out_as(parameter: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """The fused optimizer walks a parameter and its moments side by side in memory: their strides must agree."""
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter).copy_(value)


def describe_run(run: "Run", images: ImageSet, source: str, excluded: Collection[str]) -> dict[str, Any]:
    """What a checkpoint says of its training that does not change through it.

    `images` are all shoes, held-out ones included; `excluded` are ids that were kept out of them.
    """
    vgg_sha256 = None if run.perceptual is None else run.perceptual.weights_sha256
    return {
        "catalog": source,
        "excluded": len(excluded),
        # By it a list of ids can be known again as the one that was kept out of training.
        "excluded_sha256": digest_ids(excluded) if excluded else None,
        "vgg_sha256": vgg_sha256,
        "processes": run.process_group.world_size,
        "fingerprint": run.config.fingerprint(images.ids, vgg_sha256),
    }


def save_run(run: "Run", folder: Path, facts: Mapping[str, Any], *, finished: bool) -> None:
    """Write the checkpoint, its metrics and its model card: of the best weights, where the run may stop early."""
    state, config = run.state, run.config
    if not run.process_group.is_leader:
        return
    tvae = state.best or state.current
    training = {
        **facts,
        "shoes": len(run.pixels),
        "held_out": len(run.validation),
        "seed": config.seed,
        "validation_share": config.validation_share,
        "epoch": len(state.history),
        "epochs": config.total_epochs,
        "weights_of_epoch": state.best_epoch or len(state.history),
        "finished": finished,
        "execution": asdict(state.execution),
        "config": asdict(config),
    }
    checkpoint = Checkpoint(
        tvae, run.localizer, preprocess=config.preprocess, conditions=config.conditions, training=training
    )
    if finished:
        write_atomic(folder / CURVES_FILE, draw_curves(state.history, state.best_epoch))
        checkpoint = replace(checkpoint, overall=run.validation.weigh(tvae, run.device))
        checkpoint = replace(checkpoint, confidence=learn_confidence(checkpoint, run))
        checkpoint = replace(checkpoint, nearness=run.validation.calibrate(checkpoint, run.device))
    digest = save_checkpoint(folder, checkpoint)
    write_json(folder / "metrics.json", {"checkpoint": digest, "history": state.history})
    write_card(folder, digest, checkpoint, state.history)


def write_card(folder: Path, digest: str, checkpoint: Checkpoint, history: Sequence[dict[str, Any]]) -> None:
    """Write the checkpoint's README.md, atomically."""
    facts = checkpoint.training
    network = checkpoint.tvae.config
    conditions = {each.name: " and ".join(each.attributes) for each in checkpoint.conditions}
    intro = (
        f"A triplet variational autoencoder for {network.image_size}x{network.image_size} pictures with "
        f"{network.channels} channels; its mean vector of {network.latent_size} numbers is the embedding."
    )
    # Not where the catalogue lies: the service shows the card to whoever may search.
    catalog = Path(facts["catalog"].partition("?")[0]).name
    origin = (
        f"- digest: `{digest}`\n"
        f"- trained on: {facts['shoes']:,} shoes of `{catalog}`; {facts['held_out']:,} were held out\n"
        f"- epochs: {facts['epoch']} of {facts['epochs']}, seed {facts['seed']}; "
        f"the weights are of epoch {facts['weights_of_epoch']}\n"
        f"- computed with {facts['execution']['threads']} threads, convolutions in {facts['execution']['precision']}"
    )
    slices = [
        [name, f"{start} to {stop - 1}", conditions.get(name, "nothing: left free")]
        for name, (start, stop) in network.slice_bounds.items()
    ]
    parts = ["# A solemate checkpoint", intro, origin, to_pipe([["slice", "numbers", "ordered by"], *slices], names=3)]
    for each in history:
        if each["epoch"] == facts["weights_of_epoch"] and each["validation"]:
            figures = [[name, f"{value:.4f}"] for name, value in each["validation"].items()]
            parts.append(f"On the held-out shoes, after epoch {each['epoch']}:")
            parts.append(to_pipe([["figure", "value"], *figures], names=1))
    parts.append("Pictures of a training set may be under terms of their own; so may a network trained on them.")
    write_atomic(folder / "README.md", to_document(parts, ()).encode())
