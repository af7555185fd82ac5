"""Pictures made to do harm, and odd ones that are nevertheless good: the corpus, drawn anew each time, in memory."""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

GOOD = frozenset({200})
TOO_LARGE = frozenset({413})
NO_PICTURE = frozenset({415})
BROKEN = frozenset({422})
REFUSED = frozenset({413, 415, 422})
ANY = GOOD | REFUSED

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")
SIDES = (50_000, 16_000)
"""Of the bombs, in pixels: beyond what Pillow itself warns of, and beyond the service's limit only."""


@dataclass(frozen=True)
class Nasty:
    """A picture, and what the service may make of it.

    Attributes:
        data: the bytes.
        statuses: that are right.
        content_type: what it is said to be.
    """

    data: bytes
    statuses: frozenset[int]
    content_type: str = "image/jpeg"


def encode(picture: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    """A picture as a file's bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def noise(width: int, height: int) -> Image.Image:
    """What no format can make small."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def make_big_jpeg(size: int = 21 * 2**20) -> bytes:
    """A JPEG with so many bytes after its end: more than the service takes by default."""
    return encode(noise(64, 48), "JPEG").ljust(size, b"\0")


def truncate(step: int = 1024) -> Iterator[tuple[str, Nasty]]:
    """A picture of about 60 KB in each format, cut off after every `step` bytes. What lacks nothing may pass."""
    picture = noise(160, 120)
    for kind in FORMATS:
        options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
        data = encode(picture, kind, **options)
        for size in range(0, len(data), step):
            yield f"{kind.lower()} cut after {size}", Nasty(data[:size], ANY, f"image/{kind.lower()}")


def png_chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG with its checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def make_png(width: int, height: int, *extra: bytes, rows: bytes = bytes(1000)) -> bytes:
    """A PNG whose header claims any size, with further chunks before its pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [png_chunk(b"IHDR", header), *extra, png_chunk(b"IDAT", zlib.compress(rows, 9)), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def patch(data: bytes, position: int, new: bytes) -> bytes:
    """The bytes with some of them replaced."""
    return data[:position] + new + data[position + len(new) :]


def make_gif(width: int, height: int) -> bytes:
    """A GIF of a few bytes that claims any size."""
    data = encode(Image.new("P", (1, 1)), "GIF")
    size = struct.pack("<HH", width, height)
    data = patch(data, 6, size)
    return patch(data, data.rindex(b"\x2c", 0, len(data) - 5) + 5, size)


def make_webp(width: int, height: int) -> bytes:
    """A lossless WebP of a few bytes that claims any size."""
    data = encode(Image.new("RGB", (2, 2)), "WEBP", lossless=True)
    position = data.index(b"VP8L") + 9
    rest = int.from_bytes(data[position : position + 4], "little") >> 28 << 28
    return patch(data, position, (rest | (width - 1) | (height - 1) << 14).to_bytes(4, "little"))


def make_tiff(width: int, height: int, compression: str = "tiff_adobe_deflate") -> bytes:
    """A TIFF of a few bytes that claims any size."""
    data = encode(Image.new("RGB", (1, 1)), "TIFF", compression=compression)
    for tag, value in ((256, width), (257, height), (278, height)):  # width, height, rows in a strip
        data = patch(data, data.index(struct.pack("<HH", tag, 3)), struct.pack("<HHII", tag, 4, 1, value))
    return data


def make_bmp(width: int, height: int) -> bytes:
    """A BMP of a few bytes that claims any size."""
    return patch(encode(Image.new("RGB", (1, 1)), "BMP"), 18, struct.pack("<ii", width, height))


def make_jpeg(width: int, height: int) -> bytes:
    """A JPEG of a few bytes that claims any size."""
    data = encode(Image.new("RGB", (1, 1)), "JPEG")
    return patch(data, data.index(b"\xff\xc0") + 5, struct.pack(">HH", height, width))


def make_exif(**changes: bytes) -> bytes:
    """A JPEG with an orientation, whose EXIF is damaged by replacing one text by another."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Maker"
    data = encode(noise(40, 30), "JPEG", exif=exif)
    for new in changes.values():
        data = patch(data, data.index(b"Exif\0\0") + 6, new)
    return data


def claims() -> Iterator[tuple[str, Nasty]]:
    """Small files that claim to be huge, and absurd shapes."""
    makers = {
        "png": make_png, "gif": make_gif, "webp": make_webp, "tiff": make_tiff, "bmp": make_bmp, "jpeg": make_jpeg,
    }  # fmt: skip
    for name, make in makers.items():
        for side in SIDES:
            shown = min(side, 16_384) if name == "webp" else side
            yield f"{name} that claims {shown}x{shown}", Nasty(make(shown, shown), TOO_LARGE, f"image/{name}")
        wide = 16_384 if name == "webp" else 65_535
        yield f"{name} that claims {wide}x1", Nasty(make(wide, 1), ANY, f"image/{name}")
    for width, height in ((0, 0), (0, 10), (2**31 - 1, 1), (1, 2**31 - 1), (2**31 - 1, 2**31 - 1)):
        yield f"png that claims {width}x{height}", Nasty(make_png(width, height), REFUSED, "image/png")
        yield f"tiff that claims {width}x{height}", Nasty(make_tiff(width, height), REFUSED, "image/tiff")
    yield "bmp that claims -5x-5", Nasty(make_bmp(-5, -5), REFUSED, "image/bmp")


def bombs() -> Iterator[tuple[str, Nasty]]:
    """Files that grow when they are unpacked, within what their headers may claim, or outside of the pixels."""
    side = 7000  # 49 million pixels: allowed
    rows = bytes((3 * side + 1) * side)
    yield "png of 49 million black pixels", Nasty(make_png(side, side, rows=rows), GOOD, "image/png")
    yield "png with more pixels than it claims", Nasty(make_png(10, 10, rows=rows), ANY, "image/png")
    blob = zlib.compress(bytes(200 * 2**20), 9)
    good = bytes(31 * 10)
    texts = {
        "text": png_chunk(b"zTXt", b"Comment\0\0" + blob),
        "international text": png_chunk(b"iTXt", b"Comment\0\1\0\0\0" + blob),
        "colour profile": png_chunk(b"iCCP", b"profile\0\0" + blob),
    }
    for name, chunk in texts.items():
        yield f"png with 200 MB of {name}", Nasty(make_png(10, 10, chunk, rows=good), ANY, "image/png")
    frames = [Image.new("P", (2000, 2000), number) for number in range(60)]
    animated = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    yield "gif of 60 frames of 4 million pixels", Nasty(animated, GOOD, "image/gif")
    webp = encode(frames[0].convert("RGB"), "WEBP", save_all=True, append_images=frames[1:9], lossless=True)
    yield "webp of 9 frames of 4 million pixels", Nasty(webp, GOOD, "image/webp")
    tiff = encode(Image.new("1", (7000, 7000)), "TIFF", compression="group4")
    yield "tiff of 49 million black pixels", Nasty(tiff, GOOD, "image/tiff")
    pages = encode(Image.new("1", (10, 10)), "TIFF", save_all=True, append_images=[Image.new("1", (10, 10))] * 500)
    yield "tiff of 501 pages", Nasty(pages, GOOD, "image/tiff")
    loop = make_tiff(10, 10)
    start = struct.unpack("<I", loop[4:8])[0]
    end = start + 2 + 12 * struct.unpack("<H", loop[start : start + 2])[0]
    yield "tiff whose pages go in a circle", Nasty(patch(loop, end, struct.pack("<I", start)), ANY, "image/tiff")


def impostors() -> Iterator[tuple[str, Nasty]]:
    """Files that are something else, or something else as well."""
    png, jpeg = encode(noise(40, 30)), encode(noise(40, 30), "JPEG")
    yield "png that is called a jpeg", Nasty(png, GOOD, "image/jpeg")
    yield "jpeg that is called an svg", Nasty(jpeg, GOOD, "image/svg+xml")
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    yield "svg that reads a file", Nasty(svg, NO_PICTURE, "image/svg+xml")
    yield "html", Nasty(b"<!doctype html><script>alert(1)</script>", NO_PICTURE)
    yield "eps", Nasty(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n", NO_PICTURE)
    yield "pdf", Nasty(b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n", NO_PICTURE)
    yield "zip", Nasty(b"PK\3\4" + bytes(100), NO_PICTURE)
    yield "pickle", Nasty(b"\x80\x04cos\nsystem\n(S'true'\ntR.", NO_PICTURE)
    yield "playlist of another format", Nasty(b"#EXTM3U\nconcat:file:///etc/passwd", NO_PICTURE)
    yield "imagemagick script", Nasty(b"push graphic-context\nimage over 0,0 0,0 'url(/etc/passwd)'", NO_PICTURE)
    for name, more in (("zip", b"PK\3\4" + bytes(60)), ("html", b"<script>1</script>"), ("pdf", b"%PDF-1.7\n")):
        yield f"jpeg that is a {name} too", Nasty(jpeg + more, GOOD)
        yield f"gif that is a {name} too", Nasty(encode(noise(40, 30), "GIF") + more, GOOD, "image/gif")
    yield "png within a jpeg's comment", Nasty(encode(noise(9, 9), "JPEG", comment=png), GOOD)
    for kind in ("ICO", "PPM", "TGA", "PCX", "EPS", "ICNS", "DDS", "JPEG2000"):
        yield f"{kind.lower()}, a format not taken", Nasty(encode(Image.new("RGB", (64, 64)), kind), NO_PICTURE)


def oddities() -> Iterator[tuple[str, Nasty]]:
    """Good pictures of an unusual kind."""
    shoe = noise(40, 30)
    yield "1x1", Nasty(encode(Image.new("RGB", (1, 1))), GOOD, "image/png")
    yield "1x20000", Nasty(encode(Image.new("RGB", (1, 20_000))), GOOD, "image/png")
    yield "20000x1", Nasty(encode(Image.new("RGB", (20_000, 1)), "JPEG"), GOOD)
    yield "cmyk jpeg", Nasty(encode(shoe.convert("CMYK"), "JPEG"), GOOD)
    yield "cmyk tiff", Nasty(encode(shoe.convert("CMYK"), "TIFF"), GOOD, "image/tiff")
    yield "grey jpeg", Nasty(encode(shoe.convert("L"), "JPEG"), GOOD)
    yield "progressive jpeg", Nasty(encode(shoe, "JPEG", progressive=True), GOOD)
    deep = np.arange(1200, dtype=np.uint16).reshape(30, 40) * 50
    yield "16-bit png", Nasty(encode(Image.fromarray(deep)), GOOD, "image/png")
    yield "16-bit tiff", Nasty(encode(Image.fromarray(deep), "TIFF"), GOOD, "image/tiff")
    real = Image.fromarray(np.linspace(0, 1, 1200, dtype=np.float32).reshape(30, 40))
    yield "tiff of real numbers", Nasty(encode(real, "TIFF"), ANY, "image/tiff")
    wrong = Image.fromarray(np.full((30, 40), np.nan, dtype=np.float32))
    yield "tiff of no numbers", Nasty(encode(wrong, "TIFF"), ANY, "image/tiff")
    yield "lab tiff", Nasty(encode(shoe.convert("LAB"), "TIFF"), ANY, "image/tiff")
    for mode in ("1", "L", "LA", "P", "RGBA"):
        yield f"png of mode {mode}", Nasty(encode(shoe.convert(mode)), GOOD, "image/png")
    clear = shoe.quantize(8)
    yield "palette with a transparent colour", Nasty(encode(clear, transparency=0), GOOD, "image/png")
    still = [shoe, shoe.transpose(Image.Transpose.ROTATE_180)]
    yield "animated gif", Nasty(encode(still[0], "GIF", save_all=True, append_images=still[1:]), GOOD, "image/gif")
    yield "animated png", Nasty(encode(still[0], save_all=True, append_images=still[1:]), GOOD, "image/png")
    yield "animated webp", Nasty(encode(still[0], "WEBP", save_all=True, append_images=still[1:]), GOOD, "image/webp")


def metadata() -> Iterator[tuple[str, Nasty]]:
    """Pictures whose EXIF is damaged: it is not needed, so the picture may pass, or be refused."""
    yield "turned by its exif", Nasty(make_exif(), GOOD)
    damages = {
        "no byte order": b"XX",
        "a directory beyond the end": b"II*\0\xff\xff\xff\x7f",
        "a directory in itself": b"II*\0\x00\x00\x00\x00",
        "65535 entries": b"II*\0\x08\x00\x00\x00\xff\xff",
        "zeros": bytes(40),
    }
    for name, new in damages.items():
        yield f"exif with {name}", Nasty(make_exif(new=new), ANY)
    exif = Image.Exif()
    for value in (0, 9, 255):
        exif[0x0112] = value
        yield f"exif of orientation {value}", Nasty(encode(noise(40, 30), "JPEG", exif=exif), GOOD)
    yield "exif of 60 KB", Nasty(encode(noise(40, 30), "JPEG", exif=b"Exif\0\0II*\0" + bytes(60_000)), ANY)


def collect(*, bombs_too: bool = True) -> dict[str, Nasty]:
    """Name -> picture, of all but those that are only cut off; without the bombs it is drawn in no time."""
    groups = (claims, impostors, oddities, metadata, *[bombs] * bombs_too)
    return {name: nasty for group in groups for name, nasty in group()}
