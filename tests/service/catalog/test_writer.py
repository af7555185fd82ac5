"""Changes of a catalogue, as they are written: the picture, the row, and what they replace."""

import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from model.errors import ArtifactError, QueryError, SolemateError, StorageFull
from model.preprocess import PreprocessConfig, Preprocessor
from service.catalog.images import Uploads, clean_picture, require_name
from service.catalog.writer import Add, CatalogWriter, Changed, Patch, Remove
from service.errors import ItemExists, StoreBusy, UnknownItem
from service.store.base import Record, StoreSpec
from service.store.embedded.store import EmbeddedStore
from tests.support.fakes import DIGEST, SLICES
from tests.support.stack import draw_shoe

PROJECT = Path(__file__).parents[3]

PREPROCESSOR = Preprocessor(PreprocessConfig(size=16))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    """An empty one."""
    made = EmbeddedStore.create(tmp_path, StoreSpec.of(8, SLICES, DIGEST, tmp_path / "pictures"))
    with closing(made):
        yield made


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    """Its uploads."""
    return Uploads(tmp_path)


@pytest.fixture
def writer(store: EmbeddedStore, uploads: Uploads) -> CatalogWriter:
    """Writes into both, and does not wait long."""
    return CatalogWriter(store, uploads, patience=0.01)


def add(item_id: str, number: int = 0, *, overwrite: bool = True) -> Add:
    """A shoe to add, whose vector says the number."""
    picture = clean_picture(PREPROCESSOR, draw_shoe(number))
    return Add(item_id, {"Gender": ("Men",), "Empty": ()}, picture, np.full(8, number, np.float32), overwrite=overwrite)


def made(outcome: Changed | Exception) -> Changed:
    """What was changed; it must have been."""
    assert isinstance(outcome, Changed), outcome
    return outcome


def require_whole(store: EmbeddedStore, uploads: Uploads) -> None:
    """Every shoe has its picture, and every picture its shoe."""
    items = store.page(limit=1000).items
    assert {require_name(item.image) for item in items} == set(uploads.names())


def test_many_shoes_are_one_step(writer: CatalogWriter, store: EmbeddedStore, uploads: Uploads) -> None:
    """Shoes that follow each other are written in one transaction, and told of one by one."""
    with mock.patch.object(store, "upsert", wraps=store.upsert) as upsert:
        outcomes = [made(each) for each in writer.run([add(name, place) for place, name in enumerate("abc")])]
    upsert.assert_called_once()
    assert [outcome.item for outcome in outcomes] == list(store.page(limit=9).items)
    assert outcomes[2].item.attributes == {"Gender": ("Men",)}
    assert outcomes[2].vector.tolist() == [2] * 8
    assert all(outcome.created for outcome in outcomes)
    assert {outcome.fingerprint for outcome in outcomes} == {store.info().fingerprint}
    require_whole(store, uploads)


def test_any_changes_in_their_order(writer: CatalogWriter, store: EmbeddedStore, uploads: Uploads) -> None:
    """Each change sees what those before it did, and what can't be done does not keep the others."""
    outcomes = writer.run(
        [
            add("a", 1),
            add("b", 2),
            add("a", 3),
            Patch("a", {"Gender": ("Women",)}),
            Patch("c", {}),
            add("b", 4, overwrite=False),
            add("c", 5, overwrite=False),
            Remove("b"),
            Remove("b"),
            add("b", 6, overwrite=False),
        ]
    )
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [Changed] * 4 + [UnknownItem, ItemExists, Changed, Changed, UnknownItem, Changed]
    assert [outcome.created for outcome in outcomes if isinstance(outcome, Changed)] == [
        True, True, False, False, True, False, True,
    ]  # fmt: skip
    assert {item.id: store.vector(item.id)[0] for item in store.page(limit=9).items} == {"a": 3, "c": 5, "b": 6}
    assert store.get("a").attributes == {"Gender": ("Women",)}
    require_whole(store, uploads)


def test_one_that_is_wrong_among_many(writer: CatalogWriter, store: EmbeddedStore, uploads: Uploads) -> None:
    """A shoe that the store refuses fails alone."""
    bad = Add("bad", {}, add("bad").picture, np.full(8, np.nan, np.float32))
    outcomes = writer.run([add("a", 1), bad, add("b", 2)])
    assert [type(outcome) for outcome in outcomes] == [Changed, QueryError, Changed]
    require_whole(store, uploads)


@pytest.mark.parametrize("error", [StorageFull("full"), StoreBusy("busy")])
def test_a_store_that_can_not_write(
    writer: CatalogWriter, store: EmbeddedStore, uploads: Uploads, error: SolemateError
) -> None:
    """All that was to be written in one step fails with the reason, and leaves no picture; what was there stays."""
    writer.run([add("a", 1)])
    with mock.patch.object(store, "upsert", side_effect=error):
        assert writer.run([add("a", 2), add("b", 3)]) == [error, error]
    assert store.vector("a")[0] == 1
    require_whole(store, uploads)


def test_a_failure_that_nobody_foresaw(writer: CatalogWriter, store: EmbeddedStore, uploads: Uploads) -> None:
    """It ends the changes that it hits, and those after it are made."""
    upsert, error = store.upsert, RuntimeError("unforeseen")

    def fail(records: Iterable[Record], *, overwrite: bool = True) -> int:
        given = list(records)
        if any(record.item.id == "b" for record in given):
            raise error
        return upsert(given, overwrite=overwrite)

    with mock.patch.object(store, "upsert", side_effect=fail):
        outcomes = writer.run([add("a", 1), add("b", 2), add("c", 3), Remove("a")])
    assert [type(outcome) for outcome in outcomes] == [Changed, RuntimeError, Changed, Changed]
    assert [item.id for item in store.page(limit=9).items] == ["c"]


def test_a_doubtful_failure_keeps_the_picture(writer: CatalogWriter, store: EmbeddedStore, uploads: Uploads) -> None:
    """Where nobody knows whether the row was written, its picture stays: an orphan is better than a shoe without."""
    with mock.patch.object(store, "upsert", side_effect=ArtifactError("the disk failed")):
        (outcome,) = writer.run([add("a", 1)])
    assert isinstance(outcome, ArtifactError)
    assert len(list(uploads.names())) == 1


def test_waiting_for_another_process(writer: CatalogWriter, store: EmbeddedStore, uploads: Uploads) -> None:
    """A change that can't have its turn is told so, and nothing of it stays."""
    made(writer.run([add("a", 1)])[0])
    with Uploads(uploads.folder.parent).changing(0):
        assert [type(outcome) for outcome in writer.run([add("a", 2), Remove("a")])] == [StoreBusy, StoreBusy]
    assert store.vector("a")[0] == 1
    require_whole(store, uploads)


def test_indexed_pictures_are_left_alone(writer: CatalogWriter, store: EmbeddedStore, tmp_path: Path) -> None:
    """A picture below the root stays where it is, though its shoe is replaced or removed."""
    image = tmp_path / "pictures" / "a.jpg"
    image.parent.mkdir()
    image.write_bytes(draw_shoe(1))
    indexed = Add("a", {}, "a.jpg", np.zeros(8, np.float32))
    for change in (add("a", 2), Remove("a")):
        assert made(writer.run([indexed])[0]).item.image == "a.jpg"
        made(writer.run([change])[0])
        assert image.exists()


def test_two_writers_race_for_one_id(store: EmbeddedStore, uploads: Uploads, tmp_path: Path) -> None:
    """Of several that must not overwrite, one wins; of several that may, all do, and one picture is left."""
    stores = [EmbeddedStore.open(tmp_path) for _ in range(4)]
    writers = [CatalogWriter(each, Uploads(tmp_path), patience=60) for each in stores]
    with ThreadPoolExecutor(4) as pool:
        for attempt in range(5):
            changes = [add(f"{attempt}", number, overwrite=False) for number in range(4)]
            outcomes = list(pool.map(lambda each: each[0].run([each[1]])[0], zip(writers, changes, strict=True)))
            assert sorted(isinstance(outcome, Changed) for outcome in outcomes) == [False] * 3 + [True]
            (winner,) = (number for number, outcome in enumerate(outcomes) if isinstance(outcome, Changed))
            assert store.vector(f"{attempt}")[0] == winner
        changes = [add("all", number) for number in range(4)]
        outcomes = list(pool.map(lambda each: each[0].run([each[1]])[0], zip(writers, changes, strict=True)))
    assert sorted(made(outcome).created for outcome in outcomes) == [False] * 3 + [True]
    require_whole(store, uploads)
    for each in stores:
        each.close()


def kill_in_the_middle(folder: Path, item_id: str, number: int, moment: str) -> None:
    """Have a process killed while it puts a shoe in."""
    command = [sys.executable, "-m", "tests.service.catalog.doomed", str(folder), item_id, str(number), moment]
    done = subprocess.run(command, cwd=PROJECT, check=False, timeout=240)
    assert done.returncode == -signal.SIGKILL


def test_kill_between_picture_and_row(
    writer: CatalogWriter, store: EmbeddedStore, uploads: Uploads, tmp_path: Path
) -> None:
    """It leaves the catalogue as it was and a picture that no shoe has, which is found and removed; all goes on."""
    made(writer.run([add("a", 1)])[0])
    before = store.info().fingerprint
    kill_in_the_middle(tmp_path, "a", 2, "row")
    assert store.info().fingerprint == before
    assert store.vector("a")[0] == 1
    named = {require_name(store.get("a").image)}
    (orphan,) = uploads.orphans(named, older_than=0)
    uploads.sweep([orphan])
    require_whole(store, uploads)
    made(writer.run([add("a", 3)])[0])
    require_whole(store, uploads)


def test_kill_before_the_old_picture_goes(
    writer: CatalogWriter, store: EmbeddedStore, uploads: Uploads, tmp_path: Path
) -> None:
    """The shoe is replaced, with its new picture; the old one is what no shoe has."""
    old = require_name(made(writer.run([add("a", 1)])[0]).item.image)
    kill_in_the_middle(tmp_path, "a", 2, "old")
    assert store.vector("a")[0] == 2
    assert uploads.locate(store.get("a").image).exists()
    assert uploads.orphans({require_name(store.get("a").image)}, older_than=0) == [old]
