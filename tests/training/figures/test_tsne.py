"""The map: clusters stay apart, and odd inputs are laid out too."""

import numpy as np
import pytest

from training.figures.tsne import tsne


def test_separate_clusters_stay_separate() -> None:
    """Of five well separated clusters each point's nearest ones on the map are of its own cluster."""
    rng = np.random.default_rng(0)
    kinds = np.repeat(np.arange(5), 30)
    points = rng.normal(size=(5, 20))[kinds] * 6 + rng.normal(size=(150, 20))
    layout = tsne(points)
    distances = np.square(layout[:, None] - layout[None]).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1)[:, :5]
    assert (kinds[nearest] == kinds[:, None]).mean() > 0.98
    assert layout.dtype == np.float32
    np.testing.assert_allclose(layout.mean(axis=0), 0, atol=1e-3)


def test_the_same_points_give_the_same_map() -> None:
    """There is no chance in it."""
    points = np.random.default_rng(1).normal(size=(30, 4))
    assert (tsne(points) == tsne(points)).all()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_few_points_are_laid_out(count: int) -> None:
    """Too few for a neighbourhood is no error."""
    layout = tsne(np.random.default_rng(0).normal(size=(count, 6)))
    assert layout.shape == (count, 2)
    assert np.isfinite(layout).all()


@pytest.mark.parametrize("points", [np.zeros((40, 3)), np.repeat(np.eye(4), 10, axis=0), np.arange(40.0)[:, None]])
def test_equal_points_and_a_line_are_laid_out(points: np.ndarray) -> None:
    """Points on one another and points of one dimension get finite places, no two the same."""
    layout = tsne(points)
    assert np.isfinite(layout).all()
    assert len(np.unique(layout, axis=0)) == len(points)


def test_scale_does_not_matter() -> None:
    """Vectors of any length have a map."""
    points = np.random.default_rng(3).normal(size=(40, 5))
    for scale in (1e-4, 1e4):
        assert np.isfinite(tsne(points * scale)).all()
