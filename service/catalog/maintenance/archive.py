"""Reader of exported catalogues; everything in an archive is validated before it is used.

    manifest.json     format and version, checkpoint, slices, number of shoes, digests of the next two
    items.jsonl       a shoe a line: id, image, attributes
    vectors.f32       (N, D) little-endian float32, in the order of the lines
    uploads/          the uploaded pictures; those below the catalogue's root stay the owner's, and where they are

It is a zip archive, but never unpacked: no path that it names is written to.
"""

import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self

import numpy as np

from model.errors import ArtifactCorrupt, ImageError, SolemateError
from model.files import explain_failure, sha256_bytes
from model.preprocess import ImageLimits, PreprocessConfig, Preprocessor
from model.text import nfc, nfc_attributes
from service.catalog.uploads import CleanPicture, digest_in, is_upload, require_name
from service.catalog.writer import Add
from service.store.base import Item

__all__ = ["COPY_BYTES", "FORMAT", "ITEMS", "MANIFEST", "PICTURES", "VECTORS", "VERSION", "Archive", "Manifest"]

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
        slices: condition -> (start, stop).
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
