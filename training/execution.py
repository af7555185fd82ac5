"""How the steps of a run are computed: on how many threads, and in which precision."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch

from training.config import TrainConfig
from training.distributed import Team

__all__ = ["Execution", "list_candidates", "usual_execution"]

PRECISIONS: tuple[Literal["float32", "bf16"], ...] = ("float32", "bf16")


@dataclass(frozen=True)
class Execution:
    """Threads and precision. Another choice gives other roundings, so a resumed run needs the same.

    Attributes:
        threads: of torch, within one operation.
        precision: of the convolutions.
    """

    threads: int
    precision: Literal["float32", "bf16"]

    def __str__(self) -> str:
        return f"{self.threads} thread{'s' if self.threads > 1 else ''} in {self.precision}"

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the block, torch computes on these threads; the precision is the step's own affair."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def usual_execution(config: TrainConfig, team: Team) -> Execution:
    """What the configuration names, and torch's own threads and float32 where it leaves the choice open."""
    # The mean over the processes, so that all record the same on machines that differ.
    threads = int(team.average({"threads": float(torch.get_num_threads())})["threads"])
    return Execution(config.threads or threads, "float32" if config.precision == "auto" else config.precision)


def list_candidates(config: TrainConfig, usual: Execution, device: torch.device, team: Team) -> list[Execution]:
    """What to choose from, the more frugal first: fewer threads, then float32 before bf16.

    The threads are the powers of two up to torch's own number, which heeds OMP_NUM_THREADS and the processors that the
    process may use, but neither what else they do nor a container's quota. On a GPU and in a team, which `torchrun`
    gives its threads, they stay as they are.
    """
    threads = [usual.threads]
    if config.threads is None and device.type == "cpu" and team.size == 1:
        threads = [2**power for power in range(usual.threads.bit_length()) if 2**power < usual.threads] + threads
    precisions = PRECISIONS if config.precision == "auto" else (usual.precision,)
    if config.precision == "auto" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        precisions = ("float32",)
    return [Execution(count, precision) for count in threads for precision in precisions]
