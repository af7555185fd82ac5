"""An evaluation from end to end, on a small catalogue and untrained networks."""

import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from model.catalog import read_catalog
from model.checkpoint import Checkpoint, Condition, load_checkpoint, save_checkpoint
from model.embedder import Embedder
from model.errors import ArtifactCorrupt, CatalogError, QueryError, TrainingError
from model.inference import TorchNetworks
from model.preprocess import PreprocessConfig, Preprocessor
from model.tvae import TVAE, Slice, TVAEConfig
from tests.model.networks import tiny_localizer
from training.cli import app
from training.data.images import digest_ids, load_images, split_by_group
from training.data.labels import encode_labels
from training.evaluation import gallery
from training.evaluation.elbo import Observation, measure_elbo
from training.evaluation.evaluate import evaluate
from training.evaluation.gallery import spread_over_values

SHOES = 40


@pytest.fixture
def catalog(tmp_path: Path) -> str:
    """Shoes of two colours and three sizes; one has no colour."""
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    with (tmp_path / "shoes.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "image", "colour", "size"])
        for shoe in range(SHOES):
            pixels = rng.integers(0, 60, (20, 20, 3), dtype=np.uint8)
            pixels[..., 2 * (shoe % 2)] += 150
            Image.fromarray(pixels).save(tmp_path / f"images/{shoe}.png")
            colour = "" if shoe == 5 else ("red", "blue")[shoe % 2]
            writer.writerow([shoe, f"images/{shoe}.png", colour, "SML"[shoe % 3]])
    return f"csv:{tmp_path / 'shoes.csv'}?id=id&image=image&attributes=colour,size"


GAUSSIAN = {"objective": {"likelihood": "gaussian", "observation_std": 0.2}}


def save(
    folder: Path,
    *conditions: Condition,
    size: int = 16,
    share: float = 0.0,
    seed: int = 0,
    excluded: str | None = None,
    config: Mapping[str, Any] = GAUSSIAN,
) -> Path:
    """An untrained network with one slice of 3 for each condition and 4 free numbers."""
    torch.manual_seed(seed)
    slices = (*(Slice(condition.name, 3) for condition in conditions), Slice("free", 4))
    tvae = TVAE(TVAEConfig(image_size=size, widths=(4, 8), slices=slices)).eval()
    facts = {"seed": seed, "validation_share": share, "excluded_sha256": excluded, "config": config}
    save_checkpoint(
        folder, Checkpoint(tvae, preprocess=PreprocessConfig(size=size), conditions=tuple(conditions), training=facts)
    )
    return folder


@pytest.fixture(autouse=True)
def few_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sheets small enough to be drawn quickly."""
    monkeypatch.setattr(gallery, "QUERIES", 2)
    monkeypatch.setattr(gallery, "NEIGHBOURS", 3)
    monkeypatch.setattr(gallery, "RECONSTRUCTIONS", 3)


COLOUR = Condition("colour", ("colour",))
LOOKS = Condition("looks", ("colour", "size"))


def test_pictures_are_framed_as_they_are_served(catalog: str, tmp_path: Path) -> None:
    """With the checkpoint's localizer, where it has one: what is measured are the vectors of the service."""
    folder = save(tmp_path / "checkpoint")
    plain = load_checkpoint(folder)
    preprocess = PreprocessConfig(size=16, framing="subject")
    save_checkpoint(folder, replace(plain, preprocess=preprocess, localizer=tiny_localizer()))
    embedder = Embedder(load_checkpoint(folder))
    pictures = [shoe.image.read_bytes() for shoe in read_catalog(catalog).shoes]
    assert any(embedder.preprocessor.frame(embedder.preprocessor.open(each)).subject for each in pictures)
    measured = evaluate([folder], catalog, out=tmp_path / "out", attributes=["colour"], pictures=False).embeddings[0]
    assert np.allclose(measured.vectors, embedder.embed(pictures), atol=1e-6)


def test_networks_are_opened_once(catalog: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What frames the pictures of a checkpoint embeds them, too."""
    opened, open_networks = [], Checkpoint.open_networks

    def count(checkpoint: Checkpoint, device: str) -> TorchNetworks:
        opened.append(device)
        return open_networks(checkpoint, device)

    monkeypatch.setattr(Checkpoint, "open_networks", count)
    evaluate([save(tmp_path / "mine", COLOUR)], catalog, out=tmp_path / "out", pictures=False, device="cpu")
    assert opened == ["cpu"]


def test_every_row_file_and_figure(tmp_path: Path, catalog: str) -> None:
    """A conditioned network, a plain one of another size, and pixels: all rows, all files, and the checkpoint's own."""
    folder = save(tmp_path / "mine", COLOUR)
    plain = save(tmp_path / "plain", size=8, seed=1)
    (folder / "metrics.json").write_text(json.dumps({"history": [1, 2], "evaluation": "old"}))
    before = load_checkpoint(folder).digest
    triplets = tmp_path / "size.txt"
    triplets.write_text("0 3 1\n1 4 2\n")
    out = tmp_path / "deep" / "out"
    summary = evaluate([folder, plain], catalog, out=out, triplets={"size": triplets}, device="cpu")
    assert [(row.model, row.slice, row.attribute) for row in summary.rows] == [
        ("mine", "colour", "colour"),
        ("mine", "overall", "colour"),
        ("plain", "overall", "colour"),
        ("pixel distance", "overall", "colour"),
        ("mine", "overall", "size"),
        ("plain", "overall", "size"),
        ("pixel distance", "overall", "size"),
    ]
    assert all(row.retrieval is not None and row.accuracy is not None for row in summary.rows)
    pixels = summary.rows[3]
    assert pixels.accuracy == 1.0
    assert pixels.retrieval is not None
    assert (pixels.retrieval.queries, pixels.retrieval.left_out) == (SHOES - 1, 1)
    assert [each.reconstruction is None for each in summary.embeddings] == [False, False, True]
    assert [(task.size, task.source) for task in summary.tasks] == [(20_000, "drawn by seed 0"), (2, "size.txt")]
    assert {path.name for path in out.iterdir()} == {
        "metrics.json", "report.md", "triplets-colour.csv", "reconstructions.png", "neighbours-colour.png",
        "neighbours-overall.png", "map-colour.png", "map-overall.png", "map-pictures.png",
    }  # fmt: skip
    assert json.loads((out / "metrics.json").read_text()) == summary.to_json()
    stored = json.loads((folder / "metrics.json").read_text())
    assert stored["history"] == [1, 2]
    assert [row["slice"] for row in stored["evaluation"]["rows"]] == ["colour", "overall", "overall"]
    assert stored["evaluation"]["digest"] == before == load_checkpoint(folder).digest
    # The drawn list, given back, measures the same.
    lists = {"colour": out / "triplets-colour.csv"}
    again = evaluate([folder], catalog, out=out, triplets=lists, device="cpu", pictures=False)
    assert again.rows[0].accuracy == summary.rows[0].accuracy


def test_several_attributes_of_one_condition(tmp_path: Path, catalog: str) -> None:
    """Each is a row of the slice, and has pictures of its own."""
    summary = evaluate([save(tmp_path / "mine", LOOKS)], catalog, out=tmp_path / "out", device="cpu")
    mine = [(row.slice, row.attribute) for row in summary.rows if row.model == "mine"]
    assert mine == [("looks", "colour"), ("overall", "colour"), ("looks", "size"), ("overall", "size")]
    assert (tmp_path / "out" / "neighbours-looks-colour.png").is_file()
    assert (tmp_path / "out" / "neighbours-looks-size.png").is_file()
    assert (tmp_path / "out" / "map-looks.png").is_file()


def test_held_out_shoes_are_those_of_the_training(tmp_path: Path, catalog: str) -> None:
    """Without a list of ids, the shoes are the held-out side of the training's split, and there is no warning."""
    folder = save(tmp_path / "mine", COLOUR, share=0.5, seed=3)
    summary = evaluate([folder], catalog, out=tmp_path / "out", pictures=False, device="cpu")
    groups = [shoe.group for shoe in read_catalog(catalog).shoes]
    assert summary.shoes == len(split_by_group(groups, 0.5, 3)[1])
    assert 0 < summary.shoes < SHOES
    assert summary.warnings == ()


def test_shoes_that_were_trained_on_are_warned_of(tmp_path: Path, catalog: str) -> None:
    """If training held nothing out, or a compared one held out others, the figures say so."""
    mine, other = save(tmp_path / "mine", COLOUR), save(tmp_path / "other", COLOUR, share=0.5, seed=1)
    assert (
        "trained on these" in evaluate([mine], catalog, out=tmp_path / "out", pictures=False, device="cpu").warnings[0]
    )
    compared = evaluate([other, mine], catalog, out=tmp_path / "out", pictures=False, device="cpu")
    assert "held out other shoes" in compared.warnings[0]


def test_ids_choose_the_shoes(tmp_path: Path, catalog: str) -> None:
    """A file of ids decides which shoes take part: clean figures only where the training left out these very shoes."""
    ids = tmp_path / "ids.txt"
    ids.write_text("\n".join(map(str, range(12))))
    clean = save(tmp_path / "clean", COLOUR, excluded=digest_ids(map(str, range(12))))
    folder = save(tmp_path / "other", COLOUR, excluded=digest_ids(["1"]))
    for each, warned in ((clean, False), (folder, True)):
        summary = evaluate([each], catalog, out=tmp_path / "out", pictures=False, ids=ids, device="cpu")
        assert summary.shoes == 12
        assert any("may have seen" in warning for warning in summary.warnings) == warned
    ids.write_text("1\n2\nnone\n")
    with pytest.raises(CatalogError, match=r"1 of its 3 ids are not in .*none"):
        evaluate([folder], catalog, out=tmp_path / "out", pictures=False, ids=ids, device="cpu")


def test_lists_without_labels_are_measured(tmp_path: Path, catalog: str) -> None:
    """People's judgements need no attribute: triplet accuracy alone, with a warning."""
    triplets = tmp_path / "taste.txt"
    triplets.write_text("0 2 1\n3 5 4\n")
    summary = evaluate(
        [save(tmp_path / "mine")], catalog, out=tmp_path / "out", triplets={"taste": triplets}, device="cpu"
    )
    assert [row.slice for row in summary.rows] == ["overall", "overall"]
    assert summary.rows[0].accuracy is not None
    assert summary.rows[0].retrieval is None
    assert any("no shoe has the attribute 'taste'" in warning for warning in summary.warnings)
    assert (tmp_path / "out" / "reconstructions.png").is_file()


def test_the_bound_is_that_of_the_training(tmp_path: Path, catalog: str) -> None:
    """Each network's -ELBO is by its own likelihood and the same in every evaluation; where none is named, none."""
    mine, foreign = save(tmp_path / "mine", COLOUR), save(tmp_path / "foreign", config={})
    sharp = save(tmp_path / "sharp", config={"objective": {"likelihood": "bernoulli", "observation_std": 0.1}})
    options: dict[str, Any] = {"out": tmp_path / "out", "pictures": False, "device": "cpu"}
    summary = evaluate([mine, foreign, sharp], catalog, **options)
    bound, missing, other, pixels = (each.elbo for each in summary.embeddings)
    assert missing is pixels is None
    assert summary.warnings[-1] == "foreign does not say which likelihood it was trained with: its -ELBO is left out"
    assert bound is not None
    assert other is not None
    assert (bound.observation, other.observation) == (Observation("gaussian", 0.2), Observation("bernoulli"))
    images = load_images(read_catalog(catalog), Preprocessor(PreprocessConfig(size=16)))
    generator = torch.Generator().manual_seed(0)
    tvae = load_checkpoint(mine).tvae
    assert measure_elbo(tvae, images.pixels, bound.observation, generator=generator) == bound
    stored = json.loads((mine / "metrics.json").read_text())["evaluation"]
    assert stored["elbo"]["negative_elbo"] == bound.total
    assert evaluate([mine], catalog, **options, seed=1).embeddings[0].elbo == bound


def test_nothing_to_measure_is_an_error(tmp_path: Path, catalog: str) -> None:
    """A plain network alone does not say what likeness is; attributes may be named."""
    folder = save(tmp_path / "mine")
    with pytest.raises(TrainingError, match="--attribute or --triplets"):
        evaluate([folder], catalog, out=tmp_path / "out", pictures=False)
    with pytest.raises(TrainingError, match="nothing to measure: no shoe has the attribute 'sole'"):
        evaluate([folder], catalog, out=tmp_path / "out", pictures=False, attributes=["sole"])
    assert len(evaluate([folder], catalog, out=tmp_path / "out", pictures=False, attributes=["size"]).rows) == 2


def test_a_network_gone_astray_is_an_error(tmp_path: Path, catalog: str) -> None:
    """Vectors that are not finite have no order."""
    torch.manual_seed(0)
    tvae = TVAE(TVAEConfig(image_size=16, widths=(4, 8), slices=(Slice("colour", 3),))).eval()
    torch.nn.init.constant_(tvae.get_parameter("to_mean.bias"), float("nan"))
    save_checkpoint(tmp_path / "mine", Checkpoint(tvae, preprocess=PreprocessConfig(size=16), conditions=(COLOUR,)))
    with pytest.raises(TrainingError, match="mine gives vectors that are not finite"):
        evaluate([tmp_path / "mine"], catalog, out=tmp_path / "out", pictures=False)


def test_foreign_metrics_are_not_overwritten(tmp_path: Path, catalog: str) -> None:
    """A metrics.json that is no JSON object is left as it is."""
    folder = save(tmp_path / "mine", COLOUR)
    (folder / "metrics.json").write_text("[torn")
    with pytest.raises(ArtifactCorrupt, match=r"metrics\.json"):
        evaluate([folder], catalog, out=tmp_path / "out", pictures=False, device="cpu")
    assert (folder / "metrics.json").read_text() == "[torn"


def test_the_command(tmp_path: Path, catalog: str) -> None:
    """The command prints the table; folders of one name are told apart by their paths."""
    first, second = save(tmp_path / "a" / "checkpoint", COLOUR), save(tmp_path / "b" / "checkpoint", seed=1)
    arguments = ["evaluate", "--catalog", catalog, "--checkpoint", str(first), "--compare", str(second)]
    arguments += ["--device", "cpu"]
    result = CliRunner().invoke(
        app, [*arguments, "--no-pictures", "--out", str(tmp_path / "out")], catch_exceptions=False
    )
    assert result.exit_code == 0
    assert "a/checkpoint  colour" in result.stdout
    assert "b/checkpoint  overall" in result.stdout
    assert not list((tmp_path / "out").glob("*.png"))
    with pytest.raises(QueryError, match="expected ATTRIBUTE=FILE"):
        CliRunner().invoke(app, [*arguments, "--triplets", "colour"], catch_exceptions=False)


def test_shoes_for_pictures_are_spread_over_the_values() -> None:
    """In turns from each value, the commonest first, none twice, and no more than there are."""
    labels = encode_labels([{"kind": ("b",)}] * 6 + [{"kind": ("a", "b")}] * 2 + [{"kind": ("c",)}, {}], "kind")
    chosen = spread_over_values(labels, 5, seed=0)
    assert len(set(chosen.tolist())) == 5
    assert {8} < set(chosen.tolist()) <= set(range(9))
    assert sorted(spread_over_values(labels, 50, seed=0)) == list(range(9))
