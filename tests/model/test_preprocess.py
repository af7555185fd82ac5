import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from model.preprocess import PreprocessConfig, Preprocessor, to_pixels, to_png
from model.tvae import to_float
from tests.model.pictures import NOISE, Pixels, decode, encode

RED, GREEN, BLUE, YELLOW, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 255, 255)


def make_quadrants(half: int) -> Pixels:
    """Four colours, so that every rotation and reflection looks different."""
    rows = [[RED, GREEN], [BLUE, YELLOW]]
    return np.repeat(np.repeat(np.array(rows, dtype=np.uint8), half, axis=0), half, axis=1)


def test_a_picture_of_the_right_size_is_taken_as_it_is() -> None:
    """Without padding and resizing, every pixel comes through, channels first."""
    values = NOISE[:16, :16]
    pixels = Preprocessor(PreprocessConfig(size=16)).decode(encode(values))
    assert pixels.shape == (3, 16, 16)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, values.transpose(2, 0, 1))


GOLDEN_RED = [
    [231, 231, 231, 231, 231],
    [52, 52, 52, 52, 52],
    [106, 106, 106, 106, 106],
    [194, 194, 194, 194, 194],
    [254, 254, 254, 254, 254],
]
GOLDEN_DIGEST = "77e3f5f57f9ccc888bb4573296434d58c77372e7320467ae4d5d8dcc76600f34"


def test_golden_pixels() -> None:
    """A known picture gives known pixels: a change here makes every stored vector wrong."""
    row, column = np.mgrid[0:12, 0:20]
    picture = np.stack([row * 20, column * 12, (row * column) % 256], axis=-1).astype(np.uint8)
    pixels = Preprocessor(PreprocessConfig(size=5)).decode(encode(picture))
    assert pixels[0].tolist() == GOLDEN_RED
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == GOLDEN_DIGEST


def test_padding_is_centred_and_never_crops() -> None:
    """The columns at toe and heel of a 136x102 picture stay, above and below is background."""
    picture = np.full((102, 136, 3), 128, dtype=np.uint8)
    picture[:, :4] = RED
    picture[:, -4:] = BLUE
    pixels = decode(encode(picture), size=136)
    np.testing.assert_array_equal(pixels[17:119], picture)
    assert (pixels[:17] == 255).all()
    assert (pixels[119:] == 255).all()
    small = decode(encode(picture), size=34).astype(int)
    assert small[17, 0, 0] > small[17, 0, 2] + 100
    assert small[17, -1, 2] > small[17, -1, 0] + 100


def test_padding_beside_a_tall_picture() -> None:
    """A tall picture gets its background left and right."""
    pixels = decode(encode(np.zeros((8, 4, 3), dtype=np.uint8)))
    assert (pixels[:, 2:6] == 0).all()
    assert (pixels[:, :2] == 255).all()
    assert (pixels[:, 6:] == 255).all()


def test_background_is_configured() -> None:
    """The configured grey level lies beside the picture and behind transparency."""
    preprocessor = Preprocessor(PreprocessConfig(size=4, background=100))
    assert (preprocessor.decode(encode(Image.new("RGBA", (4, 2), (9, 9, 9, 0)))) == 100).all()


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 20_000), (20_000, 1), (2, 3000), (7, 5), (500, 500)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_shape_of_picture(width: int, height: int, channels: int) -> None:
    """From one pixel to a hair's line, every picture becomes a square of the configured size."""
    preprocessor = Preprocessor(PreprocessConfig(size=16, channels=channels))
    pixels = preprocessor.decode(encode(Image.new("RGB", (width, height), (10, 20, 30))))
    assert pixels.shape == (channels, 16, 16)
    if width == height:
        colour = [[10], [20], [30]] if channels == 3 else [[18]]
        np.testing.assert_array_equal(pixels.reshape(channels, -1), np.repeat(colour, 256, axis=1))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_answer_can_be_written_to(channels: int) -> None:
    """The array is the caller's own, as tensors made of it must be."""
    pixels = Preprocessor(PreprocessConfig(size=4, channels=channels)).decode(encode(NOISE[:4, :4]))
    assert pixels.flags.writeable
    assert pixels.flags.c_contiguous
    assert to_float(pixels[None]).shape == (1, channels, 4, 4)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_exif_orientation(orientation: int, format: str) -> None:
    """A camera's rotation is undone, for each of the eight that there are."""
    upright = make_quadrants(32)
    # What row 0 and column 0 of the stored picture are, by the EXIF standard's table for tag 274.
    stored = {
        1: upright,  # top, left
        2: upright[:, ::-1],  # top, right
        3: upright[::-1, ::-1],  # bottom, right
        4: upright[::-1],  # bottom, left
        5: upright.swapaxes(0, 1),  # left, top
        6: upright.swapaxes(0, 1)[::-1],  # right, top
        7: upright.swapaxes(0, 1)[::-1, ::-1],  # right, bottom
        8: upright.swapaxes(0, 1)[:, ::-1],  # left, bottom
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95, "subsampling": 0} if format == "JPEG" else {"lossless": True} if format == "WEBP" else {}
    pixels = decode(encode(np.ascontiguousarray(stored), format, exif=exif, **options), size=64)
    np.testing.assert_allclose(pixels.astype(int), upright, atol=0 if format != "JPEG" else 40)
    np.testing.assert_allclose(pixels[8:24, 8:24].astype(int), upright[8:24, 8:24], atol=3)


def test_broken_exif_does_not_spoil_a_picture() -> None:
    """A picture whose EXIF data can't be read, or whose orientation is unknown, is taken as it is stored."""
    plain = decode(encode(NOISE))
    for block in (
        b"Exif\x00\x00nonsense",
        b"Exif\x00\x00II*\x00\xff\xff\xff\xff",
        b"Exif\x00\x00MM\x00*\x00\x00\x00\x08",
    ):
        np.testing.assert_array_equal(decode(encode(NOISE, exif=block)), plain)
    for orientation in (0, 9, 65535):
        exif = Image.Exif()
        exif[0x0112] = orientation
        np.testing.assert_array_equal(decode(encode(NOISE, exif=exif)), plain)


def make_transparent(mode: str) -> bytes:
    """A picture whose left half is red (or black, without colours) and whose right half is fully transparent."""
    if mode in {"RGBA", "LA"}:
        image = Image.new(mode, (8, 8), (255, 0, 0, 255) if mode == "RGBA" else (0, 255))
        image.paste((0, 200, 0, 0) if mode == "RGBA" else (77, 0), (4, 0, 8, 8))
        return encode(image)
    if mode == "P":
        image = Image.new("P", (8, 8), 0)
        image.putpalette([*RED, *GREEN])
    elif mode == "RGB":
        image = Image.new("RGB", (8, 8), RED)
    else:
        image = Image.new(mode, (8, 8), 0)
    key: Any = {"P": 1, "RGB": GREEN, "L": 99, "1": 1}[mode]
    image.paste(key, (4, 0, 8, 8))
    return encode(image, transparency=key)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB", "L", "1"])
def test_transparency_lies_on_white(mode: str) -> None:
    """Whatever way a PNG says transparent, white is behind it."""
    pixels = decode(make_transparent(mode))
    assert (pixels[:, 4:] == 255).all()
    assert (pixels[:, :4] == (RED if mode in {"RGBA", "RGB", "P"} else (0, 0, 0))).all()


def test_half_transparency() -> None:
    """Half transparent black on white is grey."""
    assert abs(int(decode(encode(Image.new("RGBA", (8, 8), (0, 0, 0, 128))))[0, 0, 0]) - 127) <= 1


@pytest.mark.parametrize("format", ["GIF", "WEBP"])
def test_transparency_of_other_formats(format: str) -> None:
    """GIF and WebP know transparency too."""
    image = Image.new("RGBA", (8, 8), (0, 0, 255, 255))
    image.paste((0, 0, 0, 0), (4, 0, 8, 8))
    pixels = decode(encode(image, format, **({"lossless": True} if format == "WEBP" else {})))
    assert (pixels[:, 4:] == 255).all()
    assert (pixels[:, :4] == BLUE).all()


def test_cmyk() -> None:
    """A printer's JPEG has its colours, not their negative."""
    pixels = decode(encode(Image.fromarray(make_quadrants(32)).convert("CMYK"), "JPEG", quality=95), size=64)
    np.testing.assert_allclose(pixels[8:24, 8:24].astype(int), np.broadcast_to(RED, (16, 16, 3)), atol=12)
    np.testing.assert_allclose(pixels[40:56, 8:24].astype(int), np.broadcast_to(BLUE, (16, 16, 3)), atol=12)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bit_grey(format: str) -> None:
    """The whole range of 16 bits is scaled to 8, not clipped."""
    values = np.repeat(np.array([[0, 257, 32768, 65535]], dtype=np.uint16), 4, axis=0)
    pixels = decode(encode(Image.fromarray(values), format), size=4)
    assert pixels[0].tolist() == [[0] * 3, [1] * 3, [128] * 3, [255] * 3]


def test_floating_point_grey() -> None:
    """A floating-point TIFF within [0, 1] is taken for that range, and one beyond it for 0 to 255."""
    for top in (1.0, 255.0):
        values = np.repeat(np.array([[0.0, 0.5, 1.0, np.nan]], dtype=np.float32) * top, 4, axis=0)
        assert decode(encode(Image.fromarray(values), "TIFF"), size=4)[0, :, 0].tolist() == [0, 128, 255, 0]


@pytest.mark.parametrize(("mode", "value"), [("1", 1), ("L", 255), ("P", 0)])
def test_few_colours(mode: str, value: int) -> None:
    """One bit, grey and palette pictures are read as colours."""
    image = Image.new(mode, (8, 8), value)
    if mode == "P":
        image.putpalette([*WHITE, *RED])
    image.paste(1 if mode == "P" else 0, (4, 0, 8, 8))
    pixels = decode(encode(image))
    assert (pixels[:, :4] == 255).all()
    assert (pixels[:, 4:] == (RED if mode == "P" else (0, 0, 0))).all()


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame_of_an_animation(format: str) -> None:
    """Of several frames the first one counts."""
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN, BLUE)]
    options = {"lossless": True} if format == "WEBP" else {}
    assert (decode(encode(frames[0], format, save_all=True, append_images=frames[1:], **options)) == RED).all()


def test_one_channel() -> None:
    """A grey network gets the picture's luminance."""
    pixels = decode(encode(make_quadrants(4)), channels=1)
    assert pixels.shape == (8, 8, 1)
    assert [pixels[0, 0, 0], pixels[0, 7, 0], pixels[7, 0, 0], pixels[7, 7, 0]] == [76, 150, 29, 226]


def test_large_jpegs_are_what_small_ones_are() -> None:
    """Decoding a photo at a fraction of its size, for speed, gives nearly the pixels of decoding all of it."""
    smooth = Image.fromarray(NOISE[:8, :8]).resize((2048, 1536), Image.Resampling.BICUBIC)
    fast = decode(encode(smooth, "JPEG", quality=95), size=32)
    exact = decode(encode(smooth, "PNG", compress_level=1), size=32)
    assert np.abs(fast.astype(int) - exact.astype(int)).mean() < 2


def test_threads_agree() -> None:
    """One preprocessor in many threads gives each its own picture."""
    preprocessor = Preprocessor(PreprocessConfig(size=8))
    pictures = [encode(Image.new("RGB", (40, 40), (number, 0, 0))) for number in range(64)]
    with ThreadPoolExecutor(8) as executor:
        assert [pixels[0, 0, 0] for pixels in executor.map(preprocessor.decode, pictures)] == list(range(64))


def test_to_float() -> None:
    """Bytes become float32 in [0, 1], of an array and of a tensor, which stay as they were."""
    pixels = np.array([[[[0, 51, 255]]]], dtype=np.uint8)
    for given_pixels in (pixels, torch.from_numpy(pixels)):
        tensor = to_float(given_pixels)
        assert tensor.dtype == torch.float32
        assert tensor.tolist() == [[[[0.0, pytest.approx(0.2), 1.0]]]]
    assert pixels.tolist() == [[[[0, 51, 255]]]]


def test_to_pixels() -> None:
    """Floats are rounded to the nearest byte, and clipped where they leave [0, 1]."""
    values = np.array([-1.0, 0.0, 0.4 / 255, 0.6 / 255, 1.0, 2.0], dtype=np.float32)
    assert to_pixels(values).tolist() == [0, 0, 0, 1, 255, 255]


@pytest.mark.parametrize("channels", [1, 3])
def test_png_and_back(channels: int) -> None:
    """A picture survives the way to a PNG and back without a change."""
    pixels = Preprocessor(PreprocessConfig(size=16, channels=channels)).decode(encode(NOISE))
    back = Preprocessor(PreprocessConfig(size=16, channels=channels)).decode(to_png(to_float(pixels).numpy()))
    np.testing.assert_array_equal(back, pixels)


def test_bytes_survive_floats() -> None:
    """All 256 levels come back from floats."""
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_pixels(to_float(levels).numpy()), levels)


class TestRender:
    def test_what_people_see(self) -> None:
        """All of a picture, in its own size and proportions, is what is rendered."""
        values = NOISE[:16, :12]
        shown = Preprocessor(PreprocessConfig(size=4)).render(encode(values), 100)
        assert shown.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(shown), values)

    def test_shrunk_to_a_bound(self) -> None:
        """The longer side of a larger picture becomes the bound, also of a JPEG that is decoded at half its size."""
        picture = np.full((900, 1800, 3), 128, dtype=np.uint8)
        for kind in ("PNG", "JPEG"):
            assert Preprocessor(PreprocessConfig(size=4)).render(encode(picture, kind), 400).size == (400, 200)

    def test_on_the_background(self) -> None:
        """What is transparent shows the background that the network sees."""
        picture = np.zeros((4, 4, 4), dtype=np.uint8)
        shown = Preprocessor(PreprocessConfig(size=4, background=200)).render(encode(picture), 100)
        assert shown.getpixel((1, 1)) == (200, 200, 200)
