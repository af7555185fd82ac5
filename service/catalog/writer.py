"""The catalogue writer: stores picture files, then rows, and then deletes the files that were replaced."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.errors import QueryError, SolemateError, StorageFull, StorageReadOnly
from service.catalog.images import CleanPicture, Uploads
from service.errors import ItemExists, StoreBusy, UnknownItem
from service.store.base import Item, Record, VectorStore, find_item

logger = logging.getLogger(__name__)

PATIENCE = 30.0
"""Default of the seconds to wait for the changes of other processes."""

NOTHING_STORED = (ItemExists, QueryError, StorageFull, StorageReadOnly, StoreBusy)
"""Errors of a store after which nothing of the change is stored, so that its pictures can be deleted."""


@dataclass(frozen=True, slots=True)
class Add:
    """A shoe to insert, or to put in the place of the one of its id.

    Attributes:
        item_id: the shoe's.
        attributes: as `service.catalog.attributes.check_attributes` gives them.
        picture: is kept; or the path of one that lies below the catalogue's root.
        vector: of that picture, (D,) float32.
        overwrite: whether it may take another's place.
    """

    item_id: str
    attributes: Mapping[str, tuple[str, ...]]
    picture: CleanPicture | str
    vector: NDArray[np.float32]
    overwrite: bool = True


@dataclass(frozen=True, slots=True)
class Patch:
    """Attributes of a shoe to replace; see `VectorStore.patch`."""

    item_id: str
    attributes: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Remove:
    """A shoe to take away."""

    item_id: str


Change = Add | Patch | Remove


@dataclass(frozen=True, slots=True)
class Changed:
    """What came of a change.

    Attributes:
        item: the shoe as it is now, or was when it was taken away.
        vector: its vector, (D,) float32.
        created: there was none of its id before.
        fingerprint: the catalogue's, with the change.
    """

    item: Item
    vector: NDArray[np.float32]
    created: bool
    fingerprint: str


Outcome = Changed | Exception


class CatalogWriter:
    """Writes changes into a store, durably, with their pictures. For one thread; other processes may write as well."""

    def __init__(self, store: VectorStore, uploads: Uploads, *, patience: float = PATIENCE) -> None:
        self._store, self._uploads, self._patience = store, uploads, patience

    def run(self, changes: Sequence[Change]) -> list[Outcome]:
        """Make changes, in their order; what is wrong with one does not keep the others.

        Shoes to add that follow each other are written in one step, which costs hardly more than one of them would.
        """
        return [outcome for group in _group(changes) for outcome in self._make(group)]

    def _make(self, group: Sequence[Change]) -> Sequence[Outcome]:
        try:
            match group[0]:
                case Patch() as change:
                    return [self._patch(change)]
                case Remove() as change:
                    return [self._remove(change)]
                case _:
                    return self._add([change for change in group if isinstance(change, Add)])
        except SolemateError as error:
            if not isinstance(error, ItemExists | QueryError):
                return [error] * len(group)
            failure: Exception = error
        except Exception as error:
            logger.exception("%d changes of the catalogue failed", len(group))
            failure = error
        if len(group) == 1:
            return [failure]
        return [outcome for change in group for outcome in self._make([change])]

    def _add(self, adds: Sequence[Add]) -> list[Outcome]:
        kept = self._uploads.write([add.picture for add in adds if isinstance(add.picture, CleanPicture)])
        names = iter(kept)
        images = [add.picture if isinstance(add.picture, str) else next(names) for add in adds]
        items = [Item(add.item_id, image, _without_empty(add)) for add, image in zip(adds, images, strict=True)]
        records = [Record(item, add.vector) for item, add in zip(items, adds, strict=True)]
        try:
            with self._uploads.changing(self._patience):
                before = [find_item(self._store, item.id) for item in items]
                self._store.upsert(records, overwrite=adds[0].overwrite)
        except NOTHING_STORED:
            self._uploads.remove(kept)
            raise
        self._uploads.remove(old.image for old in before if old is not None)
        fingerprint = self._store.info().fingerprint
        return [
            Changed(record.item, record.vector, old is None, fingerprint)
            for record, old in zip(records, before, strict=True)
        ]

    def _patch(self, patch: Patch) -> Changed:
        self._store.patch(patch.item_id, patch.attributes)
        record = self._store.record(patch.item_id)
        return Changed(record.item, record.vector, created=False, fingerprint=self._store.info().fingerprint)

    def _remove(self, remove: Remove) -> Changed:
        with self._uploads.changing(self._patience):
            record = self._store.record(remove.item_id)
            if not self._store.delete([record.item.id]):
                raise UnknownItem(record.item.id)
        self._uploads.remove([record.item.image])
        return Changed(record.item, record.vector, created=False, fingerprint=self._store.info().fingerprint)


def _group(changes: Sequence[Change]) -> Iterator[list[Change]]:
    """Runs of shoes to add, each id once, that one call of the store can take; any other change alone."""
    group: list[Change] = []
    for change in changes:
        if group and not _may_join(group, change):
            yield group
            group = []
        group.append(change)
    if group:
        yield group


def _may_join(group: Sequence[Change], change: Change) -> bool:
    first = group[0]
    return (
        isinstance(first, Add)
        and isinstance(change, Add)
        and first.overwrite == change.overwrite
        and all(change.item_id != other.item_id for other in group)
    )


def _without_empty(add: Add) -> dict[str, tuple[str, ...]]:
    return {name: values for name, values in add.attributes.items() if values}
