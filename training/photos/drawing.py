"""The drawing stage: the last epochs of a network that learns from photos, in which only what draws learns.

Before it the decoder and the free remainder's encoder see a photo of every second shoe, and drawings of catalogue
pictures pay for that. Here they see catalogue pictures mostly. What orders shoes stays as it is, to the bit.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from model.tvae import TVAE
from training.network import ForwardPass, TrainingNetwork
from training.objective import Objective

if TYPE_CHECKING:
    from training.train import Run


def drawing_stage(run: "Run") -> "Run":
    """The run as the drawing stage takes it: the same state, of which only what draws learns."""
    config = run.config
    return replace(
        run,
        config=replace(
            config,
            epochs=config.drawing_epochs,
            photos=replace(config.photos, share=config.photos.drawing_stage_share),
            augment=replace(config.augment, moved=0.0, colour=0.0, erase=0.0),
        ),
        network=_DrawingNetwork(run.state.network),
        objective=Objective(replace(config.objective, kl_warmup=0.0), (), run.process_group),
    )


class _DrawingNetwork(TrainingNetwork):
    """What draws learns; what orders, in eval mode, does not."""

    def __init__(self, tvae: TVAE) -> None:
        super().__init__(tvae, (), nn.ModuleList())
        for part in tvae.ordering:
            part.requires_grad_(requires_grad=False)

    def train(self, mode: bool = True) -> "_DrawingNetwork":  # noqa: FBT001, FBT002 - as nn.Module has it
        """Batch normalisation of what orders keeps its statistics."""
        super().train(mode)
        for part in self.tvae.ordering:
            part.eval()
        return self

    def forward(
        self,
        images: torch.Tensor,
        altered: torch.Tensor,
        noise: torch.Tensor,
        reference: torch.Tensor | None = None,  # noqa: ARG002 - nothing is ordered by it here
    ) -> ForwardPass:
        """As the base class, without the references."""
        return super().forward(images, altered, noise)
