import math

import pytest
import torch

from model.tvae import Posterior
from training.losses import (
    instance_loss,
    kl_divergence,
    label_loss,
    pairwise_distances,
    reconstruction_loss,
    triplet_loss,
)

GENERATOR = torch.Generator().manual_seed(0)


def test_bernoulli_against_a_loop() -> None:
    """The Bernoulli term is the cross-entropy summed over pixels, in nats."""
    logits = torch.randn(2, 1, 3, 3, generator=GENERATOR)
    images = torch.rand(2, 1, 3, 3, generator=GENERATOR)
    losses = reconstruction_loss(logits, images, "bernoulli")
    for row in range(2):
        expected = 0.0
        for logit, x in zip(logits[row].flatten().tolist(), images[row].flatten().tolist(), strict=True):
            p = 1 / (1 + math.exp(-logit))
            expected -= x * math.log(p) + (1 - x) * math.log(1 - p)
        assert losses[row].item() == pytest.approx(expected, rel=1e-5)


def test_gaussian_against_the_density() -> None:
    """The Gaussian term is minus the log-density, its constant included."""
    logits = torch.randn(2, 3, 2, 2, generator=GENERATOR)
    images = torch.rand(2, 3, 2, 2, generator=GENERATOR)
    density = -0.5 * ((images - torch.sigmoid(logits)) / 0.2) ** 2 - math.log(0.2 * math.sqrt(2 * math.pi))
    assert torch.allclose(reconstruction_loss(logits, images, "gaussian", 0.2), -density.flatten(1).sum(1), rtol=1e-5)


def test_kl_against_torch() -> None:
    """The closed form agrees with torch.distributions, and is 0 for the prior itself."""
    posterior = Posterior(torch.randn(4, 5, generator=GENERATOR), torch.randn(4, 5, generator=GENERATOR))
    normal = torch.distributions.Normal(posterior.mean, (0.5 * posterior.log_variance).exp())
    expected = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum(dim=1)
    assert torch.allclose(kl_divergence(posterior), expected, rtol=1e-5)
    assert kl_divergence(Posterior(torch.zeros(1, 5), torch.zeros(1, 5))).item() == 0.0


def test_distances_against_a_loop() -> None:
    """Each entry is the Euclidean distance of two rows; the diagonal is 0."""
    vectors = torch.randn(6, 4, generator=GENERATOR)
    distances = pairwise_distances(vectors)
    for i in range(6):
        for j in range(6):
            assert distances[i, j].item() == pytest.approx(
                math.dist(vectors[i].tolist(), vectors[j].tolist()), abs=1e-5
            )


def test_gradient_of_equal_vectors_is_finite() -> None:
    """Two equal vectors, as a catalogue with a picture twice gives them, do not make the gradient NaN."""
    vectors = torch.ones(3, 4, requires_grad=True)
    pairwise_distances(vectors).sum().backward()  # type: ignore[no-untyped-call]
    assert vectors.grad is not None
    assert torch.isfinite(vectors.grad).all()


def test_triplet_loss_against_a_loop() -> None:
    """The mean over triplets of max(0, d(a, p) - d(a, n) + margin)."""
    vectors = torch.randn(8, 3, generator=GENERATOR)
    triplets = torch.randint(0, 8, (20, 3), generator=GENERATOR)
    terms = [
        max(
            0.0,
            math.dist(vectors[a].tolist(), vectors[p].tolist())
            - math.dist(vectors[a].tolist(), vectors[n].tolist())
            + 0.2,
        )
        for a, p, n in triplets.tolist()
    ]
    loss = triplet_loss(pairwise_distances(vectors), triplets, 0.2)
    assert loss.item() == pytest.approx(sum(terms) / len(terms), rel=1e-4)


def test_smooth_triplet_loss() -> None:
    """The softplus is above the hinge, close to it away from 0, and still pulls where the order is right."""
    vectors = torch.tensor([[0.0], [1.0], [9.0], [1.5]], requires_grad=True)
    distances = pairwise_distances(vectors)
    for triplet in ([0, 1, 2], [0, 2, 1], [0, 1, 3]):
        hinge = triplet_loss(distances, torch.tensor([triplet]), 0.0)
        soft = triplet_loss(distances, torch.tensor([triplet]), 0.0, smooth=True)
        assert hinge < soft < hinge + math.log(2)
    triplet_loss(distances, torch.tensor([[0, 1, 3]]), 0.0, smooth=True).backward()  # type: ignore[no-untyped-call]
    assert vectors.grad is not None
    assert vectors.grad[1] > 0 > vectors.grad[3]


def test_no_triplets() -> None:
    """A batch without triplets has a loss of 0 whose gradient is 0, not NaN."""
    vectors = torch.randn(4, 3, requires_grad=True)
    loss = triplet_loss(pairwise_distances(vectors), torch.empty((0, 3), dtype=torch.int64), 0.2)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0.0
    assert vectors.grad is not None
    assert torch.equal(vectors.grad, torch.zeros_like(vectors))


def test_triplet_gradient_pulls_and_pushes() -> None:
    """A step against the gradient brings the positive nearer and takes the negative away."""
    vectors = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    triplets = torch.tensor([[0, 1, 2]])
    triplet_loss(pairwise_distances(vectors), triplets, 1.0).backward()  # type: ignore[no-untyped-call]
    assert vectors.grad is not None
    moved = pairwise_distances(vectors.detach() - 0.1 * vectors.grad)
    assert moved[0, 1] < 1.0
    assert moved[0, 2] > 1.0


def test_label_loss_against_a_loop() -> None:
    """-log of the sum of the probabilities of a shoe's values, whether it has one or several."""
    logits = torch.randn(4, 3, generator=GENERATOR)
    table = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [1.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    expected = []
    for scores, values in zip(logits.tolist(), table.tolist(), strict=True):
        total = sum(math.exp(score) for score in scores)
        expected.append(-math.log(sum(math.exp(s) / total for s, has in zip(scores, values, strict=True) if has)))
    assert label_loss(logits, table).tolist() == pytest.approx(expected, abs=1e-6)


def test_label_loss_passes_over_shoes_without_a_value() -> None:
    """A shoe without a value costs nothing and moves nothing."""
    logits = torch.randn(2, 3, requires_grad=True)
    loss = label_loss(logits, torch.tensor([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
    loss.sum().backward()  # type: ignore[no-untyped-call]
    assert loss[0].item() == pytest.approx(0.0, abs=1e-6)
    assert logits.grad is not None
    assert logits.grad[0].abs().max() < 1e-6
    assert logits.grad[1].abs().min() > 1e-3


def _cosine(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True)) / math.hypot(*left) / math.hypot(*right)


def _find_own(questions: list[list[float]], answers: list[list[float]], temperature: float) -> float:
    """The mean of -log of the share that each question's own answer has in a softmax over cosines."""
    terms = []
    for own, question in enumerate(questions):
        shares = [math.exp(_cosine(question, answer) / temperature) for answer in answers]
        terms.append(-math.log(shares[own] / sum(shares)))
    return sum(terms) / len(terms)


def test_instance_loss_against_a_loop() -> None:
    """The mean of both directions: photos that look for their catalogue pictures, and these that look for them."""
    photos, references = (torch.randn(6, 4, generator=GENERATOR) for _ in range(2))
    there = _find_own(photos.tolist(), references.tolist(), 0.3)
    back = _find_own(references.tolist(), photos.tolist(), 0.3)
    assert there != pytest.approx(back, rel=1e-3)
    assert instance_loss(photos, references, 0.3).item() == pytest.approx(0.5 * (there + back), rel=1e-5)
    assert instance_loss(references, photos, 0.3).item() == pytest.approx(0.5 * (there + back), rel=1e-5)


def test_instance_loss_is_of_directions() -> None:
    """The lengths of the vectors change nothing; photos that lie at their own pictures cost next to nothing."""
    photos, references = (torch.randn(6, 4, generator=GENERATOR) for _ in range(2))
    assert torch.allclose(instance_loss(3.0 * photos, 0.2 * references, 0.3), instance_loss(photos, references, 0.3))
    assert instance_loss(torch.eye(6), torch.eye(6), 0.05).item() < 1e-6


def test_instance_gradient() -> None:
    """It is finite on both sides, even for a vector of zeros and equal ones, and a step against it helps."""
    photos = torch.randn(5, 4, generator=GENERATOR)
    photos[1], photos[2] = 0.0, photos[3]
    references = torch.randn(5, 4, generator=GENERATOR)
    photos.requires_grad_()
    references.requires_grad_()
    loss = instance_loss(photos, references, 0.1)
    loss.backward()  # type: ignore[no-untyped-call]
    for each in (photos, references):
        assert each.grad is not None
        assert torch.isfinite(each.grad).all()
        assert each.grad.abs().max() > 0
    assert photos.grad is not None
    moved = photos.detach().clone()
    moved[0] -= 0.01 * photos.grad[0]
    assert instance_loss(moved, references.detach(), 0.1) < loss
