import torch

from model.tvae import TVAE, TVAEConfig
from training.averaging import WeightAverage

CONFIG = TVAEConfig(image_size=8, widths=(4,))


def _network(value: float) -> TVAE:
    tvae = TVAE(CONFIG)
    for each in tvae.state_dict().values():
        each.fill_(value)
    return tvae


def test_average_against_a_loop() -> None:
    """Every weight and every statistic follows the recurrence; a count is copied."""
    average = WeightAverage(_network(0.0), decay=0.5)
    expected = 0.0
    for steps in range(1, 6):
        average.update(_network(float(steps)), steps)
        decay = min(0.5, (1 + steps) / (10 + steps))
        expected = decay * expected + (1 - decay) * steps
    for name, value in average.network.state_dict().items():
        wanted = 5 if name.endswith("num_batches_tracked") else expected
        assert torch.allclose(value.double(), torch.tensor(float(wanted)).double(), rtol=1e-5), name


def test_average_is_apart() -> None:
    """The average is in eval mode, has no gradients, and does not change with the network."""
    tvae = _network(1.0)
    average = WeightAverage(tvae, decay=0.9)
    with torch.no_grad():
        for each in tvae.parameters():
            each.zero_()
    assert not average.network.training
    assert not any(each.requires_grad for each in average.network.parameters())
    assert all((each == 1).all() for each in average.network.parameters())
