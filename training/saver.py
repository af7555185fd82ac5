"""What a run leaves behind: its state now and then, its checkpoint, and at the end its curves."""

import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from model.checkpoint import Checkpoint, save_checkpoint
from model.files import write_atomic, write_json
from training.card import write_card
from training.figures.curves import draw_curves
from training.output import Output
from training.photos.confidence import learn_confidence
from training.run import Run
from training.state import save_state
from training.stopping import best_epoch

__all__ = ["CURVES_FILE", "Saver"]

CURVES_FILE = "training-curves.png"


class Saver:
    """Writes a run's files; in a team, the leader's does and the others' do not."""

    def __init__(
        self, output: Output, run: Run, *, fingerprint: str, facts: Mapping[str, Any], save_every: float
    ) -> None:
        self.output, self.run, self.fingerprint = output, run, fingerprint
        self.facts = facts
        self.save_every = save_every
        self._last = time.monotonic()

    def after_epoch(self) -> None:
        """Save the state, unless that was done a moment ago."""
        if self.run.team.leads and time.monotonic() - self._last >= self.save_every:
            save_state(self.output.work, self.run.state, self.fingerprint)
            self.checkpoint()
            self._last = time.monotonic()

    def finish(self) -> None:
        """The run is over: its curves, a checkpoint, and no state to resume."""
        if self.run.team.leads:
            write_atomic(self.output.folder / CURVES_FILE, draw_curves(self.run.state.history, self._kept()))
            self.checkpoint(finished=True)
            self.output.discard()

    def checkpoint(self, *, finished: bool = False) -> None:
        """Write the best weights of a run that may stop early, else those it has; with metrics and the model card."""
        run, state = self.run, self.run.state
        if not run.team.leads:
            return
        facts = {
            **self.facts,
            "shoes": len(run.pixels),
            "held_out": len(run.validation),
            "seed": run.config.seed,
            "validation_share": run.config.validation_share,
            "epoch": state.epoch,
            "epochs": run.config.epochs,
            "weights_of_epoch": self._kept() or state.epoch,
            "finished": finished,
            "fingerprint": self.fingerprint,
            "execution": asdict(state.execution),
            "config": asdict(run.config),
        }
        tvae = state.best or state.current
        checkpoint = Checkpoint(
            tvae,
            run.config.preprocess,
            run.config.conditions,
            facts,
            localizer=run.localizer,
            overall=run.validation.weigh(tvae, run.device) if finished else {},
        )
        if finished:
            checkpoint = replace(checkpoint, confidence=learn_confidence(checkpoint, run))
        folder = self.output.folder if finished else self.output.work
        digest = save_checkpoint(folder, checkpoint)
        write_json(folder / "metrics.json", {"checkpoint": digest, "history": state.history})
        write_card(folder, digest, checkpoint, state.history)

    def _kept(self) -> int | None:
        """The epoch whose weights are kept, where that may be another than the last."""
        return None if self.run.state.best is None else best_epoch(self.run.state.history)
