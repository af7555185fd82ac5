"""Where a training run writes: into its folder or, while that holds a finished checkpoint, into one inside it."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.checkpoint import load_checkpoint
from model.errors import ArtifactError, TrainingError
from training.state import STATE_FILE, is_state_of

__all__ = ["STAGING", "Output", "is_finished", "open_output", "refuse_finished"]

STAGING = "next"
"""The folder, inside the checkpoint's, of a run that is to replace it. Inside, because the checkpoint's own folder may
be a mounted volume, beside which nothing can be written or renamed."""


@dataclass(frozen=True)
class Output:
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


def open_output(folder: Path, fingerprint: str, *, resume: bool, overwrite: bool) -> Output:
    """Choose where the run of this fingerprint writes; writes nothing yet.

    Args:
        folder: the checkpoint's.
        fingerprint: of the run.
        resume: go on with an unfinished run, and leave a finished one of the same fingerprint alone.
        overwrite: a finished checkpoint may be replaced, when the new one is finished.

    Raises:
        TrainingError: the folder holds a finished checkpoint that may not be replaced.
    """
    staging = folder / STAGING
    if resume and is_state_of(staging / STATE_FILE, fingerprint):
        return Output(folder, staging)
    facts = _finished_facts(folder)
    if facts is None:
        return Output(folder, folder)
    if resume and facts.get("fingerprint") == fingerprint:
        return Output(folder, folder, finished=True)
    # Whoever resumes a staged run has allowed the replacement before.
    if not overwrite and not (resume and (staging / STATE_FILE).exists()):
        raise _refusal(folder)
    return Output(folder, staging)


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
