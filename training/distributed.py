"""Data-parallel training in several processes, as `torchrun` starts them.

Every process holds the whole network and takes its part of each batch; `DistributedDataParallel` averages the
gradients. What depends on a batch as a whole is computed from all its parts: the statistics of batch normalisation and
the distances of the triplet term. So several processes give what one gives at the same batch size, up to rounding.

A loss here is scaled so that its average over the processes is the loss of the whole batch.
"""

import contextlib
import hashlib
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist

# Before there is a process group: the functions in it keep the one that there is when they are first loaded, as their
# default. Its threads would then outlive `destroy_process_group`, and now and then abort the interpreter as it ends.
import torch.distributed.nn
from torch import nn

from model.errors import TrainingError

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class ProcessGroup:
    """The processes that train one network, by torch.distributed; with one process nothing is communicated.

    Attributes:
        rank: this process's number, from 0. Rank 0 is the leader, which alone writes files and shows progress.
        world_size: how many there are.
        device: where this process computes.
    """

    rank: int = 0
    world_size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_leader(self) -> bool:
        """Whether this is rank 0, which writes files."""
        return self.rank == 0

    def shard(self, batch: torch.Tensor) -> torch.Tensor:
        """This rank's shard of a batch: (B, ...) -> (b, ...). Shards differ by at most one row."""
        return torch.tensor_split(batch, self.world_size)[self.rank]

    def shard_weight(self, part: int, whole: int) -> float:
        """The factor of a mean over `part` of `whole` rows by which the ranks' average is the mean of all rows."""
        return part * self.world_size / whole

    def gather(self, rows: torch.Tensor, whole: int) -> torch.Tensor:
        """The rows of all processes, in the batch's order: (b, D) -> (B, D). Gradients flow to each one's own."""
        if self.world_size == 1:
            return rows
        before = int(self.shard(torch.arange(whole))[0])
        padded = nn.functional.pad(rows, (0, 0, before, whole - before - len(rows)))
        return _add(padded)

    def mean(self, figures: Mapping[str, float]) -> dict[str, float]:
        """The mean of each figure over all ranks (all-reduce); all must call it with the same names."""
        if self.world_size == 1:
            return dict(figures)
        values = torch.tensor(list(figures.values()), dtype=torch.float64, device=self.device)
        dist.all_reduce(values)
        return dict(zip(figures, (values / self.world_size).tolist(), strict=True))

    def broadcast(self, *, decision: bool) -> bool:
        """The leader's decision, on every rank."""
        if self.world_size == 1:
            return decision
        value = torch.tensor(int(decision), device=self.device)
        dist.broadcast(value, src=0)
        return bool(value)

    def agrees(self, facts: str) -> bool:
        """Whether all ranks pass the same text; a barrier."""
        if self.world_size == 1:
            return True
        number = int.from_bytes(hashlib.sha256(facts.encode()).digest()[:7])
        value = torch.tensor([number, -number], device=self.device)
        dist.all_reduce(value, op=dist.ReduceOp.MAX)
        return int(value[0]) == -int(value[1])

    def synchronize_norms(self, network: Module) -> Module:
        """Replace the network's batch normalisation by `SyncBatchNorm`, in place, where there are several ranks."""
        if self.world_size > 1:
            _replace_norms(network)
        return network

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module in DistributedDataParallel, which averages its gradients; itself where there is one rank."""
        if self.world_size == 1:
            return module
        ids = [self.device.index] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(module, device_ids=ids)

    @contextlib.contextmanager
    def silence_others(self) -> Iterator[None]:
        """Within the block, only the leader shows progress and logs; other ranks log errors alone."""
        if self.is_leader:
            yield
            return
        before = logging.root.manager.disable
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
            logging.disable(logging.WARNING)
            try:
                yield
            finally:
                logging.disable(before)


def count_processes() -> int:
    """Processes that train together, as torchrun tells each of them; 1 for one that it did not start."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextlib.contextmanager
def join_process_group(device: torch.device) -> Iterator[ProcessGroup]:
    """Initialise torch.distributed for the processes that `torchrun` started; one rank where it started none.

    The backend is gloo on CPUs and NCCL on GPUs, one GPU a process.

    Raises:
        TrainingError: there are more processes on this machine than GPUs.
    """
    if "RANK" not in os.environ or count_processes() == 1:
        yield ProcessGroup(device=device)
        return
    if device.type == "cuda":
        index = int(os.environ.get("LOCAL_RANK", "0"))
        if index >= torch.cuda.device_count():
            raise TrainingError(
                f"process {index} of this machine has no GPU for itself; there are {torch.cuda.device_count()}: start "
                f"no more with --nproc-per-node, or use --device cpu"
            )
        device = torch.device("cuda", index)
        torch.cuda.set_device(device)
        dist.init_process_group("nccl", device_id=device)
    else:
        dist.init_process_group("gloo")
    yield ProcessGroup(dist.get_rank(), dist.get_world_size(), device)
    # Not after an error, which ends the others too. Else all leave together, so that none tears down connections that
    # another still uses.
    dist.barrier()
    dist.destroy_process_group()


class SyncBatchNorm(nn.BatchNorm2d):
    """Batch normalisation over the batch of all processes. torch's own SyncBatchNorm has no path on CPUs.

    Its parameters and buffers are those of `nn.BatchNorm2d`, and in eval mode it is one.
    """

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(b, C, H, W) -> the same shape and type; statistics in float32."""
        if not self.training:
            return super().forward(features)
        values = features.float()
        counted = values.new_full((1,), values.numel() // self.num_features)
        sums = _add(torch.cat([values.sum(dim=(0, 2, 3)), counted]))
        count = sums[-1].detach()
        mean = sums[:-1] / count
        centred = values - mean[:, None, None]
        variance = _add(centred.square().sum(dim=(0, 2, 3))) / count
        self._track(mean.detach(), variance.detach() * count / (count - 1.0))
        normal = centred * torch.rsqrt(variance + self.eps)[:, None, None]
        return (normal * self.weight[:, None, None] + self.bias[:, None, None]).to(features.dtype)

    def _track(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


def _replace_norms(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            norm = SyncBatchNorm(child.num_features, child.eps, child.momentum)
            norm.load_state_dict(child.state_dict())
            setattr(module, name, norm)
        else:
            _replace_norms(child)


class _Sum(torch.autograd.Function):
    """All-reduce with a gradient: each process's values act on every loss, so the gradient is summed likewise.

    torch.distributed.nn's own is deprecated.
    """

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:  # noqa: ANN401, ARG004 - torch's own signature
        total = values.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # noqa: ANN401, ARG004 - torch's own signature
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total


def _add(values: torch.Tensor) -> torch.Tensor:
    total: torch.Tensor = _Sum.apply(values)
    return total
