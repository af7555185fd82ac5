"""What `model.preprocess` refuses: no pictures, broken pictures, and pictures made to do harm."""

import io
import resource
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from model import preprocess
from model.errors import CorruptImage, ImageError, ImageTooLarge, UnsupportedImage
from model.formats import BOUNDED_FORMATS
from model.png import skip_bulk
from model.preprocess import ImageLimits, PreprocessConfig, Preprocessor
from tests.model.pictures import NOISE, decode, encode
from tests.model.profiles import ADOBE_RGB, CMYK, GREY
from tests.support.nasty import make_bmp, make_gif, make_jpeg, make_png, make_tiff, make_webp, png_chunk
from tests.support.scale import LONG


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"not a picture",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7\n",
        b"\x00" * 1000,
        b"GIF",
        b"BM",
        b"II" + 100 * b"\2\1\0\0",
    ],
)
def test_what_is_no_picture(data: bytes) -> None:
    """Anything else is unsupported, and the message lists what is supported."""
    with pytest.raises(UnsupportedImage, match="JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF"):
        decode(data)


@pytest.mark.parametrize("format", ["ICO", "PPM", "TGA", "PCX", "EPS", "PDF", "ICNS", "DDS", "JPEG2000"])
def test_formats_that_are_not_allowed(format: str) -> None:
    """A picture in a format that is rare in catalogues, and more of a risk than of use, is unsupported."""
    with pytest.raises(UnsupportedImage):
        decode(encode(Image.new("RGB", (64, 64)), format))


def test_allowed_formats_are_configured() -> None:
    """The limits say which formats are allowed."""
    assert decode(encode(NOISE), formats=("PNG",)).shape == (8, 8, 3)
    with pytest.raises(UnsupportedImage, match=r"\(JPEG\)"):
        decode(encode(NOISE), formats=("JPEG",))


def test_empty() -> None:
    """No bytes at all are a corrupt picture."""
    with pytest.raises(CorruptImage, match="empty"):
        decode(b"")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"])
def test_truncation(format: str) -> None:
    """A picture cut anywhere is refused, unless nothing of its pixels was lost; it is never half a picture."""
    data = encode(NOISE, format)
    whole = decode(data)
    for position in range(1, len(data), max(1, len(data) // 300)):
        try:
            pixels = decode(data[:position])
        except (CorruptImage, UnsupportedImage):
            continue
        assert position >= 0.95 * len(data), f"half a picture was decoded from {position} of {len(data)} bytes"
        np.testing.assert_allclose(pixels.astype(int), whole, atol=2)


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_a_picture_cut_in_its_middle_is_corrupt(format: str) -> None:
    """Once the header is whole, what is cut is called corrupt rather than unsupported."""
    data = encode(NOISE, format)
    for share in (0.5, 0.7, 0.9):
        with pytest.raises(CorruptImage, match=f"the {format} is truncated or broken"):
            decode(data[: int(share * len(data))])


@pytest.mark.parametrize("side", [8_000, 10_000, 16_383, 50_000])
@pytest.mark.parametrize("make", [make_jpeg, make_png, make_webp, make_gif, make_bmp, make_tiff])
def test_bombs(make: Callable[[int, int], bytes], side: int) -> None:
    """A small file that claims to be a huge picture is refused by its header, and its memory is never asked for."""
    side = min(side, 16_383) if make is make_webp else side
    data = make(side, side)
    assert len(data) < 1000
    before = peak_memory()
    with pytest.raises(ImageTooLarge, match="at most 25,165,824" if make is make_webp else "at most 50,331,648"):
        decode(data)
    assert peak_memory() - before < 100 * 2**20


def test_large_jpegs_count_by_what_is_decoded() -> None:
    """A JPEG counts by what it is decoded to, an eighth of its sides; what is more is refused before it is decoded."""
    data = make_jpeg(65_500, 65_500)
    data += bytes(65_500**2 // 256 - len(data) + 1)  # as many bytes as so many pixels may have
    before = peak_memory()
    with pytest.raises(ImageTooLarge, match="is decoded to 8188x8188 = 67,043,344 pixels; at most 50,331,648"):
        decode(data, max_bytes=len(data))
    assert peak_memory() - before < 100 * 2**20


def test_a_tile_larger_than_its_picture() -> None:
    """A TIFF of 16x16 pixels whose one tile is huge is refused, as all of the tile would be decoded."""
    tags = {256: 16, 257: 16, 258: 8, 259: 8, 262: 1, 277: 1, 322: 65_536, 323: 65_536, 324: 200, 325: 9}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    data = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    data += bytes(200 - len(data)) + zlib.compress(b"")
    with pytest.raises(ImageTooLarge, match="65536x65536"):
        decode(data)


def test_photos_of_any_phone() -> None:
    """A JPEG of 200 megapixels is decoded at an eighth of its size, by little memory; with the gain map of HDR, too."""
    white = Image.new("L", (16_384, 12_288), 255)  # the largest that phones make has 16320x12240
    data = encode(white, "JPEG")
    gain = encode(white.resize((64, 64)), "MPO", save_all=True, append_images=[white.resize((8, 8))])
    del white
    before = peak_memory()
    preprocessor = Preprocessor(PreprocessConfig(size=8))
    assert (preprocessor.decode(data)[:, 4] == 255).all()
    assert preprocessor.render(data, 1600).size == (1600, 1200)
    assert peak_memory() - before < 100 * 2**20
    assert Image.open(io.BytesIO(gain)).format == "MPO"
    assert decode(gain, size=2, max_pixels=64).shape == (2, 2, 3)


def test_one_limit() -> None:
    """A limit above Pillow's own is the one that counts, and is the one that is named."""
    with pytest.raises(ImageTooLarge, match="at most 399,999,999 are allowed"):
        decode(make_png(20_000, 20_000), max_pixels=20_000**2 - 1)
    limits = ImageLimits(max_pixels=20_000**2)
    assert Preprocessor(PreprocessConfig(), limits).open(make_png(20_000, 20_000)).size == (20_000, 20_000)


@pytest.mark.parametrize("kind", ["progressive", "in three scans"])
def test_jpegs_in_several_scans(kind: str) -> None:
    """A JPEG in several scans counts by all of its pixels: libjpeg keeps the coefficients of each."""
    picture = Image.fromarray(NOISE).resize((64, 64))
    data = encode(picture, "JPEG", progressive=kind == "progressive")
    if kind != "progressive":
        position = data.index(b"\xff\xda")
        one = b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1, 0, 0, 63, 0)
        data = data[:position] + one + data[position + 14 :]
    with pytest.raises(ImageTooLarge, match="64x64 = 4,096 pixels; at most 4,095"):
        decode(data, size=2, max_pixels=4095)
    assert decode(encode(picture, "JPEG"), size=2, max_pixels=64).shape == (2, 2, 3)


def make_scans(count: int, side: int = 64) -> bytes:
    """A grey progressive JPEG with `count` further scans of a few bytes, in which nothing changes."""
    data = encode(Image.new("L", (side, side), 90), "JPEG", progressive=True)
    table = b"\xff\xc4" + struct.pack(">HB16B", 20, 0x10, 1, *[0] * 15) + b"\xe0"  # the one code: a run of 16384 blocks
    scan = b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1, 0, 1, 63, 0x10)
    runs = bytes(-(-((side // 8) ** 2) // 2**14) * 15 // 8 + 1)
    return data[:-2] + table + count * (scan + runs) + data[-2:]


def test_jpegs_in_very_many_scans() -> None:
    """A JPEG with more scans than any encoder writes is refused: each takes a pass over all of the picture."""
    assert decode(make_scans(80)).shape == (8, 8, 3)
    with pytest.raises(CorruptImage, match="more than 100 scans"):
        decode(make_scans(200))
    large = make_scans(30)
    position = large.index(b"\xff\xc2") + 5
    with pytest.raises(CorruptImage, match="more than 21 scans"):
        decode(large[:position] + struct.pack(">HH", 6144, 8192) + large[position + 4 :])


def test_what_looks_like_scans() -> None:
    """Bytes behind a JPEG, such as the film of a phone's moving picture, and restart markers are no scans."""
    data = encode(NOISE, "JPEG", progressive=True)
    np.testing.assert_array_equal(decode(data + 2000 * b"\xff\xda\0\x02"), decode(data))
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), dtype=np.uint8))
    for progressive in (False, True):
        data = encode(noise, "JPEG", restart_marker_blocks=1, progressive=progressive)
        assert data.count(b"\xff\xd0") > 500
        assert decode(data).shape == (8, 8, 3)


@pytest.mark.parametrize(("format", "error"), [("AVIF", UnsupportedImage), ("HEIF", CorruptImage)])
def test_frames_larger_than_the_header_says(format: str, error: type[ImageError]) -> None:
    """A picture whose box `ispe` claims 64x64 pixels, and whose frame has 3000x3000, is not decoded for a stranger."""
    if format == "HEIF":
        pytest.importorskip("pillow_heif")
    data = encode(Image.new("RGB", (3000, 3000)), format, quality=20)
    claimed = data.replace(b"ispe" + struct.pack(">III", 0, 3000, 3000), b"ispe" + struct.pack(">III", 0, 64, 64))
    assert claimed != data
    before = peak_memory()
    with pytest.raises(error):
        decode(claimed, formats=BOUNDED_FORMATS)
    assert peak_memory() - before < 10 * 2**20


@pytest.mark.parametrize("compression", [1, 2])
def test_bmp_in_run_length_encoding(compression: int) -> None:
    """A BMP in run-length encoding is not read: Pillow decodes it in Python, 50 million pixels from a kilobyte."""
    data = bytearray(make_bmp(50_331_648, 1))
    data[28:30], data[30:34] = struct.pack("<H", 8 // compression), struct.pack("<I", compression)
    with pytest.raises(UnsupportedImage, match="BMP in run-length encoding"):
        decode(bytes(data) + bytes(1000) + 500 * b"\0\2\xff\xff")


JPEG, GIF = encode(NOISE, "JPEG"), encode(Image.fromarray(NOISE).quantize(16), "GIF")
PIXELS = encode(NOISE).index(b"IDAT") - 4


def make_tiff_data(*tags: tuple[int, int, int, bytes], pixels: bool = True) -> bytes:
    """A grey TIFF of 16x16 pixels, or EXIF data, with further tags: tag, type, number of values, values."""
    picture = {256: 16, 257: 16, 258: 8, 259: 1, 262: 1, 273: 8, 278: 16, 279: 256} if pixels else {}
    every = {tag: (4, 1, struct.pack("<I", value)) for tag, value in picture.items()}
    every.update({tag: (kind, count, values) for tag, kind, count, values in tags})
    end = 8 + 256 + 2 + 12 * len(every) + 4
    entries, rest = b"", b""
    for tag, (kind, count, values) in sorted(every.items()):
        place = values.ljust(4, b"\0") if len(values) <= 4 else struct.pack("<I", end + len(rest))
        rest += values if len(values) > 4 else b""
        entries += struct.pack("<HHI", tag, kind, count) + place
    return (
        b"II*\0"
        + struct.pack("<I", 264)
        + bytes(range(256))
        + struct.pack("<H", len(every))
        + entries
        + bytes(4)
        + rest
    )


def jpeg_segment(marker: int, content: bytes = b"") -> bytes:
    """A segment of a JPEG."""
    return b"\xff" + struct.pack(">BH", marker, len(content) + 2) + content


def insert(data: bytes, position: int, more: bytes) -> bytes:
    """The bytes with others in between."""
    return data[:position] + more + data[position:]


FRACTIONS = struct.pack("<II", 1, 3) * 2000
PROFILE = zlib.compress(bytes(2**20))
MANY_FRACTIONS = (282, 5, 2000, FRACTIONS)  # as the resolution
EXIF_DATA = make_tiff_data(MANY_FRACTIONS, pixels=False)
PLACE = 390  # of the first values in a TIFF with two further tags
EXIF_DIRECTORY = struct.pack("<HHHIII", 1, 33434, 5, 2000, PLACE + 18, 0) + FRACTIONS


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (insert(JPEG, 2, 2000 * jpeg_segment(0xE5)), "1,000 segments"),
        (insert(JPEG, 2, 2000 * b"\xff\xd0"), "1,000 segments"),
        (insert(JPEG, 2, b"\xff\xd9" + 2000 * jpeg_segment(0xE5)), "1,000 segments"),
        (insert(JPEG, 2, 900 * jpeg_segment(0xE1, b"Exif\0\0" + bytes(200))), "131,072 bytes of tables and EXIF data"),
        (insert(JPEG, 2, 5 * jpeg_segment(0xDB, 500 * bytes(65))), "131,072 bytes of tables and EXIF data"),
        (insert(JPEG, 20, bytes(70_000)), "65,536 bytes between its segments"),
        (JPEG[:20] + bytes(70_000), "65,536 bytes between its segments"),
        (insert(JPEG, 2, jpeg_segment(0xE1, b"Exif\0\0" + EXIF_DATA)), "1,000 fractions"),
        (insert(JPEG, 2, jpeg_segment(0xED, b"Photoshop 3.0\0" + 1100 * (b"8BIM" + bytes(8)))), "1,000 resources"),
        (insert(encode(NOISE), PIXELS, 2000 * png_chunk(b"teSt", b"")), "chunks"),
        (insert(encode(NOISE), len(encode(NOISE)) - 12, 2000 * png_chunk(b"IDAT", b"")), "chunks"),
        (insert(encode(NOISE), PIXELS, 101 * png_chunk(b"iCCP", b"x\0\0" + PROFILE)), "100 profiles and texts"),
        (insert(encode(NOISE), PIXELS, 101 * png_chunk(b"zTXt", b"x\0\0" + PROFILE)), "100 profiles and texts"),
        (insert(GIF, GIF.index(b","), b"!\xfe" + 3000 * b"\1a" + b"\0"), "blocks"),
        (insert(GIF, GIF.index(b","), 3000 * b"!\x01\0\0"), "blocks"),
        (insert(GIF, GIF.index(b","), 9000 * b"?"), "blocks"),
        (make_tiff_data(MANY_FRACTIONS), "1,000 fractions"),
        (make_tiff_data((273, 4, 20_000, struct.pack("<I", 8) * 20_000)), "16,384 strips or tiles"),
        (make_tiff_data((258, 3, 2**20 + 1, b"\x08\0" * (2**20 + 1))), "1,048,576 numbers"),
        (make_tiff_data(*[(40_000 + number, 4, 1, bytes(4)) for number in range(1000)]), "1,000 tags"),
        (make_tiff_data((34665, 4, 1, struct.pack("<I", PLACE)), (65_000, 7, 16_018, EXIF_DIRECTORY)), "fractions"),
        (make_tiff_data((34665, 4, 2, bytes(8))) + bytes(4096), "2 values of type 4; expected one offset"),
    ],
)  # fmt: skip
def test_metadata_that_takes_long(data: bytes, message: str) -> None:
    """A picture with very many pieces of metadata, each of which Pillow would handle in Python, is refused."""
    with pytest.raises(CorruptImage, match=message):
        decode(data)


@pytest.mark.parametrize(
    "data",
    [
        insert(JPEG, 2, 255 * jpeg_segment(0xE2, b"ICC_PROFILE\0" + bytes(1000))),
        insert(JPEG, 2, b"\xff\xff\xff\0 a few bytes"),
        insert(GIF, GIF.index(b","), b"!\xffXMP DataXMP" + 100 * b"<x:xmpmeta>" + bytes(range(255, -1, -1)) + b"\0"),
        make_tiff_data((273, 4, 16, struct.pack("<16I", *range(8, 264, 16))), (278, 4, 1, b"\1\0\0\0")),
        make_tiff_data((34665, 18, 1, bytes(8))) + bytes(4096),
    ],
    ids=["profile", "stray bytes", "XMP", "strips", "offset of a type that Pillow does not read"],
)
def test_metadata_as_others_write_it(data: bytes) -> None:
    """Much metadata, and a little that is odd, is no reason to refuse a picture."""
    assert decode(data).std() > 10


def test_strips_that_are_one() -> None:
    """A TIFF whose strips cover it again and again, each with the same bytes, is refused: each would be decoded."""
    strips = (
        (273, 4, 1000, struct.pack("<I", 8) * 1000),
        (278, 4, 1, struct.pack("<I", 15)),
        (279, 4, 1000, bytes(4000)),
    )
    with pytest.raises(CorruptImage, match="cover it more than 8 times"):
        decode(make_tiff_data(*strips))


@pytest.mark.parametrize("width", [(322, 5, 1, struct.pack("<II", 16, 0)), (322, 2, 4, b"wid\0")])
def test_a_tile_whose_width_is_no_number(width: tuple[int, int, int, bytes]) -> None:
    """A TIFF whose tiles have a fraction, or a word, for their width is broken."""
    with pytest.raises(CorruptImage, match="header is broken"):
        decode(make_tiff_data(width))


def test_failures_that_nobody_expects(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a decoder raises, at the header or at the pixels, is an error of the picture; the log has its cause."""

    class Odd(Exception):
        """An error of a kind that no decoder documents."""

    def fail(*_: object) -> None:
        raise Odd("of the decoder")

    data = encode(NOISE)
    for name in ("load", "_open"):
        monkeypatch.setattr(PngImageFile, name, fail)
        caplog.clear()
        with pytest.raises(CorruptImage, match="broken") as caught:
            decode(data)
        assert isinstance(caught.value.__cause__, Odd)
        assert "of the decoder" in caplog.text


def test_orientations_of_another_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """An orientation that is not one number of 16 bits counts as none, and Pillow does not look at it."""
    many = make_tiff_data((274, 5, 100_000, struct.pack("<II", 6, 1) * 100_000), pixels=False)
    text = f"\nexif\n{len(many)}\n{many.hex()}".encode()
    monkeypatch.setattr(Image.Exif, "load", lambda *_: pytest.fail("Pillow reads it"))
    data = encode(NOISE)
    for chunk in (png_chunk(b"eXIf", many), png_chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))):
        np.testing.assert_array_equal(decode(insert(data, PIXELS, chunk)), decode(data))
    webp = encode(NOISE, "WEBP", lossless=True, exif=many)
    np.testing.assert_array_equal(decode(webp), decode(data))


def test_orientations_in_other_places() -> None:
    """The orientation is found in EXIF data of either byte order, in ImageMagick's text, and in XMP."""
    data = encode(NOISE)
    turned = decode(encode(Image.fromarray(NOISE).transpose(Image.Transpose.ROTATE_270)))
    little = make_tiff_data((274, 3, 1, b"\6\0"), pixels=False)
    big = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 274, 3, 1, 6, 0, 0)
    text = f"\nexif\n{len(big)}\n{(b'Exif' + bytes(2) + big).hex()}".encode()
    for chunk in (
        png_chunk(b"eXIf", little),
        png_chunk(b"eXIf", big),
        png_chunk(b"tEXt", b"Raw profile type exif\0" + text),
        png_chunk(b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="6"/>'),
    ):
        np.testing.assert_array_equal(decode(insert(data, PIXELS, chunk)), turned)


BULK = bytes(3 * 2**20)


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"tEXt", b"prompt\0" + b"a" * 2**21),
        png_chunk(b"zTXt", b"prompt\0\0" + zlib.compress(BULK)),
        png_chunk(b"zTXt", b"prompt\0\0" + zlib.compress(bytes(2**20))),
        png_chunk(b"iTXt", b"prompt\0\1\0en\0prompt\0" + zlib.compress(BULK)),
        png_chunk(b"iTXt", b"prompt\0\0\0en\0prompt\0" + b"a" * 2**21),
        png_chunk(b"iCCP", b"profile\0\0" + zlib.compress(BULK)),
        png_chunk(b"iCCP", b"profile\0\7" + zlib.compress(b"x")),
        png_chunk(b"iCCP", b"profile"),
        png_chunk(b"zTXt", b"prompt\0\0" + zlib.compress(BULK))[:-1] + b"x",
        70 * png_chunk(b"zTXt", b"prompt\0\0" + zlib.compress(bytes(1_000_000))),
    ],
    ids=["text", "zTXt", "just too large", "iTXt", "plain iTXt", "profile", "method", "no method", "checksum", "many"],
)
def test_what_is_not_pixels_in_a_png(chunk: bytes) -> None:
    """Large or broken texts and profiles, before the pixels and behind them, do not spoil a PNG."""
    data = encode(NOISE)
    pixels = data.index(b"IDAT") - 4
    np.testing.assert_array_equal(decode(data[:pixels] + chunk + data[pixels:]), decode(data))
    end = data.index(b"IEND") - 4
    np.testing.assert_array_equal(decode(data[:end] + chunk + data[end:]), decode(data))


def test_small_texts_and_other_formats_are_left_alone() -> None:
    """The bytes of pictures without such texts are handed to Pillow as they are."""
    for data in (
        encode(NOISE, icc_profile=bytes(5000)),
        encode(NOISE, "JPEG"),
        encode(NOISE)[:-20],
        b"\x89PNG\r\n\x1a\n",
    ):
        assert skip_bulk(data) is data
    text = encode(NOISE)[:33] + png_chunk(b"zTXt", b"prompt\0\0" + zlib.compress(b"a shoe")) + encode(NOISE)[33:]
    assert skip_bulk(text) is text


def peak_memory() -> int:
    """The most memory that this process had at once, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def test_limits_are_inclusive(tmp_path: Path) -> None:
    """As many bytes and pixels as are allowed pass, and one more does not, from memory and from a file."""
    data = encode(NOISE)
    assert decode(data, max_bytes=len(data), max_pixels=29 * 41).shape == (8, 8, 3)
    with pytest.raises(ImageTooLarge, match="bytes; at most"):
        decode(data, max_bytes=len(data) - 1)
    with pytest.raises(ImageTooLarge, match=r"41x29 = 1,189 pixels; at most 1,188"):
        decode(data, max_pixels=29 * 41 - 1)
    (tmp_path / "x.png").write_bytes(data)
    preprocessor = Preprocessor(PreprocessConfig(), ImageLimits(max_bytes=len(data) - 1))
    with pytest.raises(ImageTooLarge, match="bytes; at most"):
        preprocessor.decode_file(tmp_path / "x.png")


def test_files(tmp_path: Path) -> None:
    """A file is decoded like its bytes; one that is not there is the system's own error."""
    (tmp_path / "x.png").write_bytes(encode(NOISE))
    preprocessor = Preprocessor(PreprocessConfig(size=8))
    np.testing.assert_array_equal(preprocessor.decode_file(tmp_path / "x.png"), preprocessor.decode(encode(NOISE)))
    with pytest.raises(FileNotFoundError):
        preprocessor.decode_file(tmp_path / "nothing.png")


EXIF = Image.Exif()
EXIF[0x0112] = 6
EXIF[0x010F] = "Maker"
EXIF[0x011A] = 72.5
SEEDS = {
    "jpeg": encode(NOISE, "JPEG", exif=EXIF),
    "progressive jpeg": encode(NOISE, "JPEG", progressive=True),
    "cmyk jpeg": encode(Image.fromarray(NOISE).convert("CMYK"), "JPEG"),
    "png": encode(NOISE, exif=EXIF),
    "palette png": encode(Image.fromarray(NOISE).quantize(16)),
    "gif": encode(NOISE, "GIF", save_all=True, append_images=[Image.fromarray(NOISE[::-1].copy())]),
    "webp": encode(NOISE, "WEBP", exif=EXIF),
    "avif": encode(NOISE, "AVIF", exif=EXIF),
    "bmp": encode(NOISE, "BMP"),
    "tiff": encode(NOISE, "TIFF", compression="tiff_lzw"),
}
MAGIC = [b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\x00\x01\x00\x00WEBPVP8 ", b"BM", b"II*\x00"]


def decode_or_refuse(data: bytes) -> None:
    """Decode, and let nothing but an ImageError pass."""
    try:
        pixels = Preprocessor(PreprocessConfig(size=8), ImageLimits(max_pixels=1_000_000)).decode(data)
    except ImageError:
        return
    assert pixels.shape == (3, 8, 8)
    assert pixels.dtype == np.uint8


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=3000 if LONG else 150)
@given(magic=st.sampled_from(MAGIC), data=st.binary(max_size=300))
def test_random_bytes(magic: bytes, data: bytes) -> None:
    """Random bytes, also behind the first bytes of a format, give an array or an ImageError."""
    decode_or_refuse(magic + data)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=6000 if LONG else 300)
@given(
    name=st.sampled_from(sorted(SEEDS)),
    changes=st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=6),
    cut=st.one_of(st.none(), st.integers(0, 2**16)),
)
@example(name="jpeg", changes=[], cut=None)
def test_mutated_pictures(name: str, changes: list[tuple[int, int]], cut: int | None) -> None:
    """A picture with some bytes changed and its end cut off gives an array or an ImageError."""
    data = bytearray(SEEDS[name])
    for position, value in changes:
        # Half of the changes go to the header, where most of what can be misread is.
        data[position // 2 % (200 if position % 2 else len(data))] = value
    decode_or_refuse(bytes(data if cut is None else data[: cut % len(data)]))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I;16B", "I", "F"])
def test_strips_make_no_difference(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture that is converted strip by strip has the pixels that it has when it is converted as a whole."""
    if mode in {"I;16", "I;16B", "I", "F"}:
        values = NOISE[:, :, 0].astype(np.float64) * 200
        picture = Image.fromarray(values.astype(np.float32) if mode == "F" else values.astype(np.int32))
        picture = picture if picture.mode == mode else Image.frombytes(
            mode, picture.size, values.astype(">u2" if mode.endswith("B") else "<u2").tobytes()
        )  # fmt: skip
    else:
        picture = Image.fromarray(NOISE).convert({"PA": "LA"}.get(mode, mode)).convert(mode)
    if mode == "P":
        picture.info["transparency"] = 3
    whole = preprocess.flatten(picture, 255)
    monkeypatch.setattr(preprocess, "STRIP_PIXELS", 4 * picture.width)
    strips = preprocess.flatten(picture, 255)
    assert whole.mode == strips.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(strips), np.asarray(whole))
    assert np.asarray(whole).std() > 1


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak of a while")
@pytest.mark.parametrize(
    ("mode", "format"),
    [
        ("RGB", "PNG"),
        ("RGBA", "PNG"),
        ("LA", "PNG"),
        ("P", "PNG"),
        ("I;16", "PNG"),
        ("RGBA", "WEBP"),
        ("RGBA", "AVIF"),
        ("CMYK", "TIFF"),
    ],
)
@pytest.mark.parametrize("profile", [None, "own"])
def test_memory_of_large_pictures(mode: str, format: str, profile: str | None) -> None:
    """Decoding takes at most 9 bytes for a pixel of those allowed, whatever the picture is: the settings promise it."""
    side = 4000 if LONG else 3000
    icc = {"CMYK": CMYK, "LA": GREY, "I;16": GREY}.get(mode, ADOBE_RGB) if profile else None
    all_options: dict[str, dict[str, Any]] = {
        "WEBP": {"lossless": True, "quality": 0, "method": 0},
        "AVIF": {"speed": 10, "subsampling": "4:4:4"},
    }
    options = all_options.get(format, {})
    data = encode(Image.new(mode, (side, side)), format, icc_profile=icc, **options)
    decode(encode(Image.new(mode, (10, 10)), format, icc_profile=icc))
    Path("/proc/self/clear_refs").write_text("5")
    before = status_mib("VmRSS:")
    decode(data, max_bytes=2**30)
    allowed = 9 * side * side * preprocess.PIXEL_WEIGHTS.get(format, 1)
    assert status_mib("VmHWM:") - before < allowed / 2**20 + 32


def status_mib(name: str) -> float:
    """A line of what Linux tells of this process, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))
