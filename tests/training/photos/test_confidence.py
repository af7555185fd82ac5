"""Fitting the confidence that a picture shows a shoe."""

import numpy as np
from numpy.typing import NDArray

from model.confidence import ConfidenceModel, expand
from model.preprocess import PreprocessConfig, Preprocessor
from training.photos.backgrounds import draw_background
from training.photos.confidence import Samples, fit_confidence, make_empty_scenes


def draw_samples(seed: int, count: int, distance: float = 2.0) -> Samples:
    """Features of two clouds of vectors, one around 0 and one `distance` beside it."""
    random = np.random.default_rng(seed)
    shoes, others = random.normal(size=(2, count, 4)).astype(np.float32)
    others[:, 0] += distance
    return Samples(describe(shoes), describe(others))


def describe(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Their features, had each a plain margin."""
    return expand(vectors, np.ones(len(vectors)))


def estimate(model: ConfidenceModel, features: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a model makes of features."""
    chances: NDArray[np.float64] = 1 / (1 + np.exp(-(features @ np.asarray(model.weights) + model.bias)))
    return chances


def test_shoes_are_told_from_others() -> None:
    """New vectors of shoes get more confidence than new ones of other pictures."""
    model = fit_confidence(draw_samples(0, 400), draw_samples(1, 200))
    shoes, others = (estimate(model, each) for each in draw_samples(2, 500))
    assert (shoes[:, None] > others[None, :]).mean() > 0.9


def test_it_is_calibrated() -> None:
    """Of the vectors with a confidence near p, about the share p is of shoes, also if those known were easier."""
    model = fit_confidence(draw_samples(0, 300, distance=4.0), draw_samples(1, 4_000, distance=1.0))
    shoes, others = (estimate(model, each) for each in draw_samples(2, 20_000, distance=1.0))
    for low in (0.2, 0.4, 0.6, 0.8):
        right, wrong = (((each >= low) & (each < low + 0.2)).sum() for each in (shoes, others))
        assert abs(right / (right + wrong) - (low + 0.1)) < 0.07


def test_vectors_on_a_shell() -> None:
    """Squares tell vectors of another length, which no plane divides."""
    random = np.random.default_rng(0)
    near, far = random.normal(size=(2, 600, 4)).astype(np.float32)
    near, far = describe(near), describe(4 * far)
    model = fit_confidence(Samples(near[:300], far[:300]), Samples(near[300:], far[300:]))
    assert estimate(model, near).mean() > 0.8
    assert estimate(model, far).mean() < 0.2


def test_what_the_localizer_found_counts() -> None:
    """Of pictures with the same vectors, those in which the localizer is surer are likelier shoes."""
    random = np.random.default_rng(0)
    vectors = random.normal(size=(4, 400, 4)).astype(np.float32)
    sure, unsure = random.uniform(0.6, 0.95, 400), random.uniform(0.1, 0.7, 400)
    known = Samples(expand(vectors[0], sure), expand(vectors[1], unsure))
    model = fit_confidence(known, Samples(expand(vectors[2], sure), expand(vectors[3], unsure)))
    low, high = (model.estimate(vectors[2], np.full(400, each)).mean() for each in (0.2, 0.9))
    assert low < 0.1
    assert high > 0.8


def test_nothing_to_calibrate_on() -> None:
    """Without held-out vectors the regression stays as it is."""
    empty = np.empty((0, 11))
    assert isinstance(fit_confidence(draw_samples(0, 50), Samples(empty, empty)), ConfidenceModel)


def test_scenes_by_their_seed() -> None:
    """The same seed gives the same scenes, another one others; the first ones do not depend on how many there are."""
    bank = np.stack([draw_background(np.random.default_rng(index), 48) for index in range(3)])
    preprocessor = Preprocessor(PreprocessConfig(size=16, framing="subject"))
    scenes = make_empty_scenes(bank, preprocessor, 12, seed=0)
    assert scenes.pixels.shape == (12, 3, 16, 16)
    assert set(scenes.found) == {0.0, 1.0}  # without a localizer only a plain margin tells
    assert np.array_equal(scenes.pixels[:5], make_empty_scenes(bank, preprocessor, 5, seed=0).pixels)
    assert not np.array_equal(scenes.pixels, make_empty_scenes(bank, preprocessor, 12, seed=1).pixels)
