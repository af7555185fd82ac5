"""Photographs of a catalogue's shoes for a measurement: composites on pieces of pictures that the user has.

The localizer and the network are taught on drawn backgrounds, so pictures of rooms and streets are new to them.
"""

import io
import zlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.catalog import Shoe, read_catalog
from model.errors import CatalogError, ImageError, QueryError
from model.files import explained, make_folder, write_atomic
from model.preprocess import PreprocessConfig, Preprocessor
from model.progress import track
from training.data.images import take_listed
from training.photos.composites import CompositeConfig, compose
from training.photos.outlines import find_outline

PHOTO = CompositeConfig(turn=15.0, smallest=0.45, mirror=0.0)
"""How the shoes are photographed. Not mirrored: a photograph shows the shoe from the side that the catalogue does."""

SIZES = ((440, 330), (330, 440))
"""Width and height of a photograph, in pixels."""

QUALITIES = (70, 92)
"""Lowest and highest JPEG quality."""

RENDERED_SIDE = 512
"""Longest side, in pixels, of the catalogue pictures that shoes are cut out of."""

BACKGROUND_SIDE = 1024
"""Longest side, in pixels, of the pictures that backgrounds are pieces of."""

MOST_BACKGROUNDS = 256
"""Pictures used at most; in memory, at up to 3 MiB each. Of more in the folder, the seed chooses."""


class Made(NamedTuple):
    """What was made, and of how many shoes no photograph was.

    Attributes:
        photos: files written.
        backgrounds: pictures that the backgrounds are pieces of.
        margins: shoes left out because their picture has no plain, bright margin.
        unreadable: shoes left out because their picture can't be read.
        skipped: files in the folder of backgrounds that are no readable picture.
    """

    photos: int
    backgrounds: int
    margins: int
    unreadable: int
    skipped: int

    def to_text(self) -> str:
        """One line for people."""
        text = f"{self.photos:,} photos on pieces of {self.backgrounds:,} pictures"
        counts = {
            "shoes left out, without a plain margin to cut them out of": self.margins,
            "shoes left out, whose picture can't be read": self.unreadable,
            "files among the backgrounds that are no readable picture": self.skipped,
        }
        return "; ".join([text, *(f"{count:,} {what}" for what, count in counts.items() if count)])


def make_photos(catalog: str, backgrounds: Path, out: Path, *, ids: Path | None = None, seed: int = 0) -> Made:
    """Photograph each shoe of a catalogue once, into `<id>.jpg`. The same seed and pictures give the same photos.

    Args:
        catalog: as `read_catalog` takes it.
        backgrounds: a folder of pictures, searched with its subfolders.
        out: a folder; made if it is not there. Photos of the same names are replaced, each as a whole.
        ids: a file that names the shoes; without it, all.
        seed: of everything random.

    Raises:
        ArtifactError: `out` can't be written.
        CatalogError: the catalogue or the ids can't be read, or no shoe has a plain margin.
        QueryError: no background can be read, or `out` holds what is read.
    """
    source = take_listed(read_catalog(catalog), ids)
    _protect(out, backgrounds, source.shoes)
    preprocessor = Preprocessor(PreprocessConfig())
    pictures, skipped = _read_backgrounds(backgrounds, preprocessor, seed)
    with explained(out):
        make_folder(out)
    margins = unreadable = 0
    for shoe in track(source.shoes, desc="photograph", unit="shoes", total=len(source.shoes)):
        try:
            pixels = np.asarray(preprocessor.render(shoe.image.read_bytes(), RENDERED_SIDE))
        except (OSError, ImageError):
            unreadable += 1
            continue
        outline = find_outline(pixels)
        if outline is None:
            margins += 1
            continue
        # By the id: a shoe's photo stays the same whatever others are photographed with it.
        random = np.random.default_rng([seed, zlib.crc32(shoe.id.encode())])
        target = out / photo_name(shoe.id)
        with explained(target):
            write_atomic(target, _photograph(random, pixels, outline, pictures))
    made = Made(len(source.shoes) - margins - unreadable, len(pictures), margins, unreadable, skipped)
    if not made.photos:
        raise CatalogError(f"{catalog}: no shoe could be photographed: {made.to_text()}")
    return made


def photo_name(shoe_id: str) -> str:
    """The file of a shoe's photo. An id has neither slashes nor control characters (`find_id_problem`)."""
    return f"{shoe_id}.jpg"


def _protect(out: Path, backgrounds: Path, shoes: Collection[Shoe]) -> None:
    """Refuse a folder whose pictures the photos might replace, or be mistaken for."""
    target = out.resolve()
    if target.is_relative_to(backgrounds.resolve()):
        raise QueryError("out", f"--out {out} lies in the folder of backgrounds; name another folder")
    if target in {folder.resolve() for folder in {shoe.image.parent for shoe in shoes}}:
        raise QueryError("out", f"--out {out} holds pictures of the catalogue; name another folder")


def _read_backgrounds(folder: Path, preprocessor: Preprocessor, seed: int) -> tuple[list[Image.Image], int]:
    """Readable pictures below a folder, and how many files were none."""
    try:
        paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise QueryError("backgrounds", f"can't read --backgrounds {folder}: {error.strerror or error}") from error
    order = np.random.default_rng([seed, 0]).permutation(len(paths))
    pictures: list[Image.Image] = []
    skipped = 0
    for index in track(order, desc="backgrounds", unit="files", total=len(order)):
        if len(pictures) == MOST_BACKGROUNDS:
            break
        try:
            pictures.append(preprocessor.render(paths[int(index)].read_bytes(), BACKGROUND_SIDE))
        except (OSError, ImageError):
            skipped += 1
    if not pictures:
        found = f"none of its {len(paths)} files is a readable picture" if paths else "it has no files"
        raise QueryError("backgrounds", f"no background in {folder}: {found}")
    return pictures, skipped


def _photograph(
    random: np.random.Generator,
    pixels: NDArray[np.uint8],
    outline: NDArray[np.bool_],
    backgrounds: Sequence[Image.Image],
) -> bytes:
    """A shoe on a piece of one of the pictures, as a JPEG."""
    background = _take_piece(random, backgrounds[int(random.integers(len(backgrounds)))])
    photo = compose(random, pixels, outline, background, PHOTO)
    file = io.BytesIO()
    Image.fromarray(photo.pixels).save(file, "JPEG", quality=int(random.integers(QUALITIES[0], QUALITIES[1] + 1)))
    return file.getvalue()


def _take_piece(random: np.random.Generator, picture: Image.Image) -> NDArray[np.uint8]:
    """A piece of a picture, of half to all of the largest one of a photograph's shape; (H, W, 3)."""
    width, height = SIZES[int(random.integers(len(SIZES)))]
    scale = min(picture.width / width, picture.height / height) * random.uniform(0.5, 1.0)
    left = random.uniform(0, picture.width - scale * width)
    top = random.uniform(0, picture.height - scale * height)
    box = (left, top, left + scale * width, top + scale * height)
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC, box=box))
