import math
from pathlib import Path

import pytest
import torch

from model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from model.preprocess import PreprocessConfig
from model.tvae import PRESETS, TVAE, Posterior, Slice, TVAEConfig, reparameterize
from tests.model.networks import TINY, fixed_weights

PLAIN = TVAEConfig(image_size=16, widths=(), hidden=32, slices=TINY.slices)


@pytest.mark.parametrize("config", [TINY, PLAIN, *PRESETS.values()], ids=["tiny", "plain", *PRESETS])
def test_shapes_and_ranges(config: TVAEConfig) -> None:
    """Pictures become mean and log-variance, and latents become pictures in [0, 1], for every preset."""
    tvae = TVAE(config).eval()
    images = torch.rand(2, config.channels, config.image_size, config.image_size)
    posterior = tvae.encode(images)
    assert posterior.mean.shape == posterior.log_variance.shape == (2, config.latent_size)
    decoded = tvae.decode(posterior.mean)
    assert decoded.shape == images.shape
    assert decoded.dtype == torch.float32
    assert decoded.min() >= 0
    assert decoded.max() <= 1


def test_decode_is_the_sigmoid_of_the_logits() -> None:
    """The picture and the logits that the likelihood takes are of one piece."""
    tvae = fixed_weights(TVAE(TINY))
    latent = torch.randn(3, TINY.latent_size)
    assert torch.equal(tvae.decode(latent), torch.sigmoid(tvae.decode_logits(latent)))


def test_mean_is_float32_under_autocast() -> None:
    """Half precision in the convolutions never makes the mean vector half as precise."""
    tvae = fixed_weights(TVAE(TINY))
    with torch.autocast("cpu", torch.bfloat16):
        posterior = tvae.encode(torch.rand(2, 3, 16, 16))
    assert posterior.mean.dtype == posterior.log_variance.dtype == torch.float32


def test_slices_cut_the_vector_in_order() -> None:
    """Bounds follow the slices' order and cover the whole vector."""
    config = TVAEConfig(slices=(Slice("a", 3), Slice("b", 5), Slice("free", 8)))
    assert config.slice_bounds == {"a": (0, 3), "b": (3, 8), "free": (8, 16)}
    assert config.latent_size == 16


def test_reparameterize_follows_the_posterior() -> None:
    """Samples have the posterior's mean and variance, and without noise they are the mean."""
    posterior = Posterior(torch.tensor([[2.0, -1.0]]), torch.tensor([[math.log(4.0), math.log(0.25)]]))
    assert torch.equal(reparameterize(posterior, torch.zeros(1, 2)), posterior.mean)
    noise = torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0))
    samples = reparameterize(posterior, noise)
    assert torch.allclose(samples.mean(0), posterior.mean[0], atol=0.05)
    assert torch.allclose(samples.std(0), torch.tensor([2.0, 0.5]), rtol=0.05)


@pytest.mark.parametrize("config", [TINY, PLAIN], ids=["tiny", "plain"])
def test_gradients_reach_every_parameter(config: TVAEConfig) -> None:
    """No part of the network is left out of training."""
    torch.manual_seed(0)
    tvae = TVAE(config)
    posterior = tvae.encode(torch.rand(8, 3, 16, 16))
    loss = tvae.decode_logits(reparameterize(posterior)).square().sum() + posterior.log_variance.square().sum()
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None for parameter in tvae.parameters())


def test_plain_layers_survive_a_checkpoint(tmp_path: Path) -> None:
    """A network of plain layers is saved and loaded like any other."""
    tvae = fixed_weights(TVAE(PLAIN))
    save_checkpoint(tmp_path, Checkpoint(tvae, PreprocessConfig(size=16)))
    loaded = load_checkpoint(tmp_path).tvae
    assert loaded.config == PLAIN
    images = torch.rand(2, 3, 16, 16)
    assert torch.equal(loaded.encode(images).mean, tvae.encode(images).mean)


def test_plain_layers_are_the_network_of_the_paper() -> None:
    """With a hidden layer there are four matrices of weights from pixels to pixels, besides the log-variance's."""
    tvae = TVAE(TVAEConfig(image_size=28, channels=1, widths=(), hidden=400, slices=(Slice("free", 20),)))
    shapes = [tuple(parameter.shape) for parameter in tvae.parameters() if parameter.dim() == 2]
    assert sorted(shapes) == sorted([(400, 784), (20, 400), (20, 400), (400, 20), (784, 400)])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"channels": 2}, "channels is 2"),
        ({"image_size": 60}, "image_size is 60"),
        ({"widths": ()}, "widths"),
        ({"blocks": -1}, "blocks is -1"),
        ({"encoder_blocks": (1, 1)}, "encoder_blocks"),
        ({"encoder_blocks": (0, 1, 1, -1)}, "encoder_blocks"),
        ({"hidden": -1}, "hidden is -1"),
        ({"hidden": 8}, "widths is .*plain layers"),
        ({"hidden": 8, "widths": (), "image_size": 0}, "image_size is 0"),
        ({"slices": ()}, "slices"),
        ({"slices": (Slice("a", 1), Slice("a", 2))}, "slices"),
        ({"slices": (Slice("a", 0),)}, "slices"),
    ],
)
def test_impossible_networks_are_refused(options: dict[str, object], named: str) -> None:
    """A configuration that can't be built says which value is wrong."""
    with pytest.raises(ValueError, match=named):
        TVAEConfig(**options)  # type: ignore[arg-type]
