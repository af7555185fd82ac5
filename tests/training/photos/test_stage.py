"""The stage of a training before its network: a localizer and photos, where the catalogue's pictures allow them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from model.catalog import Catalog, read_catalog
from model.checkpoint import Condition, load_checkpoint
from model.errors import TrainingError
from model.preprocess import PreprocessConfig
from tests.training.photos.shoes import draw_shot, same_views, shorten_stage
from tests.training.runs import CONFIG, CPU
from training.cli import app
from training.config import PhotoConfig, TrainConfig
from training.data.images import split_by_group
from training.distributed import ProcessGroup
from training.photos import stage
from training.photos.localizer import train_localizer
from training.photos.outlines import Outlined
from training.photos.stage import FEWEST_OUTLINED, Prepared, learn_from_photos, prepare_images
from training.train import train

FRAMING = PreprocessConfig(size=16, framing="subject")
COUNT = 24


def _make_catalog(folder: Path, *, plain: int = COUNT, count: int = COUNT) -> Catalog:
    """Shoes `s0`, ... of two colours; those after the first `plain` stand in noise."""
    random = np.random.default_rng(0)
    folder.mkdir()
    rows = ["id,image,Colour"]
    for index in range(count):
        red = index % 2 == 0
        pixels, mask = draw_shot((180, 10 + index, 20) if red else (20, 10 + index, 180))
        if index >= plain:
            pixels = np.where(mask[:, :, None], pixels, random.integers(0, 256, pixels.shape, dtype=np.uint8))
        Image.fromarray(pixels).save(folder / f"{index}.png")
        rows.append(f"s{index},{index}.png,{'red' if red else 'blue'}")
    (folder / "shoes.csv").write_text("\n".join(rows))
    return read_catalog(f"csv:{folder / 'shoes.csv'}?id=id&image=image&attributes=Colour")


RUN = TrainConfig(preprocess=FRAMING, photos=PhotoConfig(views=2), validation_share=0.2)


def _prepare(catalog: Catalog, config: TrainConfig = RUN, **options: Any) -> Prepared:
    usual: dict[str, Any] = {
        "excluded": (),
        "process_group": ProcessGroup(),
        "max_bad_share": 0.1,
        "report": None,
    }
    return prepare_images(catalog, config, **usual | options)


def test_too_few_plain_margins(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """They are a warning with the numbers; there is no localizer, and the training leaves a usable checkpoint."""
    prepared = _prepare(_make_catalog(tmp_path / "shoes", plain=FEWEST_OUTLINED - 1))
    assert prepared.localizer is None
    assert prepared.images.views is None
    assert (len(prepared.images), prepared.decoded) == (COUNT, COUNT)
    (warning,) = (record.getMessage() for record in caplog.records if record.levelname == "WARNING")
    assert "no localizer: " in warning
    assert f"and {FEWEST_OUTLINED} are needed; photos are taken whole" in warning
    config = replace(CONFIG, preprocess=FRAMING, photos=PhotoConfig(views=2), epochs=1, batch_size=8, threads=1)
    train(prepared.images, config, tmp_path / "out", device=CPU, source="shoes", localizer=prepared.localizer)
    checkpoint = load_checkpoint(tmp_path / "out")
    assert checkpoint.localizer is None
    assert checkpoint.conditions == (Condition("colour", ("Colour",)),)


def test_several_processes_are_refused(tmp_path: Path) -> None:
    """Two processes are told how to go on; without photos they share the pictures as before."""
    catalog = _make_catalog(tmp_path / "shoes", count=4)
    with pytest.raises(TrainingError, match=r"2 processes can't learn from photos together.*--photo-views 0"):
        _prepare(catalog, process_group=ProcessGroup(rank=0, world_size=2))
    plain = replace(RUN, photos=PhotoConfig())
    assert len(_prepare(catalog, plain, process_group=ProcessGroup(rank=0, world_size=2)).images) == 4


def test_photos_need_their_framing(tmp_path: Path) -> None:
    """Pictures that are shown whole can't be learned from: that is an error before anything is taught."""
    shoes = _make_catalog(tmp_path / "shoes", count=4).shoes
    whole = replace(RUN, preprocess=replace(FRAMING, framing="pad"))
    with pytest.raises(TrainingError, match="framing is 'pad'; learning from photos needs 'subject'"):
        learn_from_photos(shoes, whole, taught={0}, device=CPU)


def test_the_localizer_learns_from_training_shoes_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It never sees a shoe that is held out or excluded; views are made of all that are not excluded, in order."""
    shorten_stage(monkeypatch)
    taught: list[np.ndarray] = []
    teach = train_localizer

    def observed(shoes: list[Outlined], *others: Any) -> Any:
        taught.extend(each.pixels for each in shoes)
        return teach(shoes, *others)

    monkeypatch.setattr(stage, "train_localizer", observed)
    catalog = _make_catalog(tmp_path / "shoes", plain=30, count=30)
    (tmp_path / "shoes" / "3.png").write_bytes(b"no picture")
    prepared = _prepare(catalog, replace(RUN, validation_share=0.3), excluded={"s0", "s7"})
    kept, held_out = split_by_group([shoe.group for shoe in catalog.shoes], 0.3, 0)
    green = sorted(int(each[58, 30, 1]) - 10 for each in taught)
    assert green == [index for index in kept if index not in {0, 3, 7}]
    assert held_out
    assert prepared.images.ids == tuple(f"s{index}" for index in range(30) if index not in {0, 3, 7})
    assert prepared.decoded == 29
    assert prepared.localizer is not None
    views = prepared.images.views
    assert views is not None
    assert views.pixels.shape == (27, 2, 3, 16, 16)
    assert views.pixels.any(axis=(1, 2, 3, 4)).all()


def test_a_kept_stage_is_taken_on_resume_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resumed run takes what was kept, to the bit, if it is of the same shoes and settings; a new run never does."""
    shorten_stage(monkeypatch)
    catalog = _make_catalog(tmp_path / "shoes")
    first = _prepare(catalog, folder=tmp_path / "out")

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("made anew")

    monkeypatch.setattr(stage, "learn_from_photos", fail)
    resumed = _prepare(catalog, folder=tmp_path / "out", resume=True)
    assert first.localizer is not None
    assert resumed.localizer is not None
    states = first.localizer.state_dict(), resumed.localizer.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert first.images.views is not None
    assert resumed.images.views is not None
    assert same_views(first.images.views, resumed.images.views)
    assert np.array_equal(first.images.pixels, resumed.images.pixels)
    kept: dict[str, Any] = {"folder": tmp_path / "out", "resume": True}
    changes: tuple[dict[str, Any], ...] = (
        {"config": replace(RUN, seed=1)},
        {"config": replace(RUN, precision="float32")},
        {"config": replace(RUN, validation_share=0.25)},
        {"excluded": {"s1"}},
        {"config": replace(RUN, photos=PhotoConfig(views=1))},
        {"resume": False},
    )
    for options in changes:
        with pytest.raises(AssertionError, match="made anew"):
            _prepare(catalog, **{**kept, **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--network", "shoes"), "needs --network shoes-large"),
        (("--network", "tiny"), "network is 'tiny'"),
        (("--miner", "coal"), "miner is 'coal'"),
        (("--likelihood", "poisson"), "likelihood is 'poisson'"),
        (("--threads", "many"), "threads is 'many'"),
        (("--learning-rate", -1), "learning_rate is -1.0"),
    ],
)
def test_wrong_options_are_said_at_once(options: tuple[object, ...], message: str) -> None:
    """They are an error before the catalogue is read, and not after the minutes that photos take."""
    command = ("train", "--preset", "photos", "--catalog", "nowhere", *options)
    result = CliRunner().invoke(app, [str(each) for each in command])
    assert isinstance(result.exception, TrainingError)
    assert message in str(result.exception)
