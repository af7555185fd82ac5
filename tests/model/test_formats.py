import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.errors import UnsupportedImage
from model.preprocess import FORMATS
from tests.model.pictures import decode, encode
from tests.model.profiles import ADOBE_RGB

RED = Image.new("RGB", (64, 48), (200, 30, 40))


def make_file_type(*brands: bytes) -> bytes:
    """The first box of a file of the family of HEIC: its size, its type, the major brand, a version, and the others."""
    body = b"ftyp" + brands[0] + bytes(4) + b"".join(brands[1:])
    return (4 + len(body)).to_bytes(4) + body + bytes(100)


def test_avif() -> None:
    """An AVIF is decoded, with its orientation and its profile."""
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = decode(encode(RED, "AVIF", quality=95, exif=exif), size=64)
    np.testing.assert_allclose(pixels[32, 32].astype(int), (200, 30, 40), atol=4)
    assert (pixels[32, :6] == 255).all()
    assert not (pixels[2, 32] == 255).all()
    adobe = encode(Image.new("RGB", (8, 8), (171, 35, 45)), "AVIF", quality=95, icc_profile=ADOBE_RGB)
    np.testing.assert_allclose(decode(adobe)[4, 4].astype(int), (200, 30, 40), atol=5)


@pytest.mark.parametrize("brands", [(b"heic", b"mif1"), (b"mif1", b"miaf", b"heic"), (b"heix",), (b"hevc", b"msf1")])
def test_heic_without_its_extra(brands: tuple[bytes, ...]) -> None:
    """Without pillow-heif a HEIC is known by its brands, and the answer says how to send a JPEG and how to add HEIC."""
    with pytest.raises(UnsupportedImage, match=r"HEIC.*send a JPEG.*Most Compatible.*solemate\[heif\]"):
        decode(make_file_type(*brands), formats=("JPEG", "PNG"))


@pytest.mark.parametrize("brands", [(b"mp42", b"isom"), (b"mif1", b"jpeg"), (b"avif", b"mif1")])
def test_other_files_of_that_family(brands: tuple[bytes, ...]) -> None:
    """A film, or another picture in the same container, is not called HEIC."""
    with pytest.raises(UnsupportedImage, match=r"allowed formats \(JPEG\)"):
        decode(make_file_type(*brands), formats=("JPEG",))


def test_heic_with_its_extra(tmp_path: Path) -> None:
    """With pillow-heif a HEIC is decoded like a JPEG, in its orientation and in its profile's colours."""
    pytest.importorskip("pillow_heif")
    assert "HEIF" in FORMATS
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    RED.save(buffer, "HEIF", quality=95, exif=exif.tobytes())
    pixels = decode(buffer.getvalue(), size=64)
    np.testing.assert_allclose(pixels[32, 32].astype(int), (200, 30, 40), atol=6)
    assert (pixels[32, :6] == 255).all()
    adobe = encode(Image.new("RGB", (64, 64), (171, 35, 45)), "HEIF", quality=95, icc_profile=ADOBE_RGB)
    np.testing.assert_allclose(decode(adobe)[4, 4].astype(int), (200, 30, 40), atol=6)
