import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from model.checkpoint import Checkpoint, load_checkpoint, read_record, save_checkpoint
from model.errors import ArtifactCorrupt, ArtifactMissing
from model.nearness import Nearness
from tests.model.networks import tiny_checkpoint, tiny_localizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a saved checkpoint."""
    save_checkpoint(tmp_path, tiny_checkpoint())
    return tmp_path


def test_round_trip(tmp_path: Path) -> None:
    """What is loaded is what was saved: weights, network, preprocessing, conditions and facts."""
    saved = tiny_checkpoint()
    digest = save_checkpoint(tmp_path, saved)
    loaded = load_checkpoint(tmp_path)
    assert loaded.digest == digest
    assert loaded.tvae.config == saved.tvae.config
    assert (loaded.preprocess, loaded.conditions, loaded.training) == (
        saved.preprocess,
        saved.conditions,
        saved.training,
    )
    images = torch.rand(2, 3, 16, 16)
    assert torch.equal(loaded.tvae.encode(images).mean, saved.tvae.encode(images).mean)
    assert not loaded.tvae.training


def test_digest_follows_what_changes_a_vector(tmp_path: Path) -> None:
    """Facts of the training leave the digest as it is; a weight or the preprocessing changes it."""
    checkpoint = tiny_checkpoint()
    first = save_checkpoint(tmp_path, checkpoint)
    assert save_checkpoint(tmp_path, replace(checkpoint, training={"note": "again"})) == first
    assert (
        save_checkpoint(tmp_path, replace(checkpoint, preprocess=replace(checkpoint.preprocess, background=0))) != first
    )
    with torch.no_grad():
        checkpoint.tvae.get_parameter("to_mean.bias")[0] += 1e-3
    assert save_checkpoint(tmp_path, checkpoint) != first


def test_only_the_named_files_are_left(folder: Path) -> None:
    """A save leaves no temporary file behind, also when it replaces a checkpoint."""
    save_checkpoint(folder, tiny_checkpoint())
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "weights.safetensors"]


def test_nothing_there(tmp_path: Path) -> None:
    """An empty folder names the command that makes a checkpoint."""
    with pytest.raises(ArtifactMissing, match="python -m training train"):
        load_checkpoint(tmp_path / "nowhere")


def test_missing_weights(folder: Path) -> None:
    """A configuration without its weights is a missing artifact."""
    (folder / "weights.safetensors").unlink()
    with pytest.raises(ArtifactMissing, match=r"weights\.safetensors is missing"):
        load_checkpoint(folder)


def test_load_while_another_takes_its_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint that is replaced between its configuration and its weights is loaded as the new one."""
    others = [tiny_checkpoint() for _ in range(2)]
    for number, other in enumerate(others):
        with torch.no_grad():
            other.tvae.get_parameter("to_mean.bias")[0] += 1.0 + number
    read, digests = Path.read_bytes, []

    def replaced(path: Path) -> bytes:
        if others and path.suffix == ".safetensors":
            digests.append(save_checkpoint(folder, others.pop()))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", replaced)
    assert load_checkpoint(folder).digest == digests[-1]
    assert len(digests) == 2


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.999])
def test_truncated_weights(folder: Path, share: float) -> None:
    """Weights that are cut short anywhere are named."""
    path = folder / "weights.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ArtifactCorrupt, match=r"weights\.safetensors fails its digest"):
        load_checkpoint(folder)


def test_one_changed_bit_in_the_weights(folder: Path) -> None:
    """One flipped bit is found."""
    path = folder / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArtifactCorrupt, match="fails its digest"):
        load_checkpoint(folder)


def digest_of(config: dict[str, Any]) -> str:
    """As every release has worked it out: of all but itself and the free-form facts."""
    bound = {key: value for key, value in config.items() if key not in {"digest", "training"}}
    return hashlib.sha256(json.dumps(bound, sort_keys=True).encode()).hexdigest()


def _edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def test_edited_configuration(folder: Path) -> None:
    """A configuration that was edited by hand no longer fits its digest."""
    _edit(folder, lambda config: config.update(preprocess={"size": 16, "channels": 3, "background": 0}))
    with pytest.raises(ArtifactCorrupt, match=r"config\.json fails its digest"):
        load_checkpoint(folder)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_unknown_format_version(folder: Path, version: object) -> None:
    """Another format version is refused with both versions named."""
    _edit(folder, lambda config: config.update(format_version=version))
    with pytest.raises(ArtifactCorrupt, match=rf"format version {version!r}; this release reads 1"):
        load_checkpoint(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format_version": 1}'])
def test_broken_configuration(folder: Path, text: str) -> None:
    """A torn or foreign config.json is corrupt, never another exception."""
    (folder / "config.json").write_text(text)
    with pytest.raises(ArtifactCorrupt):
        load_checkpoint(folder)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_killed_while_saving(folder: Path, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Wherever a save is cut off, the folder holds the old checkpoint or the new one, whole."""
    old = load_checkpoint(folder).digest
    changed: Checkpoint = tiny_checkpoint()
    with torch.no_grad():
        changed.tvae.get_parameter("to_mean.bias")[0] += 1.0
    done = 0
    rename = Path.replace

    def rename_then_die(self: Path, target: Path) -> Path:
        nonlocal done
        done += 1
        if done > steps - 1:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", rename_then_die)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(folder, changed)
    monkeypatch.undo()
    loaded = load_checkpoint(folder)
    assert (loaded.digest == old) == (steps < 3)
    assert torch.isclose(
        loaded.tvae.get_parameter("to_mean.bias")[0],
        changed.tvae.get_parameter("to_mean.bias")[0] - (1.0 if steps < 3 else 0.0),
    )


def test_older_checkpoints_keep_their_vectors(folder: Path) -> None:
    """A checkpoint without the setting of colours loads, with colours left as they are; new ones convert them."""
    assert load_checkpoint(folder).preprocess.color_management

    def take_back(config: dict[str, Any]) -> None:
        del config["preprocess"]["color_management"]
        config["digest"] = digest_of(config)

    _edit(folder, take_back)
    assert not load_checkpoint(folder).preprocess.color_management


def test_the_localizer_and_the_weighing_are_kept(tmp_path: Path) -> None:
    """A checkpoint with a localizer and factors of slices is loaded with both, ready to use."""
    saved = replace(tiny_checkpoint(), localizer=tiny_localizer(), overall={"type": 0.5, "free": 0.1})
    save_checkpoint(tmp_path, saved)
    loaded = load_checkpoint(tmp_path)
    assert loaded.overall == saved.overall
    assert saved.localizer is not None
    assert loaded.localizer is not None
    assert loaded.localizer.config == saved.localizer.config
    assert not loaded.localizer.training
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(loaded.localizer(images), saved.localizer(images))
    shown = torch.rand(2, 3, 16, 16)
    assert torch.equal(loaded.tvae.mean(shown), saved.tvae.mean(shown))


def test_the_scores_are_kept(tmp_path: Path) -> None:
    """The calibration of scores travels with the network; what older releases wrote under another name is left."""
    saved = replace(tiny_checkpoint(), nearness={"overall": Nearness(7.5, 3.0), "type": Nearness(2.0, 4.5)})
    save_checkpoint(tmp_path, saved)
    assert load_checkpoint(tmp_path).nearness == saved.nearness
    config = json.loads((tmp_path / "config.json").read_text())
    config["nearness"] = config.pop("scores")
    (tmp_path / "config.json").write_text(json.dumps(config | {"digest": digest_of(config)}))
    assert load_checkpoint(tmp_path).nearness == {}


def test_record_of_the_training(tmp_path: Path) -> None:
    """The card and the metrics beside a checkpoint are told where they are of this checkpoint, and can be read."""
    assert read_record(tmp_path, "abc") == (None, {})
    (tmp_path / "README.md").write_text("digest: abc")
    (tmp_path / "metrics.json").write_text('{"checkpoint": "abc", "history": []}')
    assert read_record(tmp_path, "abc") == ("digest: abc", {"checkpoint": "abc", "history": []})
    assert read_record(tmp_path, "def") == (None, {})
    for torn in ("{", "[]", "\0"):
        (tmp_path / "metrics.json").write_text(torn)
        assert read_record(tmp_path, "abc") == ("digest: abc", {})


def test_the_digest_follows_the_localizer_and_the_weighing(tmp_path: Path) -> None:
    """Each of them changes the digest, by being there and by its values."""
    plain = tiny_checkpoint()
    localizer, other = tiny_localizer(), tiny_localizer()
    with torch.no_grad():
        other.get_parameter("head.bias")[0] += 1e-3
    variants = (
        plain,
        replace(plain, localizer=localizer),
        replace(plain, localizer=other),
        replace(plain, overall={"type": 0.5}),
        replace(plain, overall={"type": 0.6}),
    )
    assert len({save_checkpoint(tmp_path, each) for each in variants}) == len(variants)


def test_older_checkpoints(folder: Path) -> None:
    """One from before framing, localizers and factors shows the whole picture, without a localizer or factors."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    del config["preprocess"]["framing"]
    assert not {"localizer", "overall"} & config.keys()
    path.write_text(json.dumps(config | {"digest": digest_of(config)}))
    loaded = load_checkpoint(folder)
    assert loaded.preprocess.framing == "pad"
    assert loaded.localizer is None
    assert loaded.overall == {}


@pytest.mark.parametrize("widths", [[4, 8, 16], [4, 9], "none"], ids=str)
def test_a_localizer_that_does_not_fit(tmp_path: Path, widths: object) -> None:
    """A localizer whose configuration is not that of its weights is a corrupt checkpoint."""
    save_checkpoint(tmp_path, replace(tiny_checkpoint(), localizer=tiny_localizer()))
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    config["localizer"]["widths"] = widths
    path.write_text(json.dumps(config | {"digest": digest_of(config)}))
    with pytest.raises(ArtifactCorrupt, match="do not fit together"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(("hidden", "refused"), [(0, False), (400, True)])
def test_a_network_of_an_older_release(folder: Path, *, hidden: int, refused: bool) -> None:
    """What older releases wrote of convolutional networks loads; networks without convolutions are refused by name."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["network"]["hidden"] = hidden
    config["digest"] = digest_of(config)
    path.write_text(json.dumps(config))
    if refused:
        with pytest.raises(ArtifactCorrupt, match="a network without convolutions"):
            load_checkpoint(folder)
    else:
        assert load_checkpoint(folder).tvae.config == tiny_checkpoint().tvae.config
