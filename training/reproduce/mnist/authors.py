"""The authors' MNIST recipe, as they ran it: plain layers, a fixed list of random triplets, three pictures at a time.

Ishfaq, Liu, "TVAE: Deep Metric Learning Approach for Variational Autoencoder", 2017. Where the paper leaves it open,
the reading is the one whose held-out figures are those that are known of their code: the VAE's loss is the mean over
all pictures of a batch (those of all three roles), summed over pixels and latents; 50,000 triplets are drawn once; the
norm is the Frobenius norm of each role's (B, 20) means, the three added.
"""

import json
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from model.checkpoint import Checkpoint, Condition
from model.errors import ArtifactError
from model.files import sha256_file, write_atomic, write_json
from model.preprocess import PreprocessConfig
from model.progress import Progress, progress
from model.tvae import TVAE, Slice, TVAEConfig, reparameterize, to_float
from training.data.images import ImageSet
from training.data.labels import encode_labels
from training.data.mnist import DIGIT
from training.evaluation.triplet_lists import draw_triplets
from training.losses import kl_divergence, reconstruction_loss

WEIGHTS_FILE = "weights.safetensors"


@dataclass(frozen=True)
class AuthorsNetworkConfig(TVAEConfig):
    """The shape of a network of plain layers.

    Attributes:
        hidden: units of the one hidden layer on each side.
    """

    widths: tuple[int, ...] = ()
    hidden: int = 400

    def _check_layers(self) -> None:
        if self.widths or self.blocks or self.hidden < 1:
            raise ValueError(
                f"widths is {self.widths}, blocks {self.blocks}, hidden {self.hidden}; expected (), 0 and some units"
            )


class AuthorsNetwork(TVAE):
    """The authors' network: an encoder and a decoder of one hidden layer each."""

    config: AuthorsNetworkConfig

    def __init__(self, config: AuthorsNetworkConfig) -> None:
        nn.Module.__init__(self)  # not TVAE's own, which makes convolutions
        self.config = config
        shape = (config.channels, config.image_size, config.image_size)
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), config.hidden), nn.ReLU())
        self.decoder = nn.Sequential(nn.ReLU(), nn.Linear(config.hidden, math.prod(shape)), nn.Unflatten(1, shape))
        self.to_mean = nn.Linear(config.hidden, config.latent_size)
        self.to_log_variance = nn.Linear(config.hidden, config.latent_size)
        self.from_latent = nn.Linear(config.latent_size, config.hidden)

    def _features(self, images: torch.Tensor, altered: torch.Tensor | None = None) -> torch.Tensor:
        # Plain layers take ink as it is: unlike convolutions, they gain nothing from a paper of -0.5.
        features: torch.Tensor = self.encoder(images if altered is None else altered)
        return features.float()

    def decode_logits(self, latent: torch.Tensor) -> torch.Tensor:
        """(B, D) -> (B, C, H, W): the picture before the sigmoid."""
        logits: torch.Tensor = self.decoder(self.from_latent(latent))
        return logits.float()


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
    network: AuthorsNetworkConfig = field(
        default=AuthorsNetworkConfig(image_size=28, channels=1, slices=(Slice(DIGIT, 20),))
    )


def train_authors(images: ImageSet, config: AuthorsConfig, out: Path, *, device: torch.device, source: str) -> None:
    """Train by the recipe and leave the network in `out`, for `load_authors`.

    A network that is there from the same recipe is left alone. `source` of the pictures is for the record.
    """
    facts = {"catalog": source, "shoes": len(images), "config": asdict(config)}
    if _is_there(out, facts):
        return
    run = _Run(images, config, device)
    with progress(desc="train", unit="triplets", total=config.triplets * config.epochs) as shown:
        history = [run.epoch(number, shown) for number in range(1, config.epochs + 1)]
    tensors = {name: value.cpu() for name, value in run.tvae.state_dict().items()}
    write_atomic(out / WEIGHTS_FILE, safetensors.torch.save(tensors, metadata={"facts": json.dumps(facts)}))
    write_json(out / "metrics.json", {"history": history})


def load_authors(out: Path) -> Checkpoint:
    """What `train_authors` left. Raises ArtifactError."""
    path = out / WEIGHTS_FILE
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})["facts"])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        network = facts["config"]["network"]
        lists = {name: tuple(network[name]) for name in ("widths", "encoder_blocks")}
        slices = tuple(Slice(**part) for part in network["slices"])
        tvae = AuthorsNetwork(AuthorsNetworkConfig(**{**network, **lists, "slices": slices}))
        tvae.load_state_dict(state)
    except (OSError, LookupError, TypeError, ValueError, RuntimeError, safetensors.SafetensorError) as error:
        raise ArtifactError(f"no network of the authors in {path}: {error}") from error
    tvae.eval().requires_grad_(requires_grad=False)
    conditions = (Condition(DIGIT, (DIGIT,)),) if facts["config"]["metric"] else ()
    return Checkpoint(
        tvae,
        preprocess=PreprocessConfig(28, 1, 0),
        conditions=conditions,
        training=facts,
        digest=sha256_file(path),
    )


def _is_there(out: Path, facts: dict[str, Any]) -> bool:
    try:
        found = load_authors(out).training
    except ArtifactError:
        return False
    return bool(found == json.loads(json.dumps(facts)))  # JSON has no tuples


class _Run:
    """The state of one training run: weights, optimizer, triplets and generator."""

    def __init__(self, images: ImageSet, config: AuthorsConfig, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.pixels = torch.from_numpy(images.pixels)
        self.triplets = torch.from_numpy(
            draw_triplets(encode_labels(images.attributes, DIGIT), config.triplets, config.seed)
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.tvae = AuthorsNetwork(config.network).to(device)
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
