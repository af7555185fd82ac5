"""The comparison of trainings, tried on a few shoes: no peer is started."""

import json
import logging
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.nn import functional
from typer.testing import CliRunner

from benchmarks.training import cli, rounds
from benchmarks.training.catalog import draw_shoes, make_plan
from benchmarks.training.pictures import Pictures
from benchmarks.training.plain import random_triplets
from benchmarks.training.plan import Plan, Timings
from benchmarks.training.profiling import BACKWARD, DECODER, ENCODER, PARTS, PYTHON, profile_step, sort_events
from benchmarks.training.report import Machine, Report
from benchmarks.training.rounds import Run, Side, SideFailed, choose_sides, run_rounds
from model.catalog import read_catalog
from model.errors import CatalogError
from model.tvae import NETWORK_PRESETS, Slice
from training.demo_catalog import draw_demo_catalog


def small_plan() -> Plan:
    """Three shoes whose pictures nobody opens."""
    return Plan(
        catalog="shoes",
        network="shoes",
        slices=(Slice("gender", 8), Slice("free", 4)),
        attributes={"gender": "Gender"},
        images=("a.jpg", "b.jpg", "c.jpg"),
        labels={"gender": (0, 1, -1)},
        epochs=3,
        batch_size=2,
        device="cpu",
    )


def make_run(side: str, number: int, *, seconds: float, whole: float = 20.0) -> Run:
    """A run over 100 shoes whose epochs took `seconds`, but for a slower first one."""
    return Run(
        side=side,
        round=number,
        images=100,
        imports=2.0,
        loading=1.0,
        whole=whole,
        timings=Timings(
            imported=2.0,
            loaded=3.0,
            epochs=(9.0, seconds, seconds),
            figures={"loss": 1.0} if side == "pythae" else {"loss": 1.0, "reconstruction": -1234.5, "kl": 6.78},
            threads=2,
            versions={"torch": "2.14"},
        ),
    )


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    """What a side's process reads is what the rounds wrote."""
    plan = small_plan()
    plan.write(tmp_path)
    assert Plan.read(tmp_path) == plan


def test_the_network() -> None:
    """The network is the preset with the plan's slices."""
    config = small_plan().tvae_config
    assert config.slices == (Slice("gender", 8), Slice("free", 4))
    assert config.widths == NETWORK_PRESETS["shoes"].widths


TABLE = """id,image,Gender
1,a.jpg,Men
2,b.jpg,Women;Men
3,c.jpg,
4,d.jpg,Women
5,e.jpg,Men
6,f.jpg,Women
"""


def _write(folder: Path, table: str) -> str:
    for name in "abcdef":
        (folder / f"{name}.jpg").write_bytes(b"x")
    (folder / "shoes.csv").write_text(table)
    return f"csv:{folder / 'shoes.csv'}?id=id&image=image&attributes=Gender"


def test_classes(tmp_path: Path) -> None:
    """Shoes with the same values share a class; one without any has none."""
    plan = make_plan(_write(tmp_path, TABLE), network="shoes", epochs=2, batch_size=4, device="cpu")
    assert plan.attributes == {"gender": "Gender"}
    men, both, unknown, women, *others = plan.labels["gender"]
    assert unknown == -1
    assert len({men, both, women}) == 3
    assert others == [men, women]
    assert [part.name for part in plan.slices] == ["gender", "free"]
    assert [Path(path).name for path in plan.images] == ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg"]


def test_bad_rows_are_refused(tmp_path: Path) -> None:
    """A catalogue with a row that can't be used is refused: the sides would not train on the same shoes."""
    with pytest.raises(CatalogError, match="1 bad rows, such as"):
        make_plan(_write(tmp_path, TABLE + "6,f.jpg,Men\n"), network="shoes", epochs=2, batch_size=4, device="cpu")


def test_shoes_are_drawn_once(tmp_path: Path) -> None:
    """A second benchmark trains on the shoes that the first one drew."""
    catalog = draw_shoes(tmp_path, 2)
    changed = Path(read_catalog(catalog).shoes[0].image).stat().st_mtime_ns
    assert draw_shoes(tmp_path, 2) == catalog
    assert Path(read_catalog(catalog).shoes[0].image).stat().st_mtime_ns == changed


def test_a_picture(tmp_path: Path) -> None:
    """A picture is resized as a whole, on white, into [0, 1], and comes with its labels."""
    path = tmp_path / "wide.png"
    Image.new("RGB", (40, 20), (0, 255, 0)).save(path)
    picture, labels = Pictures([str(path)], torch.tensor([[3, -1]]), size=8, mirror=True)[0]
    assert picture.shape == (3, 8, 8)
    assert (picture[:, 0] == 1.0).all()
    assert (picture[:, 4] == torch.tensor([0.0, 1.0, 0.0])[:, None]).all()
    assert labels.tolist() == [3, -1]


def test_the_only_triplets() -> None:
    """Where each shoe has one positive and one negative, or none, the term is that of a naive loop."""
    vectors = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    classes = torch.tensor([1, 1, 2, -1])
    term = random_triplets(vectors, classes)
    near = torch.dist(vectors[0], vectors[1])
    expected = sum(float(functional.softplus(near - torch.dist(vectors[anchor], vectors[2]))) for anchor in (0, 1)) / 2
    torch.testing.assert_close(term, torch.tensor(expected), rtol=1e-4, atol=1e-4)


def test_no_triplets() -> None:
    """A batch without a triplet adds nothing, and still has a gradient."""
    vectors = torch.ones(3, 2, requires_grad=True)
    term = random_triplets(vectors, torch.tensor([1, 1, -1]))
    term.backward()  # type: ignore[no-untyped-call]
    assert term.item() == 0.0
    assert vectors.grad is not None
    assert not vectors.grad.any()


def test_sides_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each side trains once in each round, in its own precision, before any trains again."""
    seen: list[tuple[int, str, str]] = []

    def run(plan: Plan, side: Side, number: int) -> Run:
        seen.append((number, side.name, plan.precision))
        return make_run(side.name, number, seconds=1.0)

    monkeypatch.setattr(rounds, "_run_side", run)
    sides = [Side("a", "module"), Side("b", "module", precision="float32")]
    assert len(list(run_rounds(small_plan(), sides, 2))) == 4
    assert seen == [(1, "a", "auto"), (1, "b", "float32"), (2, "a", "auto"), (2, "b", "float32")]


def test_a_failure_is_told(tmp_path: Path) -> None:
    """The error of a side that fails says which one and what it wrote last."""
    (tmp_path / "side.py").write_text("raise SystemExit('no such network')\n")
    side = Side("mine", str(tmp_path / "side.py"))
    with pytest.raises(SideFailed, match=r"mine ended with status 1:\n.*No module named"):
        list(run_rounds(small_plan(), [side], 1))


@pytest.mark.parametrize("python", [Path("no/bin/python"), Path(sys.executable)], ids=["no interpreter", "no pythae"])
def test_a_missing_peer_is_skipped(python: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without the peers' environment pythae is left out, and a line says so and where to read on."""
    with caplog.at_level(logging.WARNING):
        sides = choose_sides(python)
    assert [side.name for side in sides] == ["solemate", "solemate in float32", "plain PyTorch loop"]
    assert f"skipped pythae: {python}" in caplog.text
    assert "benchmarks/README.md" in caplog.text


def test_a_peer_runs_in_its_own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The peer's interpreter is taken by its own path: a virtual environment's is often a link."""
    monkeypatch.setattr(rounds, "_has_pythae", lambda _: True)
    (tmp_path / "python").symlink_to(sys.executable)
    assert choose_sides(tmp_path / "python")[-1].python == tmp_path / "python"


def test_figures_of_a_run() -> None:
    """Images a second leave out the first epoch; start-up is imports and pictures."""
    run = make_run("solemate", 1, seconds=4.0)
    assert run.images_per_second == 25.0
    assert run.start_up == 3.0


MACHINE = Machine(processor="a CPU", cores=2, bf16=("avx512_bf16",), load=0.25)


def _report() -> Report:
    own = [
        make_run("solemate", number, seconds=seconds, whole=10.0) for number, seconds in ((1, 1.0), (2, 2.0), (3, 1.0))
    ]
    other = [make_run("pythae", number, seconds=4.0, whole=30.0) for number in (1, 2, 3)]
    return Report(small_plan(), MACHINE, tuple(run for pair in zip(own, other, strict=True) for run in pair))


def test_ratios_are_within_a_round() -> None:
    """A ratio compares two runs of one round; the table shows their median, lowest and highest."""
    figures = _report().to_json()["sides"]
    assert figures["solemate"]["images_per_second"] == 100.0
    assert figures["pythae"]["images_per_second"] == 25.0
    assert figures["pythae"]["speed_ratios"] == [4.0, 2.0, 4.0]
    assert figures["pythae"]["whole_ratios"] == [3.0, 3.0, 3.0]


def test_the_table() -> None:
    """The table has a row for each side, and says what was trained and where."""
    text = _report().to_markdown()
    assert "| solemate | 100 |  | 10.0 |  | 3.0 | 1.0 | 9.0 |" in text
    assert "| pythae | 25 | **4.00** (2.00 to 4.00) | 30.0 | **3.00** (3.00 to 3.00) | 3.0 | 1.0 | 9.0 |" in text
    assert "3 shoes, network `shoes`, batches of 2, on `cpu`; medians of 3 rounds of 3 epochs" in text
    assert "a CPU, 2 cores (avx512_bf16); load before: 0.2" in text
    assert "nats per picture: solemate -1,234 and 6.8." in text


def test_this_machine() -> None:
    """The machine has a name and at least one core."""
    machine = Machine.look()
    assert machine.processor
    assert machine.cores >= 1


def test_events_are_sorted_by_time_and_kind() -> None:
    """What lies between the network's halves, the backward pass and the optimizer is told by its place."""
    events = [
        ("aten::index", 1.0),
        (ENCODER, 2.0),
        ("aten::linear", 4.0),
        (DECODER, 8.0),
        ("aten::sum", 16.0),
        ("Optimizer.zero_grad#AdamW.zero_grad", 32.0),
        (f"{BACKWARD}SumBackward1", 64.0),
        (f"{BACKWARD}ConvolutionBackward0", 128.0),
        (f"{BACKWARD}torch::autograd::AccumulateGrad", 256.0),
        ("aten::_foreach_norm", 512.0),
        ("Optimizer.step#AdamW.step", 1024.0),
        ("aten::item", 2048.0),
    ]
    parts = {name: duration for name, duration in sort_events(events).items() if duration}
    assert parts == {
        "batch: gather, scale, mirror": 1.0,
        "forward: encoder": 2.0,
        "forward: mean, log-variance, sample": 4.0,
        "forward: decoder": 8.0,
        "forward: objective": 16.0,
        "backward: convolutions": 128.0,
        "backward: the rest": 64.0 + 256.0,
        "gradient's norm": 512.0,
        "optimizer": 32.0 + 1024.0,
        "reading the figures": 2048.0,
    }


def test_a_profile(tmp_path: Path) -> None:
    """A real step is cut into all its parts, whose times add up to its own."""
    draw_demo_catalog(tmp_path / "demo", count=8)
    plan = make_plan(str(tmp_path / "demo"), network="shoes", epochs=2, batch_size=4, device="cpu")
    profile = profile_step(replace(plan, precision="float32"), steps=1)
    assert list(profile.parts) == [*PARTS, PYTHON]
    assert min(profile.parts.values()) > 0
    assert sum(profile.parts.values()) == pytest.approx(profile.profiled)
    assert "| backward: convolutions |" in profile.to_markdown()
    assert profile.to_json()["shoes"] == 4


@pytest.mark.slow
def test_a_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a few shoes the command trains each side in its process, prints the table and writes the figures."""
    sides = [Side("ours", "benchmarks.training.ours", "float32"), Side("plain", "benchmarks.training.plain")]
    monkeypatch.setattr(cli, "choose_sides", lambda _: sides)
    draw_demo_catalog(tmp_path / "demo", count=8)
    options = {
        "--catalog": tmp_path / "demo",
        "--epochs": 2,
        "--rounds": 1,
        "--batch-size": 8,  # one step an epoch
        "--device": "cpu",
        "--out": tmp_path / "out" / "figures.json",
    }
    result = CliRunner().invoke(cli.app, [str(each) for option in options.items() for each in option])
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert list(figures["sides"]) == ["ours", "plain"]
    assert all(each["images_per_second"] > 0 for each in figures["sides"].values())
    assert figures["plan"]["shoes"] == 8
    own, plain = (figures["runs"][index]["timings"]["figures"] for index in (0, 1))
    # After a single step both have hardly learnt anything: the same pictures under the same likelihood.
    assert plain["reconstruction"] == pytest.approx(own["reconstruction"], rel=0.2)
    assert "| ours |" in result.output
