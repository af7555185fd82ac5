from dataclasses import replace

import numpy as np
import pytest
import torch

from model.checkpoint import Condition
from model.tvae import FREE, INSTANCE, TVAE, Slice, TVAEConfig
from tests.model.networks import fixed_weights
from tests.training.images import coloured_squares
from training import validation
from training.config import TrainConfig
from training.data.images import ImageSet
from training.data.labels import Labels, encode_labels
from training.evaluation.metrics import measure_triplets
from training.evaluation.triplet_lists import draw_triplets
from training.photos.views import Views
from training.validation import MIN_PHOTOS, Validation, measure_photos

CPU = torch.device("cpu")
CONFIG = TrainConfig(
    network=TVAEConfig(image_size=16, widths=(4, 8), slices=(Slice("looks", 3), Slice("free", 2))),
    conditions=(Condition("looks", ("Colour", "Size")),),
)
NETWORK = fixed_weights(TVAE(CONFIG.network))


def test_the_figures_are_those_of_the_definitions() -> None:
    """The error is the mean over all pixels, the accuracies those of the condition's slice on drawn triplets."""
    images = coloured_squares(40)
    measured = Validation(images, CONFIG).measure(NETWORK, CPU)
    pictures = torch.from_numpy(images.pixels / np.float32(255))
    with torch.inference_mode():
        mean = NETWORK.encode(pictures).mean
        error = float(((NETWORK.decode(mean) - pictures) ** 2).mean())
    assert list(measured) == ["mse", "triplet_accuracy/looks/Colour", "triplet_accuracy/looks/Size"]
    assert measured["mse"] == pytest.approx(error, rel=1e-5)
    triplets = draw_triplets(encode_labels(images.attributes, "Colour"), validation.TRIPLETS, CONFIG.seed)
    expected = measure_triplets(mean[:, :3].numpy(), triplets)
    assert measured["triplet_accuracy/looks/Colour"] == pytest.approx(expected, abs=0.002)


def test_triplets_are_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it measures, a run draws its triplets once, and the same network has the same figures."""
    drawn = []

    def draw(labels: Labels, count: int, seed: int) -> np.ndarray:
        drawn.append(labels.attribute)
        return draw_triplets(labels, count, seed)

    monkeypatch.setattr(validation, "draw_triplets", draw)
    look = Validation(coloured_squares(40), CONFIG)
    assert look.measure(NETWORK, CPU) == look.measure(NETWORK, CPU)
    assert drawn == ["Colour", "Size"]


def test_few_of_many_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more shoes than the limit are measured; all that are held out are counted."""
    monkeypatch.setattr(validation, "MAX_SHOES", 10)
    images = coloured_squares(40)
    look = Validation(images, CONFIG)
    assert len(look) == 40
    assert look.measure(NETWORK, CPU) == Validation(images.take(range(10)), CONFIG).measure(NETWORK, CPU)


def test_what_labels_can_not_tell_apart_is_left_out() -> None:
    """An attribute of one value, or of none, among the held-out shoes has no figure."""
    images = coloured_squares(12)
    same = replace(images, attributes=tuple({"Colour": ("red",)} for _ in range(12)))
    assert list(Validation(same, CONFIG).measure(NETWORK, CPU)) == ["mse"]
    assert len(Validation(images.take([]), CONFIG)) == 0


PHOTO_CONFIG = replace(
    CONFIG,
    network=TVAEConfig(
        image_size=16,
        widths=(4, 8),
        slices=(Slice("looks", 3), Slice(INSTANCE, 4), Slice(FREE, 2)),
        separate=True,
        sphere=True,
    ),
)
PHOTO_NETWORK = fixed_weights(TVAE(PHOTO_CONFIG.network))


def _photographed(count: int, usable: int, noise: int = 40) -> ImageSet:
    """Squares, each with one photo: the same square under noise; the first ones' photos can't be used."""
    images = coloured_squares(count)
    random = np.random.default_rng(3)
    noisy = images.pixels.astype(np.int64) + random.integers(-noise, noise + 1, images.pixels.shape)
    photos = np.clip(noisy, 0, 255).astype(np.uint8)[:, None]
    seen = (np.arange(count) >= count - usable)[:, None]
    return replace(images, views=Views(photos, seen, np.zeros_like(seen), np.ones(seen.shape), np.ones(seen.shape)))


def _embed(pixels: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return PHOTO_NETWORK.mean(torch.from_numpy(pixels / np.float32(255))).numpy().astype(np.float64)


def _rank(photo: np.ndarray, shoes: np.ndarray, own: int) -> int:
    """The place of the photo's own shoe, from 1, behind all that are as near."""
    distances = [float(np.square(photo - shoe).sum()) for shoe in shoes]
    return sum(distance <= distances[own] for distance in distances)


def test_photo_recall_against_a_loop() -> None:
    """The shares of photos whose own shoe is first, and among the first ten."""
    random = np.random.default_rng(0)
    shoes = random.normal(size=(40, 4)).astype(np.float32)
    own = random.integers(0, 40, 60)
    photos = (shoes[own] + random.normal(scale=0.7, size=(60, 4))).astype(np.float32)
    ranks = [_rank(photo, shoes, mine) for photo, mine in zip(photos, own, strict=True)]
    expected = {"photo_recall@1": np.mean([rank <= 1 for rank in ranks])}
    expected["photo_recall@10"] = np.mean([rank <= 10 for rank in ranks])
    assert measure_photos(photos, shoes, own) == pytest.approx(expected)
    assert 0.1 < expected["photo_recall@1"] < expected["photo_recall@10"] < 0.99


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_network_that_says_nothing_finds_nothing(value: float) -> None:
    """Vectors that are all the same, or no numbers, find no photo's shoe, neither first nor among ten."""
    vectors = np.full((30, 4), value, dtype=np.float32)
    assert measure_photos(vectors, vectors, np.arange(30)) == {"photo_recall@1": 0.0, "photo_recall@10": 0.0}


def test_photos_are_measured_by_their_slice() -> None:
    """The validation's figure is the recall by the instance slice, of the usable photos alone."""
    images = _photographed(40, usable=30)
    measured = Validation(images, PHOTO_CONFIG).measure(PHOTO_NETWORK, CPU)
    assert images.views is not None
    part = slice(*PHOTO_CONFIG.network.slice_bounds[INSTANCE])
    shoes, photos = _embed(images.pixels)[:, part], _embed(images.views.pixels[10:, 0])[:, part]
    ranks = [_rank(photo, shoes, own) for own, photo in enumerate(photos, start=10)]
    assert measured["photo_recall@1"] == pytest.approx(np.mean([rank <= 1 for rank in ranks]), abs=0.04)
    assert measured["photo_recall@10"] == pytest.approx(np.mean([rank <= 10 for rank in ranks]), abs=0.04)


def test_weights_against_a_search() -> None:
    """The weights of whole vectors are those of the best score: photos that find their own, and triplets in order."""
    images = _photographed(40, usable=30)
    chosen = Validation(images, PHOTO_CONFIG).weigh(PHOTO_NETWORK, CPU)
    assert images.views is not None
    shoes, photos = _embed(images.pixels), _embed(images.views.pixels[10:, 0])
    lists = [
        draw_triplets(encode_labels(images.attributes, name), validation.TRIPLETS, CONFIG.seed)
        for name in ("Colour", "Size")
    ]
    scores = {}
    for condition in (0.3, 0.5, 1.0, 1.5):
        for free in (0.03, 0.1, 0.2, 0.4):
            scale = np.array([condition] * 3 + [1.0] * 4 + [free] * 2)
            found = np.mean([_rank(photo * scale, shoes * scale, own) == 1 for own, photo in enumerate(photos, 10)])
            ordered = []
            for triplets in lists:
                anchors, positives, negatives = (shoes[part] * scale for part in triplets.T)
                near, far = (np.square(anchors - each).sum(axis=1) for each in (positives, negatives))
                ordered.append(np.mean(near < far))
            scores[condition, free] = found + np.mean(ordered)
    assert len(set(scores.values())) > 4
    assert chosen.keys() == {"looks", INSTANCE, FREE}
    assert chosen[INSTANCE] == 1.0
    assert scores[chosen["looks"], chosen[FREE]] == pytest.approx(max(scores.values()), abs=1e-3)


@pytest.mark.parametrize("usable", [0, 1, MIN_PHOTOS - 1])
def test_too_few_photos_to_weigh(usable: int) -> None:
    """With fewer usable photos than can tell, all slices count as they are; one more is enough."""
    assert Validation(_photographed(40, usable=usable), PHOTO_CONFIG).weigh(PHOTO_NETWORK, CPU) == {}
    enough = Validation(_photographed(40, usable=MIN_PHOTOS), PHOTO_CONFIG)
    assert enough.weigh(PHOTO_NETWORK, CPU) != {}


def test_nothing_to_weigh_without_photos() -> None:
    """A network that learned from catalogue pictures alone has no weights."""
    assert Validation(coloured_squares(40), CONFIG).weigh(NETWORK, CPU) == {}
    assert Validation(coloured_squares(40), PHOTO_CONFIG).weigh(PHOTO_NETWORK, CPU) == {}
