"""The localizer: what it makes of a mask, and that its form for inference says the same."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from model.framing import Box
from model.inference import fold_norms
from model.localization import LETTERBOX_GREY, cut_out, letterbox, locate, whole_window
from model.localizer import DoublingConv, Localizer, LocalizerConfig
from model.preprocess import PreprocessConfig, Preprocessor
from tests.model.networks import tiny_localizer

TINY = LocalizerConfig(size=32, widths=(4, 8))
RED = (220, 20, 20)


def scene(box: tuple[int, int, int, int] = (60, 20, 100, 60), size: tuple[int, int] = (160, 80)) -> Image.Image:
    """A red rectangle, standing for a shoe, on dark noise."""
    noise = np.random.default_rng(0).integers(0, 60, (size[1], size[0], 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    picture.paste(RED, box)
    return picture


@pytest.fixture
def finds_red(monkeypatch: pytest.MonkeyPatch) -> Localizer:
    """A localizer whose mask is what is red."""

    def red(_: Localizer, images: np.ndarray) -> np.ndarray:
        return ((images[:, 0] > 150) & (images[:, 1] < 100)).astype(np.float32) * 0.9

    monkeypatch.setattr(Localizer, "masks", red)
    return Localizer(TINY)


def test_a_mask_of_the_input_s_size() -> None:
    """Each pixel has a logit."""
    assert Localizer(TINY).eval()(torch.rand(2, 3, 32, 32)).shape == (2, 32, 32)


def test_folded_is_the_same() -> None:
    """The localizer for inference says what the trained one says, which stays as it is."""
    localizer = tiny_localizer()
    before = {name: value.clone() for name, value in localizer.state_dict().items()}
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    folded = fold_norms(localizer)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in folded.modules())
    with torch.inference_mode():
        assert torch.allclose(folded(images), localizer(images), atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in localizer.state_dict().items())


def test_doubling_and_joining() -> None:
    """What it says, and its gradients, are those of doubled maps beside the skip's in one 3x3 convolution."""
    layer = DoublingConv(5, 3)
    deep, skip = torch.randn(2, 5, 4, 6, requires_grad=True), torch.randn(2, 3, 8, 12, requires_grad=True)
    inputs = (deep, skip, layer.weight)
    doubled = torch.nn.functional.interpolate(deep, scale_factor=2, mode="nearest")
    expected = torch.nn.functional.conv2d(torch.cat([doubled, skip], dim=1), layer.weight, padding=1)
    found = layer(deep, skip)
    assert torch.allclose(found, expected, atol=1e-6)
    gradients = (torch.autograd.grad(result.square().sum(), inputs) for result in (found, expected))
    for ours, theirs in zip(*gradients, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    layer.fix()
    assert torch.allclose(layer(deep, skip), expected, atol=1e-6)


def test_the_shoe_is_found(finds_red: Localizer) -> None:
    """The box is around the shoe, in fractions of the picture; the confidence is the mask's mean in it."""
    found = locate(finds_red, [scene(), scene((4, 4, 40, 76))])
    assert found[0] is not None
    assert found[1] is not None
    assert found[0].subject.box == pytest.approx((60 / 160, 20 / 80, 40 / 160, 40 / 80), abs=0.03)
    assert found[1].subject.box == pytest.approx((4 / 160, 4 / 80, 36 / 160, 72 / 80), abs=0.05)
    assert found[0].subject.confidence == pytest.approx(0.9)
    assert found[0].subject.coverage == pytest.approx(40 * 40 / (160 * 80), rel=0.15)


def test_one_sided_background_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the network takes for a shoe in the close picture, and not in its mirror image, is no part of the mask."""

    def red_and_what_is_left_of_it(_: Localizer, images: np.ndarray) -> np.ndarray:
        red = (images[:, 0] > 150) & (images[:, 1] < 100)
        return np.where(red | np.roll(red, -3, axis=2), np.float32(0.9), np.float32(0.0))

    monkeypatch.setattr(Localizer, "masks", red_and_what_is_left_of_it)
    found = locate(Localizer(TINY), [scene()])[0]
    assert found is not None
    assert found.subject.box == pytest.approx((60 / 160, 20 / 80, 40 / 160, 40 / 80), abs=0.03)


def test_the_largest_counts_and_others_are_told(finds_red: Localizer) -> None:
    """Of several the largest is taken, and how many more there are of at least a quarter of it is told."""
    picture = scene()
    picture.paste(RED, (2, 30, 32, 60))
    picture.paste(RED, (140, 30, 146, 36))
    found = locate(finds_red, [picture])[0]
    assert found is not None
    assert found.subject.others == 1
    assert found.subject.box.left == pytest.approx(60 / 160, abs=0.03)


def test_nothing_to_find(finds_red: Localizer) -> None:
    """A picture without a shoe, or with a speck of one, has none; the others of its batch have theirs."""
    found = locate(finds_red, [scene((0, 0, 0, 0)), scene((10, 10, 12, 12)), scene()])
    assert [each is None for each in found] == [True, True, False]
    assert locate(finds_red, [scene((0, 0, 0, 0))]) == [None]


def test_cut_out_on_white(finds_red: Localizer) -> None:
    """What is not the shoe becomes white, and the shoe keeps its colour."""
    picture = scene()
    found = locate(finds_red, [picture])[0]
    assert found is not None
    flat, box = cut_out(picture, found, 96)
    left, top, right, bottom = box.to_pixels(flat.size)
    assert flat.getpixel(((left + right) // 2, (top + bottom) // 2)) == RED
    assert flat.getpixel((1, 1)) == (255, 255, 255)
    assert (right - left) / (bottom - top) == pytest.approx(1, abs=0.1)


def test_a_photo_and_a_catalogue_shot_are_one_picture(finds_red: Localizer) -> None:
    """What the network sees of a shoe in a photo is nearly what it sees of it on white."""
    preprocessor = Preprocessor(PreprocessConfig(size=32, framing="subject"), None, finds_red)
    clean = Image.new("RGB", (160, 80), (255, 255, 255))
    clean.paste(RED, (60, 20, 100, 60))
    photo = preprocessor.frame_picture(scene())
    difference = np.abs(photo.pixels.astype(int) - preprocessor.frame_picture(clean).pixels)[:, :-1]  # but the mark
    assert photo.subject is not None
    assert difference.mean() < 8
    assert preprocessor.frame_picture(scene(), whole=True).subject is None
    assert preprocessor.frame_picture(scene((0, 0, 0, 0))).subject is None


@pytest.mark.parametrize("size", [(160, 80), (80, 160), (50, 50), (1, 300)], ids=str)
def test_letterbox(size: tuple[int, int]) -> None:
    """All of a picture is in its square window, undistorted, with grey beside it."""
    window = whole_window(size)
    shown = letterbox(Image.new("RGB", size, RED), window, 32)
    red = shown[0] == RED[0]
    assert shown.shape == (3, 32, 32)
    assert red.mean() == pytest.approx(max(1 / 32, min(size) / max(size)), abs=0.05)
    assert (shown[:, ~red] == LETTERBOX_GREY).all()


@pytest.mark.parametrize("make", [lambda: Image.new("RGB", (1, 1)), lambda: Image.new("RGB", (2, 900))])
def test_any_localizer_on_any_picture(make: Callable[[], Image.Image]) -> None:
    """Whatever an untrained localizer finds in whatever picture, the box lies in the picture."""
    for seed in range(3):
        torch.manual_seed(seed)
        for each in locate(Localizer(TINY).eval(), [make(), scene()]):
            if each is not None:
                box: Box = each.subject.box
                assert 0 <= box.left < box.left + box.width <= 1.0001
                assert 0 <= box.top < box.top + box.height <= 1.0001
