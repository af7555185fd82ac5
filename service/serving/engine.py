"""The engine: network and store of one generation, which embeds, searches and draws. No HTTP, no batches.

`service.serving.pipeline` runs these steps for many requests at once.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import isnan
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL.Image import Image

from model.base_checkpoint import Runtime
from model.catalog.columns import is_nearly_unique
from model.cutout import Cutout
from model.embedder import PictureEmbedder, Vector
from model.errors import QueryError, SolemateError
from model.framing import Subject, View
from model.nearness import Nearness
from model.preprocess import Framed, to_png
from model.text import MAX_ECHO
from service.catalog.attributes import FALSE, TRUE, AttributeType, infer_type
from service.catalog.images import PictureFile, Uploads, read_picture
from service.catalog.map_files import MapFacts, read_map, read_map_file
from service.errors import NotReady, PictureMissing
from service.search.nearness import NearnessScale
from service.search.options import SearchOptions, require_range
from service.search.ranker import Ranked, Searcher
from service.serving.sampling import Sampler
from service.settings import Settings
from service.store.base import OVERALL, Counts, Hit, Item, Page, StoreInfo, VectorStore, check_vectors, find_item
from service.store.filters import Filter, HasValue, InRange, find_leaves, replace_leaves

SHORT_DIGEST = 16
"""Hex digits of the checkpoint's digest that answers carry."""

MANY_VALUES = 100
"""Values up to which an attribute is always a facet; with more, it is none if nearly every shoe has its own."""

COMPARED: frozenset[AttributeType] = frozenset({"number", "date"})
"""Types of attributes that have ranges."""

MAX_STEPS = 16
"""Pictures in one interpolation."""

MAX_PAGE = 500
"""Shoes on a page of the catalogue."""

CANARY_TOLERANCE = 1e-4
"""Largest difference of a number of the canary's vector between two runs."""

CANARY_VIEW = View(whole=True)
"""How the canary is framed: without the localizer, which runs in helper threads, where clients' photos may wait."""

MOST_REPLACEMENTS = 5
"""Attempts to read a picture that other requests keep replacing."""


@dataclass(frozen=True)
class Network:
    """Facts of the checkpoint that answers carry.

    Attributes:
        digest: SHA-256 of the checkpoint, hex.
        conditions: the slices that were trained to order a notion of likeness; without `overall`.
        nearness: `overall`, or a slice -> the scores of its distances, as validation shoes have them.
        runtime: what runs the networks.
    """

    digest: str
    conditions: tuple[str, ...] = ()
    nearness: Mapping[str, Nearness] = field(default_factory=dict)
    runtime: Runtime = "torch"


@dataclass(frozen=True)
class Catalogue:
    """What is being served: the store's facts, and the attributes that its shoes have.

    Attributes:
        info: of the store.
        types: attribute -> the kind of its values; of all attributes.
        unlisted: those that facets don't list: of which nearly every shoe has a value of its own, as of titles, numbers
            and dates of many values, and what is only displayed.
    """

    info: StoreInfo
    types: Mapping[str, AttributeType]
    unlisted: frozenset[str]


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vectors of pictures, (B, D) float32, and the catalogue's fingerprint.

    `subjects`: what of each picture was taken for the shoe; None where all of it was. `confidences`: how likely each
    shows a shoe; None where the checkpoint has no confidence.
    """

    vectors: Vector
    fingerprint: str
    subjects: Sequence[Subject | None] = ()
    confidences: Sequence[float] | None = None


@dataclass(frozen=True)
class Facets:
    """How shoes divide.

    Attributes:
        counts: attribute -> value -> number of shoes, most first.
        total: how many shoes there are; one may have several values, or none.
        ranges: attribute whose values are numbers or dates -> the least and the largest of them.
    """

    counts: Mapping[str, Mapping[str, int]]
    total: int
    ranges: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SliceDistance:
    """How far apart two shoes are in one slice; `share` of their squared distance, 0 where that is 0."""

    name: str
    distance: float
    share: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """The values that two shoes have of one attribute; they agree where they share one."""

    name: str
    values: tuple[str, ...]
    other_values: tuple[str, ...]

    @property
    def agree(self) -> bool:
        """Whether they share a value."""
        return not set(self.values).isdisjoint(self.other_values)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Two shoes compared: their distance by whole vectors, and its parts. See `Engine.explain`."""

    item: Item
    other: Item
    distance: float
    slices: tuple[SliceDistance, ...]
    attributes: tuple[Agreement, ...]


class Engine:
    """The network and the store, together. Safe in many threads at once."""

    def __init__(
        self,
        embedder: PictureEmbedder,
        store: VectorStore,
        network: Network,
        folder: Path,
        limits: Settings,
        *,
        duplicate_distance: float | None = None,
        attribute_types: Mapping[str, AttributeType] | None = None,
    ) -> None:
        """Assemble the engine.

        Args:
            embedder: of the checkpoint.
            store: whose vectors it made.
            network: facts of the checkpoint.
            folder: of the catalogue, which has the pictures of new shoes, and its map.
            limits: how many shoes and pictures a request may ask for.
            duplicate_distance: of whole vectors; the largest one of near-duplicates, None where it is not known.
            attribute_types: those that were declared; others are inferred.
        """
        self.embedder = embedder
        self.uploads = Uploads(folder)
        self.store = store
        self.network = network
        self.limits = limits
        self.duplicate_distance = duplicate_distance
        self._declared = attribute_types or {}
        self._folder = folder
        self.nearness = NearnessScale(store, network.nearness, network.conditions)
        self.sampler = Sampler(store)
        self._searcher = Searcher(store, self.nearness)
        self._catalogue: Catalogue | None = None
        self.canary = _draw_canary(embedder.preprocessor.config.size)
        self._canary_vector = self.embed([self.canary], CANARY_VIEW)[0]

    @property
    def checkpoint(self) -> str:
        """The checkpoint's fingerprint, as answers carry it."""
        return self.network.digest[:SHORT_DIGEST]

    @property
    def fingerprint(self) -> str:
        """The catalogue's fingerprint: changes with every change of it."""
        return self.store.info().fingerprint

    @property
    def conditions(self) -> tuple[str, ...]:
        """The ways to compare that are worth offering: `overall`, and the trained slices."""
        return (OVERALL, *self.network.conditions)

    def catalogue(self) -> Catalogue:
        """What is being served, now."""
        info = self.store.info()
        known = self._catalogue
        if known is None or known.info != info:
            counts = self.store.facets()
            types = {name: self._declared.get(name) or infer_type(values) for name, values in counts.items()}
            unlisted = (
                name
                for name, values in counts.items()
                if types[name] == "display"
                or (len(values) > MANY_VALUES and (types[name] in COMPARED or is_nearly_unique(values)))
            )
            known = self._catalogue = Catalogue(info, types, frozenset(unlisted))
        return known

    @property
    def declares_types(self) -> bool:
        """Whether types of attributes were declared, which a filter has to heed."""
        return bool(self._declared)

    def resolve(self, filter: Filter | None, *, ignore_case: bool = False) -> Filter | None:
        """A client's filter as the store is to be asked it: by the declared types, and in the catalogue's spelling.

        Raises:
            QueryError: an attribute is only displayed, or is a text that can't be compared.
        """
        if filter is None or not (ignore_case or self.declares_types):
            return filter
        for leaf in find_leaves(filter):
            kind = self._declared.get(leaf.attribute)
            if kind == "display":
                raise QueryError("filter", f"{leaf.attribute!r} is only displayed: it can't be filtered by")
            if isinstance(leaf, InRange) and kind in {"text", "flag"}:
                raise QueryError("filter", f"{leaf.attribute!r} is a {kind}, of which there are no ranges")
        flags = {name for name, kind in self._declared.items() if kind == "flag"}
        folds: dict[str, Callable[[str], str]] = {
            leaf.attribute: fold_flag if leaf.attribute in flags else str.casefold
            for leaf in find_leaves(filter)
            if ignore_case or leaf.attribute in flags
        }
        return respell(filter, self.store.facets(), folds) if folds else filter

    def decode(self, image: bytes, view: View | None = None) -> Framed:
        """The bytes of a picture as the network takes it. Raises ImageError, and QueryError for the view."""
        preprocessor = self.embedder.preprocessor
        return preprocessor.frame(preprocessor.open(image), view)

    def decode_small(self, image: bytes, at_most: int, view: View | None = None) -> Framed | Image | None:
        """The same; but None, at little cost, if it has more than `at_most` pixels.

        Where the localizer has to see it, the picture for `Preprocessor.frame_picture` is given, which takes longer.
        """
        preprocessor = self.embedder.preprocessor
        opened = preprocessor.open(image)
        return None if opened.width * opened.height > at_most else preprocessor.frame_plain(opened, view)

    def cut_out(self, image: bytes, view: View | None = None) -> Cutout:
        """What `decode` takes for the shoe, cut out of the picture. Raises as `decode` does."""
        preprocessor = self.embedder.preprocessor
        return preprocessor.cut_out(preprocessor.open(image), view)

    def embed(self, images: Sequence[bytes], view: View | None = None) -> Vector:
        """Decode and embed the bytes of B pictures, at least one -> (B, D) float32. Raises as `decode` does."""
        return self.embedder.embed_pixels(np.stack([self.decode(image, view).pixels for image in images]))

    def search(self, vectors: Sequence[Vector], options: Sequence[SearchOptions]) -> list[Ranked | SolemateError]:
        """The page of each search, or what is wrong with it: the others don't suffer from it. See `Searcher`."""
        return self._searcher.search(vectors, options)

    def item(self, item_id: str) -> tuple[Item, Vector]:
        """One shoe and its vector, (D,) float32, of one moment. Raises UnknownItem."""
        record = self.store.record(item_id)
        return record.item, record.vector

    def explain(self, item_id: str, other_id: str) -> Explanation:
        """Why two shoes are alike: by each slice of their vectors, and by all their attributes. Raises UnknownItem."""
        (item, vector), (other, other_vector) = self.item(item_id), self.item(other_id)
        squares = np.square(vector.astype(np.float64) - other_vector.astype(np.float64))
        total = float(squares.sum())
        parts = ((name, float(squares[start:stop].sum())) for name, (start, stop) in self.store.info().slices.items())
        names = dict.fromkeys([*item.attributes, *other.attributes])
        return Explanation(
            item,
            other,
            total**0.5,
            tuple(SliceDistance(name, square**0.5, square / total if total else 0.0) for name, square in parts),
            tuple(Agreement(name, item.attributes.get(name, ()), other.attributes.get(name, ())) for name in names),
        )

    def items(self, ids: Sequence[str]) -> tuple[list[Item], list[str]]:
        """The shoes of some ids, in their order, and the ids that no shoe has. Raises QueryError for too many."""
        require_range("ids", len(ids), 1, MAX_PAGE, f"{len(ids)} ids")
        found = [(item_id, find_item(self.store, item_id)) for item_id in ids]
        return [item for _, item in found if item is not None], [item_id for item_id, item in found if item is None]

    def page(self, limit: int, *, cursor: str | None = None, filter: Filter | None = None) -> Page:
        """Some shoes of the catalogue, in a stable order. Raises QueryError."""
        require_range("limit", limit, 1, MAX_PAGE)
        return self.store.page(limit=limit, cursor=cursor, filter=filter)

    def facets(self, filter: Filter | None = None) -> Facets:
        """How the shoes that pass the filter divide, by all attributes but the unlisted ones. Raises QueryError."""
        counts = self.store.facets(filter)
        ordered = {key: dict(sorted(values.items(), key=lambda each: -each[1])) for key, values in counts.items()}
        catalogue = self.catalogue()
        ranges = {
            name: find_range(values, catalogue.types[name])
            for name, values in counts.items()
            if values and catalogue.types.get(name) in COMPARED
        }
        for attribute in catalogue.unlisted:
            ordered.pop(attribute, None)
        return Facets(ordered, self.store.page(limit=1, filter=filter).total, ranges)

    def picture(self, item_id: str) -> PictureFile:
        """A shoe's own picture. Raises UnknownItem and PictureMissing."""
        item = self.store.get(item_id)
        for _ in range(MOST_REPLACEMENTS):
            try:
                return read_picture(self.store.info().root, item, self.uploads)
            except PictureMissing:
                # Another request may have put a new picture in its place just now, and taken the file away.
                item, before = self.store.get(item_id), item
                if item.image == before.image:
                    raise
        raise PictureMissing(item_id)

    def map(self) -> MapFacts:
        """The map of the catalogue as it is on disk now. Raises MapMissing."""
        return read_map(self._folder)

    def map_file(self, facts: MapFacts, kind: Literal["tile", "atlas"], number: int) -> bytes:
        """A file of the map. Raises MapMissing, and QueryError for a number that it does not have."""
        return read_map_file(self._folder, facts, kind, number)

    def vectors_of(self, item_id: str) -> Vector:
        """One shoe's vector, (1, D). Raises UnknownItem."""
        return self.store.vector(item_id)[None]

    def interpolate(self, start_id: str, end_id: str, steps: int) -> Vector:
        """The way from one shoe to another through the space of vectors, both ends included: (steps, D).

        Raises:
            UnknownItem: either of them.
        """
        start, end = self.store.vector(start_id), self.store.vector(end_id)
        share = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
        way: Vector = (1 - share) * start + share * end
        return way

    def swap(self, item_id: str, condition: str, other_id: str) -> Vector:
        """The vector of one shoe with the condition's slice of another, (1, D); what else goes with it follows.

        Raises:
            UnknownItem: either of them.
            QueryError: no slice of that name.
        """
        slices = self.store.info().slices
        if condition not in slices:
            raise QueryError("condition", f"no slice {condition[:MAX_ECHO]!r}; expected one of: {', '.join(slices)}")
        vector, other = self.store.vector(item_id), self.store.vector(other_id)
        start, stop = slices[condition]
        swapped: Vector = vector + self.sampler.follow(other[start:stop] - vector[start:stop], start, stop)
        return swapped[None]

    def draw(self, vectors: Vector) -> NDArray[np.float32]:
        """Decode vectors, (B, D) float32 -> (B, C, H, W) float32 in [0, 1]."""
        return self.embedder.decode(np.ascontiguousarray(vectors, dtype=np.float32))

    def check_count(self, count: int) -> None:
        """Raise QueryError unless one request may embed so many pictures."""
        require_range("image", count, 1, self.limits.max_images, f"{count} images")

    def check_fields(self, names: Sequence[str]) -> None:
        """Raise QueryError unless the catalogue's shoes have attributes of these names."""
        known = self.catalogue().types
        unknown = next((name for name in names if name not in known), None)
        if unknown is not None:
            raise QueryError(
                "fields", f"unknown attribute {unknown[:MAX_ECHO]!r}; known attributes: {', '.join(known) or 'none'}"
            )

    def check_steps(self, steps: int) -> None:
        """Raise QueryError unless an interpolation may have so many pictures."""
        require_range("steps", steps, 2, MAX_STEPS)

    def check_vector(self, vector: ArrayLike, field: str = "vector") -> Vector:
        """A client's vector as (D,) float32. Raises QueryError for another size, or a number that is not finite."""
        checked: Vector = check_vectors(np.asarray(vector)[None], self.embedder.dimension, field)[0]
        return checked

    def check_canary(self, vector: Vector, hits: Sequence[Hit]) -> None:
        """Check what became of `canary`, a picture that never changes: its vector, (D,), and the shoe nearest to it.

        Raises:
            NotReady: the vector is not what it was at the start, or the store did not answer as it should.
        """
        if not np.isfinite(vector).all() or np.abs(vector - self._canary_vector).max() > CANARY_TOLERANCE:
            raise NotReady("the canary's vector is not what it was at the start")
        if self.store.info().count and not (hits and np.isfinite(hits[0].distance)):
            raise NotReady("the canary's search found no shoe in a catalogue that has some")

    def close(self) -> None:
        """Release the store's files."""
        self.store.close()


def find_range(values: Iterable[str], kind: AttributeType) -> tuple[str, str]:
    """The least and the largest of the numbers or dates among some values, as they are written; there is one at least.

    What was declared a number need not be one.
    """
    parse = InRange("", dates=kind == "date").parse
    pairs = [(parsed, value) for value in values if not isnan(parsed := parse(value))]
    return (min(pairs)[1], max(pairs)[1]) if pairs else ("", "")


def respell(filter: Filter, counts: Counts, folds: Mapping[str, Callable[[str], str]]) -> Filter:
    """A filter in the catalogue's spelling. An attribute's values are folded once, however often it is compared.

    Args:
        filter: as a client writes it.
        counts: the catalogue's attributes and values.
        folds: attribute -> what makes one text of all spellings of a value; others are left as they are.
    """
    spellings: dict[tuple[str, str], list[str]] = {
        (leaf.attribute, folds[leaf.attribute](value)): []
        for leaf in find_leaves(filter)
        if isinstance(leaf, HasValue) and leaf.attribute in folds
        for value in leaf.values
    }
    for name, fold in folds.items():
        for value in counts.get(name, ()):
            if (found := spellings.get((name, fold(value)))) is not None:
                found.append(value)

    def change(leaf: HasValue | InRange) -> Filter:
        if isinstance(leaf, InRange) or leaf.attribute not in folds:
            return leaf
        fold = folds[leaf.attribute]
        # What nobody has is left as it is, for the store to say so.
        known = (spellings[leaf.attribute, fold(value)] or [value] for value in leaf.values)
        return HasValue(leaf.attribute, frozenset(chain.from_iterable(known)))

    return replace_leaves(filter, change)


def fold_flag(value: str) -> str:
    """One text for all words for yes, and one for all words for no."""
    folded = value.casefold()
    if folded in TRUE:
        return "true"
    return "false" if folded in FALSE else folded


def _draw_canary(size: int) -> bytes:
    """A picture that is the same in every run: two slopes and a band, as the bytes of a PNG."""
    slope = np.linspace(0, 1, size, dtype=np.float32)
    band = (np.abs(slope - 0.5) < 0.2).astype(np.float32)
    return to_png(np.stack(np.broadcast_arrays(slope[:, None], slope[None, :], band[:, None] * band[None, :])))
