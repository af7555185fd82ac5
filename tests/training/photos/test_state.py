"""The stage before the network, kept for a resumed run."""

from pathlib import Path

import numpy as np
import pytest
import torch

from model.errors import ArtifactError
from model.localizer import Localizer, LocalizerConfig
from tests.model.networks import fixed_weights
from tests.training.photos.shoes import same_views
from training.photos.confidence import FramedPictures
from training.photos.state import STAGE_FILE, PhotoStage, forget_stage, load_stage, save_stage
from training.photos.views import Views


def _stage() -> PhotoStage:
    random = np.random.default_rng(0)
    localizer = fixed_weights(Localizer(LocalizerConfig())).to(memory_format=torch.channels_last)
    pixels = random.integers(0, 256, (5, 2, 3, 8, 8), dtype=np.uint8)
    usable, mirrored = random.random((2, 5, 2)) < 0.5
    scenes = FramedPictures(random.integers(0, 256, (3, 3, 8, 8), dtype=np.uint8), random.random(3))
    views = Views(pixels, usable, mirrored, *random.random((2, 5, 2)))
    return PhotoStage(localizer.requires_grad_(requires_grad=False), views, scenes)


def test_what_is_kept_is_what_was_made(tmp_path: Path) -> None:
    """The localizer and the views come back to the bit, and nothing else lies in the folder."""
    stage = _stage()
    save_stage(tmp_path / "new", stage, "print")
    loaded = load_stage(tmp_path / "new", "print")
    assert loaded is not None
    assert same_views(loaded.views, stage.views)
    assert loaded.views.pixels.dtype == stage.views.pixels.dtype
    assert np.array_equal(loaded.scenes.pixels, stage.scenes.pixels)
    assert np.array_equal(loaded.scenes.found, stage.scenes.found)
    states = loaded.localizer.state_dict(), stage.localizer.state_dict()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not loaded.localizer.training
    assert not any(each.requires_grad for each in loaded.localizer.parameters())
    assert [path.name for path in (tmp_path / "new").iterdir()] == [STAGE_FILE]


def test_only_its_own_run_takes_it(tmp_path: Path) -> None:
    """A stage of another fingerprint is passed over, and stays where it is; a new one replaces it."""
    assert load_stage(tmp_path, "first") is None
    save_stage(tmp_path, _stage(), "first")
    assert load_stage(tmp_path, "second") is None
    assert load_stage(tmp_path, "first") is not None
    save_stage(tmp_path, _stage(), "second")
    assert load_stage(tmp_path, "first") is None
    assert load_stage(tmp_path, "second") is not None


@pytest.mark.parametrize("kept", [0, 3, 2_000, -30, -1])
def test_a_damaged_stage_is_passed_over(tmp_path: Path, kept: int) -> None:
    """A file that is cut short anywhere is as none."""
    save_stage(tmp_path, _stage(), "print")
    path = tmp_path / STAGE_FILE
    path.write_bytes(path.read_bytes()[:kept])
    assert load_stage(tmp_path, "print") is None


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    """A changed byte among the pixels is damage, too."""
    stage = _stage()
    save_stage(tmp_path, stage, "print")
    path = tmp_path / STAGE_FILE
    data = bytearray(path.read_bytes())
    data[data.index(stage.views.pixels.tobytes()) + 7] ^= 1
    path.write_bytes(data)
    assert load_stage(tmp_path, "print") is None


def test_a_stage_that_can_not_be_written(tmp_path: Path) -> None:
    """A folder that can't be made is an error that names the file."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArtifactError, match=STAGE_FILE):
        save_stage(tmp_path / "file", _stage(), "print")


def test_forgetting(tmp_path: Path) -> None:
    """Nothing is left of a stage that is forgotten, and forgetting none is no error."""
    save_stage(tmp_path, _stage(), "print")
    forget_stage(tmp_path)
    forget_stage(tmp_path)
    forget_stage(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []
