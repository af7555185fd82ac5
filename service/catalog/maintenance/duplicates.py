"""How far apart pictures of one shoe are: the distance of near-duplicates, measured on the catalogue itself.

What one picture becomes in a shop, encoded anew or at another size, moves its vector a little; another shoe is farther
away. The distance is as large as it takes to find 99 in 100 such copies, of each kind of copy for which that can be had
without folding more than 1 in 100 shoes into another one: the shoe nearest to each is looked at for that.
"""

import io
import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from model.embedder import PictureEmbedder
from model.errors import ImageError
from model.files import write_json
from service.catalog.images import Uploads, locate_picture
from service.errors import PictureMissing
from service.store.base import Record, VectorStore

logger = logging.getLogger(__name__)

MEASURE = "duplicates.json"
"""Name of the file in the catalogue's folder."""

FORMAT = 1

MIN_SHOES = 100
"""Fewest shoes that are measured: with fewer, the share WRONG is less than one shoe."""

PICTURES = 300
SHOES = 1000
BATCH = 50

FOUND = 0.99
WRONG = 0.01


def _encode_anew(picture: Image.Image) -> bytes:
    return _to_bytes(picture, "JPEG", quality=60)


def _resize(picture: Image.Image, share: float) -> bytes:
    size = (max(1, round(picture.width * share)), max(1, round(picture.height * share)))
    return _to_bytes(picture.resize(size, Image.Resampling.LANCZOS), "PNG")


COPIES: Mapping[str, Callable[[Image.Image], bytes]] = {
    "JPEG of quality 60": _encode_anew,
    "3/4 of the size": lambda picture: _resize(picture, 0.75),
    "double size": lambda picture: _resize(picture, 2.0),
    "mirrored": lambda picture: _to_bytes(ImageOps.mirror(picture), "PNG"),
}
"""Kind of copy -> how it is made of a picture, as a file's bytes."""


@dataclass(frozen=True)
class Measure:
    """What was measured.

    Attributes:
        distance: the largest one of near-duplicates, between whole vectors.
        found: kind of copy -> the share of pictures whose copy is that near.
        wrong: the share of shoes that have another shoe that near.
        pictures: how many were copied.
        shoes: how many were compared with the shoe nearest to them.
        checkpoint: digest of the one that made the vectors.
    """

    distance: float
    found: Mapping[str, float]
    wrong: float
    pictures: int
    shoes: int
    checkpoint: str

    def describe(self) -> str:
        """In words, for a terminal."""
        copies = "; ".join(f"{kind}: {share:.1%}" for kind, share in self.found.items())
        return (
            f"near-duplicates are at most {self.distance:.4g} apart: that finds these copies of {self.pictures} "
            f"pictures: {copies}; and {self.wrong:.2%} of {self.shoes} shoes have another one that near"
        )


def measure_duplicates(embedder: PictureEmbedder, store: VectorStore, uploads: Uploads) -> Measure | None:
    """Measure on a sample of the catalogue's shoes; None if it has too few, or too few of its pictures can be read."""
    records = store.sample(SHOES)
    sample = [records[place] for place in np.random.default_rng(0).permutation(len(records))]
    copies = _measure_copies(embedder, store, uploads, sample)
    pictures = len(next(iter(copies.values())))
    if len(sample) < MIN_SHOES or pictures < MIN_SHOES:
        return None
    others = _measure_others(store, sample)
    bound = _largest_rarely_reached(others)
    reaches = [float(np.quantile(distances, FOUND)) for distances in copies.values()]
    distance = max((reach for reach in reaches if reach <= bound), default=bound)
    return Measure(
        distance=distance,
        found={kind: float(np.mean(distances <= distance)) for kind, distances in copies.items()},
        wrong=float(np.mean(others <= distance)),
        pictures=pictures,
        shoes=len(others),
        checkpoint=store.info().checkpoint,
    )


def write_measure(folder: Path, measure: Measure) -> None:
    """Keep it beside the catalogue. Raises OSError."""
    write_json(folder / MEASURE, {"format": FORMAT, **asdict(measure)})


def read_measure(folder: Path, checkpoint: str) -> Measure | None:
    """What `write_measure` kept; None, with a line in the log, if there is none of this checkpoint's vectors."""
    path = folder / MEASURE
    try:
        measure = _parse(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        logger.warning("%s can't be used (%s); `python -m service duplicates` makes it anew", path, error)
        return None
    if measure.checkpoint != checkpoint:
        logger.warning("%s is of another checkpoint; `python -m service duplicates` makes it anew", path)
        return None
    return measure


def _parse(data: bytes) -> Measure:
    content = json.loads(data)
    if (version := content.pop("format")) != FORMAT:
        raise ValueError(f"it has the format {version!r}, not {FORMAT}")
    measure = Measure(**content)
    if not (np.isfinite(measure.distance) and measure.distance >= 0):
        raise ValueError(f"the distance is {measure.distance}")
    return measure


def _measure_copies(
    embedder: PictureEmbedder, store: VectorStore, uploads: Uploads, sample: Sequence[Record]
) -> dict[str, NDArray[np.float64]]:
    """Kind of copy -> its distance from the shoe's own vector, of each picture that can be read."""
    distances: dict[str, list[float]] = {kind: [] for kind in COPIES}
    root = store.info().root
    for start in range(0, min(PICTURES, len(sample)), BATCH):
        vectors, made = [], []
        for record in sample[start : min(start + BATCH, PICTURES)]:
            try:
                data = locate_picture(root, record.item, uploads).read_bytes()
                picture = embedder.preprocessor.render(data, sys.maxsize)
                made.append([embedder.preprocessor.decode(copy(picture)) for copy in COPIES.values()])
            except (OSError, ValueError, ImageError, PictureMissing) as error:
                logger.warning("the picture of shoe %r is passed over (%s)", record.item.id, error)
                continue
            vectors.append(record.vector)
        for number, kind in enumerate(COPIES if made else ()):
            embedded = embedder.embed_pixels(np.stack([each[number] for each in made]))
            differences = embedded.astype(np.float64) - np.stack(vectors)
            distances[kind] += np.linalg.norm(differences, axis=1).tolist()
    return {kind: np.array(some) for kind, some in distances.items()}


def _measure_others(store: VectorStore, sample: Sequence[Record]) -> NDArray[np.float64]:
    """Each shoe's distance from the nearest other one."""
    found = store.search(np.stack([record.vector for record in sample]), 2)
    return np.array(
        [
            distance
            for record, hits in zip(sample, found, strict=True)
            for distance in [hit.distance for hit in hits if hit.item.id != record.item.id][:1]
        ]
    )


def _largest_rarely_reached(others: NDArray[np.float64]) -> float:
    """The largest distance within which no more than one in a hundred has another shoe."""
    allowed = int(WRONG * len(others))
    return float(np.nextafter(np.sort(others)[allowed], 0.0))


def _to_bytes(picture: Image.Image, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()
