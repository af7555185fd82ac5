import math
from dataclasses import asdict

import numpy as np
import pytest
import torch

from model.checkpoint import Checkpoint
from model.preprocess import PreprocessConfig
from model.tvae import TVAE, Slice, TVAEConfig
from tests.model.networks import fixed_weights
from training.config import TrainConfig
from training.evaluation import elbo
from training.evaluation.elbo import (
    NegativeElbo,
    Observation,
    measure_bounds,
    measure_elbo,
    read_observation,
    tighter_bound,
)
from training.reproduce.mnist.authors import AuthorsNetwork, AuthorsNetworkConfig

NETWORK = AuthorsNetworkConfig(image_size=4, channels=1, hidden=6, slices=(Slice("free", 3),))
TVAE_OF_FIXED_WEIGHTS = fixed_weights(AuthorsNetwork(NETWORK))
BERNOULLI, GAUSSIAN = Observation("bernoulli"), Observation("gaussian", 0.2)


def _pixels(count: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, 1, 4, 4), dtype=np.uint8)


def _elbo(pixels: np.ndarray, observation: Observation, seed: int = 0) -> NegativeElbo:
    return measure_elbo(
        TVAE_OF_FIXED_WEIGHTS, pixels, observation, generator=torch.Generator().manual_seed(seed), device="cpu"
    )


def _silent() -> TVAE:
    """A network whose decoder draws grey whatever it is given, and whose posterior is the prior."""
    tvae = AuthorsNetwork(NETWORK).eval()
    with torch.no_grad():
        for parameter in tvae.parameters():
            parameter.zero_()
    return tvae


@pytest.mark.parametrize("observation", [BERNOULLI, GAUSSIAN])
def test_the_elbo_against_a_plain_loop(observation: Observation) -> None:
    """The bound is that of the definitions, number by number, for a sample of each picture."""
    pixels = _pixels(7)
    noise = torch.randn(7, 3, generator=torch.Generator().manual_seed(0)).numpy()
    losses, kls = [], []
    for picture, each in zip(pixels, noise, strict=True):
        image = torch.from_numpy(picture[None] / np.float32(255))
        with torch.inference_mode():
            mean, log_variance = (part[0].double().numpy() for part in TVAE_OF_FIXED_WEIGHTS.encode(image))
            latent = torch.from_numpy(mean + np.exp(log_variance / 2) * each).float()[None]
            drawn = TVAE_OF_FIXED_WEIGHTS.decode(latent)[0].double().numpy()
        x = picture / 255
        if observation.std is None:
            losses.append(-(x * np.log(drawn) + (1 - x) * np.log(1 - drawn)).sum())
        else:
            variance = observation.std**2
            losses.append(((drawn - x) ** 2 / (2 * variance) + math.log(2 * math.pi * variance) / 2).sum())
        kls.append((mean**2 + np.exp(log_variance) - 1 - log_variance).sum() / 2)
    measured = _elbo(pixels, observation)
    assert measured.reconstruction == pytest.approx(np.mean(losses), rel=1e-5)
    assert measured.kl == pytest.approx(np.mean(kls), rel=1e-5)
    assert measured.total == measured.reconstruction + measured.kl
    assert measured.per_dimension == measured.total / 16


def test_the_seed_decides_the_elbo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same seed gives the same figure, another one another; pictures are taken in parts, the last one smaller."""
    monkeypatch.setattr(elbo, "CHUNK", 3)
    pixels = _pixels(8)
    assert _elbo(pixels, GAUSSIAN) == _elbo(pixels, GAUSSIAN)
    assert _elbo(pixels, GAUSSIAN, seed=1).total != _elbo(pixels, GAUSSIAN).total
    assert _elbo(pixels, GAUSSIAN, seed=1).kl == _elbo(pixels, GAUSSIAN).kl


@pytest.mark.parametrize("observation", [BERNOULLI, GAUSSIAN])
def test_bounds_are_in_order(observation: Observation) -> None:
    """More samples tighten the bound; with one it is the negative ELBO's, but for the KL term's closed form."""
    pixels = _pixels(40)
    loose = measure_bounds(TVAE_OF_FIXED_WEIGHTS, pixels, observation, samples=1, images=40)
    tight = measure_bounds(TVAE_OF_FIXED_WEIGHTS, pixels, observation, samples=200, images=40)
    assert loose.negative_elbo == pytest.approx(loose.reconstruction + loose.kl)
    assert loose.negative_elbo == _elbo(pixels, observation).total
    assert loose.importance == pytest.approx(loose.negative_elbo, abs=1.0)
    assert tight.importance < loose.importance
    assert measure_bounds(TVAE_OF_FIXED_WEIGHTS, pixels, observation, samples=1, images=40) == loose


def test_the_bounds_are_exact_where_the_picture_does_not_matter() -> None:
    """With a decoder that ignores its latent and the prior as posterior, every sample gives -log p(picture) itself."""
    images = torch.rand(5, 1, 4, 4)
    bound = tighter_bound(_silent(), images, BERNOULLI, 3, torch.Generator().manual_seed(0))
    assert torch.allclose(bound, torch.full((5,), 16 * math.log(2), dtype=bound.dtype))


def test_a_density_has_bounds_below_zero() -> None:
    """A Gaussian narrow around the truth has a density above 1: its bound is negative, and right."""
    grey = np.full((2, 1, 4, 4), 128, dtype=np.uint8)
    narrow = Observation("gaussian", 0.01)
    measured = measure_elbo(_silent(), grey, narrow, generator=torch.Generator().manual_seed(0))
    exact = 16 * ((128 / 255 - 0.5) ** 2 / (2 * 0.01**2) + math.log(0.01) + math.log(2 * math.pi) / 2)
    assert measured.total == pytest.approx(exact, rel=1e-5)
    assert measured.total < 0


def _checkpoint(**training: object) -> Checkpoint:
    return Checkpoint(TVAE_OF_FIXED_WEIGHTS, preprocess=PreprocessConfig(4, 1, 0), training=training)


def test_the_observation_is_that_of_the_training() -> None:
    """What the configuration of a run says is what its checkpoint is measured by; a Bernoulli has no deviation."""
    config = asdict(TrainConfig())
    assert read_observation(_checkpoint(config=config)) == Observation(
        "gaussian", TrainConfig().objective.observation_std
    )
    config["objective"]["likelihood"] = "bernoulli"
    assert read_observation(_checkpoint(config=config)) == BERNOULLI
    assert (BERNOULLI.describe(), GAUSSIAN.describe()) == ("bernoulli", "gaussian, std 0.2")


@pytest.mark.parametrize(
    "config",
    [
        None,
        "gaussian",
        {"objective": None},
        {"objective": {}},
        {"objective": {"likelihood": "gaussian"}},
        {"objective": {"likelihood": "gaussian", "observation_std": 0}},
        {"objective": {"likelihood": "gaussian", "observation_std": "0.1"}},
        {"objective": {"likelihood": "laplace", "observation_std": 0.1}},
    ],
)
def test_facts_that_do_not_say(config: object) -> None:
    """Facts of another form, or without a whole likelihood, are none."""
    assert read_observation(_checkpoint(config=config)) is None
    assert read_observation(_checkpoint()) is None


def test_the_network_stays_as_it_is() -> None:
    """A network in training is measured as it would be used, and goes on with its training."""
    config = TVAEConfig(image_size=16, widths=(4, 8), slices=(Slice("free", 3),))
    used, trained = fixed_weights(TVAE(config)), fixed_weights(TVAE(config)).train()
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    pixels = np.random.default_rng(0).integers(0, 256, (6, 3, 16, 16), dtype=np.uint8)
    assert measure_bounds(trained, pixels, GAUSSIAN) == measure_bounds(used, pixels, GAUSSIAN)
    assert trained.training
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())
