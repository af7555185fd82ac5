"""The commands that are thin: what reaches the function behind them, and what they answer."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torchvision.models.vgg import cfgs, make_layers
from typer.testing import CliRunner, Result

from model.catalog import Catalog, read_catalog
from model.checkpoint import save_checkpoint
from model.tvae import Slice
from tests.model.networks import tiny_checkpoint
from tests.training.evaluation.test_csn import make_lists
from tests.training.test_perceptual import save
from training import train as trainer
from training.cli import app
from training.config import TrainConfig
from training.data import download as downloading
from training.data.images import ImageSet
from training.demo_catalog import draw_demo_catalog
from training.evaluation import csn_draw

TABLE = """id,image,SubCategory
9.3,a.jpg,Boot
8.2,b.jpg,Heels
7.1,c.jpg,Ankle
100627.72,d.jpg,Oxfords
"""


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def _make_catalog(folder: Path) -> str:
    """Four shoes, of which only the ids matter."""
    for name in "abcd":
        (folder / f"{name}.jpg").write_bytes(b"x")
    (folder / "shoes.csv").write_text(TABLE)
    return f"csv:{folder / 'shoes.csv'}?id=id&image=image&attributes=SubCategory"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few drawn shoes."""
    folder = tmp_path_factory.mktemp("catalog") / "demo"
    draw_demo_catalog(folder, count=8, seed=0)
    return folder


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the trainer is called with, instead of a training."""
    calls: list[dict[str, Any]] = []

    def fake(images: ImageSet, config: TrainConfig, out: Path, **options: Any) -> None:
        calls.append({"images": images, "config": config, "out": out, **options})

    monkeypatch.setattr(trainer, "train", fake)
    return calls


def test_train_without_options(tmp_path: Path, demo: Path, started: list[dict[str, Any]]) -> None:
    """The defaults of the command are those of the configuration."""
    result = _run("train", "--catalog", demo, "--condition", "Gender", "--device", "cpu")
    assert result.exit_code == 0, result.output
    config, usual = started[0]["config"], TrainConfig()
    assert config == replace(usual, network=config.network, conditions=config.conditions)
    assert "conditions  Gender, from 'Gender'" in result.output
    assert config.network == replace(usual.network, slices=(Slice("Gender", 32), Slice("free", 32)))


def test_train_leaves_onnx_files(
    tmp_path: Path, demo: Path, started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """The checkpoint is exported unless that is not wanted; what goes wrong in it is said, and is no failure."""
    exported: list[Path] = []

    def fail(checkpoint: Path) -> None:
        exported.append(checkpoint)
        raise ModuleNotFoundError("No module named 'onnxscript'")

    monkeypatch.setattr("training.onnx_export.export_onnx", fail)
    options = ("train", "--catalog", demo, "--condition", "Gender", "--device", "cpu", "--out", tmp_path / "out")
    assert _run(*options, "--no-onnx").exit_code == 0
    assert not exported
    assert _run(*options).exit_code == 0
    assert exported == [tmp_path / "out"]
    assert "no ONNX files (No module named 'onnxscript')" in caplog.text
    assert f"export-onnx --checkpoint {tmp_path / 'out'}" in caplog.text


def test_a_first_run_reports_what_it_leaves_out(tmp_path: Path, demo: Path, started: list[dict[str, Any]]) -> None:
    """One missing picture of a catalogue is in the report, in a folder that the run makes, and the training starts."""
    shutil.copytree(demo, tmp_path / "demo")
    next((tmp_path / "demo").rglob("*.jpg")).unlink()
    out = tmp_path / "artifacts/first"
    given = ("--catalog", tmp_path / "demo", "--out", out, "--max-bad-share", 0.5, "--device", "cpu")
    result = _run("train", *given)
    assert result.exit_code == 0, result.output
    assert len(started) == 1
    assert "is missing" in (out / "bad-rows.csv").read_text()


def test_train_options(tmp_path: Path, demo: Path, started: list[dict[str, Any]]) -> None:
    """Options reach the configuration and the trainer; excluded shoes are not among the images."""
    ids = [shoe.id for shoe in read_catalog(str(demo)).shoes]
    (tmp_path / "ids.txt").write_text(f"{ids[0]}\n{ids[3]}\n")
    save(make_layers(cfgs["E"][:2], batch_norm=False), tmp_path / "vgg.pth")
    result = _run(
        *("train", "--catalog", demo, "--condition", "Gender", "--device", "cpu", "--out", tmp_path / "out"),
        *("--perceptual-weight", 2, "--perceptual-layer", "relu1_2", "--vgg-weights", tmp_path / "vgg.pth"),
        *("--ema-decay", 0.9, "--patience", 3, "--validate-every", 2, "--tensorboard", "--resume"),
        *("--exclude-ids", tmp_path / "ids.txt", "--save-every", 1),
    )
    assert result.exit_code == 0, result.output
    call = started[0]
    config = call["config"]
    assert (config.ema_decay, config.patience, config.validate_every) == (0.9, 3, 2)
    assert (config.objective.perceptual_weight, config.objective.perceptual_layers) == (2.0, ("relu1_2",))
    assert (call["vgg_weights"], call["out"]) == (tmp_path / "vgg.pth", tmp_path / "out")
    assert (call["tensorboard"], call["resume"], call["save_every"]) == (True, True, 1.0)
    assert call["excluded"] == {ids[0], ids[3]}
    assert set(call["images"].ids) == set(ids) - call["excluded"]


def test_a_file_of_options(tmp_path: Path, demo: Path, started: list[dict[str, Any]]) -> None:
    """A flag goes before the file, the file before the preset, wherever they stand, and the preset before the rest."""
    path = tmp_path / "run.toml"
    path.write_text(f'catalog = "{demo}"\nepochs = 5\nthreads = 2\nmargin = 1\ncondition = ["Gender"]\n')
    given = ("--config", path, "--out", tmp_path / "out", "--device", "cpu", "--margin", 2)
    for arguments in ((*given, "--preset", "demo"), ("--preset", "demo", *given), given):
        result = _run("train", *arguments)
        assert result.exit_code == 0, result.output
    path.write_text(f'preset = "mnist"\n{path.read_text()}')
    assert _run("train", *given).exit_code == 0
    configs = [call["config"] for call in started]
    assert [(each.epochs, each.threads, each.objective.margin) for each in configs] == [(5, 2, 2.0)] * 4
    assert [each.conditions[0].name for each in configs] == ["Gender"] * 4
    assert [each.network.channels for each in configs] == [3, 3, 3, 1]
    assert [each.batch_size for each in configs] == [64, 64, 64, 128]


def test_a_file_of_unknown_options(tmp_path: Path) -> None:
    """A key that is no option is answered with those that are; a value that can't be used, with its option."""
    path = tmp_path / "run.toml"
    path.write_text("epoch = 5\n")
    refused = str(_run("train", "--catalog", "nowhere", "--config", path).exception)
    assert "unknown keys: epoch; known are: balance, batch_size" in refused
    assert "epochs" in refused
    assert " config" not in refused
    path.write_text('epochs = "many"\n')
    result = _run("train", "--catalog", "nowhere", "--config", path)
    assert result.exit_code == 2
    assert "--epochs" in result.output


def test_missing_weights_are_said_first(tmp_path: Path, started: list[dict[str, Any]]) -> None:
    """A perceptual term whose weights can't be read is refused before a picture is decoded or a shoe photographed."""
    options = ("--perceptual-weight", 1, "--vgg-weights", tmp_path / "vgg.pth", "--out", tmp_path / "out")
    result = _run("train", "--catalog", "nowhere", "--preset", "photos", *options)
    assert "can't read the weights of VGG19" in str(result.exception)
    assert started == []


def test_train_execution(tmp_path: Path, demo: Path, started: list[dict[str, Any]]) -> None:
    """Threads are a number, or left to be measured; anything else is answered with what is expected."""
    options = ("train", "--catalog", demo, "--out", tmp_path / "out", "--device", "cpu")
    assert _run(*options, "--threads", 2, "--precision", "bf16").exit_code == 0
    assert _run(*options, "--threads", "auto").exit_code == 0
    configs = [call["config"] for call in started]
    assert [(each.threads, each.precision) for each in configs] == [(2, "bf16"), (None, "auto")]
    assert "expected auto, or a number from 1 to 1024" in str(_run(*options, "--threads", "all").exception)
    assert "threads is 0; expected 1 to 1024" in str(_run(*options, "--threads", 0).exception)


def test_train_into_a_finished_checkpoint(tmp_path: Path, demo: Path, started: list[dict[str, Any]]) -> None:
    """It is refused before the catalogue is read; --overwrite reaches the trainer."""
    save_checkpoint(tmp_path / "out", tiny_checkpoint())
    refused = _run("train", "--catalog", "nowhere", "--out", tmp_path / "out")
    assert "holds a finished checkpoint: --overwrite" in str(refused.exception)
    options = ("train", "--catalog", demo, "--out", tmp_path / "out", "--device", "cpu")
    assert _run(*options, "--overwrite").exit_code == 0
    assert [call["overwrite"] for call in started] == [True]


def test_train_without_triplets(tmp_path: Path, demo: Path, started: list[dict[str, Any]]) -> None:
    """A plain VAE that is asked for comes without a warning, unless conditions are asked for as well."""
    options = ("train", "--catalog", demo, "--out", tmp_path / "out", "--device", "cpu")
    assert "warning" not in _run(*options, "--triplet-weight", 0).stderr
    for ignored in (("--condition", "Gender"), ("--label-weight", 10)):
        result = _run(*options, "--triplet-weight", 0, *ignored)
        assert "--triplet-weight 0 leaves out --condition and --label-weight" in result.stderr
    assert [call["config"].conditions for call in started] == [(), (), ()]


def test_help_is_in_groups() -> None:
    """The help shows its options by what they are about."""
    shown = _run("train", "--help").output
    places = [shown.index(f" {group} ") for group in ("Data", "Network", "Objective", "Optimisation", "Run")]
    assert places == sorted(places)


def test_csn_triplets(tmp_path: Path) -> None:
    """The lists of a split become files, and the answer is the options that evaluate on them."""
    lists, out = make_lists(tmp_path / "csn"), tmp_path / "out"
    result = _run("csn-triplets", "--catalog", _make_catalog(tmp_path), "--lists", lists, "--out", out)
    assert result.exit_code == 0, result.output
    names = ("category", "closure", "gender", "heel")
    assert {path.name for path in out.iterdir()} == {f"test-{name}.csv" for name in names} | {"test-ids.txt"}
    said = "".join(result.output.split())
    assert f"--ids{out}/test-ids.txt--tripletscategory={out}/test-category.csv" in said
    make_lists(lists, split="val")
    options = ("csn-triplets", "--catalog", _make_catalog(tmp_path), "--lists", lists, "--out", out)
    assert _run(*options, "--split", "val", "--limit", 1).exit_code == 0
    assert len((out / "val-heel.csv").read_text().strip().splitlines()) <= 2
    assert "expected one of: train, val, test" in str(_run(*options, "--split", "exam").exception)


def test_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The options reach the download, and the answer counts its shoes."""
    asked = []

    def fake(out: Path, *, base_url: str, square: bool) -> Catalog:
        asked.append((out, base_url, square))
        return Catalog(source="", root=out, shoes=(), bad_rows=())

    monkeypatch.setattr(downloading, "download", fake)
    assert "0 shoes are in" in _run("download", "--out", tmp_path).output
    _run("download", "--out", tmp_path, "--base-url", "http://here/", "--square")
    assert asked == [(tmp_path, downloading.BASE_URL, False), (tmp_path, "http://here/", True)]


def test_draw_csn_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalogue, the folder and the seed reach the drawing, and the answer counts each split's shoes."""
    asked = []

    def fake(catalog: Catalog, out: Path, *, seed: int) -> dict[str, int]:
        asked.append(([shoe.id for shoe in catalog.shoes], out, seed))
        return {"train": 1400, "val": 200, "test": 400}

    monkeypatch.setattr(csn_draw, "draw_csn_lists", fake)
    result = _run("draw-csn-lists", "--catalog", _make_catalog(tmp_path), "--out", tmp_path / "lists", "--seed", 3)
    assert asked == [(["9.3", "8.2", "7.1", "100627.72"], tmp_path / "lists", 3)]
    assert "1,400 shoes in train, 200 shoes in val, 400 shoes in test" in result.output
