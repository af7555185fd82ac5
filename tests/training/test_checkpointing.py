"""What a training does to a checkpoint that is already where it is to write."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from model.errors import TrainingError, TrainingInterrupted
from model.preprocess import PreprocessConfig
from model.tvae import TVAE
from tests.training.runs import CONFIG, CPU, IMAGES, cut_after, interrupt_after
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


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a training leaves; only to be copied."""
    folder = tmp_path_factory.mktemp("finished")
    _train(folder)
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the other training leaves that nothing cuts short; only to be read."""
    folder = tmp_path_factory.mktemp("whole")
    _train(folder, OTHER)
    return folder


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    """A folder with a finished checkpoint."""
    return Path(shutil.copytree(finished, tmp_path / "out"))


def _digest(folder: Path) -> str:
    return load_checkpoint(folder).digest


def _cut(out: Path, config: TrainConfig, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    """Train, and die after the first epoch."""
    with cut_after(1, monkeypatch):
        _train(out, config, **options)


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("options", [{}, {"config": OTHER}, {"config": OTHER, "resume": True}])
def test_a_finished_checkpoint_is_kept(out: Path, options: dict[str, Any]) -> None:
    """Without leave to overwrite it, a training into its folder is refused, and changes nothing there."""
    before = _contents(out)
    with pytest.raises(TrainingError, match=r"holds a finished checkpoint: --overwrite"):
        _train(out, **options)
    assert _contents(out) == before


def test_overwriting_switches_at_the_end(out: Path, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever loads the folder finds the old checkpoint whole until the new one is finished, then the new one."""
    old = _digest(out)
    epoch: Callable[..., dict[str, Any] | None] = trainer.train_epoch
    found = []

    def observed(*arguments: Any) -> dict[str, Any] | None:
        found.append(_digest(out))
        return epoch(*arguments)

    monkeypatch.setattr(trainer, "train_epoch", observed)
    assert _train(out, OTHER, overwrite=True) == _digest(whole)
    assert found == [old] * OTHER.epochs
    assert _contents(out).keys() == _contents(whole).keys()
    assert CURVES_FILE in _contents(out)


@pytest.mark.parametrize("interrupted", [False, True], ids=["an error", "Ctrl-C"])
def test_overwriting_that_is_cut_short(
    out: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, *, interrupted: bool
) -> None:
    """A training that ends early leaves the old checkpoint in place, and can be resumed to the same end."""
    old = _digest(out)
    if interrupted:
        with interrupt_after(1, monkeypatch), pytest.raises(TrainingInterrupted, match="keeps the checkpoint it had"):
            _train(out, OTHER, overwrite=True)
    else:
        _cut(out, OTHER, monkeypatch, overwrite=True)
    assert _digest(out) == old
    assert _train(out, OTHER, resume=True) == _digest(whole)
    assert not (out / STAGING).exists()


def test_a_switch_that_is_cut_short(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends while the new checkpoint is put in place leaves a whole one there, and a run that can be finished."""
    old = _digest(out)

    def fail(folder: Path, *others: object) -> None:
        if folder == out:
            raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(checkpointing, "write_card", fail)
        with pytest.raises(MemoryError):
            _train(out, OTHER, overwrite=True)
    new = _digest(out)
    assert new != old
    assert (out / STAGING / STATE_FILE).exists()
    assert _train(out, OTHER, resume=True) == new
    assert new in (out / "README.md").read_text()
    assert not (out / STAGING).exists()


def test_an_abandoned_run(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not stand in the way of the finished one; its own options resume it, and a new run replaces it."""
    old = _digest(out)
    _cut(out, OTHER, monkeypatch, overwrite=True)
    assert _train(out, resume=True) == old
    with pytest.raises(TrainingError, match="other settings"):
        _train(out, replace(OTHER, seed=2), resume=True)
    with pytest.raises(TrainingError, match="--overwrite"):
        _train(out, replace(OTHER, seed=2))
    assert _train(out, replace(OTHER, seed=2), overwrite=True) != old
    assert not (out / STAGING).exists()


def test_an_unfinished_checkpoint_needs_no_leave(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was cut off is resumed, or trained anew, in its own folder."""
    _cut(tmp_path, OTHER, monkeypatch)
    refuse_finished(tmp_path)
    assert open_folder(tmp_path, "any", resume=False, overwrite=True).work == tmp_path
    assert _train(tmp_path, OTHER) == _digest(whole)


def test_a_checkpoint_of_unknown_origin_counts_as_finished(tmp_path: Path) -> None:
    """A checkpoint that says nothing of its training may be somebody's work."""
    save_checkpoint(tmp_path, Checkpoint(TVAE(CONFIG.network), preprocess=PreprocessConfig(size=16)))
    with pytest.raises(TrainingError, match="--overwrite"):
        refuse_finished(tmp_path)


def test_a_damaged_checkpoint_may_be_made_anew(out: Path) -> None:
    """The remedy that the error names for a damaged checkpoint works as it is written there."""
    before = _digest(out)
    (out / "weights.safetensors").write_bytes(b"torn")
    assert _train(out) == before


def test_events_are_switched_too(tmp_path: Path) -> None:
    """The figures of the old training give way to the new one's with its checkpoint."""
    pytest.importorskip("tensorboard")
    _train(tmp_path, tensorboard=True)
    before = {path.name for path in (tmp_path / "tensorboard").iterdir()}
    _train(tmp_path, OTHER, tensorboard=True, overwrite=True)
    after = {path.name for path in (tmp_path / "tensorboard").iterdir()}
    assert after
    assert not after & before
