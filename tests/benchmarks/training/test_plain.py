import torch
from torch.nn import functional

from benchmarks.training.plain import random_triplets


def test_the_only_triplets() -> None:
    """Where each shoe has one positive and one negative, or none, the term is that of a naive loop."""
    vectors = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    classes = torch.tensor([1, 1, 2, -1])
    term = random_triplets(vectors, classes)
    near = torch.dist(vectors[0], vectors[1])
    expected = sum(float(functional.softplus(near - torch.dist(vectors[anchor], vectors[2]))) for anchor in (0, 1)) / 2
    torch.testing.assert_close(term, torch.tensor(expected), rtol=1e-4, atol=1e-4)


def test_no_triplets() -> None:
    """A batch without a triplet adds nothing, and still has a gradient."""
    vectors = torch.ones(3, 2, requires_grad=True)
    term = random_triplets(vectors, torch.tensor([1, 1, -1]))
    term.backward()  # type: ignore[no-untyped-call]
    assert term.item() == 0.0
    assert vectors.grad is not None
    assert not vectors.grad.any()
