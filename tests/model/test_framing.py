"""Framing: a clean shot looks the same whatever margin it came with, and nothing that a person sends breaks it."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from model.errors import QueryError
from model.framing import (
    WHOLE,
    Box,
    View,
    box_of,
    find_plain_box,
    find_plain_colour,
    hide_scale,
    mark_scale,
    place,
    whiten,
)
from model.preprocess import Framing, PreprocessConfig, Preprocessor
from tests.model.pictures import encode

WHITE = (255, 255, 255)


def draw(colour: tuple[int, int, int] = WHITE, side: int = 240, share: float = 1.0, mode: str = "RGB") -> Image.Image:
    """A drawn shoe, with a margin of 10 of its 240 pixels, on a square; `share` of its size in the same square."""
    image = Image.new(mode, (side, side), colour if mode == "RGB" else (*colour, 0))
    pen = ImageDraw.Draw(image)
    around = side * (1 - share) / 2

    def at(*values: float) -> list[float]:
        return [around + value * share * side / 240 for value in values]

    pen.rectangle(at(10, 150, 230, 170), fill=(40, 30, 30))
    pen.ellipse(at(90, 90, 230, 210), fill=(150, 40, 40))
    pen.rectangle(at(10, 60, 90, 170), fill=(60, 60, 160))
    return image


def frame(image: Image.Image, framing: Framing = "subject", size: int = 32, channels: int = 3) -> np.ndarray:
    """What the network sees of a picture's file: (H, W, C) int; without the scale mark."""
    preprocessor = Preprocessor(PreprocessConfig(size=size, framing=framing, channels=channels))
    pixels = preprocessor.decode(encode(image))
    if framing == "subject":
        pixels[:, size - size // 32 :] = 255
    return pixels.transpose(1, 2, 0).astype(int)


@pytest.mark.parametrize(
    ("other", "margin"),
    [
        (draw(share=0.6), WHITE),
        (draw((205, 205, 205)), (205, 205, 205)),
        (draw((240, 236, 230), share=0.6), (240, 236, 230)),
        (draw(mode="RGBA"), WHITE),
        (draw(side=900), WHITE),
    ],
    ids=["smaller", "on grey", "smaller on cream", "transparent", "large"],
)
def test_the_margin_does_not_matter(other: Image.Image, margin: tuple[int, int, int]) -> None:
    """A clean shot gives nearly the same pixels at any size, cut out, and on any plain, bright margin, which is lit."""
    lit = np.minimum(255, frame(draw()) * 255 / np.array(margin))
    difference = np.abs(frame(other) - lit)
    assert difference.mean() < 6  # edges fall between pixels
    assert np.abs(frame(other, "pad") - frame(draw(), "pad")).mean() >= difference.mean() or other.size == (900, 900)


def test_the_subject_fills_the_square() -> None:
    """Its longer side is 92% of the square's, in the middle of white."""
    dark = np.logical_or.reduce(frame(draw(share=0.4), size=100) < 200, axis=2)
    box = box_of(dark)
    assert box is not None
    assert box.width == pytest.approx(0.92, abs=0.02)
    assert box.left == pytest.approx(0.04, abs=0.02)
    assert box.top + box.height / 2 == pytest.approx(0.5, abs=0.02)


def test_what_was_taken_is_told() -> None:
    """The subject's box is in fractions of the picture, and a plain margin makes it certain."""
    preprocessor = Preprocessor(PreprocessConfig(size=32, framing="subject"))
    framed = preprocessor.frame(preprocessor.open(encode(draw(share=0.5))))
    assert framed.subject is not None
    assert framed.subject.box == pytest.approx((0.27, 0.375, 0.46, 0.3125), abs=0.02)
    assert framed.subject.coverage == pytest.approx(framed.subject.box.width * framed.subject.box.height)
    assert framed.subject.confidence == 1
    assert preprocessor.frame_picture(draw(share=0.5), whole=True).subject is None


@pytest.mark.parametrize("colour", [WHITE, (0, 0, 0)], ids=["white", "black"])
@pytest.mark.parametrize("size", [(60, 40), (1, 1), (1, 700), (900, 2)], ids=str)
def test_pictures_without_anything(colour: tuple[int, int, int], size: tuple[int, int]) -> None:
    """A picture of one colour, of any shape, is taken whole."""
    shown = frame(Image.new("RGB", size, colour))
    assert shown.shape == (32, 32, 3)
    assert (shown == colour).all(axis=2).any()


def test_a_shoe_that_touches_every_edge() -> None:
    """It is taken whole where its edges hide the margin, and framed where a toe touches the edge."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 120, (50, 80, 3), dtype=np.uint8))
    assert frame(noise).shape == (32, 32, 3)
    toe = draw(share=0.5)
    ImageDraw.Draw(toe).rectangle((170, 110, 240, 125), fill=(150, 40, 40))
    framed = Preprocessor(PreprocessConfig(size=32, framing="subject")).frame_picture(toe)
    assert framed.subject is not None
    assert framed.subject.box.left + framed.subject.box.width == 1


def test_grey_networks() -> None:
    """A network of one channel gets one."""
    assert frame(draw(), channels=1).shape == (32, 32, 1)


def test_a_plain_margin_is_bright_and_of_one_colour() -> None:
    """A dark margin, and one of many colours, is none; a small part of it may be covered."""
    picture = np.full((20, 20, 3), 230, dtype=np.uint8)
    picture[0, :5] = 0
    colour = find_plain_colour(picture)
    assert colour is not None
    assert colour.tolist() == [230, 230, 230]
    assert find_plain_colour(np.full((20, 20, 3), 100, dtype=np.uint8)) is None
    assert find_plain_colour(np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)) is None


def test_whiten() -> None:
    """The margin's colour becomes white, and black stays black."""
    picture = Image.new("RGB", (2, 1), (200, 220, 180))
    picture.putpixel((1, 0), (0, 0, 0))
    white = whiten(picture, np.array([200, 220, 180], dtype=np.uint8))
    assert (white.getpixel((0, 0)), white.getpixel((1, 0))) == (WHITE, (0, 0, 0))


def test_boxes_leave_specks_out() -> None:
    """A box is around what covers more than a hundredth of a row or column; nothing has none."""
    mask = np.zeros((200, 400), dtype=bool)
    assert box_of(mask) is None
    mask[0, 0] = True
    assert box_of(mask) is None
    mask[50:100, 100:300] = True
    assert box_of(mask) == Box(0.25, 0.25, 0.5, 0.25)


def test_a_box_has_a_pixel() -> None:
    """The smallest box is a pixel a side, and the whole picture is all of its pixels."""
    assert Box(0.5, 0.5, 0.0, 0.0).to_pixels((10, 10)) == (5, 5, 6, 6)
    assert WHOLE.to_pixels((7, 3)) == (0, 0, 7, 3)
    assert place(Image.new("RGB", (300, 300)), Box(0.5, 0.5, 0.0, 0.0), 16).size == (16, 16)


def test_crop_before_turning() -> None:
    """A view is cropped, then turned counter-clockwise, on its edge's colour."""
    picture = Image.new("RGB", (40, 20), WHITE)
    picture.paste((200, 0, 0), (20, 0, 40, 10))
    turned = View(crop=Box(0.5, 0.0, 0.5, 1.0), rotate=90).apply(picture)
    assert turned.size == (20, 20)
    assert turned.getpixel((2, 10)) == (200, 0, 0)
    assert turned.getpixel((17, 10)) == WHITE
    assert View(rotate=360).apply(picture) is picture
    assert View(rotate=30).apply(Image.new("RGB", (40, 20), (9, 9, 9))).getpixel((0, 0)) == (9, 9, 9)


def test_a_crop_of_a_few_pixels() -> None:
    """A crop of under 8 pixels a side is a QueryError that names the crop; 8 are enough."""
    preprocessor = Preprocessor(PreprocessConfig(size=32, framing="subject"))
    data = encode(draw(side=100))
    with pytest.raises(QueryError, match="the crop has 7x50 pixels") as caught:
        preprocessor.frame(preprocessor.open(data), View(crop=Box(0.1, 0.1, 0.07, 0.5)))
    assert caught.value.field == "crop"
    assert preprocessor.frame(preprocessor.open(data), View(crop=Box(0.1, 0.1, 0.08, 0.5))).pixels.shape == (3, 32, 32)


def test_scale_mark_tells_a_small_subject_from_a_large_one() -> None:
    """The lowest rows are darker the less of its picture a subject filled, and white for one that filled it."""
    levels = []
    for share in (0.3, 0.5, 0.7, 1.0):
        square = Image.new("RGB", (64, 64), (255, 255, 255))
        mark_scale(square, Box(0.0, 0.0, share, 0.2), (100, 80))
        pixels = np.asarray(square)
        assert (pixels[:62] == 255).all()
        assert (pixels[62:] == pixels[63, 0]).all()
        levels.append(int(pixels[63, 0, 0]))
    assert levels == pytest.approx([0, 42.5, 127.5, 255], abs=1)


def test_scale_mark_lies_below_a_tall_subject() -> None:
    """A subject as tall as can be leaves the mark's rows white."""
    for size in (28, 64, 128):
        square = np.asarray(place(Image.new("RGB", (30, 90), (0, 0, 0)), WHOLE, size))
        assert (square[-max(1, size // 32) :] == 255).all()


def test_hidden_scale_is_white() -> None:
    """`hide_scale` whitens the mark's rows and leaves all else, and what it was given."""
    images = torch.zeros(2, 3, 64, 64)
    hidden = hide_scale(images)
    assert (hidden[:, :, 62:] == 1).all()
    assert (hidden[:, :, :62] == 0).all()
    assert (images == 0).all()


def test_what_a_person_cuts_or_turns_has_no_scale() -> None:
    """A crop and a turn change what share of the picture the shoe fills, so nothing is marked; half a turn does not."""
    preprocessor = Preprocessor(PreprocessConfig(size=64, framing="subject"))
    marked = {}
    for name, view in {
        "none": None,
        "crop": View(crop=Box(0.05, 0.1, 0.9, 0.85)),
        "turned": View(rotate=20),
        "half": View(rotate=180),
    }.items():
        framed = preprocessor.frame(preprocessor.open(encode(draw(share=0.6))), view)
        assert framed.subject is not None
        marked[name] = bool((framed.pixels[:, 62:] != 255).any())
    assert marked == {"none": True, "crop": False, "turned": False, "half": True}


@pytest.mark.parametrize("framing", ["pad", "subject"])
@pytest.mark.parametrize("size", [(16384, 16), (1, 100_000), (3000, 900)])
def test_oblong_pictures_are_turned_small(framing: Framing, size: tuple[int, int]) -> None:
    """A square around a turned, oblong picture would be far larger than the picture: it is shrunk before."""
    turned = View(rotate=45).turn(Image.new("RGB", size), 384)
    assert turned.width * turned.height <= 2 * 384**2 + 4 * 384
    preprocessor = Preprocessor(PreprocessConfig(size=64, framing=framing))
    framed = preprocessor.frame(preprocessor.open(encode(Image.new("RGB", size))), View(rotate=45))
    assert framed.pixels.shape == (3, 64, 64)


def test_a_nearly_white_shoe_is_not_taken_for_its_dark_heel() -> None:
    """Where what stands out strongly is a small part of what stands out at all, all of that is the subject."""
    image = Image.new("RGB", (200, 150), WHITE)
    pen = ImageDraw.Draw(image)
    pen.ellipse((30, 40, 170, 110), fill=(234, 234, 234))
    pen.rectangle((90, 70, 120, 80), fill=(20, 20, 20))
    pixels = np.asarray(image)
    box = find_plain_box(pixels, np.array(WHITE, dtype=np.uint8))
    assert box == pytest.approx((0.15, 0.27, 0.7, 0.47), abs=0.02)


def test_hidden_scale_of_bytes_is_white() -> None:
    """Bytes are whitened as floats are."""
    hidden = hide_scale(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))
    assert (hidden[:, :, 31] == 255).all()
    assert not hidden[:, :, :31].any()
