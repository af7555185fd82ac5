"""The perceptual loss, on a VGG19 with drawn weights: against torchvision's own layers, and what must stay as it is."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import VGG19_Weights
from torchvision.models.vgg import cfgs, make_layers

from model.errors import TrainingError
from training.config import PERCEPTUAL_LAYERS
from training.perceptual import WEIGHTS_FILE, PerceptualLoss, find_vgg_weights

ALL_LAYERS = [
    f"relu{block}_{number}" for block, count in enumerate((2, 2, 4, 4, 4), 1) for number in range(1, count + 1)
]


@pytest.fixture(scope="module")
def vgg() -> nn.Sequential:
    """The layers of torchvision's `vgg19().features`, with drawn weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        features: nn.Sequential = make_layers(cfgs["E"], batch_norm=False)
    return features.eval()


def save(features: nn.Sequential, path: Path) -> Path:
    """Write weights under torchvision's names, and a classifier's that nobody needs."""
    state = {f"features.{name}": value for name, value in features.state_dict().items()}
    torch.save({**state, "classifier.0.bias": torch.zeros(3)}, path)
    return path


@pytest.fixture(scope="module")
def weights(vgg: nn.Sequential, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the weights that the default layers need."""
    return save(vgg[:12], tmp_path_factory.mktemp("vgg") / "vgg19.pth")


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    """Pictures of noise in [0, 1]."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def expected_terms(
    vgg: nn.Sequential, layers: Sequence[str], reconstruction: torch.Tensor, images: torch.Tensor
) -> dict[str, list[float]]:
    """The same by hooks on torchvision's layers, one picture at a time."""
    mean, std = torch.tensor(VGG19_Weights.IMAGENET1K_V1.transforms().mean), torch.tensor([0.229, 0.224, 0.225])
    relus = [module for module in vgg if isinstance(module, nn.ReLU)]
    seen: dict[str, torch.Tensor] = {}

    def keep(layer: str) -> torch.utils.hooks.RemovableHandle:
        return relus[ALL_LAYERS.index(layer)].register_forward_hook(
            lambda module, inputs, output: seen.__setitem__(layer, output.clone())
        )

    handles = [keep(layer) for layer in layers]
    terms: dict[str, list[float]] = {layer: [] for layer in layers}
    for one, other in zip(reconstruction, images, strict=True):
        pair = []
        for picture in (one, other):
            colours = torch.stack([(picture[c % len(picture)] - mean[c]) / std[c] for c in range(3)])
            vgg(colours[None])
            pair.append(dict(seen))
        for layer in layers:
            terms[layer].append(((pair[0][layer] - pair[1][layer]) ** 2).mean().item())
    for handle in handles:
        handle.remove()
    return terms


@pytest.mark.parametrize(
    ("layers", "channels"),
    [
        (PERCEPTUAL_LAYERS, 3),
        (PERCEPTUAL_LAYERS, 1),
        (["relu5_1", "relu3_1", "relu4_1"], 3),
        (["relu4_2"], 3),
        (["relu2_2", "relu5_4"], 3),
    ],
)
@torch.no_grad()
def test_against_hooks_on_torchvision(vgg: nn.Sequential, tmp_path: Path, layers: list[str], channels: int) -> None:
    """The loss is the sum of the mean squared differences of torchvision's features."""
    reconstruction, images = draw(2, channels, 64, 64), draw(2, channels, 64, 64, seed=1)
    weights = save(vgg, tmp_path / "vgg19.pth")
    terms = PerceptualLoss(layers, weights)(reconstruction, images)
    weights.unlink()  # 80 MB
    expected = expected_terms(vgg, layers, reconstruction, images)
    assert terms.tolist() == pytest.approx([sum(row) for row in zip(*expected.values(), strict=True)], rel=1e-4)


def test_the_network_ends_after_the_deepest_layer(weights: Path) -> None:
    """Nothing behind the deepest layer is built, whatever the layers' order."""
    assert len(PerceptualLoss(("relu3_1", "relu1_1"), weights).features) == 12
    assert len(PerceptualLoss(("relu1_1",), weights).features) == 2


def test_frozen_and_in_eval_mode(weights: Path) -> None:
    """No parameter asks for a gradient, and `train` of the module or of one that holds it changes no mode."""
    loss = PerceptualLoss(weights=weights)
    nn.Sequential(loss).train()
    loss.train()
    assert not any(module.training for module in loss.modules())
    assert not any(parameter.requires_grad for parameter in loss.parameters())


def test_gradients_reach_the_reconstruction_alone(weights: Path) -> None:
    """The pictures and the weights get no gradient; the reconstruction gets one, and a step along it helps."""
    loss = PerceptualLoss(weights=weights)
    reconstruction, images = draw(2, 3, 32, 32).requires_grad_(), draw(2, 3, 32, 32, seed=1).requires_grad_()
    before = loss(reconstruction, images).sum()
    (gradient,) = torch.autograd.grad(before, [reconstruction], retain_graph=True)
    before.backward()
    assert images.grad is None
    assert all(parameter.grad is None for parameter in loss.parameters())
    step = 0.1 * gradient / gradient.abs().max()
    assert loss((reconstruction - step).detach(), images).sum() < before


def test_same_pictures_are_no_distance_apart(weights: Path) -> None:
    """The loss of a picture with itself is 0, and its gradient is finite."""
    images = draw(1, 3, 32, 32)
    reconstruction = images.clone().requires_grad_()
    loss = PerceptualLoss(weights=weights)(reconstruction, images)
    loss.sum().backward()
    assert loss.tolist() == [0.0]
    assert reconstruction.grad is not None
    assert reconstruction.grad.isfinite().all()


@torch.no_grad()
def test_deterministic(weights: Path) -> None:
    """The same pictures give the same terms, to the bit, and building it moves no random state."""
    state = torch.get_rng_state()
    terms = [PerceptualLoss(weights=weights)(draw(2, 3, 32, 32), draw(2, 3, 32, 32, seed=1)) for _ in range(2)]
    assert torch.equal(*terms)
    assert torch.equal(state, torch.get_rng_state())


@torch.no_grad()
def test_under_autocast(weights: Path) -> None:
    """In bfloat16 the terms are float32 still and nearly the same."""
    loss, pictures = PerceptualLoss(weights=weights), (draw(2, 3, 32, 32), draw(2, 3, 32, 32, seed=1))
    with torch.autocast("cpu", torch.bfloat16):
        terms = loss(*pictures)
    assert terms.dtype == torch.float32
    torch.testing.assert_close(terms, loss(*pictures), rtol=0.05, atol=0)


def test_reads_safetensors(vgg: nn.Sequential, weights: Path, tmp_path: Path) -> None:
    """The same weights from a safetensors file, in half precision, give nearly the same terms."""
    path = tmp_path / "vgg19.safetensors"
    save_file({f"features.{name}": value.half() for name, value in vgg[:12].state_dict().items()}, path)
    pictures = draw(1, 3, 32, 32), draw(1, 3, 32, 32, seed=1)
    terms = [PerceptualLoss(weights=each)(*pictures) for each in (path, weights)]
    assert terms[0].dtype == torch.float32
    torch.testing.assert_close(*terms, rtol=0.02, atol=0)


def test_the_cache_is_torchvisions(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file it takes the one in torch's cache, under torchvision's name, and says how to get it."""
    assert VGG19_Weights.IMAGENET1K_V1.url.rpartition("/")[2] == WEIGHTS_FILE
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    place = tmp_path / "hub" / "checkpoints" / WEIGHTS_FILE
    with pytest.raises(TrainingError, match="--vgg-weights FILE") as caught:
        PerceptualLoss()
    assert str(place) in str(caught.value)
    assert "VGG19_Weights" in str(caught.value)
    place.parent.mkdir(parents=True)
    place.write_bytes(weights.read_bytes())
    assert find_vgg_weights() == place
    assert PerceptualLoss(("relu1_1",)).positions == {1}


@pytest.mark.parametrize("layer", ["relu1_3", "relu6_1", "relu0_1", "conv1_1", "relu3_5", "", "relu1_0"])
def test_unknown_layers(weights: Path, layer: str) -> None:
    """A layer that VGG19 does not have is named, with those that it has; a loss of no layers is refused."""
    with pytest.raises(TrainingError, match=rf"no layer '{layer}'; expected some of: relu1_1, relu1_2, relu2_1.*5_4$"):
        PerceptualLoss(("relu1_1", layer), weights)
    with pytest.raises(TrainingError, match="no layer"):
        PerceptualLoss((), weights)


def test_unusable_weights(weights: Path, tmp_path: Path) -> None:
    """A file that is missing, torn, of another network, no state dict, or pickled code is a clear error."""
    torn, other, array, pickled = (tmp_path / name for name in ("torn.pth", "other.pth", "array.pth", "code.pth"))
    torn.write_bytes(weights.read_bytes()[:1000])
    torch.save({"features.0.weight": torch.zeros(4, 3, 3, 3)}, other)
    torch.save(torch.zeros(3), array)
    torch.save(nn.ReLU(), pickled)
    empty = tmp_path / "empty.safetensors"
    empty.touch()
    for path in (tmp_path / "missing.pth", tmp_path / "missing.safetensors", tmp_path, torn, pickled, empty):
        with pytest.raises(TrainingError, match=r"can't read the weights of VGG19 from .+: \S"):
            PerceptualLoss(weights=path)
    with pytest.raises(TrainingError, match=r"10 of the 10 tensors .* such as features\.0\.weight"):
        PerceptualLoss(weights=other)
    with pytest.raises(TrainingError, match="not a state dict"):
        PerceptualLoss(weights=array)
