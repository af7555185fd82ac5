"""Messages between the supervisor and its workers, over one pipe for each worker."""

from dataclasses import dataclass

from service.serving.generations import GenerationInfo, Outcome


@dataclass(frozen=True)
class Ready:
    """Everything is loaded and checked; `banner` is printed at the terminal."""

    info: GenerationInfo
    banner: tuple[str, ...]


@dataclass(frozen=True)
class Failed:
    """The worker can't start, and ends."""

    reason: str


@dataclass(frozen=True)
class Accept:
    """Begin to take connections."""


@dataclass(frozen=True)
class ReloadRequest:
    """A worker requests a reload; the answer has the same number."""

    number: int


@dataclass(frozen=True)
class Prepare:
    """Open and check what is on disk, beside what is served."""

    round: int


@dataclass(frozen=True)
class Prepared:
    """The outcome of `Prepare`."""

    round: int
    outcome: Outcome


@dataclass(frozen=True)
class Finish:
    """Switch to what was prepared, or drop it."""

    round: int
    commit: bool


@dataclass(frozen=True)
class Finished:
    """`Finish` is done."""

    round: int


@dataclass(frozen=True)
class ReloadResult:
    """The answer to `ReloadRequest`. `refused` says why nothing was switched; "" where all have."""

    number: int
    outcomes: tuple[Outcome, ...]
    refused: str = ""


@dataclass(frozen=True)
class Ping:
    """Checks that the worker's event loop is alive."""


@dataclass(frozen=True)
class Pong:
    """The answer to `Ping`."""


ToWorker = Accept | Prepare | Finish | ReloadResult | Ping
FromWorker = Ready | Failed | ReloadRequest | Prepared | Finished | Pong
