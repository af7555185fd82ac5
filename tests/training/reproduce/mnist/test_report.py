from dataclasses import replace

from tests.training.reproduce.mnist.test_measures import CHECKPOINT
from training.evaluation.elbo import Bounds
from training.reproduce.common.runs import Trained
from training.reproduce.mnist.measures import Order
from training.reproduce.mnist.recipes import RECIPES
from training.reproduce.mnist.report import MeasuredDigits, Report


def _measured(place: int, seed: int, bound: float, share: float) -> MeasuredDigits:
    order = Order(share, share, share, share, share, share)
    parts = {"digit": order, "overall": order} if place == 3 else {"overall": order}
    bounds = Bounds(bound, bound - 20, 20.0, bound - 3, 64, 1000)
    checkpoint = replace(CHECKPOINT, digest=f"{place}{seed}")
    trained = Trained(RECIPES[place], seed, checkpoint, ({"seconds": 60.0 + seed, "images_per_second": 1000.0},))
    return MeasuredDigits(trained, bounds, parts)


REPORT = Report(
    source="MNIST",
    training_images=60_000,
    test_images=10_000,
    triplets=100_000,
    triplet_source="list.npy",
    runs=tuple(
        _measured(place, seed, 100 + place * (1 + seed), 0.9 + seed / 100) for seed in (0, 1) for place in range(4)
    ),
)


def test_the_cost_is_paired_by_seed() -> None:
    """What the order costs compares networks of one recipe and one seed."""
    text = REPORT.to_markdown()
    # By seed, the TVAE's bound less the VAE's is 1 and 2 nats in either recipe.
    assert "| authors' | 1.50 ± 0.71 | 1.50 ± 0.71 |" in text
    assert "| ours | 1.50 ± 0.71 | 1.50 ± 0.71 |" in text


def test_a_slice_has_no_bound_of_its_own() -> None:
    """The table gives bounds and seconds of whole networks alone, and means over the seeds."""
    rows = [line for line in REPORT.to_markdown([("Maps", "maps.png")]).splitlines() if line.startswith("| our TVAE")]
    digit, overall = ([cell.strip() for cell in row.strip("|").split("|")] for row in rows)
    assert digit[1:3] == ["digit", "90.50 ± 0.71"]
    assert digit[-3:] == ["", "", ""]
    assert overall[-3:] == ["104.50 ± 2.12", "101.50 ± 2.12", "60 ± 1"]


def test_forms_agree() -> None:
    """Text, Markdown and JSON give the same runs, and the picture's place is in the Markdown."""
    assert "95.60" in REPORT.to_text()
    assert len(REPORT.to_text().splitlines()) == 1 + 2 + 5
    content = REPORT.to_json()
    assert content["paper"] == {"paper, VAE": 0.7508, "paper, TVAE": 0.956}
    assert [run["seed"] for run in content["runs"]] == [0] * 4 + [1] * 4
    assert "![Maps](maps.png)" in REPORT.to_markdown([("Maps", "maps.png")])
