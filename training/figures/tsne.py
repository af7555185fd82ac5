"""t-SNE: a map in two dimensions that keeps near points near. Exact, for up to some thousand points.

van der Maaten, Hinton, "Visualizing Data using t-SNE", 2008; started from the principal components (Kobak, Berens,
"The art of using t-SNE for single-cell transcriptomics", 2019), so that the far structure is kept as well.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["tsne"]

EXAGGERATION = 12.0


@torch.no_grad()
def tsne(
    points: NDArray[np.floating], *, perplexity: float = 30.0, iterations: int = 500, device: str | torch.device = "cpu"
) -> NDArray[np.float32]:
    """Lay points out on a plane. The same points give the same map.

    Args:
        points: (N, D); time and memory grow with N * N.
        perplexity: how many neighbours a point cares for; at most a third of the points.
        iterations: steps of gradient descent, the first quarter of them with exaggerated attraction.
        device: where to compute.

    Returns:
        (N, 2) float32, centred.
    """
    data = torch.from_numpy(np.ascontiguousarray(points, dtype=np.float32)).to(device)
    count = len(data)
    layout = _principal_plane(data)
    if count < 4:
        return layout.cpu().numpy()
    attraction = _joint_probabilities(data, min(perplexity, (count - 1) / 3))
    rate = max(count / EXAGGERATION / 4, 50.0)
    velocity = torch.zeros_like(layout)
    gains = torch.ones_like(layout)
    for step in range(iterations):
        early = step < iterations // 4
        gradient = _gradient(layout, attraction, EXAGGERATION if early else 1.0)
        # Jacobs' delta-bar-delta, as in the authors' own implementation.
        gains = torch.where(gradient.sign() == velocity.sign(), gains * 0.8, gains + 0.2).clamp_min_(0.01)
        velocity = (0.5 if early else 0.8) * velocity - rate * gains * gradient
        layout = layout + velocity
    plane: NDArray[np.float32] = (layout - layout.mean(dim=0)).cpu().numpy()
    return plane


def _principal_plane(data: torch.Tensor) -> torch.Tensor:
    """(N, D) -> (N, 2): the first two principal components, small, and never quite on one another."""
    count = len(data)
    centred = data - data.mean(dim=0)
    left, scale, _ = torch.linalg.svd(centred, full_matrices=False)
    plane = torch.zeros(count, 2, device=data.device)
    rank = min(2, left.shape[1])
    plane[:, :rank] = left[:, :rank] * scale[:rank]
    # Equal points would move as one for ever: a golden-angle spiral of a thousandth of the size sets them apart.
    angle = torch.arange(count, device=data.device) * (math.pi * (3.0 - math.sqrt(5.0)))
    spiral = torch.stack([angle.cos(), angle.sin()], dim=1)
    size = plane.std(dim=0, correction=0).max().clamp_min(1e-12)
    return (plane / size + 1e-3 * spiral) * 1e-4


def _joint_probabilities(data: torch.Tensor, perplexity: float) -> torch.Tensor:
    """(N, D) -> (N, N) symmetric, of sum 1: each row's bandwidth found by bisection, all rows at once."""
    distances = torch.cdist(data, data).square_()
    distances.fill_diagonal_(math.inf)
    # Only differences within a row matter; shifted to a smallest distance of 0, no row underflows to nothing.
    distances -= distances.min(dim=1, keepdim=True).values
    distances /= distances[distances.isfinite()].mean().clamp_min(1e-12)
    distances.fill_diagonal_(0.0)
    low = torch.full((len(data), 1), -20.0, device=data.device)  # log of the precision
    high = torch.full_like(low, 20.0)
    for _ in range(40):
        middle = (low + high) / 2
        probabilities = _rows(distances, middle.exp())
        entropy = -(probabilities * probabilities.clamp_min(1e-30).log()).sum(dim=1, keepdim=True)
        too_wide = entropy > math.log(perplexity)
        low = torch.where(too_wide, middle, low)
        high = torch.where(too_wide, high, middle)
    return (probabilities + probabilities.T) / (2 * len(data))


def _rows(distances: torch.Tensor, precision: torch.Tensor) -> torch.Tensor:
    weights = (-distances * precision).exp_().fill_diagonal_(0.0)
    return weights / weights.sum(dim=1, keepdim=True)


def _gradient(layout: torch.Tensor, attraction: torch.Tensor, exaggeration: float) -> torch.Tensor:
    """Of the Kullback-Leibler divergence, by the plane's points: (N, 2)."""
    squares = layout.square().sum(dim=1)
    # 1 / (1 + |a - b|^2), in place: the loop's time goes into passes over N * N numbers.
    kernel = torch.addmm(squares[:, None] + squares[None, :] + 1.0, layout, layout.T, alpha=-2.0)
    kernel.clamp_min_(1.0).reciprocal_().fill_diagonal_(0.0)
    force = (attraction * exaggeration).sub_(kernel, alpha=1.0 / float(kernel.sum())).mul_(kernel)
    return 4.0 * (force.sum(dim=1, keepdim=True) * layout - force @ layout)
