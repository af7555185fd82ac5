"""The network as it is trained: the TVAE with its classifiers in one forward pass."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from model.tvae import TVAE, Posterior, reparameterize
from training.objective import ConditionLabels


class ForwardPass(NamedTuple):
    """The network's output for a batch of b shoes.

    Attributes:
        posterior: (b, D) each.
        logits: (b, C, H, W), before the decoder's sigmoid.
        class_logits: (b, V) of each condition's classifier, or (2 b, V) with the references' below; empty without
            classifiers.
        references: (b, D - free) ordered slices of the catalogue pictures, where photos were shown.
    """

    posterior: Posterior
    logits: torch.Tensor
    class_logits: list[torch.Tensor]
    references: torch.Tensor | None = None


class TrainingNetwork(nn.Module):
    """Encoder, classifiers, sampling and decoder in one forward call, as DistributedDataParallel needs it."""

    def __init__(self, tvae: TVAE, conditions: Sequence[ConditionLabels], classifiers: nn.ModuleList) -> None:
        super().__init__()
        self.tvae, self.classifiers = tvae, classifiers
        self.bounds = [(each.start, each.stop) for each in conditions]

    def forward(
        self, images: torch.Tensor, altered: torch.Tensor, noise: torch.Tensor, reference: torch.Tensor | None = None
    ) -> ForwardPass:
        """(B, C, H, W) twice, and (B, D), as `TVAE.encode` takes them; with `reference` as `encode_beside` does."""
        references = None
        if reference is None:
            posterior = self.tvae.encode(images, altered)
        else:
            posterior, references = self.tvae.encode_beside(images, altered, reference)
        ordered = posterior.mean
        if references is not None:
            ordered = torch.cat([ordered[:, : references.shape[1]], references])
        with torch.autocast(images.device.type, enabled=False):
            class_logits = [
                classifier(ordered[:, start:stop])
                for classifier, (start, stop) in zip(self.classifiers, self.bounds, strict=bool(self.classifiers))
            ]
        logits = self.tvae.decode_logits(reparameterize(posterior, noise))
        return ForwardPass(posterior, logits, class_logits, references)


def make_classifiers(conditions: Sequence[ConditionLabels]) -> nn.ModuleList:
    """For each condition a linear classifier from its slice to its attribute's values."""
    return nn.ModuleList(nn.Linear(each.stop - each.start, each.table.shape[1]) for each in conditions)
