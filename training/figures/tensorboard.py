"""TensorBoard: the figures of a run as event files, where the package is installed."""

import importlib
from collections.abc import Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Any

from model.errors import TrainingError


class TensorBoardWriter:
    """Writes event files. Figures of a resumed run continue those that are there."""

    def __init__(self, folder: Path, epoch: int) -> None:
        """Open `folder` for the epochs after `epoch`; what a killed run wrote beyond it is hidden."""
        try:
            tensorboard = importlib.import_module("torch.utils.tensorboard")
        except ImportError as error:
            raise TrainingError(
                f"--tensorboard needs the package tensorboard ({error}); it comes with the extra `tensorboard`: "
                "pip install 'solemate[tensorboard]'"
            ) from None
        self._writer = tensorboard.SummaryWriter(str(folder), purge_step=epoch + 1)

    def add_epoch(self, figures: Mapping[str, Any]) -> None:
        """Add one epoch of the history."""
        for group in ("training", "validation"):
            for name, value in figures[group].items():
                self._writer.add_scalar(f"{group}/{name}", value, figures["epoch"])
        for name in ("learning_rate", "images_per_second"):
            self._writer.add_scalar(f"run/{name}", figures[name], figures["epoch"])
        self._writer.flush()

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()


def open_writer(folder: Path, epoch: int, *, wanted: bool) -> AbstractContextManager[TensorBoardWriter | None]:
    """A writer to `folder`/tensorboard for the epochs after `epoch`, closed with the block; None if not `wanted`."""
    return closing(TensorBoardWriter(folder / "tensorboard", epoch)) if wanted else nullcontext()
