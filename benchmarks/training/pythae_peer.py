"""One side: pythae's trainer, as its README uses it. Runs in the peers' own environment.

It knows no triplets and no bfloat16 on a CPU, so what it is timed on is the VAE alone.
"""

import time
from pathlib import Path
from typing import Any

import torch
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.pipelines import TrainingPipeline
from pythae.trainers import BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback

from benchmarks.training.pictures import Pictures
from benchmarks.training.plan import Plan, Trained, run_side
from model.tvae import TVAE

LEARNING_RATE = 1e-3


class _Encoder(BaseEncoder):  # type: ignore[misc] # pythae has no types
    def __init__(self, tvae: TVAE) -> None:
        super().__init__()
        self.tvae = tvae

    def forward(self, images: torch.Tensor) -> Any:  # noqa: ANN401
        posterior = self.tvae.encode(images)
        return ModelOutput(embedding=posterior.mean, log_covariance=posterior.log_variance)


class _Decoder(BaseDecoder):  # type: ignore[misc] # pythae has no types
    def __init__(self, tvae: TVAE) -> None:
        super().__init__()
        self.tvae = tvae

    def forward(self, latent: torch.Tensor) -> Any:  # noqa: ANN401
        return ModelOutput(reconstruction=self.tvae.decode(latent))


class _Clock(TrainingCallback):  # type: ignore[misc] # pythae has no types
    """Takes the time from an epoch's start to the end of its last step, and the epoch's loss."""

    def __init__(self) -> None:
        self.began = self.ended = 0.0
        self.epochs: list[float] = []
        self.loss = 0.0

    def on_train_step_begin(self, *_: object, **__: object) -> None:
        """The trainer's word for the start of an epoch's training."""
        self.began = time.perf_counter()

    def on_train_step_end(self, *_: object, **__: object) -> None:
        """After each batch."""
        self.ended = time.perf_counter()

    def on_epoch_end(self, *_: object, **__: object) -> None:
        """After the epoch's last batch and a copy of the best weights."""
        self.epochs.append(self.ended - self.began)

    def on_log(self, _: object, logs: dict[str, float], **__: object) -> None:
        """The epoch's figures."""
        self.loss = logs["train_epoch_loss"]


def train_pythae(plan: Plan, folder: Path) -> Trained:
    """Decode all pictures into a tensor, which is what pythae takes, and train a VAE."""
    size = plan.tvae_config.image_size
    pictures = Pictures(plan.images, torch.zeros(len(plan.images), 0), size=size, mirror=False)
    images = torch.stack([pictures[index][0] for index in range(len(pictures))])
    loaded = time.perf_counter()
    tvae = TVAE(plan.tvae_config)
    shape = VAEConfig(input_dim=tuple(images.shape[1:]), latent_dim=plan.tvae_config.latent_size)
    training = BaseTrainerConfig(
        output_dir=str(folder / "pythae"),
        num_epochs=plan.epochs,
        learning_rate=LEARNING_RATE,
        per_device_train_batch_size=plan.batch_size,
        no_cuda=plan.torch_device.type == "cpu",
    )
    clock = _Clock()
    pipeline = TrainingPipeline(training_config=training, model=VAE(shape, _Encoder(tvae), _Decoder(tvae)))
    pipeline(train_data=images, callbacks=[clock])
    return Trained(loaded, tuple(clock.epochs), {"loss": clock.loss})


if __name__ == "__main__":
    run_side(train_pythae, "torch", "torchvision", "pythae")
