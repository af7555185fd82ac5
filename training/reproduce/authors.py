"""The authors' MNIST recipe, as they ran it: plain layers, a fixed list of random triplets, three pictures at a time.

Ishfaq, Liu, "TVAE: Deep Metric Learning Approach for Variational Autoencoder", 2017. Where the paper leaves it open,
the reading is the one whose held-out figures are those that are known of their code: the VAE's loss is the mean over
all pictures of a batch (those of all three roles), summed over pixels and latents; 50,000 triplets are drawn once; the
norm is the Frobenius norm of each role's (B, 20) means, the three added.
"""

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from model.checkpoint import Checkpoint, Condition, load_checkpoint, save_checkpoint
from model.errors import ArtifactError
from model.files import write_json
from model.preprocess import PreprocessConfig, to_float
from model.progress import Progress, progress
from model.tvae import TVAE, Slice, TVAEConfig, reparameterize
from training.data.images import ImageSet
from training.data.labels import encode_labels
from training.data.mnist import DIGIT
from training.evaluation.triplet_lists import draw_triplets
from training.losses import kl_divergence, reconstruction_loss

__all__ = ["AuthorsConfig", "train_authors"]


@dataclass(frozen=True)
class AuthorsConfig:
    """The recipe.

    Attributes:
        metric: the TVAE; without it the baseline, which is the same code with the VAE's loss alone.
        triplets: how many are drawn, once.
        batch_size: triplets in a step; three times as many pictures.
        learning_rate: of Adam.
        margin: in units of the mean vector.
        vae_weight: of the negative ELBO, in nats per picture.
        norm_weight: of the norm of the means.
        seed: of the weights, the triplets, their order and the samples.
    """

    metric: bool = True
    epochs: int = 10
    triplets: int = 50_000
    batch_size: int = 120
    learning_rate: float = 1e-3
    margin: float = 0.2
    vae_weight: float = 0.01
    norm_weight: float = 0.001
    seed: int = 0
    network: TVAEConfig = field(
        default=TVAEConfig(image_size=28, channels=1, widths=(), hidden=400, slices=(Slice(DIGIT, 20),))
    )


def train_authors(images: ImageSet, config: AuthorsConfig, out: Path, *, device: torch.device, source: str) -> None:
    """Train by the recipe and leave the checkpoint in `out`. One that is there from the same recipe is left alone.

    Args:
        images: the training pictures.
        config: the recipe.
        out: the checkpoint's folder.
        device: where to train.
        source: what the pictures were read from, for the checkpoint's facts.
    """
    facts = {"catalog": source, "shoes": len(images), "config": asdict(config)}
    if _is_there(out, facts):
        return
    run = _Run(images, config, device)
    with progress(desc="train", unit="triplets", total=config.triplets * config.epochs) as shown:
        history = [run.epoch(number, shown) for number in range(1, config.epochs + 1)]
    conditions = (Condition(DIGIT, (DIGIT,)),) if config.metric else ()
    checkpoint = Checkpoint(run.tvae.eval(), PreprocessConfig(28, 1, 0), conditions, facts)
    digest = save_checkpoint(out, checkpoint)
    write_json(out / "metrics.json", {"checkpoint": digest, "history": history})


def _is_there(out: Path, facts: dict[str, Any]) -> bool:
    try:
        found = load_checkpoint(out).training
    except ArtifactError:
        return False
    # JSON has no tuples.
    return _plain(dict(found)) == _plain(facts)


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


class _Run:
    """One training, from weights to weights."""

    def __init__(self, images: ImageSet, config: AuthorsConfig, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.pixels = torch.from_numpy(images.pixels)
        self.triplets = torch.from_numpy(
            draw_triplets(encode_labels(images.attributes, DIGIT), config.triplets, config.seed)
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.tvae = TVAE(config.network).to(device)
        self.optimizer = torch.optim.Adam(self.tvae.parameters(), lr=config.learning_rate, fused=True)
        self.generator = torch.Generator().manual_seed(config.seed)

    def epoch(self, number: int, shown: Progress) -> dict[str, Any]:
        """One pass over the triplets; returns its figures, in the form that `training.train` gives them."""
        start = time.perf_counter()
        order = torch.randperm(len(self.triplets), generator=self.generator)
        sums: dict[str, float] = {}
        batches = torch.split(order, self.config.batch_size)
        for rows in batches:
            for name, value in self._step(self.triplets[rows]).items():
                sums[name] = sums.get(name, 0.0) + value / len(batches)
            shown.update(len(rows))
        seconds = time.perf_counter() - start
        return {
            "epoch": number,
            "seconds": round(seconds, 3),
            "images_per_second": round(3 * len(order) / seconds, 1),
            "training": sums,
            "validation": {},
        }

    def _step(self, triplets: torch.Tensor) -> dict[str, float]:
        """One step on (B, 3) triplets; all three roles go through the network as one batch of 3 B pictures."""
        config = self.config
        images = to_float(self.pixels[triplets.T.reshape(-1)].to(self.device))
        posterior = self.tvae.encode(images)
        noise = torch.randn(posterior.mean.shape, generator=self.generator).to(self.device)
        logits = self.tvae.decode_logits(reparameterize(posterior, noise))
        reconstruction = reconstruction_loss(logits, images, "bernoulli").mean()
        kl = kl_divergence(posterior).mean()
        total = config.vae_weight * (reconstruction + kl)
        figures = {"reconstruction": reconstruction, "kl": kl}
        if config.metric:
            anchor, positive, negative = posterior.mean.chunk(3)
            near = torch.nn.functional.pairwise_distance(anchor, positive)
            far = torch.nn.functional.pairwise_distance(anchor, negative)
            figures[f"triplet/{DIGIT}"] = (near - far + config.margin).clamp_min(0.0).mean()
            norm = anchor.norm() + positive.norm() + negative.norm()
            total = total + figures[f"triplet/{DIGIT}"] + config.norm_weight * norm
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return {"loss": total.item()} | {name: value.item() for name, value in figures.items()}
