"""One side: a training loop as one writes it by hand, with a `DataLoader` that opens every picture every epoch."""

import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch.nn import functional
from torch.utils.data import DataLoader

from benchmarks.training.pictures import Pictures
from benchmarks.training.plan import Plan, Trained, run_side
from model.tvae import TVAE, Posterior, reparameterize
from training.config import ObjectiveConfig
from training.losses import kl_divergence, reconstruction_loss

WORKERS = 2
LEARNING_RATE = 1e-3
SEED = 0
TRIPLET_WEIGHT = ObjectiveConfig().triplet_weight


def train_plain(plan: Plan, folder: Path) -> Trained:  # noqa: ARG001 - it leaves nothing there
    """Train in float32 with Adam, on random triplets of each batch's labels."""
    torch.manual_seed(SEED)
    columns = [torch.tensor(plan.labels[part]) for part in plan.attributes]
    classes = torch.stack(columns, dim=1) if columns else torch.zeros(len(plan.images), 0)
    pictures = Pictures(plan.images, classes, size=plan.tvae_config.image_size, mirror=True)
    loader = DataLoader(pictures, batch_size=plan.batch_size, shuffle=True, num_workers=WORKERS)
    tvae = TVAE(plan.tvae_config).to(plan.torch_device).train()
    optimizer = torch.optim.Adam(tvae.parameters(), lr=LEARNING_RATE)
    loaded = time.perf_counter()
    epochs: list[float] = []
    figures: dict[str, float] = {}
    for _ in range(plan.epochs):
        began = time.perf_counter()
        figures = train_epoch(tvae, optimizer, loader, plan)
        epochs.append(time.perf_counter() - began)
    return Trained(loaded, tuple(epochs), figures)


def train_epoch(
    tvae: TVAE,
    optimizer: torch.optim.Optimizer,
    loader: DataLoader[tuple[torch.Tensor, torch.Tensor]],
    plan: Plan,
) -> dict[str, float]:
    """One pass over the pictures; returns the means of its terms."""
    bounds = [plan.tvae_config.slice_bounds[part] for part in plan.attributes]
    sums: dict[str, float] = {}
    for images, labels in loader:
        batch, classes = images.to(plan.torch_device), labels.to(plan.torch_device)
        posterior = tvae.encode(batch)
        logits = tvae.decode_logits(reparameterize(posterior))
        terms = compute_terms(batch, logits, posterior, classes, bounds)
        optimizer.zero_grad()
        terms["loss"].backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        for name, value in terms.items():
            sums[name] = sums.get(name, 0.0) + value.item()
    return {name: value / len(loader) for name, value in sums.items()}


def compute_terms(
    images: torch.Tensor,
    logits: torch.Tensor,
    posterior: Posterior,
    classes: torch.Tensor,
    bounds: list[tuple[int, int]],
) -> Mapping[str, torch.Tensor]:
    """The terms of a batch: (B, C, H, W) pictures and logits, (B, L) classes, one slice's bounds for each L."""
    reconstruction = reconstruction_loss(logits, images, "gaussian").mean()
    kl = kl_divergence(posterior).mean()
    triplet = sum(
        (
            random_triplets(posterior.mean[:, start:stop], classes[:, column])
            for column, (start, stop) in enumerate(bounds)
        ),
        start=torch.zeros((), device=images.device),
    )
    loss = reconstruction + kl + TRIPLET_WEIGHT * triplet
    return {"loss": loss, "reconstruction": reconstruction, "kl": kl, "triplet": triplet}


def random_triplets(vectors: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """softplus(d(anchor, positive) - d(anchor, negative)), with one random positive and negative for each anchor.

    Args:
        vectors: (B, D).
        classes: (B,) int64; -1 is unknown.

    Returns:
        () mean over the anchors; 0 where no shoe has both a positive and a negative.
    """
    known = (classes >= 0)[:, None] & (classes >= 0)[None, :]
    same = classes[:, None] == classes[None, :]
    alike = (same & known).fill_diagonal_(fill_value=False)
    different = ~same & known
    anchors = alike.any(dim=1) & different.any(dim=1)
    if not anchors.any():
        return vectors.sum() * 0.0
    positives = torch.multinomial(alike[anchors].float(), 1).squeeze(1)
    negatives = torch.multinomial(different[anchors].float(), 1).squeeze(1)
    near = functional.pairwise_distance(vectors[anchors], vectors[positives])
    far = functional.pairwise_distance(vectors[anchors], vectors[negatives])
    return functional.softplus(near - far).mean()


if __name__ == "__main__":
    run_side(train_plain, "torch", "torchvision", "pillow")
