"""The catalogue's picture files: the owner's, below its root, and uploaded ones, kept beside the catalogue.

    artifacts/catalog/uploads/  8c1f..-77ab...jpg    the digest of its content, and a number that no other file has

Uploads are encoded anew from their pixels: no byte of a client's file is kept, and no text of a client's is in a name.
A file is whole and durable before the row that names it is, and goes after the row has gone: a crash in between leaves
a file that no row names, never a row whose file is missing. No two rows name one file, so that whoever takes the row
away may take the file as well.
"""

import io
import logging
import os
import os.path
import re
import secrets
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from model.files import READ_ONLY, explain_failure, sha256_bytes, sync_folder, write_files
from service.errors import PictureMissing, StoreBusy
from service.store.base import Item
from service.store.locks import locked

if TYPE_CHECKING:  # it loads torch, which those who only look after files do without
    from model.preprocess import Preprocessor

logger = logging.getLogger(__name__)

FOLDER = "uploads"

PREFIX = f"/{FOLDER}/"
"""Prefix of an upload's `Item.image`; a path below the catalogue's root never begins with a slash."""

NAME = re.compile(r"([0-9a-f]{32})-[0-9a-f]{16}\.(?:jpg|png)")

LONGEST = 1600
"""Largest side of a picture that is kept, in pixels."""

LOSSLESS_PIXELS = 256 * 256
"""Pixels up to which a picture is kept as PNG, so that the network sees the very pixels that were sent."""

JPEG_QUALITY = 92

FINDS_THEM = "`python -m service verify --remove-orphans` makes up for it"

CHANGE_LOCK, HOLD_LOCK = ".change.lock", ".hold.lock"
"""Files of the locks of `changing` and `holding`, in the folder."""

ORPHAN_SECONDS = 3600.0
"""Age from which a file that no row names is an orphan; a younger one may belong to a change that is under way."""


UNKNOWN_TYPE = "application/octet-stream"

SIGNATURES = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
)

BRANDS = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heif",
}
"""Brand of the file type box (ISO 14496-12), which films begin with as well -> media type."""


@dataclass(frozen=True, slots=True)
class CleanPicture:
    """A picture that was decoded and written anew: `content` is a JPEG or a PNG, as `suffix` (jpg, png) says."""

    content: bytes
    suffix: str


def clean_picture(preprocessor: "Preprocessor", data: bytes) -> CleanPicture:
    """Write a picture anew from its pixels: upright, in RGB, of a bounded size, without metadata. Raises ImageError."""
    image = preprocessor.render(data, LONGEST)
    lossless = image.width * image.height <= LOSSLESS_PIXELS
    buffer = io.BytesIO()
    if lossless:
        image.save(buffer, "PNG")
    else:
        image.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return CleanPicture(buffer.getvalue(), "png" if lossless else "jpg")


def is_upload(image: str) -> bool:
    """Whether `Item.image` names an uploaded picture, rather than one below the catalogue's root."""
    return image.startswith(PREFIX)


def require_name(image: str) -> str:
    """The file's name in an upload's `Item.image`. Raises ValueError for what `Uploads.write` never gave."""
    name = image.removeprefix(PREFIX)
    if not (is_upload(image) and NAME.fullmatch(name)):
        raise ValueError(f"{image!r} names no uploaded picture")
    return name


def digest_in(name: str) -> str:
    """The part of its content's SHA-256 that a file's name has: 32 hex digits."""
    return name[:32]


class Uploads:
    """The uploaded pictures of one catalogue. Safe in several threads and processes."""

    def __init__(self, catalog: Path) -> None:
        """Take the catalogue's folder; nothing is made before the first picture is written."""
        self.folder = catalog.resolve() / FOLDER

    def locate(self, image: str) -> Path:
        """Where the picture of an `Item.image` lies. Raises ValueError for what `write` never gave."""
        return self.folder / require_name(image)

    def write(self, pictures: Sequence[CleanPicture]) -> list[str]:
        """Keep pictures, durably; returns what their `Item.image` is to be.

        Raises:
            StorageFull, StorageReadOnly, ArtifactError: they can't be written; none of them is there.
        """
        if not pictures:
            return []
        names = [
            f"{sha256_bytes(picture.content)[:32]}-{secrets.token_hex(8)}.{picture.suffix}" for picture in pictures
        ]
        try:
            self._make_folder()
            write_files(self.folder, {name: picture.content for name, picture in zip(names, pictures, strict=True)})
        except OSError as error:
            self._unlink(names)
            raise explain_failure(self.folder, error) from error
        return [f"{PREFIX}{name}" for name in names]

    def remove(self, images: Iterable[str]) -> None:
        """Delete the files of rows that are gone. What is no upload is left alone: it is the owner's own file.

        While a backup is made they stay, as it may be about to copy them; `sweep` takes them later.
        """
        self._delete([require_name(image) for image in images if is_upload(image)], give_up=lambda: True)

    @contextmanager
    def changing(self, patience: float) -> Iterator[None]:
        """Keep all other processes' changes away, so that what a change replaces is known.

        Args:
            patience: seconds to wait for them.

        Raises:
            StoreBusy: they took longer.
            StorageReadOnly, ArtifactError: the folder can't be written.
        """
        try:
            self._make_folder()
            deadline = time.monotonic() + patience
            with locked(self.folder / CHANGE_LOCK, give_up=lambda: time.monotonic() >= deadline) as alone:
                if not alone:
                    raise StoreBusy("other changes of the catalogue take too long; nothing was stored, try again")
                yield
        except OSError as error:
            raise explain_failure(self.folder, error) from error

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Keep every process from deleting files meanwhile; without effect where the folder is read-only.

        Raises:
            OSError: the lock can't be had for another reason.
        """
        with ExitStack() as stack:
            if self.folder.is_dir():
                try:
                    stack.enter_context(locked(self.folder / HOLD_LOCK))
                except OSError as error:
                    if error.errno not in READ_ONLY:
                        raise
            yield

    def names(self) -> Iterator[str]:
        """Every picture that is there, whether a row names it or not."""
        with suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            yield from (entry.name for entry in entries if NAME.fullmatch(entry.name))

    def orphans(self, named: Container[str], *, older_than: float = ORPHAN_SECONDS) -> list[str]:
        """Files that no row names, and that no change under way can be about to name.

        Args:
            named: the names that rows have.
            older_than: seconds; younger files are passed over.
        """
        limit = time.time() - older_than
        found = []
        with suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            for entry in entries:
                stray = NAME.fullmatch(entry.name) or entry.name.endswith(".tmp")
                with suppress(FileNotFoundError):
                    if stray and entry.name not in named and entry.stat().st_mtime <= limit:
                        found.append(entry.name)
        return sorted(found)

    def sweep(self, orphans: Iterable[str]) -> None:
        """Delete files that `orphans` gave, after waiting for a backup that may be about to copy them."""
        self._delete(list(orphans))

    def _make_folder(self) -> None:
        if not self.folder.is_dir():
            self.folder.mkdir(exist_ok=True)
            sync_folder(self.folder.parent)

    def _delete(self, names: Sequence[str], *, give_up: Callable[[], bool] | None = None) -> None:
        """Delete files while nobody holds them; `give_up`: see `locked`."""
        if not names:
            return
        try:
            with locked(self.folder / HOLD_LOCK, shared=True, give_up=give_up) as free:
                if free:
                    self._unlink(names)
        except OSError as error:
            logger.warning("%d pictures could not be deleted (%s); %s", len(names), error, FINDS_THEM)

    def _unlink(self, names: Iterable[str]) -> None:
        for name in names:
            try:
                (self.folder / name).unlink(missing_ok=True)
            except OSError as error:
                logger.warning("%s could not be deleted (%s); %s", name, error, FINDS_THEM)


@dataclass(frozen=True)
class PictureFile:
    """A picture's file.

    Attributes:
        content: its bytes.
        media_type: determined by its content, not by its name.
        digest: SHA-256 of the content, hex.
        modified: seconds since the epoch.
        uploaded: it may be replaced at any time.
    """

    content: bytes
    media_type: str
    digest: str
    modified: float
    uploaded: bool = False


def locate_picture(root: str | Path, item: Item, uploads: Uploads | None = None) -> Path:
    """Where an item's picture lies: below the catalogue's root, or where it was uploaded to.

    Links below the root are the owner's own and may lead elsewhere; the path itself may not.
    """
    if is_upload(item.image):
        try:
            if uploads is not None:
                return uploads.locate(item.image)
        except ValueError as error:
            raise PictureMissing(item.id) from error
        raise PictureMissing(item.id)
    base = Path(os.path.normpath(Path(root).absolute()))
    path = Path(os.path.normpath(base / item.image))
    if path == base or not path.is_relative_to(base):
        raise PictureMissing(item.id)
    return path


def read_picture(root: str | Path, item: Item, uploads: Uploads | None = None) -> PictureFile:
    """Read an item's picture."""
    path = locate_picture(root, item, uploads)
    try:
        if not path.is_file():  # neither a folder nor a pipe, which would block
            raise PictureMissing(item.id)
        modified = path.stat().st_mtime
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise PictureMissing(item.id) from error
    return PictureFile(content, _sniff(content), sha256_bytes(content), modified, uploaded=is_upload(item.image))


def _sniff(content: bytes) -> str:
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    if content[4:8] == b"ftyp":
        return BRANDS.get(content[8:12], UNKNOWN_TYPE)
    return next((kind for signature, kind in SIGNATURES if content.startswith(signature)), UNKNOWN_TYPE)
