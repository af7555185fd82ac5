"""The measured distance of near-duplicates."""

import json
import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.catalog import read_catalog
from model.embedder import Embedder
from service.catalog.images import Uploads, clean_picture
from service.catalog.indexing.index import index_catalog
from service.catalog.maintenance.duplicates import (
    COPIES,
    MEASURE,
    MIN_SHOES,
    Measure,
    measure_duplicates,
    read_measure,
    write_measure,
)
from service.catalog.writer import Add, CatalogWriter
from service.serving.bootstrap import open_engine
from service.settings import Settings
from service.store.base import StoreSpec, iterate_items
from service.store.embedded.store import EmbeddedStore
from tests.support.commands import run_main
from tests.support.fakes import leave_out
from tests.support.stack import draw_catalog, draw_shoe, make_checkpoint

MEASURED = Measure(0.25, {"mirrored": 0.5}, 0.01, 120, 130, "c0ffee")


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    """A tiny network with random weights."""
    return Embedder(make_checkpoint(tmp_path_factory.mktemp("network") / "checkpoint"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, embedder: Embedder) -> Path:
    """120 shoes, indexed."""
    base = tmp_path_factory.mktemp("shoes")
    catalog = read_catalog(str(draw_catalog(base / "demo", 120)))
    spec = StoreSpec.of(8, embedder.slices, embedder.checkpoint.digest, catalog.root)
    with closing(EmbeddedStore.create(base / "catalog", spec)) as store:
        index_catalog(catalog, embedder, store, base / "catalog")
    return base / "catalog"


@pytest.fixture
def store(folder: Path) -> Iterator[EmbeddedStore]:
    """Of those shoes."""
    with closing(EmbeddedStore.open(folder)) as opened:
        yield opened


def test_measures_copies_against_other_shoes(embedder: Embedder, folder: Path, store: EmbeddedStore) -> None:
    """No more than 1 in 100 shoes has another within the distance, and every share is what a loop counts."""
    measure = measure_duplicates(embedder, store, Uploads(folder))
    assert measure is not None
    assert (measure.pictures, measure.shoes, measure.checkpoint) == (120, 120, embedder.checkpoint.digest)
    assert measure.found.keys() == COPIES.keys()
    ids = sorted(item.id for item in iterate_items(store))
    nearest = [leave_out(each, store.search(store.vector(each)[None], 2)[0])[0].distance for each in ids]
    assert measure.wrong == pytest.approx(np.mean(np.array(nearest) <= measure.distance))
    assert measure.wrong <= 0.01
    assert measure.found["double size"] >= measure.found["mirrored"]
    assert measure_duplicates(embedder, store, Uploads(folder)) == measure
    assert "mirrored: " in measure.describe()


def test_too_few_shoes_are_not_measured(embedder: Embedder, tmp_path: Path) -> None:
    """Where one in a hundred is no shoe, nothing is claimed."""
    catalog = read_catalog(str(draw_catalog(tmp_path / "demo", 12)))
    spec = StoreSpec.of(8, embedder.slices, embedder.checkpoint.digest, catalog.root)
    with closing(EmbeddedStore.create(tmp_path / "catalog", spec)) as store:
        index_catalog(catalog, embedder, store, tmp_path / "catalog")
        assert measure_duplicates(embedder, store, Uploads(tmp_path)) is None


def test_uploaded_shoes_are_measured(embedder: Embedder, tmp_path: Path) -> None:
    """The pictures of uploaded shoes are copied as the catalogue's own are, also by the command."""
    pictures = [clean_picture(embedder.preprocessor, draw_shoe(number)) for number in range(MIN_SHOES)]
    vectors = embedder.embed([picture.content for picture in pictures])
    spec = StoreSpec.of(8, embedder.slices, embedder.checkpoint.digest, tmp_path)
    with closing(EmbeddedStore.create(tmp_path / "catalog", spec)) as store:
        adds = [Add(str(number), {}, *each) for number, each in enumerate(zip(pictures, vectors, strict=True))]
        CatalogWriter(store, Uploads(tmp_path / "catalog")).run(adds)
    make_checkpoint(tmp_path / "checkpoint")
    options = ["--checkpoint", str(tmp_path / "checkpoint"), "--index", str(tmp_path / "catalog"), "--device", "cpu"]
    assert run_main("duplicates", *options).status == 0
    measure = read_measure(tmp_path / "catalog", embedder.checkpoint.digest)
    assert measure is not None
    assert (measure.pictures, measure.shoes) == (MIN_SHOES, MIN_SHOES)


def test_pictures_that_can_not_be_read_are_passed_over(
    embedder: Embedder,
    folder: Path,
    store: EmbeddedStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A missing file is named in the log; the others are measured as long as they are enough."""
    read = Path.read_bytes
    missing = {item.image for item in store.page(limit=10).items}

    def fail(path: Path) -> bytes:
        if any(path.as_posix().endswith(image) for image in missing):
            raise FileNotFoundError(2, "No such file or directory")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", fail)
    measure = measure_duplicates(embedder, store, Uploads(folder))
    assert measure is not None
    assert (measure.pictures, measure.shoes) == (110, 120)
    assert caplog.text.count("passed over") == 10
    missing |= {item.image for item in store.page(limit=30).items}
    assert measure_duplicates(embedder, store, Uploads(folder)) is None


def test_kept_beside_the_catalogue(tmp_path: Path) -> None:
    """What was written is read; where nothing was, there is nothing."""
    assert read_measure(tmp_path, "c0ffee") is None
    write_measure(tmp_path, MEASURED)
    assert read_measure(tmp_path, "c0ffee") == MEASURED


@pytest.mark.parametrize(
    "change",
    [{"checkpoint": "other"}, {"format": 2}, {"distance": -1}, {"distance": None}, {"more": 1}, "torn", "list"],
)
def test_what_does_not_fit_is_no_measure(tmp_path: Path, change: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Of another checkpoint, of another format, damaged: it is passed over, and the log says how to make it anew."""
    write_measure(tmp_path, MEASURED)
    path = tmp_path / MEASURE
    content = json.loads(path.read_text())
    if change == "torn":
        path.write_text(path.read_text()[:20])
    elif change == "list":
        path.write_text("[]")
    else:
        path.write_text(json.dumps(content | change))
    with caplog.at_level(logging.WARNING):
        assert read_measure(tmp_path, "c0ffee") is None
    assert "python -m service duplicates" in caplog.text


def test_command_and_start(folder: Path, embedder: Embedder, tmp_path: Path) -> None:
    """The command writes what a start reads, and the setting wins over it."""
    make_checkpoint(tmp_path / "checkpoint")
    options = ["--checkpoint", str(tmp_path / "checkpoint"), "--index", str(folder), "--device", "cpu"]
    done = run_main("duplicates", *options)
    assert done.status == 0, done.error
    measure = read_measure(folder, embedder.checkpoint.digest)
    assert measure is not None
    assert measure.describe() in done.output
    settings = Settings(checkpoint=tmp_path / "checkpoint", index=folder)
    for given, expected in (
        (settings, measure.distance),
        (settings.model_copy(update={"duplicate_distance": 3.0}), 3.0),
    ):
        engine = open_engine(given)
        assert engine.duplicate_distance == expected
        engine.close()
