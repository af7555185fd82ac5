"""A catalogue in one file, to carry from one store to another; everything in it is validated before it is used.

    manifest.json     format and version, checkpoint, slices, number of shoes, digests of the next two
    items.jsonl       a shoe a line: id, image, attributes
    vectors.f32       (N, D) little-endian float32, in the order of the lines
    uploads/          the uploaded pictures; those below the catalogue's root stay the owner's, and where they are

It is a zip archive, but never unpacked: no path that it names is written to.
"""

import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BufferedRandom
from pathlib import Path, PurePosixPath
from typing import Self

import numpy as np

from model.errors import ArtifactCorrupt, ArtifactError, ArtifactMismatch, ImageError, SolemateError
from model.files import explain_failure, explained, make_folder, replacing, sha256_bytes, sync_folder
from model.preprocess import ImageLimits, PreprocessConfig, Preprocessor
from model.text import nfc, nfc_attributes
from service.catalog.images import CleanPicture, Uploads, digest_in, is_upload, require_name
from service.catalog.indexing.ledger import Ledger
from service.catalog.writer import Add, CatalogWriter, Changed
from service.store.base import Item, StoreInfo, VectorStore, iterate_records

FORMAT = "solemate catalogue"
VERSION = 1

MANIFEST, ITEMS, VECTORS, PICTURES = "manifest.json", "items.jsonl", "vectors.f32", "uploads/"

MANIFEST_BYTES = 2**20
LINE_BYTES = 2**20
PICTURE_BYTES = 64 * 2**20
"""Largest parts of an archive, in bytes unpacked: none may fill the memory."""

COPY_BYTES = 2**20

KEPT_FORMATS = ("JPEG", "PNG")


@dataclass(frozen=True)
class Manifest:
    """What an archive says of itself.

    Attributes:
        checkpoint: digest of the one that made the vectors.
        dimension: D.
        slices: name -> (start, stop).
        root: the folder below which the pictures lay that are not in the archive.
        count: shoes.
        items_sha256: of items.jsonl.
        vectors_sha256: of vectors.f32.
    """

    checkpoint: str
    dimension: int
    slices: Mapping[str, tuple[int, int]]
    root: str
    count: int
    items_sha256: str
    vectors_sha256: str


class Archive:
    """An exported catalogue, opened and checked as a whole; a context that closes it."""

    def __init__(self, path: Path) -> None:
        """Open and check.

        Raises:
            ArtifactCorrupt: it is no such archive, or fails its check.
            ArtifactError: it can't be read.
        """
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise ArtifactCorrupt(f"{path} is no zip archive: {error}") from error
        except OSError as error:
            raise explain_failure(path, error) from error
        try:
            with self._explained():
                self._check_names()
                self.manifest = self._read_manifest()
                self._check_digests()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def shoes(self) -> Iterator[Add]:
        """Every shoe, to be added. Raises ArtifactCorrupt for one that can't be."""
        width = 4 * self.manifest.dimension
        preprocessor = Preprocessor(PreprocessConfig(), ImageLimits(max_bytes=PICTURE_BYTES, formats=KEPT_FORMATS))
        with self._explained(), self._zip.open(ITEMS) as lines, self._zip.open(VECTORS) as vectors:
            for number in range(self.manifest.count):
                item = self._read_item(lines.readline(LINE_BYTES), number)
                vector = np.frombuffer(vectors.read(width), dtype="<f4").astype(np.float32)
                picture = self._read_picture(item, preprocessor) if is_upload(item.image) else item.image
                yield Add(item.id, item.attributes, picture, vector)

    def _check_names(self) -> None:
        names = self._zip.namelist()
        known = {MANIFEST, ITEMS, VECTORS}
        if len(set(names)) != len(names) or not known.issubset(names):
            raise self._corrupt(f"expected {', '.join(sorted(known))} in it, and each part once")
        for name in set(names) - known:
            try:
                require_name(f"/{name}")
            except ValueError:
                raise self._corrupt(f"it holds {name!r}, which is no picture's name") from None

    def _read_manifest(self) -> Manifest:
        facts = json.loads(self._read(MANIFEST, MANIFEST_BYTES))
        if facts.pop("format", None) != FORMAT or facts.pop("version", None) != VERSION:
            raise self._corrupt(f"it is not a {FORMAT} of the version {VERSION}")
        slices = {str(name): (int(start), int(stop)) for name, (start, stop) in facts.pop("slices").items()}
        manifest = Manifest(slices=slices, **facts)
        texts = (manifest.checkpoint, manifest.root, manifest.items_sha256, manifest.vectors_sha256)
        if not all(isinstance(text, str) for text in texts):
            raise self._corrupt("its manifest is broken")
        if self._zip.getinfo(VECTORS).file_size != 4 * manifest.dimension * manifest.count:
            raise self._corrupt(f"its vectors are not {manifest.count} of {manifest.dimension} numbers")
        return manifest

    def _check_digests(self) -> None:
        for name, expected in ((ITEMS, self.manifest.items_sha256), (VECTORS, self.manifest.vectors_sha256)):
            digest = hashlib.sha256()
            with self._zip.open(name) as part:
                while piece := part.read(COPY_BYTES):
                    digest.update(piece)
            if digest.hexdigest() != expected:
                raise self._corrupt(f"{name} fails its digest")

    def _read_item(self, line: bytes, number: int) -> Item:
        facts = json.loads(line)
        item_id, image, attributes = facts["id"], facts["image"], facts["attributes"]
        values = {name: tuple(values) for name, values in attributes.items()}
        texts = [item_id, image, *values, *(value for each in values.values() for value in each)]
        if not all(isinstance(text, str) and text for text in texts) or not _is_safe(image):
            raise self._corrupt(f"line {number + 1} of {ITEMS} is no shoe")
        return Item(nfc(item_id), image, nfc_attributes(values))

    def _read_picture(self, item: Item, preprocessor: Preprocessor) -> CleanPicture:
        name = require_name(item.image)
        content = self._read(f"{PICTURES}{name}", PICTURE_BYTES)
        if not sha256_bytes(content).startswith(digest_in(name)):
            raise self._corrupt(f"{PICTURES}{name} fails its digest")
        try:
            kind = preprocessor.open(content).format
        except ImageError as error:
            raise self._corrupt(f"{PICTURES}{name}: {error}") from error
        return CleanPicture(content, "png" if kind == "PNG" else "jpg")

    def _read(self, name: str, most: int) -> bytes:
        with self._zip.open(name) as part:
            content = part.read(most + 1)
        if len(content) > most:
            raise self._corrupt(f"{name} has more than {most:,} bytes")
        return content

    def _corrupt(self, reason: str) -> ArtifactCorrupt:
        return ArtifactCorrupt(f"{self.path}: {reason}; export the catalogue again")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what reading a broken archive raises into ArtifactCorrupt, and a failing disk into ArtifactError."""
        try:
            yield
        except SolemateError:
            raise
        except OSError as error:
            raise explain_failure(self.path, error) from error
        except Exception as error:  # zipfile, json and numpy each have their own ways to say that something is broken
            raise ArtifactCorrupt(f"{self.path} is damaged ({error!r}); export the catalogue again") from error


def _is_safe(image: str) -> bool:
    """Whether a picture's path names an upload, or leads to below whatever root it is put under."""
    if is_upload(image):
        try:
            require_name(image)
        except ValueError:
            return False
        return True
    path = PurePosixPath(image)
    return not (path.is_absolute() or ".." in path.parts or "\0" in image)


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
    with explained(to):
        make_folder(to.parent)
        with replacing(to) as file:
            manifest = _write_archive(store, uploads, file, to.parent)
        sync_folder(to.parent)
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
        for record in iterate_records(store):
            item = record.item
            line = {"id": item.id, "image": item.image, "attributes": {k: list(v) for k, v in item.attributes.items()}}
            items.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            vectors.write(np.ascontiguousarray(record.vector, "<f4").tobytes())
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


def import_catalog(archive: Archive, store: VectorStore, uploads: Uploads, ledger: Ledger) -> ImportReport:
    """Put an archive's shoes into a store, in the places of those of their ids.

    What was written before an error stays; the same import again goes over it. The next indexing embeds these shoes:
    their pictures may have changed since the export.

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
        ledger.forget(add.item_id for add in batch)
        outcomes = writer.run(batch)
        ledger.forget(add.item_id for add in batch)  # again, as an indexing may have stamped them meanwhile
        for outcome in outcomes:
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
