import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model.checkpoint import load_checkpoint
from model.errors import CatalogError
from tests.training.reproduce.mnist.digits import write_mnist
from tests.training.runs import cut_after
from training import train as trainer
from training.checkpointing import STAGING, STATE_FILE
from training.data.mnist import read_mnist
from training.reproduce.common import runs
from training.reproduce.common.runs import Trained
from training.reproduce.mnist.authors import AuthorsConfig, load_authors
from training.reproduce.mnist.experiment import Plan, reproduce_mnist
from training.reproduce.mnist.recipes import RECIPES, our_config, train_recipe

PLAN = Plan(epochs=1, authors=AuthorsConfig(epochs=1, triplets=240), training_images=80)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in MNIST's form."""
    folder = tmp_path_factory.mktemp("mnist")
    write_mnist(folder, 100, 20)
    return folder


@pytest.fixture(scope="module")
def out(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one run of the command leaves."""
    folder = tmp_path_factory.mktemp("reproduction")
    reproduce_mnist(data, folder, PLAN, device="cpu")
    return folder


def test_the_report_is_whole(out: Path) -> None:
    """The report names every network beside the paper's figures, and every picture that it shows is there."""
    text = (out / "report.md").read_text()
    for name in ("paper, TVAE | overall | 95.60", *(recipe.title for recipe in RECIPES)):
        assert f"| {name} |" in text
    assert "80 pictures to train on, 20 held out; 100,000 test triplets (drawn by seed 0); seeds: 0." in text
    names = [line[line.index("(") + 1 : -1] for line in text.splitlines() if line.startswith("![")]
    assert names == [
        "reconstructions.png", "samples.png", "interpolations.png", "swaps.png", "maps.png", "curves.png",
    ]  # fmt: skip
    for name in names:
        with Image.open(out / name) as picture:
            assert picture.width > 500


def test_the_figures_are_whole(out: Path) -> None:
    """The JSON has the figures of each network and part, and they are the shares and nats that they should be."""
    report = json.loads((out / "report.json").read_text())
    assert [run["recipe"] for run in report["runs"]] == [recipe.key for recipe in RECIPES]
    assert [(row["recipe"], row["part"]) for row in report["summary"]] == [
        ("authors-vae", "overall"), ("authors-tvae", "overall"), ("our-vae", "overall"), ("our-tvae", "digit"),
        ("our-tvae", "overall"),
    ]  # fmt: skip
    for run in report["runs"]:
        load = load_authors if run["recipe"].startswith("authors") else load_checkpoint
        assert run["checkpoint"] == load(out / "runs" / f"{run['recipe']}-seed0").digest
        assert all(0 <= share <= 1 for order in run["order"].values() for share in order.values())
        assert run["bounds"]["importance"] < run["bounds"]["negative_elbo"] + 5


def test_a_second_run_trains_nothing(data: Path, out: Path) -> None:
    """Repeated, the command loads what is there and reports the same figures, to the digit."""
    before = (out / "report.json").read_text()
    stamps = {path: path.stat().st_mtime_ns for path in (out / "runs").glob("*/weights.safetensors")}
    reproduce_mnist(data, out, replace(PLAN, pictures=False), device="cpu")
    assert (out / "report.json").read_text() == before
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


def test_a_stopped_run_goes_on(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was stopped is resumed with the same settings, and replaced with others."""
    images, device = read_mnist(data).training, torch.device("cpu")
    monkeypatch.setattr(runs, "train", partial(trainer.train, save_every=0.0))

    def run(epochs: int, out: Path = tmp_path) -> Trained:
        return train_recipe(
            RECIPES[3], images, out, seed=0, epochs=epochs, authors=PLAN.authors, device=device, source="bars"
        )

    with cut_after(1, monkeypatch):
        run(2)
    assert run(2).checkpoint.digest == run(2, tmp_path / "whole").checkpoint.digest
    with cut_after(1, monkeypatch):
        run(3)
    assert (tmp_path / STAGING / STATE_FILE).exists()
    assert load_checkpoint(tmp_path).training["epochs"] == 2
    assert len(run(1).history) == 1


def test_a_list_of_triplets(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list is read as indices into the held-out pictures; one that points beyond them is refused before training."""
    path = tmp_path / "list.npy"
    np.save(path, np.array([[0, 10, 20]], dtype=np.uint16))
    with pytest.raises(CatalogError, match="not among the evaluated shoes: 20"):
        reproduce_mnist(data, tmp_path / "out", PLAN, triplets=path, device="cpu")
    assert not (tmp_path / "out").exists()


def test_our_networks_differ_in_the_triplet_term_alone() -> None:
    """The plain VAE has the network, the budget and the pictures of the TVAE."""
    with_triplets, without = our_config(metric=True), our_config(metric=False)
    assert without.conditions == ()
    assert without.objective.triplet_weight == 0
    objective = replace(with_triplets.objective, triplet_weight=0)
    assert replace(with_triplets, conditions=(), objective=objective) == without
    assert with_triplets.network.latent_size == 20
