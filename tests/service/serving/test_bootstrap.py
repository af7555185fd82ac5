"""Artifacts are checked before anything of them is served; what is damaged is named, and what was served stays."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from model.checkpoint import load_checkpoint
from model.embedder import Embedder
from model.errors import ArtifactCorrupt, ArtifactError, ArtifactMismatch, ArtifactMissing
from model.files import write_atomic
from service.serving.bootstrap import open_backend, open_engine
from service.serving.generations import Live, OneProcess, ReloadRefused
from service.settings import Settings
from service.telemetry import metrics
from tests.support.commands import run_main
from tests.support.samples import value
from tests.support.stack import draw_catalog, draw_shoe, make_checkpoint


class Artifacts(NamedTuple):
    """What is served, and another pair that fits together but not with it."""

    checkpoint: Path
    catalog: Path
    other_checkpoint: Path
    other_catalog: Path

    def settings(self) -> Settings:
        """To serve it."""
        return Settings(checkpoint=self.checkpoint, index=self.catalog)

    @classmethod
    def below(cls, folder: Path) -> "Artifacts":
        """Its folders."""
        return cls(*(folder / name for name in cls._fields))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pairs, both sound."""
    folder = tmp_path_factory.mktemp("sound")
    artifacts = Artifacts.below(folder)
    demo = draw_catalog(folder / "demo", 6)
    for seed, checkpoint, catalog in (
        (0, artifacts.checkpoint, artifacts.catalog),
        (1, artifacts.other_checkpoint, artifacts.other_catalog),
    ):
        make_checkpoint(checkpoint, seed=seed)
        done = run_main(
            *(
                "index",
                "--catalog",
                str(demo),
                "--checkpoint",
                str(checkpoint),
                "--out",
                str(catalog),
                "--device",
                "cpu",
            )
        )
        assert done.status == 0, done
    return folder


@pytest.fixture
def artifacts(sound: Path, tmp_path: Path) -> Artifacts:
    """A copy, to be damaged."""
    shutil.copytree(sound, tmp_path / "artifacts")
    return Artifacts.below(tmp_path / "artifacts")


def swap(path: Path, other: Path) -> None:
    """Put another file in a file's place, as a deployment does: whole, or not at all."""
    write_atomic(path, other.read_bytes())


def truncate(path: Path) -> None:
    """Leave half of it."""
    content = path.read_bytes()
    write_atomic(path, content[: len(content) // 2])


def flip(path: Path) -> None:
    """Change one bit in its middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    write_atomic(path, bytes(content))


def set_fact(path: Path, key: str, value: str) -> None:
    """Change a fact of the catalogue."""
    fresh = path.with_name("changed")
    shutil.copy(path, fresh)
    with closing(sqlite3.connect(fresh)) as connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = ?", (value, key))
        connection.commit()
    fresh.replace(path)


def set_version(path: Path) -> None:
    """Say that the configuration is of a format to come."""
    config = json.loads(path.read_bytes())
    config["format_version"] = 99
    write_atomic(path, json.dumps(config).encode())


def swap_checkpoint(artifacts: Artifacts) -> None:
    """Put another whole checkpoint in its place."""
    for name in ("config.json", "weights.safetensors"):
        swap(artifacts.checkpoint / name, artifacts.other_checkpoint / name)


Damage = Callable[[Artifacts], object]

DAMAGES: dict[str, tuple[Damage, type[ArtifactError], str]] = {
    "weights missing": (lambda a: (a.checkpoint / "weights.safetensors").unlink(), ArtifactMissing, "weights"),
    "weights truncated": (lambda a: truncate(a.checkpoint / "weights.safetensors"), ArtifactCorrupt, "weights"),
    "weights changed": (lambda a: flip(a.checkpoint / "weights.safetensors"), ArtifactCorrupt, "weights"),
    "weights swapped": (
        lambda a: swap(a.checkpoint / "weights.safetensors", a.other_checkpoint / "weights.safetensors"),
        ArtifactCorrupt,
        "weights",
    ),
    "config missing": (lambda a: (a.checkpoint / "config.json").unlink(), ArtifactMissing, "training train"),
    "config truncated": (lambda a: truncate(a.checkpoint / "config.json"), ArtifactCorrupt, "not valid JSON"),
    "config swapped": (
        lambda a: swap(a.checkpoint / "config.json", a.other_checkpoint / "config.json"),
        ArtifactCorrupt,
        "weights",
    ),
    "config of another version": (lambda a: set_version(a.checkpoint / "config.json"), ArtifactCorrupt, "version 99"),
    "checkpoint swapped": (swap_checkpoint, ArtifactMismatch, "--rebuild"),
    "catalogue missing": (lambda a: (a.catalog / "catalog.sqlite").unlink(), ArtifactMissing, "service index"),
    "catalogue truncated": (lambda a: truncate(a.catalog / "catalog.sqlite"), ArtifactCorrupt, "catalog.sqlite"),
    "catalogue empty": (
        lambda a: write_atomic(a.catalog / "catalog.sqlite", b""),
        ArtifactCorrupt,
        "no catalogue of solemate",
    ),
    "catalogue no database": (
        lambda a: write_atomic(a.catalog / "catalog.sqlite", b"what is this? " * 999),
        ArtifactCorrupt,
        "catalog.sqlite",
    ),
    "catalogue swapped": (
        lambda a: swap(a.catalog / "catalog.sqlite", a.other_catalog / "catalog.sqlite"),
        ArtifactMismatch,
        "--rebuild",
    ),
    "catalogue of another version": (
        lambda a: set_fact(a.catalog / "catalog.sqlite", "schema", "99"),
        ArtifactCorrupt,
        "version 99",
    ),
    "slices that don't fit": (
        lambda a: set_fact(a.catalog / "catalog.sqlite", "slices", '{"category": [0, 8]}'),
        ArtifactMismatch,
        "8 numbers in the slices category, and",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_damaged_artifacts(artifacts: Artifacts, damage: str) -> None:
    """Damage is an error of its kind at the start, naming what is wrong; at a reload what was served is served on."""
    cause, error, words = DAMAGES[damage]
    settings = artifacts.settings()

    live = Live(partial(open_backend, settings))
    await live.start()
    before = live.info()
    cause(artifacts)
    with pytest.raises(ReloadRefused, match=words):
        await OneProcess(live).reload()
    assert live.info() == before
    await live.current.check_ready()
    await live.close()
    with pytest.raises(error, match=words):
        open_engine(settings)


@pytest.mark.parametrize(
    "damage", [truncate, flip, lambda path: path.unlink(), None], ids=["cut", "bit", "gone", "other"]
)
def test_damaged_cache_is_made_anew(artifacts: Artifacts, damage: Callable[[Path], None] | None) -> None:
    """A file of vectors that is cut, changed, gone or another catalogue's is not read; what it held is made anew."""
    cache = artifacts.catalog / "vectors.bin"
    if damage is None:
        swap(cache, artifacts.other_catalog / "vectors.bin")
    else:
        damage(cache)
    engine = open_engine(artifacts.settings())
    picture = draw_shoe(0)
    vector = Embedder(load_checkpoint(artifacts.checkpoint)).embed([picture])[0]
    np.testing.assert_allclose(vector, engine.store.vector("1000.1"), atol=1e-4)
    assert engine.store.search(vector[None], 1)[0][0].item.id == "1000.1"
    engine.close()


def test_the_recall_of_each_condition_is_a_metric(artifacts: Artifacts) -> None:
    """Once a catalogue is open, a metric has the recall of its searches: 1 where they are exact."""
    metrics.index_recall.clear()
    open_engine(artifacts.settings()).close()
    assert value("solemate_index_recall", condition="overall") == 1.0
    metrics.index_recall.clear()


def test_avif_is_a_setting(artifacts: Artifacts) -> None:
    """The service takes AVIF pictures only where its settings say so."""
    for avif in (False, True):
        with closing(open_engine(artifacts.settings().model_copy(update={"avif": avif}))) as engine:
            assert ("AVIF" in engine.embedder.preprocessor.limits.formats) is avif


def test_unfinished_catalogue_replaces_nothing(artifacts: Artifacts) -> None:
    """A catalogue that is being indexed may be served for want of another, but not in place of a whole one."""
    (artifacts.catalog / "indexing-unfinished").touch()
    open_engine(artifacts.settings()).close()
    with pytest.raises(ArtifactError, match="has not finished"):
        open_engine(artifacts.settings(), newer=True)


async def test_rebuilt_in_place(artifacts: Artifacts, sound: Path) -> None:
    """A checkpoint and a catalogue that are made anew in place are served after a reload, and the old until then."""
    settings = artifacts.settings()

    def rebuild() -> None:
        make_checkpoint(artifacts.checkpoint, seed=5)
        done = run_main(
            *("index", "--catalog", str(sound / "demo"), "--checkpoint", str(artifacts.checkpoint)),
            *("--out", str(artifacts.catalog), "--device", "cpu", "--rebuild"),
        )
        assert done.status == 0, done

    live = Live(partial(open_backend, settings))
    await live.start()
    before = live.info()
    rebuild()
    assert live.info() == before
    await live.current.check_ready()
    await OneProcess(live).reload()
    assert live.info().artifacts != before.artifacts
    await live.current.check_ready()
    await live.close()
    # The old generation's end has taken nothing of the new one's away.
    engine = open_engine(settings)
    assert engine.store.info().count == 6
    engine.close()
