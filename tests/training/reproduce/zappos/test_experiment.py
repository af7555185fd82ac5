"""`reproduce zappos`: who is trained on and measured, what is reported, and that a stopped run goes on."""

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from model.catalog import Catalog, read_catalog
from model.checkpoint import Condition, load_checkpoint
from model.errors import CatalogError, TrainingError
from model.preprocess import Preprocessor
from model.tvae import Slice
from tests.training.images import coloured_squares
from tests.training.runs import cut_after
from training import train as trainer
from training.checkpointing import STATE_FILE
from training.data.images import digest_ids
from training.demo_catalog import draw_demo_catalog
from training.evaluation.csn_draw import draw_csn_lists
from training.evaluation.embeddings import Embedding, embed_pixels
from training.figures.pictures import draw_reconstructions
from training.reproduce.common import runs
from training.reproduce.zappos import experiment as zappos
from training.reproduce.zappos.experiment import Plan, measure_overall, reproduce_zappos
from training.reproduce.zappos.recipes import RECIPES, shoe_config
from training.reproduce.zappos.split import HeldOut, choose_shoes, load_held_out

PLAN = Plan(epochs=1, training_shoes=40, triplets=50)
NAMES = {"category": "class", "closure": "closure", "gender": "gender", "heel": "heel"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a few drawn shoes."""
    folder = tmp_path_factory.mktemp("catalog") / "demo"
    draw_demo_catalog(folder, count=80, seed=0, workers=1)
    return folder


@pytest.fixture(scope="module")
def lists(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Triplet lists that were drawn for them."""
    folder = tmp_path_factory.mktemp("lists")
    draw_csn_lists(read_catalog(str(demo)), folder, seed=1, counts={"train": 10, "val": 60, "test": 60})
    return folder


@pytest.fixture(scope="module")
def out(demo: Path, lists: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one run of the command leaves, with one picture for those of the gallery, which has tests of its own."""
    folder = tmp_path_factory.mktemp("reproduction")

    def draw(embeddings: Sequence[Embedding], *_: Any, **__: Any) -> Iterator[tuple[str, str, bytes]]:
        assert [each.name for each in embeddings if each.decode is None] == ["triplet network"]
        yield embeddings[0].name, "gallery.png", draw_reconstructions(np.zeros((1, 3, 8, 8), np.uint8), [], note="")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zappos, "draw_gallery", draw)
        reproduce_zappos(str(demo), lists, folder, PLAN, device="cpu")
    return folder


def _write_lists(folder: Path, catalog: Catalog, rows: dict[str, list[tuple[int, int, int]]]) -> Path:
    """Lists of the published form, the same for all conditions: split -> anchor, far and close shoe."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [shoe.image.relative_to(catalog.root).as_posix() for shoe in catalog.shoes]
    (folder / "filenames.json").write_text("\n".join(names) + "\n")
    for split, triplets in rows.items():
        for name in NAMES.values():
            text = "".join(" ".join(map(str, triplet)) + "\n" for triplet in triplets)
            (folder / f"{name}_tripletlist_{split}.txt").write_text(text)
    return folder


def _of_one_colour(catalog: Catalog, count: int) -> list[int]:
    """Shoes of products that come in several colours, one of each product."""
    groups = [shoe.group for shoe in catalog.shoes]
    several = [group for group in dict.fromkeys(groups) if groups.count(group) > 1]
    assert len(several) >= count
    return [groups.index(group) for group in several[:count]]


def test_no_test_shoe_and_no_other_colour_of_one_is_trained_on(demo: Path, tmp_path: Path) -> None:
    """The products of both the val and the test lists are kept out, by all lines, in every colour."""
    catalog = read_catalog(str(demo))
    a, b, c, d, e, f, g = _of_one_colour(catalog, 7)
    lists = _write_lists(tmp_path, catalog, {"val": [(a, b, c)], "test": [(d, e, f), (d, e, g)]})
    choice = choose_shoes(catalog, lists, limit=1)
    assert choice.test.tolist() == sorted([d, e, f])
    assert choice.listed.tolist() == sorted([a, b, c, d, e, f, g])
    products = {catalog.shoes[shoe].group for shoe in (a, b, c, d, e, f, g)}
    assert len(choice.variants) >= 7
    assert {catalog.shoes[shoe].group for shoe in choice.variants} <= products
    assert not {catalog.shoes[shoe].group for shoe in choice.training} & products
    everyone = np.concatenate([choice.training, choice.listed, choice.variants])
    assert sorted(everyone.tolist()) == list(range(len(catalog.shoes)))


def test_the_networks_are_trained_on_that_choice(demo: Path, lists: Path, out: Path) -> None:
    """Each checkpoint tells how many shoes it has seen, and which it has not."""
    catalog = read_catalog(str(demo))
    choice = choose_shoes(catalog, lists)
    apart = choice.excluded(catalog)
    for recipe in RECIPES:
        facts = load_checkpoint(out / "runs" / f"{recipe.key}-seed0").training
        assert (facts["shoes"], facts["held_out"]) == (40, 0)
        assert (facts["excluded"], facts["excluded_sha256"]) == (len(apart), digest_ids(apart))


def _held_out(catalog: Catalog, lists: Path) -> HeldOut:
    return load_held_out(catalog, choose_shoes(catalog, lists), lists, Preprocessor(shoe_config(RECIPES[0]).preprocess))


def test_far_comes_before_close(demo: Path, tmp_path: Path) -> None:
    """With the last two numbers of each line exchanged, right is wrong and wrong is right."""
    catalog = read_catalog(str(demo))
    triplets = list(itertools.combinations(_of_one_colour(catalog, 6), 3))
    swapped = [(anchor, close, far) for anchor, far, close in triplets]
    tests = [
        _held_out(catalog, _write_lists(tmp_path / name, catalog, {"val": rows, "test": rows}))
        for name, rows in (("lists", triplets), ("swapped", swapped))
    ]
    anchor, far, close = (catalog.shoes[shoe].id for shoe in triplets[0])
    assert [tests[0].images.ids[shoe] for shoe in tests[0].lists["heel"].triplets[0]] == [anchor, close, far]
    error, other = (measure_overall(embed_pixels(test.images), test).mean for test in tests)
    assert error == pytest.approx(1 - other)
    assert error != 0.5


def test_a_tie_is_wrong(demo: Path, tmp_path: Path) -> None:
    """A network that puts all shoes into one place is wrong about every triplet."""
    catalog = read_catalog(str(demo))
    a, b, c = _of_one_colour(catalog, 3)
    test = _held_out(catalog, _write_lists(tmp_path, catalog, {"val": [(a, b, c)], "test": [(a, b, c), (b, a, c)]}))
    same = replace(embed_pixels(test.images), vectors=np.ones((len(test.images), 4), dtype=np.float32))
    assert measure_overall(same, test).mean == 1.0


def test_a_picture_that_cannot_be_read(demo: Path, tmp_path: Path) -> None:
    """The triplets of a test shoe whose picture is broken are left out and counted."""
    catalog = read_catalog(str(demo))
    rows = [(shoe, shoe + 1, shoe + 2) for shoe in range(58)]
    lists = _write_lists(tmp_path / "lists", catalog, {"val": rows, "test": rows})
    (tmp_path / "torn.jpg").write_bytes(b"torn")
    broken = replace(catalog.shoes[0], image=tmp_path / "torn.jpg")
    test = _held_out(replace(catalog, shoes=(broken, *catalog.shoes[1:])), lists)
    assert (len(test.lists["heel"].triplets), test.lists["heel"].missing) == (57, 1)
    assert len(test.images) == 59
    assert broken.id not in test.images.ids


def test_the_report_is_whole(out: Path) -> None:
    """The report has each network's row beside the published ones, who was left out, and every picture it shows."""
    text = (out / "report.md").read_text()
    assert "| CSN | as published |  |  |  |  | 10.73 |  |  |" in text
    assert "| standard triplet network | as published |" in text
    assert "not re-measured here" in text
    assert "They, and the TVAE's paper, train on CSN's train triplets. Here training is our own, on the labels" in text
    assert "These lists are not CSN's" in text
    assert "40 shoes to train on, of 80" in text
    for row in ("pixel distance | pixels", "VAE | overall", "triplet network | overall", "TVAE, one slice | overall",
                "TVAE, slices | slices", "TVAE, slices | overall"):  # fmt: skip
        assert f"\n| {row} |" in text
    assert "| heel | 50 | 50 | 0 | 0 |" in text
    names = [line[line.index("(") + 1 : -1] for line in text.splitlines() if line.startswith("![")]
    assert names == ["curves.png", "gallery.png"]
    assert "## TVAE, slices\n" in text
    for name in names:
        with Image.open(out / name) as picture:
            assert picture.width > 400


def test_the_figures_are_whole(out: Path) -> None:
    """The JSON has each network's error on each condition; without a decoder there is no reconstruction."""
    report = json.loads((out / "report.json").read_text())
    assert [run["recipe"] for run in report["runs"]] == [recipe.key for recipe in RECIPES]
    assert report["published"] == {
        "standard triplet network": 0.2372, "one network per condition": 0.1135, "CSN": 0.1073,
    }  # fmt: skip
    assert report["lists"]["drawn"] is True
    shoes = report["shoes"]
    assert shoes["training"] == 40 < 80 - shoes["listed"] - shoes["variants"]
    for run in report["runs"]:
        assert run["checkpoint"] == load_checkpoint(out / "runs" / f"{run['recipe']}-seed0").digest
        assert (run["mse"] is None) == (run["recipe"] == "triplet-network")
        for part in run["parts"].values():
            assert list(part["errors"]) == list(NAMES)
            assert part["mean"] == pytest.approx(sum(part["errors"].values()) / 4)
    assert [(row["recipe"], row["part"]) for row in report["summary"]] == [
        ("vae", "overall"), ("triplet-network", "overall"), ("tvae", "overall"), ("conditional-tvae", "slices"),
        ("conditional-tvae", "overall"),
    ]  # fmt: skip


def test_a_second_run_trains_nothing(demo: Path, lists: Path, out: Path) -> None:
    """Repeated, the command loads what is there and reports the same figures, to the digit."""
    before = (out / "report.json").read_text()
    stamps = {path: path.stat().st_mtime_ns for path in (out / "runs").glob("*/weights.safetensors")}
    reproduce_zappos(str(demo), lists, out, replace(PLAN, pictures=False), device="cpu")
    assert (out / "report.json").read_text() == before
    assert len(stamps) == 4
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


def test_a_stopped_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network whose training was stopped is trained on, with the result of one that was not."""
    images = coloured_squares(24, size=64)
    config = shoe_config(RECIPES[0], epochs=2)

    def run(out: Path) -> runs.Trained:
        return runs.train_or_resume(RECIPES[0], images, config, out, device=torch.device("cpu"), source="squares")

    with cut_after(1, monkeypatch):
        monkeypatch.setattr(runs, "train", partial(trainer.train, save_every=0.0))
        run(tmp_path / "cut")
    assert (tmp_path / "cut" / STATE_FILE).exists()
    assert run(tmp_path / "cut").checkpoint.digest == run(tmp_path / "whole").checkpoint.digest


def test_what_the_networks_differ_in() -> None:
    """All have one size and one budget; the triplet network does without the ELBO, the VAE without triplets."""
    vae, triplet_network, tvae, conditional = (shoe_config(recipe) for recipe in RECIPES)
    assert {config.network.latent_size for config in (vae, triplet_network, tvae, conditional)} == {64}
    everything = (Condition("all", ("Category", "Closure", "Gender", "HeelHeight")),)
    assert (vae.conditions, vae.objective.triplet_weight) == ((), 0.0)
    assert triplet_network.conditions == tvae.conditions == everything
    assert tvae.network.slices == (Slice("all", 64),)
    assert replace(triplet_network, objective=tvae.objective) == tvae
    assert (triplet_network.objective.elbo_weight, tvae.objective.elbo_weight) == (0.0, 1.0)
    assert [each.name for each in conditional.conditions] == list(NAMES)
    assert [part.name for part in conditional.network.slices] == [*NAMES, "free"]
    assert replace(conditional, network=tvae.network, conditions=tvae.conditions) == tvae
    with pytest.raises(TrainingError, match="expected one of: shoes, shoes-large"):
        shoe_config(RECIPES[0], network="mnist")


def test_what_is_missing_is_named(demo: Path, lists: Path, tmp_path: Path) -> None:
    """Without the pictures or the lists, the error says where they were looked for and where they are to be had."""
    with pytest.raises(CatalogError, match=r"no catalogue at .*nowhere.* training download"):
        reproduce_zappos(str(tmp_path / "nowhere"), lists, tmp_path / "out", PLAN, device="cpu")
    with pytest.raises(CatalogError, match=r"no filenames\.json in .*none.* get_data\.py .* draw-csn-lists"):
        reproduce_zappos(str(demo), tmp_path / "none", tmp_path / "out", PLAN, device="cpu")
    with pytest.raises(CatalogError, match="not in UT-Zap50K's layout"):
        reproduce_zappos(f"folder:{demo}", lists, tmp_path / "out", PLAN, device="cpu")
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare/ut-zap50k-images").symlink_to(demo / "ut-zap50k-images")
    with pytest.raises(TrainingError, match="no shoe has the attribute 'Closure'"):
        reproduce_zappos(str(tmp_path / "bare"), lists, tmp_path / "out", PLAN, device="cpu")
    assert not (tmp_path / "out").exists()


def test_nothing_left_to_train_on(demo: Path, tmp_path: Path) -> None:
    """Lists that name all of the catalogue's products are an error, as there is nobody left to learn from."""
    catalog = read_catalog(str(demo))
    rows = [(shoe, (shoe + 1) % 80, (shoe + 2) % 80) for shoe in range(80)]
    with pytest.raises(CatalogError, match=r"nothing is left to train on: .* name 80 of the 80 shoes"):
        choose_shoes(catalog, _write_lists(tmp_path, catalog, {"val": rows, "test": rows}))
