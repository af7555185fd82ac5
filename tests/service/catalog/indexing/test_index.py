"""A catalogue into a store: what is embedded, kept, removed and left out."""

import os
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import nullcontext
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from model.catalog import Catalog, Shoe, read_catalog
from model.errors import ArtifactError, CatalogError
from service.catalog.images import Uploads, clean_picture, is_upload
from service.catalog.indexing.embed_pool import EmbeddedShoe, EmbedPool, PoolBroken
from service.catalog.indexing.index import IndexingStopped, IndexReport, index_catalog
from service.catalog.indexing.ledger import WHOLE, Ledger, Shard, is_complete
from service.catalog.maintenance.archive import Archive, export_catalog, import_catalog
from service.catalog.writer import Add, CatalogWriter, Changed, Remove
from service.errors import StoreBusy
from service.store.base import Item, Record
from tests.support.fakes import FakeEmbedder, MemoryStore
from tests.support.stack import draw_catalog, draw_shoe

Index = Callable[..., IndexReport]


class Setup:
    """A catalogue of nine shoes, a store, and a way to bring the one into the other."""

    def __init__(self, folder: Path) -> None:
        self.demo = draw_catalog(folder / "demo", 9)
        self.images = self.demo / "ut-zap50k-images"
        self.table = self.demo / "ut-zap50k-data" / "meta-data.csv"
        self.out = folder / "out"
        self.out.mkdir()
        self.embedder = FakeEmbedder()
        self.store = MemoryStore(self.images)

    def read(self) -> Catalog:
        """The catalogue as it is on disk."""
        return read_catalog(str(self.demo))

    def index(
        self,
        batch_size: int = 4,
        max_bad_share: float = 0.02,
        shard: Shard = WHOLE,
        stop: Callable[[], bool] = lambda: False,
    ) -> IndexReport:
        """Index it, or a part of it."""
        return index_catalog(
            self.read(),
            self.embedder,
            self.store,
            self.out,
            batch_size=batch_size,
            max_bad_share=max_bad_share,
            shard=shard,
            stop=stop,
        )

    def image(self, item_id: str) -> Path:
        """A shoe's picture."""
        return next(self.images.rglob(f"{item_id}.jpg"))

    def vector_of(self, picture: bytes) -> np.ndarray:
        """What a picture is embedded as."""
        vector: np.ndarray = self.embedder.embed_pixels(self.embedder.preprocessor.decode(picture)[None])[0]
        return vector


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    """A fresh one."""
    return Setup(tmp_path)


def test_first_run_embeds_all(setup: Setup) -> None:
    """Every shoe gets its own vector, its attributes and the path below the root, in the catalogue's order."""
    assert setup.index() == IndexReport(embedded=9, kept=0, removed=0, left_out=0)
    assert list(setup.store.records) == [shoe.id for shoe in setup.read().shoes]
    record = setup.store.records["1001.2"]
    assert record.item.image == "Shoes/Heels/Ana/1001.2.jpg"
    assert record.item.attributes["Gender"] == ("Men",)
    np.testing.assert_array_equal(record.vector, setup.vector_of(draw_shoe(3)))
    assert is_complete(setup.out)


def test_second_run_embeds_nothing(setup: Setup) -> None:
    """A catalogue that did not change costs no embedding and leaves the store as it is."""
    setup.index()
    calls, version = setup.embedder.calls, setup.store.version
    assert setup.index() == IndexReport(embedded=0, kept=9, removed=0, left_out=0)
    assert (setup.embedder.calls, setup.store.version) == (calls, version)


def test_interrupted_run_goes_on(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was stored before an interruption stays; the next run embeds only the rest."""
    embed = setup.embedder.embed_pixels

    def embed_twice(pixels: np.ndarray, /) -> np.ndarray:
        if setup.embedder.calls >= 6:
            raise KeyboardInterrupt
        return embed(pixels)

    monkeypatch.setattr(setup.embedder, "embed_pixels", embed_twice)
    with pytest.raises(KeyboardInterrupt):
        setup.index(batch_size=3)
    assert len(setup.store.records) == 6
    assert not is_complete(setup.out)
    monkeypatch.undo()
    setup.embedder.calls = 0
    assert setup.index() == IndexReport(embedded=3, kept=6, removed=0, left_out=0)
    assert setup.embedder.calls == 3
    assert is_complete(setup.out)


def test_kill_between_store_and_ledger(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shoes that the store has and the ledger lacks are embedded again, not lost and not doubled."""

    def die(self: Ledger, stamps: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "add", die)
        with pytest.raises(KeyboardInterrupt):
            setup.index()
    assert len(setup.store.records) == 4
    setup.index()
    assert len(setup.store.records) == 9


def test_torn_ledger(setup: Setup) -> None:
    """A line that a kill has torn costs its own shoe another embedding, and no other's."""
    setup.index()
    path = setup.out / "pictures.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    assert setup.index().embedded == 1
    assert setup.index().embedded == 0


def test_changed_picture_is_embedded_again(setup: Setup) -> None:
    """A picture that another one has replaced gets a new vector."""
    setup.index()
    before = setup.store.records["1000.1"].vector
    image = setup.image("1000.1")
    stamp = image.stat().st_mtime_ns
    image.write_bytes(draw_shoe(99))
    os.utime(image, ns=(stamp + 1000, stamp + 1000))
    assert setup.index() == IndexReport(embedded=1, kept=8, removed=0, left_out=0)
    assert not np.array_equal(setup.store.records["1000.1"].vector, before)


def test_changed_attributes_need_no_embedding(setup: Setup) -> None:
    """A row that changed updates the shoe and keeps its vector."""
    setup.index()
    calls = setup.embedder.calls
    setup.table.write_text(
        setup.table.read_text().replace("1000-2,Shoes,Oxfords,Lace up,Women", "1000-2,Shoes,Oxfords,Lace up,Men")
    )
    assert setup.index() == IndexReport(embedded=0, kept=9, removed=0, left_out=0)
    assert setup.store.records["1000.2"].item.attributes["Gender"] == ("Men",)
    assert setup.embedder.calls == calls


def test_vanished_shoes_are_removed(setup: Setup) -> None:
    """A shoe that left the catalogue leaves the store."""
    setup.index()
    lines = setup.table.read_text().splitlines(keepends=True)
    setup.table.write_text("".join(line for line in lines if not line.startswith("1003")))
    for item_id in ("1003.1", "1003.2"):
        setup.image(item_id).unlink()
    assert setup.index() == IndexReport(embedded=0, kept=7, removed=2, left_out=0)
    assert len(setup.store.records) == 7


def test_bad_pictures_are_left_out_and_listed(setup: Setup) -> None:
    """A picture that can't be used is left out, counted and named; when it is mended, it comes in."""
    good = setup.image("1002.1").read_bytes()
    setup.image("1002.1").write_bytes(good[:100])
    assert setup.index(max_bad_share=0.2) == IndexReport(embedded=8, kept=0, removed=0, left_out=1)
    report = (setup.out / "bad-rows.csv").read_text()
    assert "1002.1" in report
    assert "broken" in report
    setup.image("1002.1").write_bytes(good)
    assert setup.index() == IndexReport(embedded=1, kept=8, removed=0, left_out=0)
    assert not (setup.out / "bad-rows.csv").exists()


def test_picture_that_went_bad(setup: Setup) -> None:
    """A shoe whose picture can't be used any more does not keep its old vector."""
    setup.index()
    setup.image("1002.1").write_bytes(b"gone bad")
    assert setup.index(max_bad_share=0.2) == IndexReport(embedded=0, kept=8, removed=1, left_out=1)
    assert "1002.1" not in setup.store.records


def test_too_many_bad_rows_stop(setup: Setup) -> None:
    """More bad rows than allowed stop the run, with the reasons, the report and the option."""
    for item_id in ("1000.1", "1002.1"):
        setup.image(item_id).write_bytes(b"")
    with pytest.raises(CatalogError, match=r"--max-bad-share.*1000.1.*empty"):
        setup.index(max_bad_share=0.2 - 0.01)
    assert (setup.out / "bad-rows.csv").exists()
    assert not is_complete(setup.out)


def test_bad_rows_of_the_table_stop_before_any_work(setup: Setup) -> None:
    """Where the table alone has too many bad rows, nothing is embedded."""
    setup.image("1000.1").unlink()
    with pytest.raises(CatalogError):
        setup.index()
    assert setup.embedder.calls == 0
    assert not setup.store.records


def test_a_stop_keeps_what_was_embedded(setup: Setup) -> None:
    """What is under way is stored and noted before the end, so the next run embeds only the rest."""
    with pytest.raises(IndexingStopped) as caught:
        setup.index(batch_size=2, stop=lambda: setup.embedder.calls > 0)
    done = len(setup.store.records)
    assert 0 < done < 9
    assert caught.value.left == 9 - done
    assert len(Ledger(setup.out).stamps) == done
    assert not is_complete(setup.out)
    assert setup.index() == IndexReport(embedded=9 - done, kept=done, removed=0, left_out=0)


def test_a_stop_removes_nothing(setup: Setup) -> None:
    """A run that was stopped has not seen all of the catalogue, and takes nothing out of the store."""
    setup.index()
    setup.image("1000.1").write_bytes(draw_shoe(99))
    setup.image("1000.2").write_bytes(draw_shoe(98))
    lines = setup.table.read_text().splitlines(keepends=True)
    setup.table.write_text("".join(line for line in lines if not line.startswith("1003")))
    for item_id in ("1003.1", "1003.2"):
        setup.image(item_id).unlink()
    with pytest.raises(IndexingStopped):
        setup.index(batch_size=1, stop=lambda: True)
    assert len(setup.store.records) == 9


def test_a_stop_at_the_very_end_is_none(setup: Setup) -> None:
    """Where nothing is left to embed the run ends as it would have."""
    assert setup.index(batch_size=9, stop=lambda: setup.embedder.calls == 9).embedded == 9
    assert is_complete(setup.out)


def test_parts_make_the_whole(setup: Setup) -> None:
    """Three parts, in any order, fill one store; it is complete with the last, and then up to date as a whole."""
    reports = [setup.index(shard=Shard(number, 3)) for number in (2, 3, 1)]
    assert sum(report.embedded for report in reports) == len(setup.store.records) == setup.embedder.calls == 9
    assert all(report.removed == 0 for report in reports)
    assert is_complete(setup.out)
    assert setup.index() == IndexReport(embedded=0, kept=9, removed=0, left_out=0)


def test_a_part_removes_its_own_only(setup: Setup) -> None:
    """A shoe that left the catalogue is removed by the part that it belonged to, and by no other."""
    setup.index()
    lines = setup.table.read_text().splitlines(keepends=True)
    setup.table.write_text("".join(line for line in lines if not line.startswith("1003-1")))
    setup.image("1003.1").unlink()
    owner = next(number for number in (1, 2, 3) if Shard(number, 3).holds("1003.1"))
    for number in (1, 2, 3):
        if number != owner:
            assert setup.index(shard=Shard(number, 3)).removed == 0
            assert "1003.1" in setup.store.records
    assert setup.index(shard=Shard(owner, 3)).removed == 1
    assert len(setup.store.records) == 8
    assert is_complete(setup.out)


def test_a_shoe_that_came_meanwhile_stays(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody else stores while an indexing runs is not taken for a shoe that is gone."""
    embed = setup.embedder.embed_pixels

    def embed_and_add(pixels: np.ndarray, /) -> np.ndarray:
        item = Item("live", "live.jpg", {"Gender": ("Men",)})
        setup.store.upsert([Record(item, np.zeros(8, dtype=np.float32))])
        return embed(pixels)

    monkeypatch.setattr(setup.embedder, "embed_pixels", embed_and_add)
    assert setup.index().removed == 0
    assert "live" in setup.store.records


class TestMeanwhile:
    """A service changes a shoe between the plan of an indexing and its end."""

    @pytest.fixture(autouse=True)
    def indexed(self, setup: Setup) -> None:
        """1003.1 has vanished since, and 1000.2 has another attribute."""
        setup.index()
        setup.image("1003.1").unlink()
        lines = setup.table.read_text().splitlines(keepends=True)
        table = "".join(line for line in lines if not line.startswith("1003-1"))
        setup.table.write_text(table.replace("Oxfords,Lace up,Women", "Oxfords,Lace up,Men"))

    def index(self, setup: Setup, change: Add | Remove) -> IndexReport:
        """Index, with the change made as soon as 1000.1, which has another picture now, is embedded."""
        setup.image("1000.1").write_bytes(draw_shoe(99))

        def stop() -> bool:
            (outcome,) = CatalogWriter(setup.store, Uploads(setup.out)).run([change])
            assert isinstance(outcome, Changed)
            return False

        return setup.index(stop=stop)

    def upload(self, setup: Setup, item_id: str) -> Add:
        """A shoe as PUT has it written."""
        picture = clean_picture(setup.embedder.preprocessor, draw_shoe(50))
        return Add(item_id, {"Brand": ("New",)}, picture, setup.vector_of(picture.content))

    def test_a_vanished_shoe_is_uploaded(self, setup: Setup) -> None:
        """It is an upload now, and stays."""
        report = self.index(setup, self.upload(setup, "1003.1"))
        assert report == IndexReport(embedded=1, kept=7, removed=0, left_out=0)
        image = setup.store.get("1003.1").image
        assert is_upload(image)
        assert Uploads(setup.out).locate(image).exists()

    def test_a_shoe_with_other_attributes_is_uploaded(self, setup: Setup) -> None:
        """Picture and vector are of the upload until the next run, which puts the catalogue's in their place."""
        uploaded = self.upload(setup, "1000.2")
        self.index(setup, uploaded)
        record = setup.store.records["1000.2"]
        assert is_upload(record.item.image)
        np.testing.assert_array_equal(record.vector, uploaded.vector)
        assert setup.index().embedded == 1
        record = setup.store.records["1000.2"]
        assert not is_upload(record.item.image)
        assert record.item.attributes["Gender"] == ("Men",)
        np.testing.assert_array_equal(record.vector, setup.vector_of(setup.image("1000.2").read_bytes()))

    def test_a_shoe_with_other_attributes_is_deleted(self, setup: Setup) -> None:
        """The run goes on to its end; the next one brings the shoe back."""
        assert self.index(setup, Remove("1000.2")).removed == 1
        assert "1000.2" not in setup.store.records
        assert is_complete(setup.out)
        assert setup.index().embedded == 1

    def test_no_change_comes_in_between(self, setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is read again before it is updated or removed is locked against the service's changes."""
        locked = []

        def check(name: str) -> Callable[..., object]:
            change = getattr(setup.store, name)

            def checked(*arguments: object) -> object:
                with pytest.raises(StoreBusy), Uploads(setup.out).changing(0):
                    pass
                locked.append(name)
                return change(*arguments)

            return checked

        for name in ("upsert", "delete"):
            monkeypatch.setattr(setup.store, name, check(name))
        assert setup.index() == IndexReport(embedded=0, kept=8, removed=1, left_out=0)
        assert locked == ["upsert", "delete"]


def test_an_import_between_a_batch_and_its_stamps(
    setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vector that it brings does not pass for that of the picture which the indexing has just embedded."""
    setup.index()
    uploads, file, upsert = Uploads(setup.out), tmp_path / "shoes.zip", setup.store.upsert
    export_catalog(setup.store, uploads, file)
    setup.image("1000.1").write_bytes(draw_shoe(99))

    def take() -> None:
        with Archive(file) as archive:
            import_catalog(archive, setup.store, uploads, Ledger(setup.out))

    importing = threading.Thread(target=take)

    def upsert_and_import(records: Sequence[Record], *, overwrite: bool = True) -> int:
        monkeypatch.setattr(setup.store, "upsert", upsert)
        count = upsert(records, overwrite=overwrite)
        importing.start()
        importing.join(0.3)
        return count

    monkeypatch.setattr(setup.store, "upsert", upsert_and_import)
    setup.index()
    importing.join(60)
    setup.index()
    np.testing.assert_array_equal(setup.store.vector("1000.1"), setup.vector_of(draw_shoe(99)))


def test_bad_pictures_are_reported_by_their_part(setup: Setup) -> None:
    """Each part counts and lists its own, in a file of its own."""
    setup.image("1002.1").write_bytes(b"broken")
    owner = next(number for number in (1, 2) if Shard(number, 2).holds("1002.1"))
    for number in (1, 2):
        report = setup.index(shard=Shard(number, 2), max_bad_share=0.9)
        assert report.left_out == (number == owner)
        assert (setup.out / f"bad-rows-{number}-of-2.csv").exists() == (number == owner)
    assert not (setup.out / "bad-rows.csv").exists()


def test_a_refused_write_is_an_error_for_people(setup: Setup) -> None:
    """Where the ledger can't be written the run ends with the file and the reason, and goes on once it can."""
    (setup.out / "pictures.jsonl").mkdir()
    with pytest.raises(ArtifactError, match=r"pictures\.jsonl"):
        setup.index()
    (setup.out / "pictures.jsonl").rmdir()
    assert setup.index().embedded == 9


class DyingPool(EmbedPool):
    """Embeds one chunk, and is lost."""

    def __init__(self) -> None:
        pass

    def embed(self, shoes: Iterable[Shoe], chunk: int = 64) -> Generator[list[EmbeddedShoe], None, None]:
        """See EmbedPool."""
        yield [(shoe, np.zeros(8, dtype=np.float32)) for shoe in islice(shoes, chunk)]
        raise PoolBroken("gone")


@pytest.mark.parametrize(("stopped", "expected"), [(False, PoolBroken), (True, IndexingStopped)])
def test_a_broken_pool(setup: Setup, *, stopped: bool, expected: type[Exception]) -> None:
    """It is an error, unless the signal that took it was to stop all; what it had embedded is stored in either case."""
    told = iter([False, stopped, stopped, stopped])
    with pytest.raises(expected):
        index_catalog(
            setup.read(),
            setup.embedder,
            setup.store,
            setup.out,
            batch_size=4,
            make_pool=lambda _: nullcontext(DyingPool()),
            stop=lambda: next(told),
        )
    assert len(setup.store.records) == 4
    assert setup.index() == IndexReport(embedded=5, kept=4, removed=0, left_out=0)
