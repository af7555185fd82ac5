"""The network for inference says what the network that was trained says."""

import pytest
import torch
from torch import nn

from model.inference import prepare_network
from model.tvae import TVAE, Slice, TVAEConfig
from tests.model.networks import TINY, fixed_weights

NETWORKS = {
    "residual": TINY,
    "plain convolutions": TVAEConfig(image_size=16, widths=(4, 8), slices=(Slice("free", 5),)),
    "interpolated": TVAEConfig(image_size=16, widths=(4, 8), slices=(Slice("free", 5),), smooth=True),
    "encoder blocks": TVAEConfig(image_size=16, widths=(4, 8), slices=(Slice("free", 5),), encoder_blocks=(0, 2)),
    "two encoders": TVAEConfig(
        image_size=16, widths=(4, 8), slices=(Slice("type", 3), Slice("free", 2)), encoder_blocks=(0, 2), separate=True
    ),
    "grey": TVAEConfig(image_size=12, channels=1, widths=(6, 4), blocks=1, slices=(Slice("free", 3),)),
}


def images_for(tvae: TVAE, count: int = 5) -> torch.Tensor:
    """Random pictures of the size that it takes."""
    config = tvae.config
    shape = (count, config.channels, config.image_size, config.image_size)
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


@pytest.fixture(params=list(NETWORKS))
def tvae(request: pytest.FixtureRequest) -> TVAE:
    """A network of each kind, in eval mode."""
    return fixed_weights(TVAE(NETWORKS[request.param]))


def convolutions(network: nn.Module) -> set[str]:
    """The kinds of layers that the encoder consists of."""
    return {type(layer).__name__ for layer in network.modules()}


@torch.no_grad()
def test_same_vectors_and_pictures(tvae: TVAE) -> None:
    """Mean vectors and pictures are those of the network as it was trained, to 1e-5, in a batch and alone."""
    prepared, images = prepare_network(tvae), images_for(tvae)
    expected = tvae.encode(images).mean
    assert (prepared.mean(images) - expected).abs().max() < 1e-5
    alone = torch.cat([prepared.mean(images[index : index + 1]) for index in range(len(images))])
    assert (alone - expected).abs().max() < 1e-5
    assert (prepared.decode(expected) - tvae.decode(expected)).abs().max() < 1e-5


@torch.no_grad()
def test_nothing_of_the_normalisation_is_left(tvae: TVAE) -> None:
    """Batch normalisation is folded away, everywhere."""
    assert "BatchNorm2d" not in convolutions(prepare_network(tvae))


@torch.no_grad()
def test_the_network_itself_is_not_touched(tvae: TVAE) -> None:
    """It says what it said, holds the parameters that it held, and can be trained on."""
    before = {name: value.clone() for name, value in tvae.state_dict().items()}
    prepare_network(tvae)
    after = tvae.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(parameter.requires_grad for parameter in tvae.parameters())
