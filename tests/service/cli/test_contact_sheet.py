"""The contact sheet of a search."""

import io

import numpy as np
import pytest
from PIL import Image

from service.cli.contact_sheet import Tile, draw_sheet


def fill(colour: str, size: tuple[int, int] = (60, 30), mode: str = "RGB") -> bytes:
    """A picture of one colour."""
    file = io.BytesIO()
    Image.new(mode, size, colour).save(file, "PNG")
    return file.getvalue()


def read(content: bytes) -> np.ndarray:
    """The sheet's pixels."""
    return np.asarray(Image.open(io.BytesIO(content)))


def test_places() -> None:
    """The asked picture is at the left, found ones beside it in rows of five, each in the middle of its square."""
    found = [Tile(fill("blue"), str(number), "shoe") for number in range(6)]
    pixels = read(draw_sheet(Tile(fill("red"), "photo.jpg", ""), found))
    middles = [(16 + 100, 16 + 100), (32 + 216 + 100, 16 + 100), (32 + 5 * 216 + 100, 16 + 100), (348, 16 + 256 + 100)]
    assert [tuple(pixels[y, x]) for x, y in middles] == [(255, 0, 0), (0, 0, 255), (0, 0, 255), (0, 0, 255)]


@pytest.mark.parametrize("picture", [None, b"no picture", fill("red")[:60]], ids=["missing", "other", "cut off"])
def test_pictures_that_are_not_there(picture: bytes | None) -> None:
    """What can't be shown is a grey square."""
    pixels = read(draw_sheet(Tile(picture, "x", ""), []))
    assert tuple(pixels[116, 116]) == (236, 236, 240)


def test_transparent_picture() -> None:
    """What is transparent is white."""
    pixels = read(draw_sheet(Tile(fill("#00000000", mode="RGBA"), "x", ""), []))
    assert tuple(pixels[116, 116]) == (255, 255, 255)


def test_long_names() -> None:
    """A name that is wider than its square is cut, and stays out of the next one."""
    pixels = read(draw_sheet(Tile(fill("red"), "W" * 200, "W" * 200), []))
    assert (pixels[16 + 200 :, 216:232] == 255).all()
