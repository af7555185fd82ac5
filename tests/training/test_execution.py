"""Threads and precision are chosen by a stopwatch; the tests hold it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from model.checkpoint import load_checkpoint
from tests.training.runs import CONFIG, CPU, IMAGES, cut_after
from training import execution
from training import train as trainer
from training.config import TrainConfig
from training.distributed import ProcessGroup
from training.execution import (
    SLOW_BF16,
    Execution,
    choose_precision,
    list_candidates,
    time_bf16,
    tune,
    usual_execution,
)
from training.train import Run, prepare_run, train

LONG = replace(CONFIG, epochs=1000)
ONE, TWO = Execution(1, "float32"), Execution(2, "float32")
ONE_BF16, TWO_BF16 = Execution(1, "bf16"), Execution(2, "bf16")


class Stopwatch:
    """A clock that a training step moves on by what the run's execution takes.

    Attributes:
        taken: how many steps each execution made.
    """

    def __init__(self, seconds: dict[Execution, float]) -> None:
        self.seconds, self.now, self.taken = seconds, 0.0, Counter[Execution]()

    def step(self, run: Run, rows: torch.Tensor, done: float, generator: torch.Generator) -> None:
        """Let the time pass that a step takes."""
        assert torch.get_num_threads() == run.state.execution.threads
        self.taken[run.state.execution] += 1
        self.now += self.seconds[run.state.execution]

    def clock(self) -> float:
        """Seconds."""
        return self.now


@pytest.fixture
def two_threads() -> Any:
    """Let torch use two threads, as on two processors."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def _tune(config: TrainConfig, *seconds: float, bf16_time: float = 1.0) -> tuple[Execution, Stopwatch]:
    """The choice where one thread and two, in float32 and bf16 each, take so long."""
    watch = Stopwatch(dict(zip((ONE, ONE_BF16, TWO, TWO_BF16), seconds, strict=True)))
    run = prepare_run(IMAGES, config, CPU, ProcessGroup(), None)
    return tune(run, watch.step, watch.clock, lambda _: bf16_time), watch


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ((0.85, 0.97, 6.4, 6.5), ONE),
        ((1.6, 0.9, 0.8, 0.5), TWO_BF16),
        ((1.6, 1.9, 0.8, 1.0), TWO),
        ((1.0, 0.6, 1.3, 1.4), ONE_BF16),
        ((1.02, 1.0, 0.99, 1.01), ONE),
    ],
    ids=["a busy machine", "AMX", "avx512_bf16 without AMX", "one core with AMX", "a draw"],
)
@pytest.mark.usefixtures("two_threads")
def test_the_fastest_is_taken(seconds: tuple[float, ...], expected: Execution) -> None:
    """Whatever the processor's flags say, the stopwatch decides; a draw goes to fewer threads, then to float32."""
    assert _tune(LONG, *seconds)[0] == expected


@pytest.mark.usefixtures("two_threads")
def test_what_is_named_is_not_chosen() -> None:
    """A named number of threads or precision stands; with both named nothing is timed."""
    assert _tune(replace(LONG, threads=2), 0.1, 0.1, 1.0, 0.5)[0] == TWO_BF16
    assert _tune(replace(LONG, precision="float32"), 0.9, 0.1, 1.0, 0.1)[0] == ONE
    chosen, watch = _tune(replace(LONG, threads=1, precision="bf16"), 1.0, 1.0, 0.1, 0.1)
    assert (chosen, watch.taken) == (ONE_BF16, Counter())


@pytest.mark.usefixtures("two_threads")
def test_a_short_run_is_not_timed(caplog: pytest.LogCaptureFixture) -> None:
    """A run in which measuring would be more than a tenth of the work is computed as torch would, in float32."""
    caplog.set_level("INFO")
    chosen, watch = _tune(CONFIG, 1.0, 0.1, 1.0, 0.1)
    assert (chosen, watch.taken) == (TWO, Counter())
    assert "training on 2 threads in float32: 16 steps are too few" in caplog.text


@pytest.mark.usefixtures("two_threads")
def test_the_slow_are_given_up() -> None:
    """Far behind, a candidate is timed once; one whose first step takes seconds, not at all."""
    _, watch = _tune(LONG, 0.5, 0.55, 1.0, 6.0)
    assert watch.taken == {TWO: 1 + 1 + 1, ONE: 1 + 3, ONE_BF16: 1 + 3, TWO_BF16: 1}


@pytest.mark.usefixtures("two_threads")
def test_emulated_bf16_is_no_candidate() -> None:
    """Where a small convolution is far slower in bf16, no step is made in it."""
    chosen, watch = _tune(LONG, 1.6, 0.9, 0.8, 0.5, bf16_time=SLOW_BF16)
    assert chosen == TWO
    assert set(watch.taken) == {ONE, TWO}


def test_the_precision_of_the_localizer() -> None:
    """What is named stands; of `auto` it is bf16 where the convolution that was timed is no slower in it."""
    relative = time_bf16(CPU)
    assert relative > 0
    assert time_bf16(CPU) == relative
    assert choose_precision("auto", CPU) == ("bf16" if relative <= 1.0 else "float32")
    assert choose_precision("bf16", CPU) == "bf16"
    assert choose_precision("float32", CPU) == "float32"


@pytest.mark.usefixtures("two_threads")
def test_measuring_has_a_budget() -> None:
    """Where every step takes seconds, no more rounds are begun than it takes to have each candidate timed."""
    _, watch = _tune(LONG, 4.0, 4.1, 4.2, 4.3)
    assert watch.taken == {ONE: 2, ONE_BF16: 2, TWO: 3, TWO_BF16: 2}


@pytest.mark.usefixtures("two_threads")
def test_the_figures_are_said(caplog: pytest.LogCaptureFixture) -> None:
    """The log names the choice, and the images a second of every candidate."""
    caplog.set_level("INFO")
    _tune(LONG, 0.32, 0.64, 3.2, 3.2)
    assert "training on 1 thread in float32" in caplog.text
    assert "100 on 1 thread in float32, 50 on 1 thread in bf16, 10 on 2 threads in float32" in caplog.text


def test_candidates() -> None:
    """On a CPU the powers of two up to torch's own threads; on a GPU or in several processes the precisions alone."""
    usual = Execution(6, "float32")

    def list_for(config: TrainConfig, device: str, process_group: ProcessGroup) -> list[str]:
        candidates = list_candidates(config, usual, torch.device(device), process_group, 1.0)
        return [f"{each.threads} {each.precision}" for each in candidates]

    named = replace(CONFIG, precision="float32")
    assert list_for(named, "cpu", ProcessGroup()) == ["1 float32", "2 float32", "4 float32", "6 float32"]
    assert list_for(CONFIG, "cpu", ProcessGroup(0, 2)) == ["6 float32", "6 bf16"]


@pytest.mark.parametrize("able", [True, False])
def test_candidates_on_a_gpu(monkeypatch: pytest.MonkeyPatch, *, able: bool) -> None:
    """A GPU that does not know bf16, or only by emulation, is not asked for it."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: able or including_emulation)
    expected = [TWO, TWO_BF16] if able else [TWO]
    gpu = torch.device("cuda")
    assert list_candidates(CONFIG, TWO, gpu, ProcessGroup(), time_bf16(gpu)) == expected
    time_bf16.cache_clear()


def test_the_usual() -> None:
    """Unmeasured, a run is computed as its configuration says, and else on torch's threads in float32."""
    assert usual_execution(CONFIG, ProcessGroup()) == Execution(torch.get_num_threads(), "float32")
    assert usual_execution(replace(CONFIG, threads=3, precision="bf16"), ProcessGroup()) == Execution(3, "bf16")


MEASURED = replace(CONFIG, threads=1)


def _choose(seconds: dict[Execution, float], monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    """Let trainings, even short ones, measure these seconds, by real steps."""
    monkeypatch.setattr(execution, "MAX_SHARE", 1.0)
    watch, step = Stopwatch(seconds), trainer.train_step

    def timed(run: Run, *others: Any) -> dict[str, float]:
        watch.step(run, *others)
        return step(run, *others)

    def tuned(run: Run, _: object) -> Execution:
        return tune(run, timed, watch.clock, lambda _: 1.0)

    monkeypatch.setattr(trainer, "tune", tuned)
    return watch


def _train(out: Path, config: TrainConfig = MEASURED, **options: Any) -> str:
    train(IMAGES, config, out, device=CPU, source="squares", save_every=0.0, **options)
    return load_checkpoint(out).digest


@pytest.mark.parametrize("chosen", [ONE, ONE_BF16])
def test_measuring_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: Execution) -> None:
    """A run whose execution was measured has the weights, to the bit, of one for which it was named."""
    config = replace(MEASURED, objective=replace(CONFIG.objective, label_weight=10.0), ema_decay=0.9)
    watch = _choose({each: 0.1 if each == chosen else 1.0 for each in (ONE, ONE_BF16)}, monkeypatch)
    measured = _train(tmp_path / "measured", config)
    assert watch.taken.total() > 2
    assert _train(tmp_path / "named", replace(config, precision=chosen.precision)) == measured
    facts = load_checkpoint(tmp_path / "measured").training
    assert facts["execution"] == {"threads": 1, "precision": chosen.precision}


def test_a_resumed_run_keeps_the_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not measured again, wherever it is resumed, and ends with the weights, to the bit, of one never stopped."""
    _choose({ONE: 1.0, ONE_BF16: 0.1, TWO: 1.0, TWO_BF16: 1.0}, monkeypatch)
    config = replace(MEASURED, threads=None)
    torch_threads = torch.get_num_threads()
    whole = _train(tmp_path / "whole", config)
    with cut_after(2, monkeypatch):
        _train(tmp_path / "cut", config)
    assert torch.get_num_threads() == torch_threads
    _choose({}, monkeypatch)
    used: set[tuple[int, str]] = set()
    step: Callable[..., dict[str, float]] = trainer.train_step

    def observed(run: Run, *others: Any) -> dict[str, float]:
        used.add((torch.get_num_threads(), run.state.execution.precision))
        return step(run, *others)

    monkeypatch.setattr(trainer, "train_step", observed)
    torch.set_num_threads(2)
    try:
        assert _train(tmp_path / "cut", config, resume=True) == whole
    finally:
        torch.set_num_threads(torch_threads)
    assert used == {(1, "bf16")}


def test_a_failure_while_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in a timed step leaves the run as it was."""
    run = prepare_run(IMAGES, replace(MEASURED, epochs=1000), CPU, ProcessGroup(), None)
    before = {name: value.clone() for name, value in run.state.network.state_dict().items()}
    streams = torch.random.get_rng_state()
    steps = iter(range(3))

    def fail(*arguments: Any) -> dict[str, float]:
        torch.rand(1)
        if next(steps) == 2:
            raise MemoryError
        return trainer.train_step(*arguments)

    usual = run.state.execution
    with pytest.raises(MemoryError):
        tune(run, fail, time_bf16=lambda _: 1.0)
    assert run.state.execution == usual
    assert torch.equal(torch.random.get_rng_state(), streams)
    assert run.state.optimizer.state_dict()["state"] == {}
    assert all(torch.equal(value, before[name]) for name, value in run.state.network.state_dict().items())


def test_processes_choose_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """With several processes each step counts with its mean over the processes, so that all choose the same."""
    asked = []

    def average(process_group: ProcessGroup, figures: dict[str, float]) -> dict[str, float]:
        if "bf16" in figures:
            return figures
        asked.append(figures)
        return {"seconds": 0.1 if len(asked) % 2 else 1.0}

    run = prepare_run(IMAGES, replace(LONG, threads=1), CPU, ProcessGroup(), None)
    watch = Stopwatch({ONE: 1.0, ONE_BF16: 0.1})
    monkeypatch.setattr(ProcessGroup, "mean", average)
    assert tune(run, watch.step, watch.clock, lambda _: 1.0) == ONE
    assert len(asked) == watch.taken.total() - 1
