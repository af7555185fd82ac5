import pytest
import torch

from training.losses import pairwise_distances
from training.miners import (
    MINERS,
    POSITIVES,
    Miner,
    batch_all,
    semi_hard,
)


def _batch(labels: list[int | None], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Distances, alike and different for shoes of these labels; None is a shoe without one."""
    vectors = torch.randn(len(labels), 4, generator=torch.Generator().manual_seed(seed))
    known = torch.tensor([label is not None for label in labels])
    values = torch.tensor([-1 if label is None else label for label in labels])
    both = known[:, None] & known[None, :]
    shared = (values[:, None] == values[None, :]) & both
    return pairwise_distances(vectors), shared & ~torch.eye(len(labels), dtype=torch.bool), both & ~shared


LABELS = [0, 0, 0, 1, 1, 2, 2, 2, 2, 3, None, None]


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


@pytest.mark.parametrize("miner", MINERS.values(), ids=MINERS.keys())
def test_every_triplet_is_one(miner: Miner) -> None:
    """Positives are alike and not the anchor, negatives are different, and shoes without a label never appear."""
    distances, alike, different = _batch(LABELS)
    triplets = miner(distances, alike, different, _generator())
    assert triplets.shape[1] == 3
    assert set(triplets[:, 0].tolist()) == set(range(9))  # label 3 has no positive
    for anchor, positive, negative in triplets.tolist():
        assert anchor != positive
        assert alike[anchor, positive]
        assert different[anchor, negative]


@pytest.mark.parametrize("miner", MINERS.values(), ids=MINERS.keys())
@pytest.mark.parametrize(
    "labels", [[0, 0, 0], [0, 1, 2], [None, None], [0, None]], ids=["alike", "lone", "none", "one"]
)
def test_batches_without_triplets(miner: Miner, labels: list[int | None]) -> None:
    """A batch that holds no triplet gives none, in the right shape."""
    assert miner(*_batch(labels), _generator()).shape == (0, 3)


@pytest.mark.parametrize("miner", MINERS.values(), ids=MINERS.keys())
def test_same_generator_same_triplets(miner: Miner) -> None:
    """Mining is deterministic by the generator's seed."""
    batch = _batch(LABELS)
    assert torch.equal(miner(*batch, _generator()), miner(*batch, _generator()))


def test_semi_hard_against_a_loop() -> None:
    """The negative is the nearest one beyond the positive, or the farthest where none is beyond it."""
    distances, alike, different = _batch(LABELS, seed=3)
    for anchor, positive, negative in semi_hard(distances, alike, different, _generator()).tolist():
        others = [int(j) for j in different[anchor].nonzero()]
        beyond = [j for j in others if distances[anchor, j] > distances[anchor, positive]]
        expected = (
            min(beyond, key=lambda j: distances[anchor, j])
            if beyond
            else max(others, key=lambda j: distances[anchor, j])
        )
        assert negative == expected


def test_batch_all_takes_every_negative() -> None:
    """Each anchor's drawn positives meet each of its negatives, once for each draw."""
    distances, alike, different = _batch(LABELS)
    triplets = batch_all(distances, alike, different, _generator())
    for anchor in range(9):
        mine = triplets[triplets[:, 0] == anchor]
        negatives = mine[:, 2].bincount(minlength=len(LABELS))
        assert torch.equal(negatives, POSITIVES * different[anchor].int())


def test_positives_are_drawn_evenly() -> None:
    """Every positive of an anchor is drawn about equally often."""
    distances, alike, different = _batch([0, 0, 0, 0, 1, 1])
    generator = _generator()
    triplets = torch.cat([batch_all(distances, alike, different, generator) for _ in range(400)])
    positives = triplets[triplets[:, 0] == 0][:, 1].bincount(minlength=6).float()
    assert torch.allclose(positives / positives.sum(), torch.tensor([0, 1, 1, 1, 0, 0]) / 3, atol=0.05)
