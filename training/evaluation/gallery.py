"""The pictures of a report: chooses the shoes that they show, and captions them."""

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from model.preprocess import to_pixels
from training.data.images import ImageSet
from training.data.labels import Labels
from training.evaluation.embeddings import OVERALL, Embedding
from training.evaluation.metrics import Vectors, squared_distances
from training.evaluation.tasks import SimilarityTask
from training.figures.maps import Panel, draw_map, draw_picture_map
from training.figures.pictures import PictureRow, Tile, TileRow, draw_reconstructions, draw_tile_rows
from training.figures.tsne import tsne

QUERIES = 10
NEIGHBOURS = 8
RECONSTRUCTIONS = 12
MAP_POINTS = 1000
"""Shoes on a map; the time of t-SNE grows with the square of their number."""


def draw_gallery(
    embeddings: Sequence[Embedding], images: ImageSet, tasks: Sequence[SimilarityTask], *, seed: int
) -> Iterator[tuple[str, str, bytes]]:
    """Draw a report's pictures: reconstructions of all embeddings, neighbours and maps of the first.

    The labels are those of the tasks; `seed` chooses the shoes.

    Yields:
        heading, file name and PNG.
    """
    labelled = {task.name: task.labels for task in tasks if task.labels is not None}
    anything = next(iter(labelled.values()), None)
    chosen = (
        spread_over_values(anything, RECONSTRUCTIONS, seed)
        if anything is not None
        else np.random.default_rng(seed).permutation(len(images))[:RECONSTRUCTIONS]
    )
    yield "Reconstructions", "reconstructions.png", _draw_reconstructions(embeddings, images, chosen)
    yield from _draw_all_neighbours(embeddings[0], images, labelled, seed)
    yield from _draw_all_maps(embeddings[0], images, labelled, seed)


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
            rows.append(PictureRow(embedding.name, pictures, f"squared error {embedding.reconstruction.mse:.4f}"))
    note = "each network's picture of the mean vector; its mean squared error is over all evaluated shoes"
    return draw_reconstructions(images.pixels[chosen], rows, note=note)


def _draw_all_neighbours(
    embedding: Embedding, images: ImageSet, labelled: Mapping[str, Labels], seed: int
) -> Iterator[tuple[str, str, bytes]]:
    for part, vectors in embedding.parts().items():
        judges = [labels for labels in labelled.values() if embedding.answers(part, labels.attribute)]
        # The whole vector answers to every attribute; one sheet of it is enough.
        for labels in judges[:1] if part == OVERALL else judges:
            by = "the whole vector" if part == OVERALL else part
            title = f"Nearest by {by}" + ("" if part == labels.attribute else f", judged by {labels.attribute}")
            file = "overall" if part == OVERALL else _file_name(part, labels.attribute)
            note = (
                f"{embedding.name}: distance below each shoe; green: same {labels.attribute}; "
                "red: another, named below; grey: no value"
            )
            rows = _find_neighbours(vectors, images, labels, seed)
            yield title, f"neighbours-{file}.png", draw_tile_rows(title, note, rows)


def _find_neighbours(vectors: Vectors, images: ImageSet, labels: Labels, seed: int) -> list[TileRow]:
    queries = spread_over_values(labels, QUERIES, seed)
    distances = squared_distances(vectors, queries)
    distances[np.arange(len(queries)), queries] = np.inf
    nearest = np.argsort(distances, axis=1, kind="stable")[:, : min(NEIGHBOURS, len(images) - 1)]
    rows = []
    for row, query in enumerate(queries):
        tiles = []
        for shoe in nearest[row]:
            alike = bool(labels.alike(query[None], shoe[None])[0]) if labels.known[shoe] else None
            distance = f"{np.sqrt(max(distances[row, shoe], 0.0)):.2f}"
            tiles.append(Tile(images.pixels[shoe], distance, "" if alike else _name_values(labels, shoe), alike))
        label = _name_values(labels, query)
        rows.append(TileRow(label, images.ids[query], images.pixels[query], tuple(tiles)))
    return rows


def _draw_all_maps(
    embedding: Embedding, images: ImageSet, labelled: Mapping[str, Labels], seed: int
) -> Iterator[tuple[str, str, bytes]]:
    mapped = np.sort(np.random.default_rng(seed).permutation(len(images))[:MAP_POINTS])
    for part, vectors in embedding.parts().items():
        points = tsne(vectors[mapped].astype(np.float32))
        shown = [labels.take(mapped) for labels in labelled.values() if embedding.answers(part, labels.attribute)]
        by = "the whole vector" if part == OVERALL else f"the slice {part}"
        note = f"{embedding.name}: t-SNE of {len(mapped):,} evaluated shoes, {vectors.shape[1]} dimensions"
        if shown:
            coloured = f"{note}; coloured by {shown[0].attribute}" if len(shown) == 1 else note
            title = f"Map of {by}"
            panels = [Panel(points, labels) for labels in shown]
            yield title, f"map-{_file_name(part, part)}.png", draw_map(title, coloured, panels)
        if part == OVERALL:
            title = f"The shoes on the map of {by}"
            yield title, "map-pictures.png", draw_picture_map(title, note, points, images.pixels[mapped])


def _name_values(labels: Labels, shoe: np.intp) -> str:
    return ", ".join(labels.values[value] for value in np.flatnonzero(labels.table[shoe])) or "no value"


def _file_name(part: str, attribute: str) -> str:
    name = part if part == attribute else f"{part}-{attribute}"
    return re.sub(r"[^\w.-]+", "-", name)
