import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from model.preprocess import PreprocessConfig
from model.tvae import FREE, INSTANCE, NETWORK_PRESETS, TVAE, Posterior, Slice, TVAEConfig, reparameterize
from tests.model.networks import TINY, fixed_weights

PAIR = TVAEConfig(
    image_size=16,
    widths=(4, 8),
    slices=(Slice("type", 3), Slice("free", 2)),
    encoder_blocks=(0, 1),
    separate=True,
    sphere=True,
)
SHOE = replace(PAIR, slices=(Slice("type", 3), Slice(INSTANCE, 4), Slice(FREE, 2)))


@pytest.mark.parametrize(
    "config", [TINY, PAIR, SHOE, *NETWORK_PRESETS.values()], ids=["tiny", "pair", "shoe", *NETWORK_PRESETS]
)
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


@pytest.mark.parametrize("config", [TINY, PAIR], ids=["tiny", "pair"])
def test_gradients_reach_every_parameter(config: TVAEConfig) -> None:
    """No part of the network is left out of training."""
    torch.manual_seed(0)
    tvae = TVAE(config)
    posterior = tvae.encode(torch.rand(8, 3, 16, 16))
    loss = tvae.decode_logits(reparameterize(posterior)).square().sum() + posterior.log_variance.square().sum()
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None for parameter in tvae.parameters())


def test_two_encoders_survive_a_checkpoint(tmp_path: Path) -> None:
    """A network of two encoders is saved and loaded like any other."""
    tvae = fixed_weights(TVAE(PAIR))
    save_checkpoint(tmp_path, Checkpoint(tvae, preprocess=PreprocessConfig(size=16)))
    loaded = load_checkpoint(tmp_path).tvae
    assert loaded.config == PAIR
    images = torch.rand(2, 3, 16, 16)
    assert torch.equal(loaded.encode(images).mean, tvae.encode(images).mean)


def test_two_encoders_do_not_meet() -> None:
    """No gradient of the conditions' slices reaches the free remainder's encoder, nor the other way round."""
    tvae = TVAE(PAIR)
    for part, untouched in (("type", "free"), ("free", "conditions")):
        start, stop = PAIR.slice_bounds[part]
        tvae.zero_grad()
        posterior = tvae.encode(torch.rand(4, 3, 16, 16))
        (posterior.mean + posterior.log_variance)[:, start:stop].sum().backward()  # type: ignore[no-untyped-call]
        reached = {name for name, weight in tvae.named_parameters() if weight.grad is not None and weight.grad.any()}
        assert reached
        assert not any(untouched in name.split(".") for name in reached)


def test_only_the_conditions_see_what_was_altered() -> None:
    """With two encoders the free remainder is of the pictures as they are; with one, all is of what is shown to it."""
    images, altered = torch.rand(4, 3, 16, 16), torch.rand(4, 3, 16, 16)
    tvae = fixed_weights(TVAE(PAIR))
    mean = tvae.encode(images, altered).mean
    assert torch.equal(mean[:, 3:], tvae.encode(images).mean[:, 3:])
    assert torch.equal(mean[:, :3], tvae.encode(altered).mean[:, :3])
    alone = fixed_weights(TVAE(TINY))
    assert torch.equal(alone.encode(images, altered).mean, alone.encode(altered).mean)


def test_conditions_lie_on_spheres() -> None:
    """Each condition's slice of the mean has the length of the root of its size; the free remainder any."""
    tvae = fixed_weights(TVAE(PAIR))
    images = torch.rand(4, 3, 16, 16)
    mean = tvae.encode(images).mean
    assert torch.allclose(mean[:, :3].norm(dim=1), torch.full((4,), 3**0.5))
    assert torch.equal(mean, tvae.mean(images))
    flat = TVAE(replace(PAIR, sphere=False)).eval()
    flat.load_state_dict(tvae.state_dict())
    other = flat.encode(images).mean
    assert torch.equal(other[:, 3:], mean[:, 3:])
    assert torch.allclose(torch.cosine_similarity(other[:, :3], mean[:, :3]), torch.ones(4))


def test_one_encoder_without_conditions_or_without_a_remainder() -> None:
    """Where one of the two would have nothing to do, there is one encoder, with all of the blocks."""
    for slices in ((Slice("free", 5),), (Slice("type", 5),)):
        config = replace(PAIR, slices=slices)
        assert not config.has_two_encoders
        assert list(TVAE(config).state_dict()) == list(TVAE(replace(config, separate=False)).state_dict())


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"channels": 2}, "channels is 2"),
        ({"image_size": 60}, "image_size is 60"),
        ({"widths": ()}, "widths"),
        ({"blocks": -1}, "blocks is -1"),
        ({"encoder_blocks": (1, 1)}, "encoder_blocks"),
        ({"encoder_blocks": (0, 1, 1, -1)}, "encoder_blocks"),
        ({"slices": ()}, "slices"),
        ({"slices": (Slice("a", 1), Slice("a", 2))}, "slices"),
        ({"slices": (Slice("a", 0),)}, "slices"),
        ({"slices": (Slice("free", 1), Slice("a", 1)), "separate": True}, "at the end"),
    ],
)
def test_impossible_networks_are_refused(options: dict[str, object], named: str) -> None:
    """A configuration that can't be built says which value is wrong."""
    with pytest.raises(ValueError, match=named):
        TVAEConfig(**options)  # type: ignore[arg-type]


def test_the_instance_slice_lies_on_its_sphere() -> None:
    """It is of its size, beside the conditions' slices, and as long as they are."""
    start, stop = SHOE.slice_bounds[INSTANCE]
    assert (SHOE.instance_size, start, stop) == (4, 3, 7)
    means = fixed_weights(TVAE(SHOE)).mean(torch.rand(5, 3, 16, 16))
    assert torch.allclose(means[:, start:stop].norm(dim=1), torch.full((5,), 2.0), atol=1e-5)


def test_the_instance_slice_sees_where_things_are() -> None:
    """Pictures with the same content elsewhere differ in it: it is not pooled as the conditions' slices are."""
    tvae = fixed_weights(TVAE(replace(SHOE, sphere=False)))
    features = tvae.encoder.order(torch.rand(2, 3, 16, 16))  # type: ignore[operator]
    assert features.shape == (2, 8 + 8 * 4 * 4)
    moved = torch.cat([features[:, :8], features[:, 8:].roll(1, dims=1)], dim=1)
    before, after = (tvae.to_mean.order(each) for each in (features, moved))  # type: ignore[operator]
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])


@pytest.mark.parametrize("config", [PAIR, SHOE], ids=["pair", "shoe"])
def test_encoding_beside_is_encoding(config: TVAEConfig) -> None:
    """In eval mode, what is shown and what is beside it have the vectors that they have alone."""
    tvae = fixed_weights(TVAE(config))
    shown, reference = torch.rand(2, 4, 3, 16, 16).unbind()
    posterior, references = tvae.encode_beside(shown, shown, reference)
    expected = tvae.encode(shown)
    assert torch.allclose(posterior.mean, expected.mean, atol=1e-5)
    assert torch.allclose(posterior.log_variance, expected.log_variance, atol=1e-5)
    assert torch.allclose(references, tvae.mean(reference)[:, : config.latent_size - 2], atol=1e-5)


def test_encoding_beside_normalises_both_together() -> None:
    """In training, the conditions' encoder sees both as one batch; the remainder's sees what is shown alone."""
    tvae = TVAE(SHOE).train()
    shown, reference = torch.rand(4, 3, 16, 16), torch.rand(4, 3, 16, 16) * 0.3
    posterior, references = tvae.encode_beside(shown, shown, reference)
    together = tvae.encode(torch.cat([shown, reference])).mean[:, :7]
    assert torch.allclose(posterior.mean[:, :7], together[:4], atol=1e-5)
    assert torch.allclose(references, together[4:], atol=1e-5)
    alone = tvae.encode(shown).mean
    assert torch.allclose(posterior.mean[:, 7:], alone[:, 7:], atol=1e-5)
    assert not torch.allclose(posterior.mean[:, :7], alone[:, :7], atol=1e-3)


def test_the_remainder_sees_what_is_shown() -> None:
    """Of what is altered only the conditions' encoder knows, so that the decoder can draw all that is shown."""
    tvae = fixed_weights(TVAE(SHOE))
    shown, altered, reference = torch.rand(3, 4, 3, 16, 16)
    before, _ = tvae.encode_beside(shown, shown, reference)
    after, _ = tvae.encode_beside(shown, altered, reference)
    assert torch.equal(before.mean[:, 7:], after.mean[:, 7:])
    assert not torch.allclose(before.mean[:, :7], after.mean[:, :7], atol=1e-3)


def test_gradients_beside() -> None:
    """The references' vectors reach the conditions' encoder and heads, and nothing of the remainder's."""
    tvae = TVAE(SHOE).train()
    _, references = tvae.encode_beside(*torch.rand(3, 4, 3, 16, 16))
    (references * torch.randn_like(references)).sum().backward()  # type: ignore[no-untyped-call]
    reached = {name for name, value in tvae.named_parameters() if value.grad is not None and value.grad.abs().max() > 0}
    assert reached
    assert all(name.startswith(("encoder.conditions.", "to_mean.")) for name in reached)
    assert not any(name.startswith("to_mean.free") for name in reached)
    assert {"to_mean.conditions.weight", "to_mean.instance.weight"} <= reached


@pytest.mark.parametrize(
    "wrong",
    [
        {"separate": False},
        {"slices": (Slice(INSTANCE, 4), Slice("type", 3), Slice(FREE, 2))},
        {"slices": (Slice("type", 3), Slice(INSTANCE, 4))},
    ],
    ids=["one encoder", "not last", "no remainder"],
)
def test_an_instance_slice_out_of_place(wrong: dict[str, Any]) -> None:
    """It needs two encoders, and its place before the remainder."""
    with pytest.raises(ValueError, match="'shoe' needs two encoders"):
        replace(SHOE, **wrong)


def test_smooth_drawings_have_no_grid() -> None:
    """Of constant features a decoder that interpolates draws a plain picture, a transposed convolution a grid."""
    for smooth in (False, True):
        tvae = TVAE(TVAEConfig(image_size=16, widths=(8,), slices=(Slice("free", 3),), smooth=smooth))
        for layer in tvae.decoder:
            if isinstance(layer, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
                torch.nn.init.normal_(layer.weight)
        drawn = tvae.decoder(torch.ones(1, 8, 8, 8))[:, :, 3:-3, 3:-3]
        uneven = (drawn[..., 1:] - drawn[..., :-1]).abs().max()
        assert (uneven < 1e-4) == smooth
