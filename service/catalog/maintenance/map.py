"""Drawing the map of a catalogue: every shoe laid out on a plane, near those that are like it. See `map_files`."""

import gzip
import io
import json
import logging
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.errors import ImageError, QueryError
from model.files import write_atomic, write_json
from model.preprocess import PreprocessConfig, Preprocessor
from model.progress import track
from service.catalog.images import Uploads, read_picture
from service.catalog.map_files import FACTS, FOLDER, FORMAT, MapFacts, atlas_name, tile_name
from service.errors import PictureMissing
from service.store.base import Item, VectorStore, iterate_records

logger = logging.getLogger(__name__)

TILE = 4096
"""Shoes of one tile."""

ROW = 64
"""Pictures in a row of an atlas; a tile's are a square."""

THUMBNAIL = 24
"""Pixels a side of a picture."""

GRID = 65_535
"""The largest coordinate."""

MAX_COLOURS = 24
"""Values of one attribute that are told apart, the most frequent ones; shoes with others have none."""

FEWEST_FOR_TSNE = 100
"""With fewer shoes the principal components are all that there is to show."""

PERPLEXITY = 30

Method = Literal["auto", "opentsne", "pca"]


def draw_map(folder: Path, store: VectorStore, *, method: Method = "auto", uploads: Uploads | None = None) -> MapFacts:
    """Lay out the shoes of a store, and write their map into the catalogue's folder, in place of the one before.

    Raises:
        QueryError: the store is empty, or the method can't be used.
        OSError: something can't be written.
    """
    info = store.info()
    records = list(iterate_records(store))
    items = [record.item for record in records]
    if not items:
        raise QueryError("map", "the catalogue has no shoes to draw a map of")
    used, places = lay_out(np.stack([record.vector for record in records]), method)
    grid = _to_grid(places)
    legend = _find_legend(items)
    target, token = folder / FOLDER, secrets.token_hex(8)
    target.mkdir(parents=True, exist_ok=True)
    tiles = range(0, len(items), TILE)
    for number, start in enumerate(track(tiles, desc="map", unit="tiles", total=len(tiles))):
        some = items[start : start + TILE]
        tile = _describe_tile(some, grid[start : start + TILE], legend)
        write_atomic(target / tile_name(token, number), gzip.compress(json.dumps(tile).encode(), mtime=0))
        write_atomic(target / atlas_name(token, number), _draw_atlas(info.root, some, uploads))
    facts = MapFacts(
        used, len(items), TILE, len(tiles), tuple(legend), THUMBNAIL, fingerprint=info.fingerprint, token=token
    )
    write_json(target / FACTS, {"format": FORMAT, **asdict(facts)})
    for stale in target.iterdir():
        if stale.name != FACTS and not stale.name.startswith(token):
            stale.unlink(missing_ok=True)
    return facts


def lay_out(
    vectors: NDArray[np.float32], method: Method = "auto"
) -> tuple[Literal["opentsne", "pca"], NDArray[np.float64]]:
    """Places on a plane, (N, 2), of vectors, (N, D), and the method that gave them: t-SNE, or principal components.

    Args:
        vectors: at least one.
        method: `auto` is t-SNE where openTSNE is installed and there are enough vectors.

    Raises:
        QueryError: openTSNE is asked for and not installed.
    """
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    components = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :2]
    # An eigenvector's sign is any: the same vectors are to give the same map.
    largest = components[np.abs(components).argmax(axis=0), np.arange(components.shape[1])]
    components = components * np.where(largest < 0, -1, 1)
    plane: NDArray[np.float64] = centred @ components
    if plane.shape[1] < 2:
        plane = np.pad(plane, ((0, 0), (0, 2 - plane.shape[1])))
    if method == "pca" or (method == "auto" and len(vectors) < FEWEST_FOR_TSNE):
        return "pca", plane
    try:
        from openTSNE import TSNE  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        if method == "auto":
            return "pca", plane
        raise QueryError(
            "method", f"opentsne needs {error.name}, which is not installed: pip install 'solemate[map]'"
        ) from error
    start = plane / (plane[:, 0].std() or 1.0) * 1e-4  # as openTSNE wants a start to be
    perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, initialization=start, random_state=0, neighbors="annoy", n_jobs=1)
    return "opentsne", np.asarray(tsne.fit(vectors), dtype=np.float64)


def parse_method(text: str) -> Method:
    """The method of that name. Raises QueryError."""
    for method in get_args(Method):
        if text == method:
            found: Method = method
            return found
    raise QueryError("method", f"method is {text!r}; expected one of {', '.join(get_args(Method))}")


def _to_grid(places: NDArray[np.float64]) -> NDArray[np.int64]:
    """(N, 2) in 0 to GRID, in the same proportions, in the middle."""
    low, high = places.min(axis=0), places.max(axis=0)
    extent = float((high - low).max()) or 1.0
    grid: NDArray[np.int64] = np.rint((places - (low + high) / 2) / extent * GRID + GRID / 2).astype(np.int64)
    return grid.clip(0, GRID)


def _find_legend(items: Sequence[Item]) -> dict[str, list[str]]:
    """Attribute -> the values that are told apart, the most frequent first; titles and the like have too many."""
    counts: dict[str, Counter[str]] = {}
    for item in items:
        for name, values in item.attributes.items():
            counts.setdefault(name, Counter()).update(values[:1])
    return {
        name: [value for value, _ in counter.most_common(MAX_COLOURS)]
        for name, counter in sorted(counts.items())
        if 1 < len(counter) <= max(MAX_COLOURS, len(items) // 20)
    }


def _describe_tile(
    items: Sequence[Item], grid: NDArray[np.int64], legend: Mapping[str, Sequence[str]]
) -> dict[str, object]:
    index_of = {name: {value: index for index, value in enumerate(values)} for name, values in legend.items()}
    return {
        "ids": [item.id for item in items],
        "x": grid[:, 0].tolist(),
        "y": grid[:, 1].tolist(),
        "values": {
            name: [index_of[name].get(next(iter(item.attributes.get(name, ())), ""), -1) for item in items]
            for name in legend
        },
        "legend": legend,
    }


def _draw_atlas(root: str, items: Sequence[Item], uploads: Uploads | None) -> bytes:
    rows = -(-len(items) // ROW)
    atlas = Image.new("RGB", (ROW * THUMBNAIL, rows * THUMBNAIL), "white")
    for place, thumbnail in enumerate(_read_thumbnails(root, items, uploads)):
        if thumbnail is not None:
            left = place % ROW * THUMBNAIL + (THUMBNAIL - thumbnail.width) // 2
            top = place // ROW * THUMBNAIL + (THUMBNAIL - thumbnail.height) // 2
            atlas.paste(thumbnail, (left, top))
    buffer = io.BytesIO()
    atlas.save(buffer, "JPEG", quality=80, optimize=True)
    return buffer.getvalue()


def _read_thumbnails(root: str, items: Sequence[Item], uploads: Uploads | None) -> Iterator[Image.Image | None]:
    """The picture of each shoe, at most THUMBNAIL pixels a side; None where it can't be read."""
    preprocessor = Preprocessor(PreprocessConfig())
    for item in items:
        try:
            yield preprocessor.render(read_picture(root, item, uploads).content, THUMBNAIL)
        except (ImageError, PictureMissing) as error:
            logger.warning("the map shows no picture of shoe %r (%s)", item.id, error)
            yield None
