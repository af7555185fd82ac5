"""A trained network as it runs fastest: the same function, without what only training needed.

Batch normalisation is, in eval mode, a scale and a shift of each feature map: both are folded into the convolution
before it.
"""

import copy
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from model.errors import QueryError
from model.framing import hide_scale
from model.localizer import DoublingConv, Localizer
from model.tvae import TVAE, TVAEConfig, to_float

FOLDED_TOLERANCE = 1e-5
"""How far a number of a mean vector may lie from what the network as it was trained says, relative to the largest."""


def pick_device(name: str) -> torch.device:
    """The device of that name, in upper or lower case; `auto` is the GPU where there is one, else the CPU.

    Raises:
        QueryError: no such device on this machine.
    """
    name = name.lower()
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (AssertionError, RuntimeError) as error:
        raise QueryError("device", f"device {name!r} can't be used here; expected auto, cpu or cuda") from error
    return device


def scale_of(config: TVAEConfig, overall: Mapping[str, float]) -> NDArray[np.float32]:
    """(D,): what the numbers of the posterior's mean are multiplied by in an embedding; see `BaseCheckpoint`."""
    scale = np.ones(config.latent_size, dtype=np.float32)
    for name, (start, stop) in config.slice_bounds.items():
        scale[start:stop] = overall.get(name, 1.0)
    return scale


class TorchNetworks:
    """`model.base_checkpoint.Networks`, run by torch. The localizer runs on the CPU, wherever the rest does."""

    runtime: Literal["torch"] = "torch"

    def __init__(
        self, tvae: TVAE, localizer: Localizer | None, *, overall: Mapping[str, float], marked: bool, device: str
    ) -> None:
        """Make copies for inference.

        Args:
            tvae: is moved to the device.
            localizer: if there is one.
            overall: the slices' weights; see `BaseCheckpoint`.
            marked: pictures bear the mark of their scale, which drawings are to be without.
            device: as torch names it.
        """
        self.localizer = None if localizer is None else fold_norms(localizer)
        self._device, self._marked = torch.device(device), marked
        self._tvae = prepare_network(tvae.to(device=self._device).eval())
        self._scale = scale_of(tvae.config, overall)

    @torch.inference_mode()
    def embed(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See Networks."""
        images = to_float(torch.from_numpy(pixels).to(self._device))
        mean = self._tvae.mean(images.contiguous(memory_format=torch.channels_last))
        vectors: NDArray[np.float32] = mean.cpu().numpy() * self._scale
        return vectors

    @torch.inference_mode()
    def decode(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """See Networks."""
        images = self._tvae.decode(torch.from_numpy(vectors / self._scale).to(self._device))
        if self._marked:
            images = hide_scale(images)
        pictures: NDArray[np.float32] = images.cpu().contiguous().numpy()
        return pictures


def prepare_network(tvae: TVAE) -> TVAE:
    """A copy for inference, on the same device; `tvae` itself stays as it is, and may be trained on.

    Its mean vectors and pictures are those of `tvae` in eval mode, to `FOLDED_TOLERANCE`.
    """
    folded = copy.deepcopy(tvae).requires_grad_(requires_grad=False).eval()
    folded.encoder = _fold_all(folded.encoder)
    folded.decoder = _fold_all(folded.decoder)
    return folded.to(memory_format=torch.channels_last)


def fold_norms(localizer: Localizer) -> Localizer:
    """A copy of a localizer for inference, with its normalisation folded into its convolutions."""
    folded: Localizer = _fold_all(copy.deepcopy(localizer).requires_grad_(requires_grad=False).eval())
    for each in folded.modules():
        if isinstance(each, DoublingConv):
            each.fix()
    return folded.to(memory_format=torch.channels_last)


def _fold_all(part: nn.Module) -> Any:  # noqa: ANN401 - the kind of module that came in
    """`part` with each convolution and the normalisation that follows it made one, at any depth."""
    for name, child in part.named_children():
        setattr(part, name, _fold_all(child))
    if not isinstance(part, nn.Sequential):
        return part
    layers: list[nn.Module] = []
    for layer in part:
        if isinstance(layer, nn.BatchNorm2d) and layers and isinstance(layers[-1], nn.Conv2d | nn.ConvTranspose2d):
            layers[-1] = _fold(layers[-1], layer)
        else:
            layers.append(layer)
    return nn.Sequential(*layers)


def _fold(convolution: nn.Conv2d | nn.ConvTranspose2d, norm: nn.BatchNorm2d) -> nn.Module:
    """One convolution for the two, worked out in float64, since every picture has its rounding."""
    transposed = isinstance(convolution, nn.ConvTranspose2d)
    fused: nn.Module = fuse_conv_bn_eval(convolution.double(), norm.double(), transpose=transposed)
    return fused.float()
