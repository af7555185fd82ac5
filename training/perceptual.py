"""The feature reconstruction loss of VGG19 (Hou et al., "Deep Feature Consistent Variational Autoencoder", 2017).

Pixels punish a sole that is one pixel too low as much as one that is missing. The features of a network trained to
recognise things punish what is seen. The weights are torchvision's, trained on ImageNet; they are no part of a
checkpoint, since nothing but training needs them.
"""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torchvision.models import VGG19_Weights, vgg19

from model.errors import TrainingError
from model.files import sha256_file
from training.config import PERCEPTUAL_LAYERS

WEIGHTS_FILE: str = VGG19_Weights.IMAGENET1K_V1.url.rpartition("/")[2]
"""How torchvision calls them in its cache."""

# Of ImageNet's pictures, for which the weights were trained. RGB.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class PerceptualLoss(nn.Module):
    """Compares pictures by what VGG19 sees in them. Frozen, and in eval mode whatever `train` is told.

    Args:
        layers: `relu<block>_<number>`, from relu1_1 to relu5_4. The network ends after the deepest one.
        weights: a file with torchvision's VGG19 (.pth, or .safetensors with the same names), whole or its
            `features.*` alone. None takes the one in torch's cache.

    Attributes:
        weights_sha256: of the weights' file.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, layers: Sequence[str] = PERCEPTUAL_LAYERS, weights: Path | None = None) -> None:
        super().__init__()
        features, positions = _build_features()
        unknown = [layer for layer in layers if layer not in positions]
        if unknown or not layers:
            named = f"VGG19 has no layer {unknown[0]!r}" if unknown else "no layer of VGG19 was named"
            raise TrainingError(f"{named}; expected some of: {', '.join(positions)}")
        self.positions = {positions[layer] for layer in layers}
        self.features = features[: max(self.positions) + 1]
        path = find_vgg_weights() if weights is None else weights
        _load(self.features, path)
        self.weights_sha256 = sha256_file(path)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(requires_grad=False)
        self.eval()

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 - nn.Module's own signature
        """Stay in eval mode: this is a yardstick, not a part of what is trained."""
        del mode
        return super().train(mode=False)

    def forward(self, reconstruction: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Compare pictures with their reconstructions.

        Unlike in the paper the squares are not halved. Under autocast the convolutions run in its precision; the
        differences are in float32.

        Args:
            reconstruction: (B, C, H, W) in [0, 1]; C is 3, or 1 for grey. Gradients flow to it.
            images: (B, C, H, W) in [0, 1]: what it should look like. No gradient flows to it.

        Returns:
            (B,) float32: the mean squared difference over each layer's features, summed over the layers.
        """
        with torch.no_grad():
            wanted = self._extract(images)
        shown = self._extract(reconstruction)
        terms = [(one - other).square().flatten(1).mean(dim=1) for one, other in zip(shown, wanted, strict=True)]
        return torch.stack(terms).sum(dim=0)

    def _extract(self, images: torch.Tensor) -> list[torch.Tensor]:
        """(B, C, H, W) in [0, 1] -> each layer's (B, F, h, w) features, float32, from the picture inwards."""
        activations = (images.float().expand(-1, 3, -1, -1) - self.mean) / self.std
        features = []
        for position, module in enumerate(self.features):
            activations = module(activations)
            if position in self.positions:
                features.append(activations.float())
        return features


def find_vgg_weights() -> Path:
    """Where torch's cache keeps VGG19's weights."""
    path: Path = Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS_FILE
    if not path.is_file():
        raise TrainingError(
            f"the weights of VGG19 are not there: expected {path} (torchvision's VGG19_Weights.IMAGENET1K_V1, 548 MB). "
            "On a machine with a network, fetch them by `python -c 'from torchvision.models import VGG19_Weights as W; "
            f"W.IMAGENET1K_V1.get_state_dict()'`; then copy {WEIGHTS_FILE} there, or name it with --vgg-weights FILE"
        )
    return path


def _build_features() -> tuple[nn.Sequential, dict[str, int]]:
    """The convolutions of torchvision's VGG19, without memory for weights, and the position of each of its layers."""
    # Drawing weights only to load others over them would cost time and memory and move the random state.
    with torch.device("meta"):
        features: nn.Sequential = vgg19(weights=None, init_weights=False).features
    positions, block, number = {}, 1, 0
    for position, module in enumerate(features):
        if isinstance(module, nn.ReLU):
            number += 1
            positions[f"relu{block}_{number}"] = position
        elif isinstance(module, nn.MaxPool2d):
            block, number = block + 1, 0
    return features, positions


def _load(features: nn.Sequential, path: Path) -> None:
    expected = {f"features.{name}": value for name, value in features.state_dict().items()}
    state = _read(path)
    wrong = [name for name, value in expected.items() if name not in state or state[name].shape != value.shape]
    if wrong:
        raise TrainingError(
            f"{path} does not hold torchvision's VGG19: {len(wrong)} of the {len(expected)} tensors needed are not in "
            f"it or of another shape, such as {wrong[0]}"
        )
    found = {name.removeprefix("features."): state[name].float() for name in expected}
    features.load_state_dict(found, assign=True)


def _read(path: Path) -> Mapping[str, torch.Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, SafetensorError, pickle.UnpicklingError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise TrainingError(f"can't read the weights of VGG19 from {path}: {reason}") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise TrainingError(f"{path} is not a state dict: expected names and tensors")
    return state
