import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from model.errors import ArtifactError
from model.tvae import Slice
from tests.training.reproduce.mnist.digits import write_mnist
from training.data.images import ImageSet
from training.data.mnist import DIGIT, read_mnist
from training.reproduce.mnist.authors import (
    AuthorsConfig,
    AuthorsNetwork,
    AuthorsNetworkConfig,
    load_authors,
    train_authors,
)

CONFIG = AuthorsConfig(epochs=2, triplets=600, batch_size=30)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    """A hundred pictures to train on."""
    folder = tmp_path_factory.mktemp("mnist")
    write_mnist(folder, 100, 10)
    return read_mnist(folder).training


def test_both_recipes_learn(images: ImageSet, tmp_path: Path) -> None:
    """The negative ELBO falls, with the triplet term and without; only the TVAE's checkpoint has a condition."""
    for metric in (True, False):
        out = tmp_path / str(metric)
        train_authors(images, replace(CONFIG, metric=metric), out, device=CPU, source="bars")
        first, last = (each["training"] for each in json.loads((out / "metrics.json").read_text())["history"])
        assert last["reconstruction"] < first["reconstruction"]
        assert (f"triplet/{DIGIT}" in first) == metric
        checkpoint = load_authors(out)
        assert isinstance(checkpoint.tvae, AuthorsNetwork)
        assert checkpoint.tvae.config == CONFIG.network
        assert [each.name for each in checkpoint.conditions] == [DIGIT] * metric


def test_the_total_is_the_weighted_sum(images: ImageSet, tmp_path: Path) -> None:
    """The baseline's loss is a hundredth of the negative ELBO in nats per picture."""
    train_authors(images, replace(CONFIG, metric=False, epochs=1), tmp_path, device=CPU, source="bars")
    (epoch,) = json.loads((tmp_path / "metrics.json").read_text())["history"]
    figures = epoch["training"]
    assert figures["loss"] == pytest.approx(0.01 * (figures["reconstruction"] + figures["kl"]), rel=1e-4)
    assert 100 < figures["reconstruction"] < 784


def test_a_finished_training_is_not_repeated(images: ImageSet, tmp_path: Path) -> None:
    """The same recipe into the same folder leaves the checkpoint alone; another seed trains anew."""
    train_authors(images, CONFIG, tmp_path, device=CPU, source="bars")
    before = load_authors(tmp_path).digest, (tmp_path / "weights.safetensors").stat().st_mtime_ns
    train_authors(images, CONFIG, tmp_path, device=CPU, source="bars")
    assert (load_authors(tmp_path).digest, (tmp_path / "weights.safetensors").stat().st_mtime_ns) == before
    train_authors(images, replace(CONFIG, seed=1), tmp_path, device=CPU, source="bars")
    assert load_authors(tmp_path).digest != before[0]


def test_the_network_is_that_of_the_paper() -> None:
    """There are four matrices of weights from pixels to pixels, besides the log-variance's."""
    tvae = AuthorsNetwork(AuthorsConfig().network)
    shapes = [tuple(parameter.shape) for parameter in tvae.parameters() if parameter.dim() == 2]
    assert sorted(shapes) == sorted([(400, 784), (20, 400), (20, 400), (400, 20), (784, 400)])
    pictures = torch.rand(2, 1, 28, 28)
    mean = tvae.encode(pictures).mean
    assert torch.equal(mean, tvae.mean(pictures))
    assert tvae.decode(mean).shape == pictures.shape


@pytest.mark.parametrize("options", [{"hidden": 0}, {"widths": (4,)}, {"blocks": 1}])
def test_impossible_networks_are_refused(options: dict[str, Any]) -> None:
    """A configuration that can't be built says what is expected."""
    with pytest.raises(ValueError, match=r"expected \(\), 0 and some units"):
        AuthorsNetworkConfig(image_size=4, channels=1, slices=(Slice("free", 3),), **options)


def test_a_damaged_network_is_named(tmp_path: Path) -> None:
    """A folder without a network, or with a torn one, is an error that names the file."""
    for content in (None, b"torn"):
        if content is not None:
            (tmp_path / "weights.safetensors").write_bytes(content)
        with pytest.raises(ArtifactError, match=r"weights\.safetensors"):
            load_authors(tmp_path)
