"""Fitting the confidence that a picture shows a shoe."""

import numpy as np

from model.confidence import ConfidenceModel
from model.preprocess import PreprocessConfig, Preprocessor
from training.photos.backgrounds import draw_background
from training.photos.confidence import Samples, fit_confidence, make_empty_scenes


def draw_samples(seed: int, count: int, distance: float = 2.0) -> Samples:
    """Two clouds of vectors, one around 0 and one `distance` beside it."""
    random = np.random.default_rng(seed)
    shoes, others = random.normal(size=(2, count, 4)).astype(np.float32)
    others[:, 0] += distance
    return Samples(shoes, others)


def test_shoes_are_told_from_others() -> None:
    """New vectors of shoes get more confidence than new ones of other pictures."""
    model = fit_confidence(draw_samples(0, 400), draw_samples(1, 200))
    shoes, others = (model.estimate(each) for each in draw_samples(2, 500))
    assert (shoes[:, None] > others[None, :]).mean() > 0.9


def test_it_is_calibrated() -> None:
    """Of the vectors with a confidence near p, about the share p is of shoes, also if those known were easier."""
    model = fit_confidence(draw_samples(0, 300, distance=4.0), draw_samples(1, 4_000, distance=1.0))
    shoes, others = (model.estimate(each) for each in draw_samples(2, 20_000, distance=1.0))
    for low in (0.2, 0.4, 0.6, 0.8):
        right, wrong = (((each >= low) & (each < low + 0.2)).sum() for each in (shoes, others))
        assert abs(right / (right + wrong) - (low + 0.1)) < 0.07


def test_vectors_on_a_shell() -> None:
    """Squares tell vectors of another length, which no plane divides."""
    random = np.random.default_rng(0)
    near, far = random.normal(size=(2, 600, 4)).astype(np.float32)
    model = fit_confidence(Samples(near[:300], 4 * far[:300]), Samples(near[300:], 4 * far[300:]))
    assert model.estimate(near).mean() > 0.8
    assert model.estimate(4 * far).mean() < 0.2


def test_nothing_to_calibrate_on() -> None:
    """Without held-out vectors the regression stays as it is."""
    empty = np.empty((0, 4), dtype=np.float32)
    assert isinstance(fit_confidence(draw_samples(0, 50), Samples(empty, empty)), ConfidenceModel)


def test_scenes_by_their_seed() -> None:
    """The same seed gives the same scenes, another one others; the first ones do not depend on how many there are."""
    bank = np.stack([draw_background(np.random.default_rng(index), 48) for index in range(3)])
    preprocessor = Preprocessor(PreprocessConfig(size=16, framing="subject"))
    scenes = make_empty_scenes(bank, preprocessor, 12, seed=0)
    assert scenes.shape == (12, 3, 16, 16)
    assert np.array_equal(scenes[:5], make_empty_scenes(bank, preprocessor, 5, seed=0))
    assert not np.array_equal(scenes, make_empty_scenes(bank, preprocessor, 12, seed=1))
