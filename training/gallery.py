"""Which shoes the pictures of a report show, and what is written beside them."""

import re
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from model.preprocess import to_pixels
from training.data.images import ImageSet
from training.embeddings import OVERALL, Embedding
from training.evaluate import Vectors, squared_distances
from training.labels import Labels
from training.questions import Question
from training.report import Panel, Tile, TileRow, draw_map, draw_picture_map, draw_reconstructions, draw_tile_rows
from training.tsne import tsne

__all__ = ["draw_gallery", "spread_over_values"]

QUERIES = 10
NEIGHBOURS = 8
RECONSTRUCTIONS = 12
MAP_POINTS = 1000
"""The maps' layout takes time in the square of it."""


def draw_gallery(
    embeddings: Sequence[Embedding],
    images: ImageSet,
    questions: Sequence[Question],
    *,
    seed: int,
    device: str | torch.device = "cpu",
) -> Iterator[tuple[str, str, bytes]]:
    """Draw a report's pictures: reconstructions of all embeddings, neighbours and maps of the first.

    Args:
        embeddings: the evaluated checkpoint's first.
        images: the evaluated shoes.
        questions: the notions of likeness.
        seed: of the choice of shoes.
        device: where the maps are laid out.

    Yields:
        heading, file name and PNG.
    """
    labelled = {question.name: question.labels for question in questions if question.labels is not None}
    anything = next(iter(labelled.values()), None)
    chosen = (
        spread_over_values(anything, RECONSTRUCTIONS, seed)
        if anything is not None
        else np.random.default_rng(seed).permutation(len(images))[:RECONSTRUCTIONS]
    )
    yield "Reconstructions", "reconstructions.png", _draw_reconstructions(embeddings, images, chosen)
    embedding = embeddings[0]
    parts = embedding.parts()
    for part, vectors in parts.items():
        for labels in labelled.values():
            if part != OVERALL and embedding.answers(part, labels.attribute):
                title = f"Nearest by {part}" + ("" if part == labels.attribute else f", judged by {labels.attribute}")
                name = f"neighbours-{_file_name(part, labels.attribute)}.png"
                yield title, name, _draw_neighbours(title, vectors, images, labels, chosen_by=seed)
    if anything is not None:
        title = f"Nearest by the whole vector, judged by {anything.attribute}"
        yield title, "neighbours-overall.png", _draw_neighbours(title, parts[OVERALL], images, anything, chosen_by=seed)
    mapped = np.sort(np.random.default_rng(seed).permutation(len(images))[:MAP_POINTS])
    for part, vectors in parts.items():
        points = tsne(vectors[mapped].astype(np.float32), device=device)
        shown = [_take(labels, mapped) for labels in labelled.values() if embedding.answers(part, labels.attribute)]
        note = f"t-SNE of {len(mapped):,} evaluated shoes; {vectors.shape[1]} dimensions"
        if shown:
            title = "Map of the whole vector" if part == OVERALL else f"Map of the slice {part}"
            if len(shown) == 1:
                note += f"; coloured by {shown[0].attribute}"
            panels = [Panel(labels.attribute, points, labels) for labels in shown]
            yield title, f"map-{_file_name(part, part)}.png", draw_map(title, note, panels)
        if part == OVERALL:
            title = "The shoes on the map of the whole vector"
            yield title, "map-pictures.png", draw_picture_map(title, note, points, images.pixels[mapped])


def spread_over_values(labels: Labels, count: int, seed: int) -> NDArray[np.intp]:
    """Choose shoes at random, in turns from each value, the commonest first; none twice.

    Returns:
        at most `count` indices of shoes that have a value, in the order of the values.
    """
    rng = np.random.default_rng(seed)
    by_count = np.argsort(-labels.table.sum(axis=0), kind="stable")
    waiting = [list(rng.permutation(np.flatnonzero(labels.table[:, value]))) for value in by_count]
    chosen: dict[int, int] = {}
    while len(chosen) < count and any(waiting):
        for place, shoes in enumerate(waiting):
            while shoes:
                shoe = int(shoes.pop())
                if shoe not in chosen:
                    chosen[shoe] = place
                    break
            if len(chosen) == count:
                break
    return np.array(sorted(chosen, key=chosen.__getitem__), dtype=np.intp)


def _draw_reconstructions(embeddings: Sequence[Embedding], images: ImageSet, chosen: NDArray[np.intp]) -> bytes:
    rows = []
    for embedding in embeddings:
        if embedding.decode is not None and embedding.reconstruction is not None:
            pictures = to_pixels(embedding.decode(embedding.vectors[chosen].astype(np.float32)))
            rows.append((embedding.name, f"squared error {embedding.reconstruction.mse:.4f}", pictures))
    return draw_reconstructions(images.pixels[chosen], rows, note="decoded from the mean vector; none was trained on")


def _draw_neighbours(title: str, vectors: Vectors, images: ImageSet, labels: Labels, *, chosen_by: int) -> bytes:
    queries = spread_over_values(labels, QUERIES, chosen_by)
    distances = squared_distances(vectors, queries)
    distances[np.arange(len(queries)), queries] = np.inf
    nearest = np.argsort(distances, axis=1, kind="stable")[:, : min(NEIGHBOURS, len(images) - 1)]
    rows = []
    for row, query in enumerate(queries):
        tiles = []
        for shoe in nearest[row]:
            alike = bool(labels.alike(query[None], shoe[None])[0]) if labels.known[shoe] else None
            words = "" if alike else f"  {_name_values(labels, int(shoe))}"
            caption = f"{np.sqrt(max(distances[row, shoe], 0.0)):.2f}{words}"
            tiles.append(Tile(images.pixels[shoe], caption, alike))
        query_tile = Tile(images.pixels[query], images.ids[query])
        rows.append(TileRow(_name_values(labels, int(query)), query_tile, tuple(tiles)))
    note = (
        f"distance below each shoe; green frame: same {labels.attribute}; "
        f"red frame: another, named below; grey frame: no value"
    )
    return draw_tile_rows(title, note, rows)


def _name_values(labels: Labels, shoe: int) -> str:
    return ", ".join(labels.values[value] for value in np.flatnonzero(labels.table[shoe])) or "no value"


def _take(labels: Labels, shoes: NDArray[np.intp]) -> Labels:
    return Labels(labels.attribute, labels.values, labels.table[shoes])


def _file_name(part: str, attribute: str) -> str:
    name = part if part == attribute else f"{part}-{attribute}"
    return re.sub(r"[^\w.-]+", "-", name)
