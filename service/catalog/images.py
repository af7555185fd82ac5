"""The catalogue's picture files, as the service hands them out."""

import os.path
from dataclasses import dataclass
from pathlib import Path

from model.files import sha256_bytes
from service.catalog.uploads import Uploads, is_upload
from service.errors import PictureMissing
from service.store.base import Item

__all__ = ["Picture", "locate_picture", "read_picture"]

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


@dataclass(frozen=True)
class Picture:
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


def read_picture(root: str | Path, item: Item, uploads: Uploads | None = None) -> Picture:
    """Read an item's picture."""
    path = locate_picture(root, item, uploads)
    try:
        if not path.is_file():  # neither a folder nor a pipe, which would block
            raise PictureMissing(item.id)
        modified = path.stat().st_mtime
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise PictureMissing(item.id) from error
    return Picture(content, _sniff(content), sha256_bytes(content), modified, uploaded=is_upload(item.image))


def _sniff(content: bytes) -> str:
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    if content[4:8] == b"ftyp":
        return BRANDS.get(content[8:12], UNKNOWN_TYPE)
    return next((kind for signature, kind in SIGNATURES if content.startswith(signature)), UNKNOWN_TYPE)
