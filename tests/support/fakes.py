"""Stand-ins that need neither weights nor files: a store in memory, and an embedder that averages pixels."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model.errors import QueryError
from model.framing import Subject
from model.localizer import Localizer, LocalizerConfig
from model.preprocess import Framing, ImageLimits, PreprocessConfig, Preprocessor
from service.errors import ItemExists, UnknownItem
from service.store.base import OVERALL, Filter, Hit, Item, Page, Record, StoreInfo, Weights, check_weights, scale_of
from service.store.filters import find_leaves
from tests.support.filters import passes

DIGEST = "0123456789abcdef" * 4
SLICES = {"category": (0, 3), "closure": (3, 5), "free": (5, 8)}


class FakeEmbedder:
    """A vector is the mean of eight bands of the picture; it decodes to those bands."""

    dimension = 8

    def __init__(
        self, limits: ImageLimits | None = None, *, framing: Framing = "pad", localizer: Localizer | None = None
    ) -> None:
        self.preprocessor = Preprocessor(PreprocessConfig(size=16, framing=framing), limits, localizer)
        self.calls = 0

    def embed_pixels(self, pixels: NDArray[np.uint8], /) -> NDArray[np.float32]:
        """(B, 3, 16, 16) uint8 -> (B, 8) float32."""
        self.calls += len(pixels)
        vectors: NDArray[np.float32] = (
            pixels.reshape(len(pixels), 3, 8, 2, 16).mean(axis=(1, 3, 4), dtype=np.float32) / 255
        )
        return vectors

    def estimate_confidence(
        self, vectors: NDArray[np.float32], subjects: Sequence[Subject | None], /
    ) -> list[float] | None:
        """The darker the likelier, where there is a localizer."""
        return None if self.preprocessor.localizer is None else (1.0 - vectors.mean(axis=1)).tolist()

    def decode(self, vectors: NDArray[np.float32], /) -> NDArray[np.float32]:
        """(B, 8) -> (B, 3, 16, 16)."""
        return np.broadcast_to(vectors.repeat(2, axis=1)[:, None, :, None], (len(vectors), 3, 16, 16))


class FindsRed(Localizer):
    """A localizer to which all that is red is a shoe, and nothing else."""

    def __init__(self) -> None:
        super().__init__(LocalizerConfig(size=32, widths=(4, 8)))
        self.eval()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, 32, 32) -> (B, 32, 32)."""
        return (images[:, 0] - images[:, 1] - 0.4) * 40


class MemoryStore:
    """A `VectorStore` as plain as it can be: a dictionary."""

    def __init__(self, root: Path, checkpoint: str = DIGEST) -> None:
        self.records: dict[str, Record] = {}
        self.root, self.checkpoint, self.version = root, checkpoint, 0
        self.uuid = "store"
        self.closed = False

    def copy(self) -> "MemoryStore":
        """Another one with the same shoes."""
        other = MemoryStore(self.root, self.checkpoint)
        other.records, other.version = dict(self.records), self.version
        return other

    def info(self) -> StoreInfo:
        """See VectorStore."""
        return StoreInfo(
            len(self.records), 8, SLICES, self.checkpoint, f"catalog-{self.version}", str(self.root), self.uuid
        )

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        *,
        condition: str | Weights = OVERALL,
        filter: Filter | None = None,
        vectors: bool = False,
    ) -> list[list[Hit]]:
        """See VectorStore."""
        if isinstance(condition, str):
            if condition != OVERALL and condition not in SLICES:
                raise QueryError("condition", f"unknown condition {condition!r}; known: overall, {', '.join(SLICES)}")
            condition = dict.fromkeys(SLICES if condition == OVERALL else [condition], 1.0)
        check_weights(condition, SLICES)
        scale = scale_of(condition, SLICES, 8)
        records = self._passing(filter)
        answers = []
        for query in queries:
            hits = [
                Hit(
                    record.item,
                    float(np.linalg.norm((record.vector - query) * scale)),
                    record.vector if vectors else None,
                )
                for record in records
            ]
            answers.append(sorted(hits, key=lambda hit: hit.distance)[:k])
        return answers

    def get(self, item_id: str) -> Item:
        """See VectorStore."""
        return self.record(item_id).item

    def vector(self, item_id: str) -> NDArray[np.float32]:
        """See VectorStore."""
        return self.record(item_id).vector

    def record(self, item_id: str) -> Record:
        """See VectorStore."""
        if item_id not in self.records:
            raise UnknownItem(item_id)
        return self.records[item_id]

    def page(self, *, limit: int, cursor: str | None = None, filter: Filter | None = None) -> Page:
        """See VectorStore."""
        if cursor is not None and not cursor.isdecimal():
            raise QueryError("cursor", f"{cursor!r} is no cursor that a page gave")
        start = int(cursor or 0)
        items = [record.item for record in self._passing(filter)]
        following = str(start + limit) if start + limit < len(items) else None
        return Page(tuple(items[start : start + limit]), following, len(items))

    def sample(self, count: int) -> list[Record]:
        """See VectorStore."""
        records = list(self.records.values())
        return records[:: -(-len(records) // count) or 1]

    def facets(self, filter: Filter | None = None) -> dict[str, dict[str, int]]:
        """See VectorStore."""
        counts: dict[str, dict[str, int]] = {}
        for record in self._passing(filter):
            for attribute, values in record.item.attributes.items():
                for value in values:
                    of = counts.setdefault(attribute, {})
                    of[value] = of.get(value, 0) + 1
        return counts

    def upsert(self, records: Iterable[Record], *, overwrite: bool = True) -> int:
        """See VectorStore."""
        new = list(records)
        known = [record.item.id for record in new if record.item.id in self.records]
        if known and not overwrite:
            raise ItemExists(known[0])
        self.records.update({record.item.id: record for record in new})
        self.version += 1
        return len(new)

    def patch(self, item_id: str, attributes: Mapping[str, tuple[str, ...]]) -> Item:
        """See VectorStore."""
        record = self.record(item_id)
        item = record.item.patched(attributes)
        self.records[item_id] = replace(record, item=item)
        self.version += 1
        return item

    def delete(self, ids: Sequence[str]) -> int:
        """See VectorStore."""
        gone = [self.records.pop(item_id) for item_id in ids if item_id in self.records]
        self.version += bool(gone)
        return len(gone)

    def close(self) -> None:
        """See VectorStore."""
        self.closed = True

    def _passing(self, filter: Filter | None) -> list[Record]:
        known = {attribute for record in self.records.values() for attribute in record.item.attributes}
        unknown = {leaf.attribute for leaf in find_leaves(filter)} - known if filter is not None else set()
        if unknown:
            raise QueryError("filter", f"unknown attribute {sorted(unknown)}; known: {', '.join(sorted(known))}")
        return [record for record in self.records.values() if passes(filter, record.item.attributes, record.item.id)]


def leave_out(item_id: str, hits: Sequence[Hit]) -> list[Hit]:
    """The hits that are of other shoes."""
    return [hit for hit in hits if hit.item.id != item_id]
