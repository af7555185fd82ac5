import torch

from training.sampling import batch_indices, sampling_weights


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_every_shoe_comes_once() -> None:
    """Without weights an epoch is a permutation, cut into batches."""
    batches = batch_indices(100, 32, None, _generator())
    assert sorted(torch.cat(batches).tolist()) == list(range(100))
    assert [len(batch) for batch in batches] == [32, 32, 32, 4]


def test_no_batch_of_one() -> None:
    """A last batch of one shoe joins the one before: batch normalisation needs two."""
    assert [len(batch) for batch in batch_indices(65, 32, None, _generator())] == [32, 33]


def test_balance_shows_rare_values_as_often() -> None:
    """With full balance the values of an attribute are drawn alike, however rare they are."""
    table = torch.zeros(1000, 2)
    table[:50, 0] = 1
    table[50:, 1] = 1
    weights = sampling_weights([table], 1.0)
    assert weights is not None
    drawn = torch.cat([torch.cat(batch_indices(1000, 100, weights, _generator())) for _ in range(3)])
    assert abs((drawn < 50).float().mean().item() - 0.5) < 0.05


def test_no_balance_no_weights() -> None:
    """Without balance, or without labels, there are no weights."""
    assert sampling_weights([torch.ones(3, 1)], 0.0) is None
    assert sampling_weights([], 1.0) is None


def test_shoes_without_a_label_are_still_drawn() -> None:
    """A shoe without a value has an average weight."""
    table = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    weights = sampling_weights([table], 1.0)
    assert weights is not None
    assert weights[2] > weights[3] > weights[0] > 0
