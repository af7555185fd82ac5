import io
import random
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from model import color
from model.color import find_transform
from model.preprocess import PreprocessConfig, Preprocessor
from tests.model.pictures import NOISE, Pixels, decode, encode
from tests.model.profiles import ADOBE_RGB, CMYK, GREY, P3, make_profile
from tests.support.scale import LONG

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
PASTEL: Pixels = (60 + NOISE[:8, :8] // 2).astype(np.uint8)
"""Colours that sRGB has, and every profile here."""


def save_in(profile: bytes, values: Pixels, mode: str = "RGB") -> Image.Image:
    """A picture that means the colours `values`, in the numbers of a profile; by LittleCMS."""
    target = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    picture = ImageCms.profileToProfile(Image.fromarray(values), SRGB, target, ImageCms.Intent(1), mode)
    assert picture is not None
    return picture


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("profile", [ADOBE_RGB, P3], ids=["Adobe RGB", "P3"])
def test_a_colour_is_what_its_profile_says(profile: bytes, format: str) -> None:
    """A red that is written in another colour space is the same red, in every format that embeds a profile."""
    options: dict[str, Any] = {"lossless": True} if format == "WEBP" else {}
    red = np.full((8, 8, 3), (200, 30, 40), dtype=np.uint8)
    pixels = decode(encode(save_in(profile, red), format, icc_profile=profile, **options))
    np.testing.assert_allclose(pixels.astype(int), red, atol=3)


def test_adobe_red() -> None:
    """(171, 35, 45) in Adobe RGB is (200, 30, 40) in sRGB, for the network and for people."""
    data = encode(Image.new("RGB", (8, 8), (171, 35, 45)), icc_profile=ADOBE_RGB)
    np.testing.assert_allclose(decode(data)[0, 0].astype(int), (200, 30, 40), atol=3)
    shown = Preprocessor(PreprocessConfig(size=4)).render(data, 100)
    np.testing.assert_allclose(np.asarray(shown)[1, 1].astype(int), (200, 30, 40), atol=3)
    assert "icc_profile" not in shown.info


def test_all_colours_that_both_have() -> None:
    """Of many colours, none moves by more than rounding to eight bits twice does."""
    for profile in (ADOBE_RGB, P3):
        pixels = decode(encode(save_in(profile, PASTEL), icc_profile=profile))
        assert np.abs(pixels.astype(int) - PASTEL).max() <= 2


def test_transparency_and_palettes() -> None:
    """Profiles hold for pictures with an alpha channel, a transparent colour, and a palette."""
    red = Image.new("RGB", (8, 8), (171, 35, 45))
    red.paste((0, 255, 0), (4, 0, 8, 8))
    rgba = red.convert("RGBA")
    rgba.paste((0, 255, 0, 0), (4, 0, 8, 8))
    palette = red.quantize(4)
    key = palette.getpixel((5, 5))
    for data in (
        encode(rgba, icc_profile=ADOBE_RGB),
        encode(red, icc_profile=ADOBE_RGB, transparency=(0, 255, 0)),
        encode(palette, icc_profile=ADOBE_RGB, transparency=key),
    ):
        pixels = decode(data).astype(int)
        np.testing.assert_allclose(pixels[:, :4], np.broadcast_to((200, 30, 40), (8, 4, 3)), atol=3)
        assert (pixels[:, 4:] == 255).all()


def expected_grey(share: float) -> int:
    """A level of the grey profile, of gamma 1.8, in sRGB."""
    linear = float(share**1.8)
    return round(255 * (linear * 12.92 if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055))


@pytest.mark.parametrize("kind", ["L", "LA", "16 bits"])
def test_grey(kind: str) -> None:
    """A grey profile holds for grey pictures of eight and of sixteen bits, with transparency and without."""
    for level in (20, 100, 128, 200):
        if kind == "16 bits":
            picture = Image.fromarray(np.full((8, 8), level * 257, dtype=np.uint16))
        else:
            picture = Image.new(kind, (8, 8), level if kind == "L" else (level, 255))
        pixels = decode(encode(picture, icc_profile=GREY))
        assert np.abs(pixels.astype(int) - expected_grey(level / 255)).max() <= 1


def test_cmyk() -> None:
    """A printer's picture has the colours of its profile: muted inks, a white paper and a black that is black."""
    picture = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    picture.paste((0, 0, 0, 255), (0, 0, 2, 8))
    picture.paste((0, 0, 0, 0), (6, 0, 8, 8))
    pixels = decode(encode(picture, "TIFF", icc_profile=CMYK)).astype(int)
    plain = decode(encode(picture, "TIFF")).astype(int)
    assert pixels[0, 0].max() < 40
    assert pixels[0, 7].min() > 250
    assert plain[0, 4].tolist() == [0, 255, 255]
    assert pixels[0, 4, 0] > 60
    assert pixels[0, 4, 1] < 230
    jpeg = decode(encode(picture.resize((64, 64)), "JPEG", icc_profile=CMYK, quality=95)).astype(int)
    np.testing.assert_allclose(jpeg[4, 4], pixels[4, 4], atol=12)


def test_grey_in_a_colour_profile() -> None:
    """A grey picture with a profile of colours is taken for colours with equal parts."""
    grey = Image.new("L", (8, 8), 90)
    expected = decode(encode(grey.convert("RGB"), icc_profile=ADOBE_RGB))
    np.testing.assert_array_equal(decode(encode(grey, icc_profile=ADOBE_RGB)), expected)


@pytest.mark.parametrize(
    "profile",
    [
        b"x",
        bytes(200),
        b"not a profile" * 50,
        ADOBE_RGB[:200],
        ADOBE_RGB[:128] + bytes(len(ADOBE_RGB) - 128),
        make_profile(b"RGB ", {}),
        make_profile(b"Lab ", {}),
        GREY,
        CMYK,
        b"\0" * (color.MAX_PROFILE_BYTES + 1),
    ],
    ids=["short", "zeros", "text", "cut", "no tags", "empty", "Lab", "grey", "CMYK", "large"],
)
def test_what_is_no_profile_of_this_picture(profile: bytes) -> None:
    """A broken profile counts as none, and so does one of another kind of picture."""
    picture = Image.fromarray(NOISE)
    picture.info["icc_profile"] = profile
    assert find_transform(picture) is None
    np.testing.assert_array_equal(decode(encode(NOISE, "TIFF", icc_profile=profile)), decode(encode(NOISE, "TIFF")))


def test_srgb_costs_nothing() -> None:
    """A picture whose profile is sRGB itself is left as it is, to the last bit."""
    data = encode(NOISE, icc_profile=SRGB.tobytes())
    np.testing.assert_array_equal(decode(data), decode(encode(NOISE)))
    picture = Image.fromarray(NOISE)
    picture.info["icc_profile"] = SRGB.tobytes()
    assert find_transform(picture) is None


def test_profiles_are_read_once() -> None:
    """The transform of a profile is made for the first picture that has it; the oldest are forgotten."""
    picture = Image.fromarray(NOISE)
    picture.info["icc_profile"] = ADOBE_RGB
    first = find_transform(picture)
    assert first is not None
    assert find_transform(picture) is first
    for number in range(color.MAX_CACHED):
        picture.info["icc_profile"] = ADOBE_RGB + bytes([number])
        find_transform(picture)
    picture.info["icc_profile"] = ADOBE_RGB
    assert find_transform(picture) is not first


def test_off() -> None:
    """Without colour management, as of older checkpoints, the numbers are taken as they are."""
    data = encode(NOISE[:8, :8], icc_profile=ADOBE_RGB)
    preprocessor = Preprocessor(PreprocessConfig(size=8, color_management=False))
    np.testing.assert_array_equal(preprocessor.decode(data).transpose(1, 2, 0), NOISE[:8, :8])
    np.testing.assert_array_equal(np.asarray(preprocessor.render(data, 100)), NOISE[:8, :8])


@pytest.mark.parametrize("profile", [ADOBE_RGB, CMYK, GREY], ids=["RGB", "CMYK", "grey"])
def test_mutated_profiles(profile: bytes) -> None:
    """A profile with bytes changed gives a picture, whatever its colours."""
    generator = random.Random(0)
    picture = Image.fromarray(NOISE).convert({ADOBE_RGB: "RGB", CMYK: "CMYK"}.get(profile, "L"))
    for _ in range(1000 if LONG else 30):
        data = bytearray(profile)
        for _ in range(generator.randint(1, 6)):
            data[generator.randrange(len(data) if generator.random() < 0.5 else 260)] = generator.randrange(256)
        picture.info["icc_profile"] = bytes(data)
        transform = find_transform(picture)
        if transform is not None:
            assert transform.apply(picture).mode == "RGB"
