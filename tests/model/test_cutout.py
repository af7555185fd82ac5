"""Cut-outs: what is transparent of them, and that nothing a localizer says breaks them."""

import numpy as np
import pytest
import torch
from PIL import Image

from model.cutout import Cutout, cut_plain
from model.errors import CorruptImage
from model.framing import Box, View
from model.localizer import Localizer, LocalizerConfig
from model.preprocess import Framing, ImageLimits, PreprocessConfig, Preprocessor
from tests.model.pictures import encode

RED = (200, 30, 30)


def cut(preprocessor: Preprocessor, image: Image.Image, view: View | None = None, kind: str = "PNG") -> Cutout:
    """Cut out of a picture's file."""
    return preprocessor.cut_out(preprocessor.open(encode(image, kind)), view)


def test_margin_around_and_within() -> None:
    """What has the margin's colour is transparent where it is connected with the edge, and opaque within the shoe."""
    picture = Image.new("RGB", (40, 30), "white")
    picture.paste(RED, (10, 5, 30, 25))
    picture.paste("white", (15, 10, 20, 15))
    picture.putpixel((12, 0), (0, 0, 0))  # which is no margin
    alpha = np.asarray(cut_plain(picture, np.array([250, 250, 250], dtype=np.uint8), Box(0, 0, 1, 1)))[..., 3] > 0
    expected = np.zeros((30, 40), dtype=bool)
    expected[5:25, 10:30] = True
    expected[0, 12] = True
    np.testing.assert_array_equal(alpha, expected)


@pytest.mark.parametrize("framing", ["subject", "pad"])
def test_whole_is_opaque(framing: Framing) -> None:
    """Where all of a picture is the subject, all of it is there; so it is with a checkpoint that shows all of it."""
    picture = Image.new("RGB", (40, 30), "white")
    picture.paste(RED, (10, 5, 30, 25))
    cutout = cut(Preprocessor(PreprocessConfig(framing=framing)), picture, View(whole=framing == "subject"))
    assert cutout.subject is None
    assert cutout.image.convert("RGB").tobytes() == picture.tobytes()
    assert cutout.image.getchannel("A").getextrema() == (255, 255)


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (300, 2), (97, 61), (900, 500)])
def test_any_localizer_on_any_picture(size: tuple[int, int]) -> None:
    """Whatever an untrained localizer finds, the cut-out is of the size of its box, and that lies in the picture."""
    noise = np.random.default_rng(0).integers(0, 120, (size[1], size[0], 3), dtype=np.uint8)
    for seed in range(4):
        torch.manual_seed(seed)
        localizer = Localizer(LocalizerConfig(size=32, widths=(4, 8))).eval()
        cutout = cut(Preprocessor(PreprocessConfig(framing="subject"), localizer=localizer), Image.fromarray(noise))
        assert cutout.image.mode == "RGBA"
        if cutout.subject is not None:
            left, top, right, bottom = cutout.subject.box.to_pixels(size)
            assert 0 <= left < right <= size[0]
            assert 0 <= top < bottom <= size[1]
            assert max(size) > 800 or cutout.image.size == (right - left, bottom - top)


def test_a_broken_picture() -> None:
    """It is refused as by all else that decodes."""
    preprocessor = Preprocessor(PreprocessConfig(framing="subject"))
    half = encode(Image.new("RGB", (400, 300), RED), "JPEG")[:700]
    with pytest.raises(CorruptImage):
        preprocessor.cut_out(preprocessor.open(half))


@pytest.mark.parametrize(("limit", "width"), [(50_000_000, 400), (13_000_000, 200), (1_000_000, 100)])
def test_a_crop_of_a_large_photo_is_as_fine_as_the_whole(limit: int, width: int) -> None:
    """A tenth of a JPEG that would be decoded at an eighth keeps its pixels, as far as the limits allow it."""
    picture = Image.effect_noise((500, 375), 50).convert("RGB").resize((4000, 3000))
    preprocessor = Preprocessor(PreprocessConfig(framing="subject"), ImageLimits(max_pixels=limit))
    seen: list[tuple[int, int]] = []

    class Watched(View):
        def cut(self, image: Image.Image) -> Image.Image:
            """Note what is left."""
            part = super().cut(image)
            seen.append(part.size)
            return part

    opened = preprocessor.open(encode(picture, "JPEG", quality=30))
    preprocessor.frame(opened, Watched(Box(0.1, 0.1, 0.1, 0.1)))
    assert seen == [(width, width * 3 // 4)]


def test_a_crop_of_a_panorama() -> None:
    """A crop of a picture that would be too large in full is decoded as finely as the limits allow, and not refused."""
    picture = Image.effect_noise((1_500, 150), 50).resize((30_000, 3_000)).convert("RGB")
    preprocessor = Preprocessor(PreprocessConfig(size=64, framing="subject"))
    framed = preprocessor.frame(
        preprocessor.open(encode(picture, "JPEG", quality=30)), View(crop=Box(0.4, 0.4, 0.05, 0.05))
    )
    assert framed.pixels.shape == (3, 64, 64)
