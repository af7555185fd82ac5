"""Several processes give what one gives. The slow tests start them by torchrun, over gloo."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

from model.checkpoint import load_checkpoint
from model.errors import TrainingError
from model.tvae import TVAE, TVAEConfig
from tests.support.server import environment
from tests.training.distributed_run import run
from training.distributed import ProcessGroup, SyncBatchNorm, join_process_group


def _torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "tests.training.distributed_run", *arguments]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=200, check=False)


def _history(folder: Path) -> list[dict[str, Any]]:
    history: list[dict[str, Any]] = json.loads((folder / "metrics.json").read_text())["history"]
    return history


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes left: `whole`, `cut` and what they said of `refused`."""
    folder = tmp_path_factory.mktemp("group")
    done = _torchrun("train", str(folder))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("shoes are few to train on") == 2, done.stderr  # said by the leader alone, of two runs
    return folder


@pytest.mark.slow
def test_two_processes_give_what_one_gives(trained: Path, tmp_path: Path) -> None:
    """At the same batch size the losses, the measurements and the weights are the same, up to rounding."""
    run(tmp_path, ProcessGroup())
    for one, two in zip(_history(tmp_path), _history(trained / "whole"), strict=True):
        assert two["training"] == pytest.approx(one["training"], rel=1e-4)
        assert two["validation"] == pytest.approx(one["validation"], abs=1e-3)
    alone = load_checkpoint(tmp_path).tvae.state_dict()
    together = load_checkpoint(trained / "whole").tvae.state_dict()
    assert alone.keys() == together.keys()
    for name, value in alone.items():
        assert torch.allclose(together[name], value, atol=1e-4), name


@pytest.mark.slow
def test_two_processes_resume(trained: Path) -> None:
    """Two processes that stopped and went on end with the weights, to the bit, of two that did not stop."""
    assert load_checkpoint(trained / "cut").digest == load_checkpoint(trained / "whole").digest


@pytest.mark.slow
def test_processes_that_differ_are_refused(trained: Path) -> None:
    """Processes with other settings than each other's stop, each with the reason, before anything is written."""
    for rank in range(2):
        assert "differ in their catalogue, options or state" in (trained / f"refused-{rank}.txt").read_text()
    assert not (trained / "refused/config.json").exists()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at Linux's /proc")
def test_no_thread_outlives_the_team(trained: Path) -> None:
    """One of gloo's that still holds a tensor when the interpreter ends would abort the process."""
    for rank in range(2):
        threads = (trained / f"threads-{rank}.txt").read_text()
        assert "python" in threads
        assert "gloo" not in threads


@pytest.mark.slow
def test_one_failure_ends_all(tmp_path: Path) -> None:
    """When a process fails, none of the others waits for it, and the last checkpoint is there."""
    done = _torchrun("fail", str(tmp_path))
    assert done.returncode != 0
    assert "stopped after epoch 1" in done.stderr
    assert load_checkpoint(tmp_path).training["epoch"] == 1


def test_alone() -> None:
    """Without torchrun there is this process alone: every batch is its own."""
    with join_process_group(torch.device("cpu")) as process_group:
        batch = torch.arange(5)
        assert process_group.is_leader
        assert torch.equal(process_group.shard(batch), batch)
        assert process_group.gather(batch, 5) is batch
        assert process_group.mean({"loss": 2.0}) == {"loss": 2.0}
        assert process_group.broadcast(decision=True)
        assert process_group.agrees("facts")
        module = nn.BatchNorm2d(3)
        assert process_group.wrap(module) is process_group.synchronize_norms(module) is module


def test_a_process_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """More processes than GPUs is an error that counts both."""
    for name, value in (("RANK", "3"), ("LOCAL_RANK", "3"), ("WORLD_SIZE", "4")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    message = "process 3 of this machine has no GPU for itself; there are 2"
    with pytest.raises(TrainingError, match=message), join_process_group(torch.device("cuda")):
        pass


def test_shares() -> None:
    """The shares are the batch, each row once; the weighed means of the shares average to the batch's mean."""
    batch = torch.randn(11, 2)
    process_groups = [ProcessGroup(rank, 4) for rank in range(4)]
    shares = [process_group.shard(batch) for process_group in process_groups]
    assert torch.equal(torch.cat(shares), batch)
    assert [len(share) for share in shares] == [3, 3, 3, 2]
    means = [
        process_group.shard_weight(len(share), 11) * share.mean()
        for process_group, share in zip(process_groups, shares, strict=True)
    ]
    assert torch.allclose(torch.stack(means).mean(), batch.mean())


@pytest.fixture
def group_of_one(tmp_path: Path) -> Iterator[None]:
    """Torch's group of processes, of this one alone."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("group_of_one")
def test_batch_norm_of_one_process() -> None:
    """With nobody to add to, outputs, gradients, statistics and eval mode are those of torch's own layer."""
    torchs, ours = nn.BatchNorm2d(3), SyncBatchNorm(3)
    generator = torch.Generator().manual_seed(0)
    for norm in (torchs, ours):
        nn.init.constant_(norm.weight, 1.5)
        nn.init.constant_(norm.bias, -0.5)
    for _ in range(3):
        features = 3.0 + torch.randn(5, 3, 4, 4, generator=generator)
        upstream = torch.randn(5, 3, 4, 4, generator=generator)
        pair = [features.clone().requires_grad_(), features.clone().requires_grad_()]
        for norm, each in zip((torchs, ours), pair, strict=True):
            (norm(each) * upstream).sum().backward()
        assert pair[0].grad is not None
        assert pair[1].grad is not None
        assert torch.allclose(pair[0].grad, pair[1].grad, atol=1e-5)
        assert torch.allclose(torchs(features), ours(features), atol=1e-5)
    for name, value in torchs.state_dict().items():
        assert torch.allclose(ours.state_dict()[name], value, atol=1e-5), name
    assert torch.allclose(torchs.eval()(features), ours.eval()(features), atol=1e-5)


def test_norms_are_replaced_with_their_weights() -> None:
    """Every batch normalisation of a network is replaced, also in residual blocks, and keeps its weights."""
    tvae = TVAE(TVAEConfig(image_size=16, widths=(4, 8), blocks=1))
    before = {name: value.clone() for name, value in tvae.state_dict().items()}
    ProcessGroup(0, 2).synchronize_norms(tvae)
    norms = [module for module in tvae.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert all(isinstance(norm, SyncBatchNorm) for norm in norms)
    assert all(torch.equal(value, before[name]) for name, value in tvae.state_dict().items())
