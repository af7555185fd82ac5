"""t-SNE: a map in two dimensions that keeps near points near (van der Maaten, Hinton, 2008), by scikit-learn."""

import numpy as np
from numpy.typing import NDArray
from sklearn.manifold import TSNE

ITERATIONS = 500


def tsne(points: NDArray[np.floating], *, perplexity: float = 30.0) -> NDArray[np.float32]:
    """Lay points out on a plane. The same points give the same map.

    It starts from the principal components, so that the far structure is kept as well (Kobak, Berens, "The art of using
    t-SNE for single-cell transcriptomics", 2019).

    Args:
        points: (N, D).
        perplexity: how many neighbours a point cares for; at most a third of the points.

    Returns:
        (N, 2) float32, centred.
    """
    layout = _principal_plane(points)
    if len(points) > 3:
        fitted = TSNE(
            perplexity=min(perplexity, (len(points) - 1) / 3), init=layout, max_iter=ITERATIONS, random_state=0
        )
        layout = fitted.fit_transform(points)
    plane: NDArray[np.float32] = (layout - layout.mean(axis=0)).astype(np.float32)
    return plane


def _principal_plane(points: NDArray[np.floating]) -> NDArray[np.float32]:
    """(N, D) -> (N, 2): the first two principal components, small, and never quite on one another.

    scikit-learn's own start from them takes neither a single dimension nor equal points.
    """
    left, scale, _ = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    plane = np.random.default_rng(0).normal(scale=1e-3, size=(len(points), 2))
    rank = min(2, left.shape[1])
    components = left[:, :rank] * scale[:rank]
    plane[:, :rank] += components / max(float(components.std(axis=0).max()), 1e-12)
    return (1e-4 * plane).astype(np.float32)
