"""How much of each fault: the long form, or a short one that shows that all of it works."""

from dataclasses import dataclass

__all__ = ["SHORT", "Scale"]


@dataclass(frozen=True)
class Scale:
    """Numbers for all faults; the defaults are the long form.

    Attributes:
        examples: that schemathesis draws for each operation.
        cut_every: bytes, of the truncated pictures.
        requests: of the mixed ones.
        loris: slow clients of each kind.
        overload_seconds: how long requests come faster than they can be answered.
        wait_seconds: what a request may wait meanwhile, by the service's setting.
        kills: of the batcher's thread.
        worker_kills: of workers, each of which is replaced later than the one before.
        damages: of each artifact at a reload; a few kinds of them at a start.
        reloads: under load.
        stops: under load.
        shoes: that are indexed onto a full disk; at least as many as 1,280 KiB do not hold, for the long form.
        clients: of good requests, while something is done to the service.
    """

    examples: int = 300
    cut_every: int = 1024
    requests: int = 10_000
    loris: int = 200
    overload_seconds: float = 60.0
    wait_seconds: float = 10.0
    kills: int = 10
    worker_kills: int = 5
    damages: int = 60
    reloads: int = 20
    stops: int = 5
    shoes: int = 3000
    clients: int = 16


SHORT = Scale(
    examples=3,
    cut_every=16_384,
    requests=300,
    loris=10,
    overload_seconds=2.0,
    wait_seconds=2.0,
    kills=1,
    worker_kills=1,
    damages=3,
    reloads=2,
    stops=1,
    shoes=1000,
    clients=4,
)
