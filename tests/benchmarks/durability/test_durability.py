"""The short form of `python -m benchmarks.durability`, and that its judge is not blind."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.durability import cli
from benchmarks.durability.disk import can_mount, run_in_small_disk
from benchmarks.durability.operations import make_operation, make_store
from benchmarks.durability.truth import Truth, find_difference, find_wrong_answer
from service.store.embedded.store import DATABASE, EmbeddedStore

SEED = 3
OPERATIONS = 12


@pytest.fixture
def truth() -> Truth:
    """What twelve operations leave."""
    result = Truth()
    for number in range(OPERATIONS):
        result = result.after(make_operation(SEED, number))
    return result


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A closed store after those operations."""
    with closing(make_store(tmp_path / "catalog")) as store:
        for number in range(OPERATIONS):
            make_operation(SEED, number).run(store)
    return tmp_path / "catalog"


@pytest.mark.slow
def test_nothing_is_lost_over_kills(tmp_path: Path) -> None:
    """After kill -9 at odd moments under load: what was acknowledged is there, nothing is torn, answers are right."""
    out = tmp_path / "figures.json"
    result = CliRunner().invoke(cli.app, ["--cycles", "12", "--seed", "1", "--no-disk", "--json", str(out)])
    assert result.exit_code == 0, result.output
    figures = json.loads(out.read_text())
    assert figures["problems"] == []
    assert figures["cycles"] == 12
    assert figures["acknowledged"] > 0
    assert figures["killed_within_an_operation"] > 0
    assert figures["answers_checked_by_readers"] > 0


@pytest.mark.skipif(not can_mount(), reason="mounting a small disk takes root and Linux")
def test_full_and_read_only_disks(tmp_path: Path) -> None:
    """Each refusal says what to do and leaves everything as it was; with room again, everything works."""
    steps = run_in_small_disk(tmp_path)
    assert {step.name: step.problem for step in steps if step.problem} == {}
    assert {"writing to a full disk", "writing once there is room", "writing to a read-only disk"} <= {
        step.name for step in steps
    }
    assert not list(tmp_path.iterdir())


def test_a_right_store_passes(folder: Path, truth: Truth) -> None:
    """The judge finds nothing where nothing is wrong."""
    with closing(EmbeddedStore.open(folder)) as store:
        assert find_difference(store, truth) is None
        assert find_wrong_answer(store, truth, np.random.default_rng(0)) is None


def lose(store: EmbeddedStore, truth: Truth) -> None:
    """One acknowledged shoe is gone."""
    store.delete([next(iter(truth.records))])


def invent(store: EmbeddedStore, truth: Truth) -> None:
    """Part of an operation that never was is there."""
    record = next(r for r in make_operation(SEED, 50).upserts if r.item.id not in truth.records)
    store.upsert([record])


def tear(store: EmbeddedStore, truth: Truth) -> None:
    """Of a shoe, the vector is an older one."""
    first, second = list(truth.records.values())[:2]
    store.upsert([type(first)(first.item, second.vector)])


@pytest.mark.parametrize(("harm", "said"), [(lose, "lost"), (invent, "too many"), (tear, "the vector of")])
def test_the_judge_sees_harm(
    folder: Path, truth: Truth, harm: Callable[[EmbeddedStore, Truth], None], said: str
) -> None:
    """A store that lost, invented or tore something does not pass."""
    with closing(EmbeddedStore.open(folder)) as store:
        harm(store, truth)
        assert said in (find_difference(store, truth) or "")


def test_the_judge_sees_wrong_answers(folder: Path, truth: Truth) -> None:
    """Searches are compared with the truth, and not with the store's own idea of it."""
    first, *_ = truth.records.values()
    moved = Truth()
    moved.records = {**truth.records, first.item.id: type(first)(first.item, np.zeros_like(first.vector))}
    with closing(EmbeddedStore.open(folder)) as store:
        assert find_wrong_answer(store, moved, np.random.default_rng(0)) is not None


def test_the_judge_sees_a_lost_removal(folder: Path, truth: Truth) -> None:
    """A shoe whose removal was acknowledged must not come back."""
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        assert connection.execute("SELECT count(*) FROM removals").fetchone()[0] > 0
    removed = Truth()
    removed.records = dict(list(truth.records.items())[1:])
    with closing(EmbeddedStore.open(folder)) as store:
        assert "too many" in (find_difference(store, removed) or "")
