"""The measuring of indexes, tried on a thousand vectors and stand-ins: no peer is started."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import typer
from numpy.typing import NDArray

from benchmarks.growth import catalogs, cli, side
from benchmarks.growth.catalogs import FILES, find_nearest, make_catalog
from benchmarks.growth.measure import anonymous_bytes, measure, recall
from benchmarks.growth.ours import Solemate
from benchmarks.growth.report import Goals, Result, describe_goals, format_table
from benchmarks.growth.side import Job
from benchmarks.growth.workload import Drawn, estimate_dimension, scatter

D = 8


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    """In place of embeddings."""
    random = np.random.default_rng(0)
    shoes, asked = (random.normal(size=(count, D)).astype(np.float32) for count in (50, 300))
    return Drawn(shoes, asked, {"heel": (0, 3), "free": (3, D)}, "stand-ins")


@pytest.fixture(scope="module")
def folder(drawn: Drawn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue of 2,000 vectors."""
    made = tmp_path_factory.mktemp("growth")
    make_catalog(made, drawn, 2000)
    return made


@pytest.fixture
def job(folder: Path, drawn: Drawn) -> Job:
    """To search it for a moment."""
    files = {name: str(folder / f"{name}.npy") for name in FILES}
    return Job(**files, slices=drawn.slices, goal=0.98, threads=1, clients=(1, 3), seconds=0.05)


def test_vectors_are_likenesses_in_turn(drawn: Drawn) -> None:
    """Each stays by its shoe, moved as far as is said; fewer are the first of more."""
    deviations = drawn.shoes.std(axis=0)
    many, few = (scatter(drawn.shoes, count, deviations, np.random.default_rng(1)) for count in (5000, 120))
    np.testing.assert_array_equal(many[:100], few[:100])
    moved = (many - drawn.shoes[np.arange(5000) % 50]) / deviations
    np.testing.assert_allclose(moved.std(axis=0), 0.3, rtol=0.05)
    np.testing.assert_allclose(moved.mean(axis=0), 0, atol=0.02)


@pytest.mark.parametrize("dimension", [2, 5])
def test_the_dimension_is_estimated(dimension: int) -> None:
    """Points that are spread evenly in so many directions, within more, look as if they were."""
    random = np.random.default_rng(2)
    vectors = np.zeros((4000, 12), dtype=np.float32)
    vectors[:, :dimension] = random.random((4000, dimension))
    distances = find_nearest(vectors, (vectors[:300] + np.float32(1e-4)), 21)[1][:, 1:]
    assert estimate_dimension(vectors, distances) == pytest.approx(dimension, rel=0.2)


def test_the_right_answers_are_right(folder: Path) -> None:
    """Also within a lot, which is about a hundredth."""
    arrays = {name: np.load(folder / f"{name}.npy") for name in FILES}
    assert [arrays[name].shape for name in FILES] == [(2000, D), (300, D), (300, 10), (2000,), (200, 10)]
    assert np.bincount(arrays["lots"], minlength=100).min() > 0
    in_lot = np.flatnonzero(arrays["lots"] == 0)
    for number, query in enumerate(arrays["queries"][:20]):
        distances = np.linalg.norm(arrays["vectors"].astype(float) - query, axis=1)
        assert arrays["nearest"][number].tolist() == np.argsort(distances)[:10].tolist()
        assert arrays["filtered"][number].tolist() == in_lot[np.argsort(distances[in_lot])[:10]].tolist()


def test_a_catalogue_is_made_once(folder: Path, tmp_path: Path, drawn: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there is taken if it was made of the same; of something else it is made anew."""
    before = (folder / "vectors.npy").stat().st_mtime_ns
    make_catalog(folder, drawn, 2000)
    assert (folder / "vectors.npy").stat().st_mtime_ns == before
    made: list[int] = []

    def counted(centres: NDArray[np.float32], count: int, *rest: Any) -> NDArray[np.float32]:
        made.append(count)
        return scatter(centres, count, *rest)

    monkeypatch.setattr(catalogs, "scatter", counted)
    make_catalog(folder, drawn, 2000)
    assert not made
    make_catalog(tmp_path, drawn, 1000)
    assert made == [1000, 300]


def test_searches_are_counted_and_timed() -> None:
    """All clients' searches count, and the slowest is no faster than the median."""
    asked: list[float] = []

    def search(query: NDArray[np.float32]) -> Sequence[int]:
        asked.append(float(query[0]))
        return [1, 2]

    queries = np.arange(300, dtype=np.float32)[:, None]
    latency = measure(search, queries, clients=3, seconds=0.05)
    assert latency.clients == 3
    assert 0 < latency.p50 <= latency.p99
    assert latency.per_second > 0
    assert len(set(asked)) > 200
    assert recall(search, queries[:2], np.array([[1, 5], [1, 2]])) == 0.75


def test_memory_is_that_of_this_process() -> None:
    """Without what is only mapped: more once there is more."""
    before = anonymous_bytes()
    block = np.ones(2**26, dtype=np.uint8)  # more than an allocator keeps for later
    assert anonymous_bytes() - before >= block.nbytes // 2


class StandIn:
    """Finds all with an effort of 3, and half with less; it has no filters."""

    efforts: ClassVar[list[int]] = [1, 2, 3, 4]
    mapped_bytes = 1000
    told: ClassVar[dict[str, Any]] = {"kind": "stand-in"}

    def __init__(self, job: Job) -> None:
        self._answers = {
            query.tobytes(): rows.tolist()
            for query, rows in zip(np.load(job.queries), np.load(job.nearest), strict=True)
        }

    def build(self, _job: Job, folder: Path) -> dict[str, Any]:
        """See Side."""
        (folder / "index").touch()
        return {"vectors": 2000}

    def open(self, _job: Job, folder: Path) -> "StandIn":
        """See Side."""
        assert (folder / "index").exists()
        return self

    def search(self, query: NDArray[np.float32], effort: int) -> Sequence[int]:
        """See Opened."""
        rows: list[int] = self._answers[query.tobytes()]
        return rows[: 10 if effort >= 3 else 5]

    def search_lot(self, _query: NDArray[np.float32], _effort: int) -> Sequence[int] | None:
        """See Opened."""
        return None


def test_a_peers_effort_is_raised_until_it_reaches_the_goal(job: Job, tmp_path: Path) -> None:
    """The least that does is taken, and told."""
    built = side.build(StandIn(job), job, tmp_path)
    assert built["vectors"] == 2000
    assert built["seconds"] >= 0
    told = side.search(StandIn(job), job, tmp_path)
    assert (told["effort"], told["recall"], told["filtered"], told["kind"]) == (3, 1.0, None, "stand-in")
    assert [latency["clients"] for latency in told["latencies"]] == [1, 3]
    assert told["memory"] >= 1000


def test_ours_is_the_service_own_store(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small and large: what it finds is right, and a lot's nearest are exactly right."""
    for index, limit in (("exact", 100_000), ("approximate", 1000)):
        monkeypatch.setattr("benchmarks.growth.ours.LIMITS", {"exact_shoes": limit})
        folder = tmp_path / index
        folder.mkdir()
        built = side.build(Solemate(), job, folder)
        told = side.search(Solemate(), job, folder)
        assert built["index_seconds"] >= 0
        assert told["index"] == index
        assert told["recall"] >= 0.97
        assert told["filtered"]["recall"] == 1.0
        assert (told["index_memory"] is None) == (index == "exact")


def result(name: str, count: int = 1_000_000, **searched: Any) -> Result:
    """With figures that meet the goals unless told otherwise."""
    latency = {"p50": 0.5, "p99": 1.25, "per_second": 2000.0}
    filtered = {"p50": 2.0, "p99": 3.0, "recall": 1.0}
    figures = {"memory": 1.5 * 4 * count * 64, "recall": 0.99, "latencies": [latency, latency], "filtered": filtered}
    return Result(name, count, 64, {"seconds": 10.0, "cpu_seconds": 9.0}, figures | searched)


def test_the_table_has_a_line_for_each() -> None:
    """What a side can't do, or nobody knows, is left blank."""
    lines = format_table([result("solemate"), result("usearch", memory=None, filtered=None)]).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    figures = "| 0.500, 1.250 | 2,000 | 0.500, 1.250 | 2,000 |"
    assert lines[2] == f"| 1,000,000 | solemate | 10.0 | 9.0 | 366 | 1.50 | 0.9900 {figures} 2.000, 3.000 | 1.0000 |"
    assert lines[3] == f"| 1,000,000 | usearch | 10.0 | 9.0 |  |  | 0.9900 {figures}  |  |"


def test_goals_are_judged() -> None:
    """Each by its own figure; only ours, and only where it was measured with so many vectors."""
    assert all(line.startswith("met: ") for line in describe_goals([result("usearch"), result("solemate")]))
    missed = result(
        "solemate",
        memory=2 * 4 * 1_000_000 * 64,
        recall=0.97,
        latencies=[{"p50": 1.5, "p99": 9.0, "per_second": 1.0}],
        filtered={"p50": 1.0, "p99": 1.0, "recall": 0.999},
    )
    lines = describe_goals([missed])
    assert len(lines) == 4
    assert all(line.startswith("MISSED: ") for line in lines)
    assert describe_goals([result("solemate", 10_000)]) == []
    assert len(describe_goals([result("solemate", 10_000)], Goals(count=10_000))) == 4


def test_sides_are_found_by_their_environments(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One that is not installed is left out, and said; a server is only asked if it has an address."""
    python = tmp_path / "usearch" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    assert [each.name for each in cli.find_pythons(None, tmp_path, None)] == ["solemate", "usearch"]
    assert "hnswlib is left out" in caplog.text
    assert "Milvus is left out" not in caplog.text
    assert [each.name for each in cli.find_pythons(["solemate"], tmp_path, "http://127.0.0.1:1")] == ["solemate"]
    with pytest.raises(typer.BadParameter, match="no side faiss"):
        cli.find_pythons(["faiss"], tmp_path, None)


def test_an_index_is_built_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is searched again as often as one likes; and one that is not built is not searched."""
    started: list[str] = []
    monkeypatch.setattr(cli, "start", lambda side, python, step, folder: started.append(step))
    each, arguments = cli.SIDES[1], {"job": {"a": 1}, "made_from": {"b": 2}}
    python = tmp_path / "python"
    assert not cli.do(each, python, tmp_path / "x", **arguments, step="search")
    assert not cli.do(each, python, tmp_path / "x", **arguments, step="build")
    assert cli.do(each, python, tmp_path / "x", **arguments, step="both")
    assert cli.do(each, python, tmp_path / "x", **arguments, step="search")
    assert started == ["build", "search", "search"]
    assert json.loads((tmp_path / "x" / "job.json").read_text("utf-8")) == {"a": 1}
    assert cli.do(each, python, tmp_path / "x", job={}, made_from={"b": 3}, step="both")
    assert started[-2:] == ["build", "search"]
