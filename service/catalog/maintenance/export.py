"""A catalogue in one file, to carry from one store to another; `archive` says what is in it."""

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from io import BufferedRandom
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.errors import ArtifactError, ArtifactMismatch
from model.files import explain_failure, make_folder, sync_folder
from service.catalog.maintenance.archive import (
    COPY_BYTES,
    FORMAT,
    ITEMS,
    MANIFEST,
    PICTURES,
    VECTORS,
    VERSION,
    Archive,
    Manifest,
)
from service.catalog.uploads import CleanPicture, Uploads, is_upload, require_name
from service.catalog.writer import Add, CatalogWriter, Changed
from service.errors import UnknownItem
from service.store.base import Item, StoreInfo, VectorStore, iterate_items

__all__ = ["ImportReport", "export_catalog", "import_catalog"]

BATCH = 256


@dataclass(frozen=True)
class ImportReport:
    """What an import did, in shoes; `pictures` were in the archive."""

    created: int
    replaced: int
    pictures: int


def export_catalog(store: VectorStore, uploads: Uploads, to: Path) -> Manifest:
    """Write a catalogue into one file, which appears in one step, or not at all.

    The store may be in use: a shoe that is changed meanwhile is in the file as it was before or after.

    Raises:
        ArtifactError: an uploaded picture is gone, or the file exists, or can't be written.
    """
    if to.exists():
        raise ArtifactError(f"{to} exists; give a file that does not")
    try:
        make_folder(to.parent)
        descriptor, name = tempfile.mkstemp(dir=to.parent, prefix=f".{to.name}.", suffix=".tmp")
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "w+b") as file:
                manifest = _write_archive(store, uploads, file, to.parent)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(to)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(to.parent)
    except OSError as error:
        raise explain_failure(to, error) from error
    return manifest


def _write_archive(store: VectorStore, uploads: Uploads, file: BufferedRandom, scratch: Path) -> Manifest:
    info = store.info()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
        tempfile.TemporaryFile(dir=scratch) as items,
        tempfile.TemporaryFile(dir=scratch) as vectors,
        uploads.holding(),
    ):
        count = 0
        for item, vector in _read_store(store):
            line = {"id": item.id, "image": item.image, "attributes": {k: list(v) for k, v in item.attributes.items()}}
            items.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            vectors.write(np.ascontiguousarray(vector, "<f4").tobytes())
            if is_upload(item.image):
                archive.write(_locate(uploads, item), PICTURES + require_name(item.image))
            count += 1
        manifest = Manifest(
            info.checkpoint, info.dimension, dict(info.slices), info.root, count, _digest(items), _digest(vectors)
        )
        for name, content in ((ITEMS, items), (VECTORS, vectors)):
            content.seek(0)
            with archive.open(name, "w", force_zip64=True) as part:
                shutil.copyfileobj(content, part, COPY_BYTES)
        facts = {"format": FORMAT, "version": VERSION, **asdict(manifest)}
        archive.writestr(MANIFEST, json.dumps(facts, indent=2))
    return manifest


def _read_store(store: VectorStore) -> Iterator[tuple[Item, NDArray[np.float32]]]:
    for listed in iterate_items(store):
        try:
            yield store.get(listed.id), store.vector(listed.id)
        except UnknownItem:
            continue  # removed since


def _locate(uploads: Uploads, item: Item) -> Path:
    path = uploads.locate(item.image)
    if not path.is_file():
        raise ArtifactError(
            f"the uploaded picture of shoe {item.id!r} is gone ({path}); delete the shoe, or add it anew"
        )
    return path


def _digest(file: BufferedRandom) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


def import_catalog(archive: Archive, store: VectorStore, uploads: Uploads) -> ImportReport:
    """Put an archive's shoes into a store, in the places of those of their ids.

    What was written before an error stays; the same import again goes over it.

    Raises:
        ArtifactMismatch: another checkpoint made the store's vectors.
        ArtifactCorrupt: the archive is damaged.
        StoreBusy, ArtifactError: the store can't be written.
    """
    require_same_vectors(archive, store.info())
    writer = CatalogWriter(store, uploads)
    created = replaced = pictures = 0
    batch: list[Add] = []

    def write() -> None:
        nonlocal created, replaced
        for outcome in writer.run(batch):
            if not isinstance(outcome, Changed):
                raise outcome
            created += outcome.created
            replaced += not outcome.created
        batch.clear()

    for add in archive.shoes():
        batch.append(add)
        pictures += isinstance(add.picture, CleanPicture)
        if len(batch) == BATCH:
            write()
    write()
    return ImportReport(created, replaced, pictures)


def require_same_vectors(archive: Archive, info: StoreInfo) -> None:
    """Raise ArtifactMismatch unless the archive's vectors were made as the store's were."""
    manifest = archive.manifest
    if manifest.checkpoint != info.checkpoint:
        raise ArtifactMismatch(
            f"the vectors in {archive.path} were made by the checkpoint {manifest.checkpoint[:16]}, and those of the "
            f"store by {info.checkpoint[:16]}; index the pictures with that one instead"
        )
    if (manifest.dimension, dict(manifest.slices)) != (info.dimension, dict(info.slices)):
        raise ArtifactMismatch(f"the vectors in {archive.path} are cut into other slices than the store's")
