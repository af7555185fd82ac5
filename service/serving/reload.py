"""Types of a reload, which replaces what is served by what is on disk, in all worker processes or in none."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from model.errors import SolemateError

__all__ = ["Facts", "Outcome", "ReloadRefused", "Reloader", "explain"]


@dataclass(frozen=True)
class Facts:
    """What a process serves.

    Attributes:
        checkpoint: the checkpoint's fingerprint.
        uuid: the catalogue's name, the same through all its changes.
        catalog: the catalogue's fingerprint as of now.
        shoes: how many it has now.
    """

    checkpoint: str
    uuid: str
    catalog: str
    shoes: int

    @property
    def artifacts(self) -> tuple[str, str]:
        """The same for all who serve the same, whichever of the catalogue's changes they have seen."""
        return self.checkpoint, self.uuid


@dataclass(frozen=True)
class Outcome:
    """How a reload went in one worker.

    Attributes:
        worker: its number, from 0.
        pid: of its process.
        facts: what it found on disk; None where that can't be used.
        reason: why not, for the person who runs the service; "" where it can.
        seconds: how long opening and checking took.
    """

    worker: int
    pid: int
    facts: Facts | None
    reason: str = ""
    seconds: float = 0.0


class ReloadRefused(SolemateError):
    """New artifacts can't be used; every worker goes on with the old ones. For an admin's eyes: it names paths."""


class Reloader(Protocol):
    """Carries out a reload."""

    async def reload(self) -> Sequence[Outcome]:
        """Exchange what all workers serve for what is on disk. Raises ReloadRefused: nothing was exchanged."""
        ...


def explain(outcomes: Sequence[Outcome]) -> str:
    """Why a reload was refused: each reason once, with the workers that gave it."""
    if not outcomes:
        return "no worker is ready at the moment; reload again when one is"
    workers: dict[str, list[str]] = {}
    for outcome in outcomes:
        workers.setdefault(outcome.reason or "could have switched", []).append(str(outcome.worker))
    reasons = [
        f"worker{'s' if len(names) > 1 else ''} {', '.join(names)}: {reason}" for reason, names in workers.items()
    ]
    return f"what was served before is served on. {'; '.join(reasons)}"
