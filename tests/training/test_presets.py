"""Which preset `train` takes by itself."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from model.catalog import Catalog, read_catalog
from training.config import default_options, make_config
from training.presets import PRESETS, choose_preset


def make_catalog(folder: Path, count: int, *, plain: int) -> Catalog:
    """A folder of `count` pictures, of which the first `plain` have a white margin and the others fill the picture."""
    random = np.random.default_rng(0)
    for index in range(count):
        image = Image.new("RGB", (40, 30), (255, 255, 255))
        if index < plain:
            ImageDraw.Draw(image).ellipse((8, 8, 32, 22), fill=(120, 30, 30))
        else:
            image = Image.fromarray(random.integers(0, 256, (30, 40, 3), dtype=np.uint8))
        place = folder / ("boots" if index % 2 else "sandals") / f"{index}.png"
        place.parent.mkdir(exist_ok=True, parents=True)
        content = io.BytesIO()
        image.save(content, "PNG")
        place.write_bytes(content.getvalue())
    return read_catalog(str(folder))


def test_plain_margins_make_photos(tmp_path: Path) -> None:
    """Where most pictures have a plain margin, shoes can be cut out of them: the preset is `photos`."""
    choice = choose_preset(make_catalog(tmp_path, 200, plain=200))
    assert choice.preset == "photos"
    assert "64 of 64 pictures" in choice.reason


def test_full_pictures_make_none(tmp_path: Path) -> None:
    """Where the pictures show rooms and streets, no shoe can be cut out: the preset is `catalog`, and says why."""
    choice = choose_preset(make_catalog(tmp_path, 200, plain=60))
    assert choice.preset == "catalog"
    assert "plain margin" in choice.reason


def test_few_shoes_make_none(tmp_path: Path) -> None:
    """A handful of shoes is too few for a localizer."""
    choice = choose_preset(make_catalog(tmp_path, 12, plain=12))
    assert choice.preset == "catalog"
    assert "12 shoes are too few" in choice.reason


def test_several_processes_make_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that train together do not learn from photos."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert choose_preset(make_catalog(tmp_path, 200, plain=200)).preset == "catalog"


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_usable(name: str) -> None:
    """Each preset has known options only, and they make a configuration."""
    assert PRESETS[name].keys() <= default_options().keys()
    config = make_config({**default_options(), **PRESETS[name]})
    assert config.preprocess.size == config.network.image_size


def test_mnist_is_grey() -> None:
    """The preset for digits reads pictures as its network takes them, and does not mirror them."""
    config = make_config({**default_options(), **PRESETS["mnist"]})
    assert (config.preprocess.size, config.preprocess.channels, config.augment.flip) == (28, 1, 0.0)
