"""`ImageSet`: a catalogue in memory, every picture decoded once by the network's preprocessing."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.catalog import BadRow, Catalog, Shoe, check_bad_rows, decode_shoes
from model.errors import CatalogError
from model.files import sha256_bytes
from model.preprocess import Preprocessor
from model.progress import track
from model.text import nfc
from training.photos.views import Views


@dataclass(frozen=True)
class ImageSet:
    """N shoes with their pictures.

    Attributes:
        ids: of the shoes.
        groups: what a split keeps together: colour variants of one product share a group.
        pixels: (N, C, H, W) uint8.
        attributes: of each shoe: attribute -> values.
        views: photo views of the shoes, where the network is to learn from photos.
    """

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    pixels: NDArray[np.uint8]
    attributes: tuple[Mapping[str, tuple[str, ...]], ...]
    views: Views | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, indices: Iterable[int]) -> "ImageSet":
        """The shoes at these indices, in this order."""
        chosen = list(indices)
        return ImageSet(
            ids=tuple(self.ids[i] for i in chosen),
            groups=tuple(self.groups[i] for i in chosen),
            pixels=self.pixels[chosen],
            attributes=tuple(self.attributes[i] for i in chosen),
            views=None if self.views is None else self.views.take(chosen),
        )


def load_images(
    catalog: Catalog, preprocessor: Preprocessor, *, max_bad_share: float = 0.02, report: Path | None = None
) -> ImageSet:
    """Decode every picture of a catalogue into memory."""
    config = preprocessor.config
    pixels = np.empty((len(catalog.shoes), config.channels, config.size, config.size), dtype=np.uint8)
    good: list[Shoe] = []
    bad = list(catalog.bad_rows)
    decoded = decode_shoes(catalog.shoes, preprocessor)
    for shoe, picture in track(decoded, desc="decode", unit="images", total=len(catalog.shoes)):
        if isinstance(picture, BadRow):
            bad.append(picture)
        else:
            pixels[len(good)] = picture
            good.append(shoe)
    check_bad_rows(len(catalog.shoes) + len(catalog.bad_rows), bad, max_share=max_bad_share, report=report)
    if not good:
        raise CatalogError(f"{catalog.source}: no usable picture in it")
    return ImageSet(
        ids=tuple(shoe.id for shoe in good),
        groups=tuple(shoe.group for shoe in good),
        pixels=pixels[: len(good)],
        attributes=tuple(shoe.attributes for shoe in good),
    )


def take_shoes(catalog: Catalog, indices: Iterable[int]) -> Catalog:
    """The catalogue's shoes at these indices; bad rows are left out, since their share is of the whole."""
    return replace(catalog, shoes=tuple(catalog.shoes[index] for index in indices), bad_rows=())


def take_listed(catalog: Catalog, path: Path | None) -> Catalog:
    """The shoes of a catalogue that a file of ids names, as `take_shoes`; all of the catalogue where there is no file.

    Raises:
        CatalogError: the file can't be read, or names a shoe that the catalogue lacks.
    """
    if path is None:
        return catalog
    wanted = read_ids(path)
    unknown = sorted(wanted - {shoe.id for shoe in catalog.shoes})
    if unknown:
        few = ", ".join(unknown[:5])
        raise CatalogError(f"{path}: {len(unknown)} of its {len(wanted)} ids are not in {catalog.source}: {few}")
    return take_shoes(catalog, (index for index, shoe in enumerate(catalog.shoes) if shoe.id in wanted))


def split_by_group(groups: Iterable[str], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Indices of (training, held-out) shoes; whole groups, so that no colour variant is on both sides.

    A group's side depends on its name and the seed alone, so a grown catalogue keeps its split.
    """
    kept: list[int] = []
    held_out: list[int] = []
    for index, group in enumerate(groups):
        draw = int.from_bytes(hashlib.sha256(f"{seed}:{group}".encode()).digest()[:8]) / 2**64
        (held_out if draw < share else kept).append(index)
    return kept, held_out


def digest_ids(ids: Iterable[str]) -> str:
    """SHA-256 of a set of shoe ids, hex: by it a checkpoint remembers which shoes its training left out."""
    return sha256_bytes("\n".join(sorted(ids)).encode())


def read_ids(path: Path) -> frozenset[str]:
    """Shoe ids from a text file, one a line."""
    try:
        ids = frozenset(nfc(line.strip()) for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(f"can't read shoe ids from {path}: {error}") from error
    if not ids:
        raise CatalogError(f"{path} holds no shoe id; expected one a line")
    return ids
