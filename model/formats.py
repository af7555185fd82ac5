"""The formats of pictures that are read: their names in Pillow, their files' suffixes, and HEIC's signature."""

import mimetypes

from PIL import Image, features

try:
    import pillow_heif
except ImportError:  # the optional extra `heif`
    HEIF: tuple[str, ...] = ()
else:
    pillow_heif.register_heif_opener()
    HEIF = ("HEIF",)

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", *(("AVIF",) if features.check("avif") else ()), *HEIF)
"""Pillow's names of the formats that can be read here."""

BOUNDED_FORMATS = tuple(name for name in FORMATS if name != "AVIF")
"""For pictures of strangers: those whose decoding takes what their headers promise. An AVIF's frame may be larger than
its header says, up to libavif's own limit: 16384x16384, 870 MB. libheif decodes no more than that."""

HEIC_SUFFIXES = frozenset({".heic", ".heif", ".hif"})

Image.init()
IMAGE_SUFFIXES = HEIC_SUFFIXES | {
    suffix for suffix, name in Image.registered_extensions().items() if name in {*FORMATS, "MPO"}
}
"""Suffixes, in lower case, of the files that are taken for pictures: Pillow's for the formats above, and HEIC's, whose
decoding says what to do where it can't be read. MPO is a JPEG with others behind it."""

HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
"""Brands of the file type box (ISO/IEC 23008-12) of pictures that HEVC compresses."""

HEIC_HINT = (
    "HEIC pictures, as iPhones take them, can't be read here: send a JPEG instead (on an iPhone: Settings > Camera > "
    "Formats > Most Compatible, or export the photo as JPEG). Whoever runs solemate can add them with "
    "`pip install 'solemate[heif]'`"
)


def is_heic(data: bytes) -> bool:
    """Whether the bytes begin with the file type box of a HEIC picture: its size, `ftyp`, and its brands."""
    if data[4:8] != b"ftyp":
        return False
    size = min(int.from_bytes(data[:4]), 256)
    return any(data[start : start + 4] in HEIC_BRANDS for start in (8, *range(16, size, 4)))


def is_other_picture(suffix: str) -> bool:
    """Whether a suffix, in lower case, is that of a picture in a format that is not read."""
    if suffix in IMAGE_SUFFIXES:
        return False
    kind = Image.MIME.get(Image.registered_extensions().get(suffix, "")) or mimetypes.types_map.get(suffix, "")
    return kind.startswith("image/")
