"""Verification of an indexed catalogue: database, derived files, vectors, pictures, and orphaned uploads."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

from model.catalog import BadRow, Shoe
from model.embedder import Embedder
from model.errors import ArtifactError
from model.files import sha256_file
from service.catalog.images import Uploads, digest_in, is_upload, locate_picture, require_name
from service.catalog.indexing.embed_pool import threads
from service.catalog.maintenance.reembed import read_waiting
from service.errors import PictureMissing, UnknownItem
from service.store.base import Item, VectorStore, iterate_items
from service.store.embedded.database import inspect_database
from service.store.embedded.files import damaged_files
from service.store.embedded.store import DATABASE, EmbeddedStore

TOLERANCE = 1e-3
"""Largest distance between a vector made again and the stored one, as a share of its length plus one.

The same network gives numbers that differ in the sixth digit with the batch that a picture is in, and in the fourth
on another device."""


@dataclass
class CatalogReport:
    """What was found.

    Attributes:
        wrong: what is wrong, in words, but for orphans.
        shoes: how many were looked at.
        compared: of how many the vector was made again.
        orphans: names of uploaded pictures that no shoe has.
    """

    wrong: list[str] = field(default_factory=list)
    shoes: int = 0
    compared: int = 0
    orphans: list[str] = field(default_factory=list)


def verify_catalog(
    catalog: Path, load_embedder: Callable[[], Embedder], *, sample: int, orphan_seconds: float
) -> CatalogReport:
    """Check the database, row by row, every digest, every picture, and some vectors against their pictures.

    The catalogue may be in use: what is replaced meanwhile is not taken for missing.

    Args:
        catalog: its folder.
        load_embedder: loads the checkpoint, checking its digest.
        sample: how many vectors are made again, of shoes all over the catalogue; all, if there are no more.
        orphan_seconds: how old a picture without a shoe must be: a younger one may belong to a change under way.

    Raises:
        ArtifactMissing: there is no catalogue.
    """
    report = CatalogReport(list(inspect_database(catalog / DATABASE)))
    for path in damaged_files(catalog):
        report.wrong.append(f"{path} fails its digest; delete it, and the next start makes it anew")
    embedder = None
    try:
        embedder = load_embedder()
    except ArtifactError as error:
        report.wrong.append(str(error))
    try:
        with closing(EmbeddedStore.open(catalog)) as store:
            uploads = Uploads(catalog)
            _check_pictures(store, uploads, report, orphan_seconds)
            if embedder is not None and _made_by(store, embedder, report):
                _check_vectors(store, uploads, embedder, report, sample=sample)
    except ArtifactError as error:
        report.wrong.append(f"the rest could not be looked at: {error}")
    return report


def _made_by(store: VectorStore, embedder: Embedder, report: CatalogReport) -> bool:
    made_by, digest = store.info().checkpoint, embedder.checkpoint.digest
    if made_by != digest:
        report.wrong.append(f"the vectors were made by the checkpoint {made_by[:16]}, not by {digest[:16]}")
    return made_by == digest


def _check_pictures(store: VectorStore, uploads: Uploads, report: CatalogReport, orphan_seconds: float) -> None:
    """Look for every shoe's picture, at the content of the uploaded ones, and for pictures that no shoe has."""
    # What an interrupted rebuild has still to put back is no orphan.
    named = {require_name(item.image) for item in read_waiting(uploads.folder.parent)}
    root = store.info().root
    for item in iterate_items(store):
        report.shoes += 1
        if is_upload(item.image):
            named.add(item.image.rpartition("/")[2])
        problem = _find_problem(root, item, uploads)
        if problem is not None and _is_current(store, item):
            report.wrong.append(f"shoe {item.id!r}: {problem}")
    report.orphans = uploads.orphans(named, older_than=orphan_seconds)


def _check_vectors(
    store: VectorStore, uploads: Uploads, embedder: Embedder, report: CatalogReport, *, sample: int
) -> None:
    """Make some vectors again, from their pictures. Shoes whose pictures are gone have been reported already."""
    root, records = store.info().root, {record.item.id: record for record in store.sample(sample)}
    paths = {item_id: _locate(root, record.item, uploads) for item_id, record in records.items()}
    shoes = [Shoe(item_id, path, {}) for item_id, path in paths.items() if path is not None and path.is_file()]
    with threads(embedder, 1) as pool:
        for shoe, made in chain.from_iterable(pool.embed(shoes)):
            problem, record = None, records[shoe.id]
            if isinstance(made, BadRow):
                problem = f"its picture can't be used: {made.reason}"
            else:
                report.compared += 1
                distance = float(np.linalg.norm(record.vector - made))
                if not distance <= TOLERANCE * (1 + float(np.linalg.norm(made))):
                    problem = f"its vector is {distance:.3g} away from that of its picture; index it again"
            if problem is not None and _is_current(store, record.item):
                report.wrong.append(f"shoe {shoe.id!r}: {problem}")


def _find_problem(root: str, item: Item, uploads: Uploads) -> str | None:
    path = _locate(root, item, uploads)
    if path is None:
        return f"its picture's path is none: {item.image!r}"
    if not path.is_file():
        return f"its picture is gone: {path}"
    if not is_upload(item.image):
        return None
    try:
        digest = sha256_file(path)
    except OSError as error:
        return f"its picture can't be read: {path}: {error.strerror or error}"
    return None if digest.startswith(digest_in(require_name(item.image))) else f"its picture fails its digest: {path}"


def _locate(root: str, item: Item, uploads: Uploads) -> Path | None:
    try:
        return locate_picture(root, item, uploads)
    except PictureMissing:
        return None


def _is_current(store: VectorStore, item: Item) -> bool:
    """Whether the shoe is still there with that picture."""
    try:
        return store.get(item.id).image == item.image
    except (UnknownItem, ArtifactError):
        return False
