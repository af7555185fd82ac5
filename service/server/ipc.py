"""What the supervisor and its workers tell each other, over a pipe for each worker."""

from dataclasses import dataclass

from service.serving.reload import Facts, Outcome

__all__ = [
    "Accept",
    "Ask",
    "Failed",
    "FromWorker",
    "Ping",
    "Pong",
    "Prepare",
    "Prepared",
    "Ready",
    "Reloaded",
    "Settle",
    "Settled",
    "ToWorker",
]


@dataclass(frozen=True)
class Ready:
    """Everything is loaded and checked; `lines` tell a person at the terminal what is served."""

    facts: Facts
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Failed:
    """The worker can't start, and ends."""

    reason: str


@dataclass(frozen=True)
class Accept:
    """Begin to take connections."""


@dataclass(frozen=True)
class Ask:
    """Somebody asks for a reload, and waits for the answer of this number."""

    number: int


@dataclass(frozen=True)
class Prepare:
    """Open and check what is on disk, beside what is served."""

    round: int


@dataclass(frozen=True)
class Prepared:
    """How that went."""

    round: int
    outcome: Outcome


@dataclass(frozen=True)
class Settle:
    """Switch to what was prepared, or drop it."""

    round: int
    switch: bool


@dataclass(frozen=True)
class Settled:
    """Done."""

    round: int


@dataclass(frozen=True)
class Reloaded:
    """The answer to `Ask`. `refused` says why nothing was switched; "" where all have."""

    number: int
    outcomes: tuple[Outcome, ...]
    refused: str = ""


@dataclass(frozen=True)
class Ping:
    """Is the event loop alive?"""


@dataclass(frozen=True)
class Pong:
    """It is."""


ToWorker = Accept | Prepare | Settle | Reloaded | Ping
FromWorker = Ready | Failed | Ask | Prepared | Settled | Pong
