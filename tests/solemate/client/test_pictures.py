"""Pictures in every form that a program may have them in."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from solemate.client.pictures import to_bytes

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype=np.uint8)


def read(content: bytes) -> Image.Image:
    """The picture in a file's bytes."""
    return Image.open(io.BytesIO(content))


def test_path_and_bytes(tmp_path: Path) -> None:
    """A file is sent as it is, by its path or by its bytes."""
    path = tmp_path / "shoe.jpg"
    path.write_bytes(b"anything")
    assert to_bytes(path) == to_bytes(str(path)) == to_bytes(b"anything") == to_bytes(memoryview(b"anything"))
    with pytest.raises(FileNotFoundError):
        to_bytes("nowhere.jpg")


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "LA"])
def test_pillow_image(mode: str) -> None:
    """A Pillow image keeps its pixels."""
    picture = Image.fromarray(PIXELS).convert(mode)
    assert read(to_bytes(picture)).convert("RGBA").tobytes() == picture.convert("RGBA").tobytes()


def test_pillow_image_of_another_mode() -> None:
    """One in CMYK, which a PNG can't hold, becomes RGB."""
    picture = Image.fromarray(PIXELS).convert("CMYK")
    assert read(to_bytes(picture)).tobytes() == picture.convert("RGB").tobytes()


@pytest.mark.parametrize("pixels", [PIXELS[..., 0], PIXELS[..., :1], PIXELS[..., :3], PIXELS, PIXELS[::-1, ::2, :3]])
def test_array(pixels: np.ndarray) -> None:
    """An array keeps its pixels, whatever its memory looks like."""
    assert (np.asarray(read(to_bytes(pixels))) == pixels.squeeze()).all()


@pytest.mark.parametrize("pixels", [PIXELS / 255, PIXELS[..., :2], PIXELS[0, 0], PIXELS[None], PIXELS[:0]])
def test_array_that_is_no_picture(pixels: np.ndarray) -> None:
    """An array of another shape or type is refused, and named."""
    with pytest.raises(ValueError, match=r"expected uint8 of shape \(height, width\)"):
        to_bytes(pixels)


def test_something_else() -> None:
    """What is no picture at all is refused."""
    with pytest.raises(TypeError, match="not dict"):
        to_bytes({})  # type: ignore[arg-type]
