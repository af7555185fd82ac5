"""Training the localizer on composites of the catalogue's own shoes."""

import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from model.localization import letterbox, whole_window
from model.localizer import Localizer, LocalizerConfig
from model.progress import progress
from model.tvae import to_float
from training.averaging import WeightAverage
from training.config import Precision
from training.execution import Execution, choose_precision
from training.photos.backgrounds import add_decoys, draw_background, pick_background
from training.photos.composites import CompositeConfig, compose
from training.photos.outlines import Outlined
from training.schedule import one_cycle

_log = logging.getLogger(__name__)

CANVASES = ((112, 112), (128, 96), (96, 128))
BANK_SIDE = 192
MOST_DRAWING = 4
"""Processes that draw composites, at most: where they are not forked, each has a copy of the backgrounds, 270 MB."""


@dataclass(frozen=True)
class LocalizerTraining:
    """How the localizer is trained.

    Attributes:
        samples: composites in all; each is drawn anew.
        batch_size: composites in a step.
        learning_rate: the peak of a one-cycle schedule.
        ema_decay: of the average of the weights that is kept.
        empty_share: of pictures without any shoe.
        precision: of the convolutions.
        threads: that train it or draw its composites, in processes of their own; None is torch's own number.
        seed: of everything random.
    """

    samples: int = 80_000
    batch_size: int = 32
    learning_rate: float = 3e-3
    ema_decay: float = 0.995
    empty_share: float = 0.15
    precision: Precision = "auto"
    threads: int | None = None
    seed: int = 0


def draw_backgrounds(shoes: Sequence[Outlined], seed: int, count: int, *, workers: int = 1) -> NDArray[np.uint8]:
    """A bank of backgrounds: (count, 192, 192, 3) uint8, each by its own seed, drawn by so many threads."""
    pictures = [shoe.pixels for shoe in shoes]

    def draw(index: int) -> NDArray[np.uint8]:
        return draw_background(np.random.default_rng([seed, 1, index]), BANK_SIDE, pictures)

    with ThreadPoolExecutor(workers) as pool:
        return np.stack(list(pool.map(draw, range(count))))


class _Composites(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Composite number i: (3, size, size) uint8, and its mask (size, size) float32; each by its own seed."""

    def __init__(
        self, shoes: Sequence[Outlined], bank: NDArray[np.uint8], training: LocalizerTraining, size: int
    ) -> None:
        self.shoes, self.bank, self.training, self.size = shoes, bank, training, size

    def __len__(self) -> int:
        return self.training.samples

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        random = np.random.default_rng([self.training.seed, 2, index])
        canvas = CANVASES[int(random.integers(len(CANVASES)))]
        pixels = add_decoys(random, pick_background(random, self.bank, canvas), self.bank)
        mask = np.zeros(pixels.shape[:2], np.float32)
        if random.random() >= self.training.empty_share:
            shoe = self.shoes[int(random.integers(len(self.shoes)))]
            halo = shoe.halo if random.random() < 0.7 else None
            pixels, mask, _ = compose(random, shoe.pixels, shoe.outline, pixels, CompositeConfig(), halo=halo)
        window = whole_window(canvas)
        image = letterbox(Image.fromarray(pixels), window, self.size)
        # The letterbox's own grey is no shoe: what lies beyond the picture is black here.
        target = Image.fromarray((mask * 255).astype(np.uint8)).transform(
            (self.size, self.size),
            Image.Transform.EXTENT,
            window,
            Image.Resampling.BILINEAR,
            fillcolor=0,
        )
        return torch.from_numpy(image), torch.from_numpy(np.asarray(target, dtype=np.float32) / 255.0)


def train_localizer(
    shoes: Sequence[Outlined], bank: NDArray[np.uint8], training: LocalizerTraining, device: torch.device
) -> Localizer:
    """Train a localizer; returns it in eval mode, on the CPU.

    Args:
        shoes: with their outlines; at least one.
        bank: (N, side, side, 3), backgrounds.
        training: how.
        device: where to train.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        localizer = Localizer(LocalizerConfig())
    localizer.to(device=device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        localizer.parameters(), lr=training.learning_rate, weight_decay=1e-2, betas=(0.9, 0.99)
    )
    threads = training.threads or torch.get_num_threads()
    # A thread of torch on each processor would compete with the processes that draw: 80 composites a second on two
    # processors, measured, and 148 with one of each (docs/results.md).
    drawing = max(1, min(MOST_DRAWING, threads // 2))
    execution = Execution(max(1, threads - drawing), choose_precision(training.precision, device))
    average = WeightAverage(localizer, training.ema_decay)
    composites = _Composites(shoes, bank, training, localizer.config.size)
    batches = DataLoader(composites, training.batch_size, num_workers=drawing, drop_last=True)
    start = time.perf_counter()
    with execution.applied(), progress(desc="localizer", unit="images", total=len(composites)) as shown:
        for step, (images, targets) in enumerate(batches):
            for group in optimizer.param_groups:
                group["lr"] = training.learning_rate * one_cycle(step / len(batches), first=0.01, last=0.003)
            given = to_float(images.to(device)).contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16, enabled=execution.precision == "bf16"):
                logits = localizer(given)
            loss = localizer_loss(logits, targets.to(device))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(localizer.parameters(), 1.0)
            optimizer.step()
            average.update(localizer, step + 1)
            shown.note(f"loss {loss.item():.3f}")
            shown.update(len(images))
    _log.info("trained the localizer in %.0f s, on %s", time.perf_counter() - start, execution)
    return average.network.cpu()


def localizer_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy and half a soft Dice loss (Milletari et al., 2016): (B, H, W) twice -> ()."""
    entropy = functional.binary_cross_entropy_with_logits(logits, targets)
    shares = torch.sigmoid(logits)
    overlap = (shares * targets).sum(dim=(1, 2))
    dice = (2.0 * overlap + 1.0) / (shares.sum(dim=(1, 2)) + targets.sum(dim=(1, 2)) + 1.0)
    return entropy + 0.5 * (1.0 - dice).mean()
