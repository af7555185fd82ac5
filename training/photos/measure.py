"""Whether photographs find the catalogue pictures of their own shoes: `python -m training evaluate-photos`."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.spatial.distance import cdist

from model.catalog import read_catalog
from model.checkpoint import Checkpoint, load_checkpoint
from model.embedder import Embedder
from model.errors import CatalogError, ImageError, QueryError, TrainingError
from model.files import explained, write_atomic, write_json
from model.framing import Subject
from model.inference import pick_device
from model.preprocess import Preprocessor, to_pixels
from model.progress import track
from training.data.images import ImageSet, load_images, take_listed
from training.evaluation.embeddings import OVERALL
from training.evaluation.tables import to_columns
from training.figures.pictures import ALIKE, DIFFERENT, UNKNOWN
from training.figures.sheet import MARGIN, MUTED, Sheet
from training.photos.make import photo_name

WITHIN = (1, 10, 24)
"""Lengths of the result lists in which a shoe's own picture is looked for; 24 is the page's."""

SHOWN_PHOTOS = 24
SHOWN_SHOES = 5
SHOWN_SIDE = 240
"""Longest side, in pixels, of a photo on the contact sheet."""

CHUNK = 256
"""Photos whose distances to all shoes are in memory at once."""


class Ranking(NamedTuple):
    """Where each of Q photos finds its own shoe among N.

    Attributes:
        ranks: (Q,), from 1; shoes at the very same distance count as nearer.
        nearest: (Q, K), indices of the first shoes.
    """

    ranks: NDArray[np.int64]
    nearest: NDArray[np.int64]


@dataclass(frozen=True)
class PhotoRow:
    """The figures of one order.

    Attributes:
        order: `overall` or a slice's name.
        first, in_10, in_24: shares of photos, in [0, 1], that find their shoe first, in the first 10, in the first 24.
        median_rank: of the photos' own shoes, from 1.
        alike: share of photos whose nearest shoe has a value of the attribute in common with theirs, of those with
            a value; None where there is no attribute.
    """

    order: str
    first: float
    in_10: float
    in_24: float
    median_rank: float
    alike: float | None


@dataclass(frozen=True)
class PhotoSummary:
    """All figures of a measurement.

    Attributes:
        catalog: as `read_catalog` takes it.
        checkpoint: the digest.
        localizer: whether the checkpoint has one.
        shoes: catalogue pictures that were searched.
        photos: that were asked.
        found: photos in which a subject was found; the others were taken whole.
        missing: shoes without a photo.
        unreadable: photos that could not be decoded.
        attribute: whose values are compared; None for none.
        rows: of each order.
    """

    catalog: str
    checkpoint: str
    localizer: bool
    shoes: int
    photos: int
    found: int
    missing: int
    unreadable: int
    attribute: str | None
    rows: tuple[PhotoRow, ...]

    def to_text(self) -> str:
        """A table, with the counts above it."""
        what = "" if self.localizer else " (the checkpoint has no localizer)"
        counts = (
            f"{self.photos:,} photos among {self.shoes:,} shoes; a subject was found in {self.found:,}{what}; "
            f"{self.missing:,} shoes without a photo, {self.unreadable:,} unreadable photos"
        )
        name = "" if self.attribute is None else f"same {self.attribute}"
        table = [["by", "first", "in 10", "in 24", "median rank", name]]
        for row in self.rows:
            alike = "" if row.alike is None else f"{row.alike:.3f}"
            shares = (f"{share:.3f}" for share in (row.first, row.in_10, row.in_24))
            table.append([row.order, *shares, f"{row.median_rank:g}", alike])
        return "\n".join([counts, "", *to_columns(table, names=1)])

    def to_json(self) -> dict[str, Any]:
        """The same for programs."""
        return asdict(self)


class _Photos(NamedTuple):
    """Q decoded photos: files, (Q, C, H, W) uint8, what was found in them, and their shoes' indices in the gallery."""

    paths: list[Path]
    pixels: NDArray[np.uint8]
    subjects: list[Subject | None]
    own: NDArray[np.int64]
    missing: int
    unreadable: int


def evaluate_photos(
    catalog: str,
    photos: Path,
    checkpoint: Path,
    *,
    out: Path,
    ids: Path | None = None,
    attribute: str | None = None,
    device: str = "auto",
) -> PhotoSummary:
    """Ask with each photo `<id>.jpg` for the shoe's own catalogue picture among all of them.

    Writes `photos.txt`, `photos.json` and the contact sheet `photos.png` to `out`.

    Args:
        catalog: as `read_catalog` takes it.
        photos: the folder of photos.
        checkpoint: its folder.
        out: a folder; made if it is not there.
        ids: a file that names the shoes to search and to ask for; without it, all.
        attribute: whose values the nearest shoe and the photo's are compared by; None for the first condition's.
        device: "auto", "cpu" or "cuda".

    Raises:
        ArtifactError: the checkpoint can't be used, or `out` can't be written.
        CatalogError: the catalogue or the ids can't be read, or no shoe has a photo.
        QueryError: no such device or attribute.
        TrainingError: the network gives vectors that are not finite.
    """
    loaded = load_checkpoint(checkpoint)
    embedder = Embedder(loaded, device=pick_device(device))
    gallery = load_images(take_listed(read_catalog(catalog), ids), embedder.preprocessor)
    chosen = _choose_attribute(attribute, loaded, gallery)
    asked = _read_photos(photos, gallery, embedder.preprocessor)
    shoes, questions = embedder.embed_pixels(gallery.pixels), embedder.embed_pixels(asked.pixels)
    if not (np.isfinite(shoes).all() and np.isfinite(questions).all()):
        raise TrainingError(f"checkpoint {checkpoint} gives vectors that are not finite: its training went astray")
    values = None if chosen is None else [frozenset(each.get(chosen, ())) for each in gallery.attributes]
    orders = {OVERALL: (0, embedder.dimension), **embedder.slices}
    rankings = {
        order: rank_own(questions[:, start:stop], shoes[:, start:stop], asked.own, SHOWN_SHOES)
        for order, (start, stop) in orders.items()
    }
    summary = PhotoSummary(
        catalog=catalog,
        checkpoint=loaded.digest,
        localizer=loaded.localizer is not None,
        shoes=len(gallery),
        photos=len(asked.paths),
        found=sum(subject is not None for subject in asked.subjects),
        missing=asked.missing,
        unreadable=asked.unreadable,
        attribute=chosen,
        rows=tuple(_row(order, ranking, asked.own, values) for order, ranking in rankings.items()),
    )
    drawings = to_pixels(embedder.decode(questions[_pick_shown(len(asked.paths))]))
    sheet = _draw_sheet(
        summary,
        asked,
        gallery,
        rankings[OVERALL],
        drawings=drawings,
        values=values,
        preprocessor=embedder.preprocessor,
    )
    with explained(out):
        write_atomic(out / "photos.txt", (summary.to_text() + "\n").encode())
        write_json(out / "photos.json", summary.to_json())
        write_atomic(out / "photos.png", sheet)
    return summary


def rank_own(questions: NDArray[np.float32], shoes: NDArray[np.float32], own: NDArray[np.int64], count: int) -> Ranking:
    """Rank the shoes by Euclidean distance to each question.

    Args:
        questions: (Q, D).
        shoes: (N, D).
        own: (Q,), the index of each question's own shoe.
        count: first shoes to name.
    """
    ranks, nearest = np.empty(len(questions), dtype=np.int64), []
    for start in range(0, len(questions), CHUNK):
        part = slice(start, start + CHUNK)
        distances = cdist(questions[part].astype(np.float64), shoes.astype(np.float64), "sqeuclidean")
        mine = distances[np.arange(len(distances)), own[part]]
        ranks[part] = (distances <= mine[:, None]).sum(axis=1)
        nearest.append(np.argsort(distances, axis=1, kind="stable")[:, :count])
    return Ranking(ranks, np.concatenate(nearest))


def _choose_attribute(name: str | None, checkpoint: Checkpoint, gallery: ImageSet) -> str | None:
    known = dict.fromkeys(attribute for each in gallery.attributes for attribute in each)
    if name is not None and name not in known:
        raise QueryError("attribute", f"no shoe has the attribute {name!r}; expected one of {', '.join(known)}")
    usual = (attribute for condition in checkpoint.conditions for attribute in condition.attributes)
    return name or next((attribute for attribute in usual if attribute in known), None)


def _read_photos(folder: Path, gallery: ImageSet, preprocessor: Preprocessor) -> _Photos:
    places = {folder / photo_name(shoe_id): index for index, shoe_id in enumerate(gallery.ids)}
    there = {path: index for path, index in places.items() if path.is_file()}
    paths, framed, own = [], [], []
    for path, index in track(there.items(), desc="photos", unit="photos", total=len(there)):
        try:
            framed.append(preprocessor.frame(preprocessor.open(path.read_bytes())))
        except (OSError, ImageError):
            continue
        paths.append(path)
        own.append(index)
    if not paths:
        example = photo_name(gallery.ids[0])
        raise CatalogError(f"no readable photo of these shoes in {folder}; expected files such as {example}")
    return _Photos(
        paths=paths,
        pixels=np.stack([each.pixels for each in framed]),
        subjects=[each.subject for each in framed],
        own=np.array(own, dtype=np.int64),
        missing=len(places) - len(there),
        unreadable=len(there) - len(paths),
    )


def _row(order: str, ranking: Ranking, own: NDArray[np.int64], values: Sequence[frozenset[str]] | None) -> PhotoRow:
    first, in_10, in_24 = (float((ranking.ranks <= length).mean()) for length in WITHIN)
    alike = None
    if values is not None:
        pairs = zip(own, ranking.nearest[:, 0], strict=True)
        judged = [bool(values[mine] & values[nearest]) for mine, nearest in pairs if values[mine]]
        alike = sum(judged) / len(judged) if judged else None
    return PhotoRow(order, first, in_10, in_24, float(np.median(ranking.ranks)), alike)


def _pick_shown(count: int) -> NDArray[np.int64]:
    """Indices of the photos on the sheet: spread evenly over all."""
    return np.unique(np.linspace(0, count - 1, min(count, SHOWN_PHOTOS)).round().astype(np.int64))


TILE, GAP, LABEL = 0.86, 0.08, 0.3
"""Inches: a picture's side, the space between two, and the line above a row."""

OWN = "#1f5fd0"
"""Colour of the photo's own shoe, and of the box that was found."""


def _draw_sheet(
    summary: PhotoSummary,
    asked: _Photos,
    gallery: ImageSet,
    ranking: Ranking,
    *,
    drawings: NDArray[np.uint8],
    values: Sequence[frozenset[str]] | None,
    preprocessor: Preprocessor,
) -> bytes:
    """Photos in two columns: each with its box, its cut-out, the network's drawing of it, and the first shoes."""
    shown = _pick_shown(len(asked.paths))
    lines = -(-len(shown) // 2)
    width, height = (3 + SHOWN_SHOES) * (TILE + GAP) + 3 * GAP, TILE + LABEL
    sheet = Sheet(2 * (MARGIN + width) + MARGIN, MARGIN + 0.7 + lines * height + MARGIN)
    overall = summary.rows[0]
    sheet.head(
        f"Photos and the first {SHOWN_SHOES} of {summary.shoes:,} shoes: {overall.first:.3f} find their own first",
        "photo with the box that was found, cut-out as the network sees it, its reconstruction, nearest shoes; blue: "
        "the photo's own shoe"
        + ("" if values is None else f"; green: the same {summary.attribute}; red: another; grey: no value"),
    )
    for place, (index, drawing) in enumerate(zip(shown, drawings, strict=True)):
        column, line = divmod(place, lines)
        x, y = MARGIN + column * (width + MARGIN), MARGIN + 0.7 + line * height + LABEL - 0.08
        path, subject, mine = asked.paths[index], asked.subjects[index], int(asked.own[index])
        seen = "taken whole" if subject is None else f"confidence {subject.confidence:.2f}"
        text = f"{gallery.ids[mine]}: rank {ranking.ranks[index]:,}, {seen}"
        sheet.write(x, y - 0.05, text, size=7, colour=MUTED, width=width)
        photo = _draw_photo(path, subject, preprocessor)
        across, down = (TILE * side / max(photo.shape[1:]) for side in (photo.shape[2], photo.shape[1]))
        sheet.paste(photo, x + (TILE - across) / 2, y + (TILE - down) / 2, across, down)
        sheet.paste(asked.pixels[index], x + TILE + GAP, y, TILE)
        sheet.paste(drawing, x + 2 * (TILE + GAP), y, TILE)
        for number, shoe in enumerate(ranking.nearest[index]):
            left = x + (3 + number) * (TILE + GAP) + 3 * GAP
            sheet.paste(gallery.pixels[shoe], left, y, TILE)
            sheet.frame(left, y, TILE, _colour(mine, int(shoe), values))
    return sheet.to_png()


def _colour(mine: int, shoe: int, values: Sequence[frozenset[str]] | None) -> str:
    if shoe == mine:
        return OWN
    if values is None or not values[mine] or not values[shoe]:
        return UNKNOWN
    return ALIKE if values[mine] & values[shoe] else DIFFERENT


def _draw_photo(path: Path, subject: Subject | None, preprocessor: Preprocessor) -> NDArray[np.uint8]:
    """The photo, small, with the box that was found; (3, H, W)."""
    photo: Image.Image = preprocessor.render(path.read_bytes(), SHOWN_SIDE)
    if subject is not None:
        left, top, right, bottom = subject.box.to_pixels(photo.size)
        ImageDraw.Draw(photo).rectangle((left, top, right - 1, bottom - 1), outline=OWN, width=3)
    return np.asarray(photo).transpose(2, 0, 1)
