"""What a training does to a checkpoint that is already where it is to write."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from model.errors import TrainingError, TrainingInterrupted
from model.preprocess import PreprocessConfig
from model.tvae import TVAE
from tests.training.runs import CONFIG, CPU, IMAGES, interrupt_after, stop_after
from training import checkpointing
from training import train as trainer
from training.checkpointing import CURVES_FILE, STAGING, STATE_FILE, open_folder, refuse_finished
from training.config import TrainConfig
from training.train import train

SHORT = replace(CONFIG, epochs=2)
OTHER = replace(CONFIG, epochs=3, seed=1)


def _train(out: Path, config: TrainConfig = SHORT, **options: Any) -> str:
    train(IMAGES, config, out, device=CPU, source="squares", save_every=0.0, **options)
    return load_checkpoint(out).digest


def _cut(out: Path, config: TrainConfig, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    """Train, and die after the first epoch."""
    with monkeypatch.context() as patch:
        stop_after(1, MemoryError, patch)
        with pytest.raises(MemoryError):
            _train(out, config, **options)


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("options", [{}, {"config": OTHER}, {"config": OTHER, "resume": True}])
def test_a_finished_checkpoint_is_kept(tmp_path: Path, options: dict[str, Any]) -> None:
    """Without leave to overwrite it, a training into its folder is refused, and changes nothing there."""
    _train(tmp_path)
    before = _contents(tmp_path)
    with pytest.raises(TrainingError, match=r"holds a finished checkpoint: --overwrite"):
        _train(tmp_path, **options)
    assert _contents(tmp_path) == before


def test_overwriting_switches_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever loads the folder finds the old checkpoint whole until the new one is finished, then the new one."""
    old, whole = _train(tmp_path / "out"), _train(tmp_path / "whole", OTHER)
    epoch: Callable[..., dict[str, Any] | None] = trainer.train_epoch
    found = []

    def observed(*arguments: Any) -> dict[str, Any] | None:
        found.append(load_checkpoint(tmp_path / "out").digest)
        return epoch(*arguments)

    monkeypatch.setattr(trainer, "train_epoch", observed)
    assert _train(tmp_path / "out", OTHER, overwrite=True) == whole
    assert found == [old] * OTHER.epochs
    assert _contents(tmp_path / "out").keys() == _contents(tmp_path / "whole").keys()
    assert CURVES_FILE in _contents(tmp_path / "out")


@pytest.mark.parametrize("interrupted", [False, True], ids=["an error", "Ctrl-C"])
def test_overwriting_that_is_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, interrupted: bool) -> None:
    """A training that ends early leaves the old checkpoint in place, and can be resumed to the same end."""
    old, whole = _train(tmp_path / "out"), _train(tmp_path / "whole", OTHER)
    if interrupted:
        with interrupt_after(1, monkeypatch), pytest.raises(TrainingInterrupted, match="keeps the checkpoint it had"):
            _train(tmp_path / "out", OTHER, overwrite=True)
    else:
        _cut(tmp_path / "out", OTHER, monkeypatch, overwrite=True)
    assert load_checkpoint(tmp_path / "out").digest == old
    assert _train(tmp_path / "out", OTHER, resume=True) == whole
    assert not (tmp_path / "out" / STAGING).exists()


def test_a_switch_that_is_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends while the new checkpoint is put in place leaves a whole one there, and a run that can be finished."""
    old = _train(tmp_path)
    written: list[Path] = []

    def fail(folder: Path, *others: object) -> None:
        written.append(folder)
        if folder == tmp_path:
            raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(checkpointing, "write_card", fail)
        with pytest.raises(MemoryError):
            _train(tmp_path, OTHER, overwrite=True)
    new = load_checkpoint(tmp_path).digest
    assert new != old
    assert (tmp_path / STAGING / STATE_FILE).exists()
    assert _train(tmp_path, OTHER, resume=True) == new
    assert new in (tmp_path / "README.md").read_text()
    assert not (tmp_path / STAGING).exists()


def test_an_abandoned_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not stand in the way of the finished one; its own options resume it, and a new run replaces it."""
    old = _train(tmp_path)
    _cut(tmp_path, OTHER, monkeypatch, overwrite=True)
    assert _train(tmp_path, resume=True) == old
    with pytest.raises(TrainingError, match="other settings"):
        _train(tmp_path, replace(OTHER, seed=2), resume=True)
    with pytest.raises(TrainingError, match="--overwrite"):
        _train(tmp_path, replace(OTHER, seed=2))
    assert _train(tmp_path, replace(OTHER, seed=2), overwrite=True) != old
    assert not (tmp_path / STAGING).exists()


def test_an_unfinished_checkpoint_needs_no_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was cut off is resumed, or trained anew, in its own folder."""
    whole = _train(tmp_path / "whole", OTHER)
    _cut(tmp_path / "out", OTHER, monkeypatch)
    refuse_finished(tmp_path / "out")
    assert open_folder(tmp_path / "out", "any", resume=False, overwrite=True).work == tmp_path / "out"
    assert _train(tmp_path / "out", OTHER) == whole


def test_a_checkpoint_of_unknown_origin_counts_as_finished(tmp_path: Path) -> None:
    """A checkpoint that says nothing of its training may be somebody's work."""
    save_checkpoint(tmp_path, Checkpoint(TVAE(CONFIG.network), PreprocessConfig(size=16)))
    with pytest.raises(TrainingError, match="--overwrite"):
        refuse_finished(tmp_path)


def test_a_damaged_checkpoint_may_be_made_anew(tmp_path: Path) -> None:
    """The remedy that the error names for a damaged checkpoint works as it is written there."""
    whole = _train(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"torn")
    assert _train(tmp_path) == whole


def test_events_are_switched_too(tmp_path: Path) -> None:
    """The figures of the old training give way to the new one's with its checkpoint."""
    pytest.importorskip("tensorboard")
    _train(tmp_path, tensorboard=True)
    before = {path.name for path in (tmp_path / "tensorboard").iterdir()}
    _train(tmp_path, OTHER, tensorboard=True, overwrite=True)
    after = {path.name for path in (tmp_path / "tensorboard").iterdir()}
    assert after
    assert not after & before
