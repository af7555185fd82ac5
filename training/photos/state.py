"""What the stage before the network made, on disk, so that a resumed run need not make it again. No pickle."""

import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from model.files import explained, make_folder
from model.localizer import Localizer, LocalizerConfig
from training.photos.confidence import FramedPictures
from training.photos.views import Views

STAGE_FILE = "photo-stage.npz"
_UNFINISHED = f".{STAGE_FILE}.tmp"
_LOCALIZER = "localizer."


class PhotoStage(NamedTuple):
    """A localizer in eval mode, on the CPU, and what was taken with it.

    Attributes:
        localizer: with the default shape.
        views: of the shoes.
        scenes: without a shoe.
    """

    localizer: Localizer
    views: Views
    scenes: FramedPictures


def save_stage(folder: Path, stage: PhotoStage, fingerprint: str) -> None:
    """Write the stage, in place of one that is there.

    Args:
        folder: the run's; made if it is not there.
        stage: its localizer has the default shape.
        fingerprint: of all that the stage depends on.

    Raises:
        ArtifactError: the folder can't be written.
    """
    photos = {**stage.views._asdict(), "scenes": stage.scenes.pixels, "found_in_scenes": stage.scenes.found}
    arrays = {_LOCALIZER + name: value.numpy() for name, value in stage.localizer.state_dict().items()}
    with explained(folder / STAGE_FILE):
        make_folder(folder)
        try:
            # Views are large: they are written as they lie in memory, without a copy.
            with (folder / _UNFINISHED).open("wb") as file:
                np.savez(file, fingerprint=np.array(fingerprint), **photos, **arrays)
            (folder / _UNFINISHED).replace(folder / STAGE_FILE)
        finally:
            (folder / _UNFINISHED).unlink(missing_ok=True)


def load_stage(folder: Path, fingerprint: str) -> PhotoStage | None:
    """The stage of this fingerprint; None where there is none, or where the file is damaged."""
    try:
        # Opened here: `np.load` leaves a damaged file open.
        with (folder / STAGE_FILE).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            if str(arrays["fingerprint"]) != fingerprint:
                return None
            scenes = FramedPictures(arrays["scenes"], arrays["found_in_scenes"])
            views = Views(*(arrays[name] for name in Views._fields))
            names = [name for name in arrays.files if name.startswith(_LOCALIZER)]
            state = {name.removeprefix(_LOCALIZER): torch.from_numpy(arrays[name]) for name in names}
        localizer = Localizer(LocalizerConfig())
        localizer.load_state_dict(state)
    except (OSError, EOFError, ValueError, LookupError, RuntimeError, zipfile.BadZipFile):
        return None
    return PhotoStage(localizer.eval().requires_grad_(requires_grad=False), views, scenes)


def forget_stage(folder: Path) -> None:
    """Remove the stage of a run that is finished, if there is one."""
    for name in (STAGE_FILE, _UNFINISHED):
        (folder / name).unlink(missing_ok=True)
