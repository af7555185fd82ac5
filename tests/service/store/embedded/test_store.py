"""The embedded store's files: made, opened, refused, read-only, full."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model.errors import ArtifactCorrupt, ArtifactError, ArtifactMismatch, ArtifactMissing, StorageFull, StorageReadOnly
from service.errors import StoreBusy
from service.store.base import StoreSpec
from service.store.embedded import database as database_module
from service.store.embedded.store import DATABASE, EmbeddedStore
from tests.service.store.conftest import embedded
from tests.service.store.naive import CHECKPOINT, DIMENSION, ROOT, SPEC, ids, ids_in, shoe, shoes

PROJECT = Path(__file__).parents[4]


@pytest.fixture
def database(folder: Path) -> Path:
    """The SQLite file of a closed store with 300 shoes, whose cache is gone."""
    with closing(embedded(folder)) as store:
        store.upsert(shoes(300))
    (folder / "vectors.bin").unlink()
    return folder / DATABASE


def execute(database: Path, statement: str, *values: object) -> None:
    """Change a database behind the store's back."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement, values)


class TestCreateAndOpen:
    def test_opens_what_was_made(self, folder: Path) -> None:
        """Everything is there again after closing, in the same order and with the same fingerprint."""
        with closing(embedded(folder)) as store:
            store.upsert(shoes(20))
            before = (store.info(), store.page(limit=100), store.facets())
        with closing(EmbeddedStore.open(folder)) as store:
            assert (store.info(), store.page(limit=100), store.facets()) == before

    def test_create_goes_on_with_what_is_there(self, folder: Path) -> None:
        """An ingest that was cut short finds the ids that it had already stored."""
        with closing(embedded(folder)) as store:
            store.upsert(shoes(5))
        with closing(embedded(folder)) as store:
            assert ids_in(store) == {f"shoe-{number}" for number in range(5)}

    def test_closed_files_are_whole_without_a_log(self, folder: Path) -> None:
        """After closing, two files hold everything and may be copied elsewhere."""
        with closing(embedded(folder)) as store:
            store.upsert(shoes(20))
        assert {path.name for path in folder.iterdir()} == {DATABASE, "vectors.bin"}

    @pytest.mark.parametrize(
        ("fact", "other", "named"),
        [
            ("checkpoint", "other" * 10, ["other" * 10, CHECKPOINT]),
            ("dimension", DIMENSION + 1, [str(DIMENSION), str(DIMENSION + 1)]),
            ("slices", {"category": (0, 8)}, ["'closure': (3, 5)", "{'category': (0, 8)}"]),
            ("root", "/elsewhere", [ROOT, "/elsewhere"]),
        ],
    )
    def test_refuses_a_store_of_another_spec(self, folder: Path, fact: str, other: Any, named: list[str]) -> None:
        """The message names both values and the ways out, and the store is left alone."""
        embedded(folder).close()
        with pytest.raises(ArtifactMismatch) as caught:
            EmbeddedStore.create(folder, replace(SPEC, **{fact: other}))
        assert all(text in str(caught.value) for text in [*named, fact, "index --rebuild", "--out"])
        embedded(folder).close()

    @pytest.mark.parametrize("slices", [{"overall": (0, 8)}, {"a": (0, 9)}, {"a": (3, 3)}, {"a": (-1, 2)}])
    def test_refuses_slices_outside_the_vector(self, folder: Path, slices: dict[str, tuple[int, int]]) -> None:
        """A programming error, found before anything is written."""
        with pytest.raises(ValueError, match="does not fit"):
            EmbeddedStore.create(folder, StoreSpec.of(8, slices, CHECKPOINT, ROOT))
        assert not folder.exists()

    def test_remove_makes_way_for_a_new_store(self, folder: Path) -> None:
        """Only the store's own files go."""
        with closing(embedded(folder)) as store:
            store.upsert(shoes(5))
        (folder / "bad-rows.csv").write_text("row,reason\n")
        EmbeddedStore.remove(folder)
        assert [path.name for path in folder.iterdir()] == ["bad-rows.csv"]
        EmbeddedStore.create(folder, StoreSpec.of(4, {}, "new", ROOT)).close()

    def test_an_absent_store_names_the_command_that_makes_one(self, folder: Path) -> None:
        """An empty folder and no folder at all are the same."""
        for _ in range(2):
            with pytest.raises(ArtifactMissing, match="python -m service index --catalog PATH"):
                EmbeddedStore.open(folder)
            folder.mkdir(exist_ok=True)

    def test_says_so_when_it_is_closed(self, folder: Path) -> None:
        """Reading and writing after closing are errors, and closing twice is not."""
        store = embedded(folder)
        store.close()
        store.close()
        with pytest.raises(ArtifactError, match="closed"):
            store.info()
        with pytest.raises(ArtifactError, match="closed"):
            store.upsert([shoe("a", [1.0])])


class TestDamage:
    @pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
    def test_a_truncated_database_is_corrupt(self, database: Path, share: float) -> None:
        """Wherever it was cut; the message names the file and the command that makes it anew."""
        os.truncate(database, int(database.stat().st_size * share))
        with pytest.raises(ArtifactCorrupt, match=r"catalog\.sqlite.*index --rebuild"):
            EmbeddedStore.open(database.parent)

    def test_flipped_bytes_are_found_wherever_they_are(self, database: Path) -> None:
        """A damaged byte in use is either an error at the start, or in a place that changes no answer."""
        whole = database.read_bytes()
        with closing(EmbeddedStore.open(database.parent)) as store:
            expected = (store.page(limit=1000), [store.vector(f"shoe-{number}").tolist() for number in range(300)])
        refused = 0
        for place in range(0, len(whole), len(whole) // 40):
            damaged = bytearray(whole)
            damaged[place] ^= 0x55
            database.write_bytes(damaged)
            (database.parent / "vectors.bin").unlink(missing_ok=True)
            try:
                with closing(EmbeddedStore.open(database.parent)) as store:
                    vectors = [store.vector(f"shoe-{number}").tolist() for number in range(300)]
                    assert (store.page(limit=1000), vectors) == expected
            except ArtifactCorrupt:
                refused += 1
        assert refused > 20

    def test_another_programs_database_is_corrupt(self, folder: Path) -> None:
        """It is neither read nor written to."""
        folder.mkdir()
        execute(folder / DATABASE, "CREATE TABLE shoes (id TEXT)")
        before = (folder / DATABASE).read_bytes()
        for start in (EmbeddedStore.open, embedded):
            with pytest.raises(ArtifactCorrupt, match="no catalogue of solemate"):
                start(folder)
        assert (folder / DATABASE).read_bytes() == before

    def test_text_instead_of_a_database_is_corrupt(self, folder: Path) -> None:
        """Such as a page of HTML that a download left behind."""
        folder.mkdir()
        (folder / DATABASE).write_text("<html>not found</html>" * 100)
        for start in (EmbeddedStore.open, embedded):
            with pytest.raises(ArtifactCorrupt, match="index --rebuild"):
                start(folder)

    def test_an_unknown_format_version_is_refused(self, database: Path) -> None:
        """A catalogue of a later solemate is not guessed at."""
        execute(database, "UPDATE meta SET value = '99' WHERE key = 'schema'")
        with pytest.raises(ArtifactCorrupt, match="format version 99, not 1"):
            EmbeddedStore.open(database.parent)

    @pytest.mark.parametrize(
        ("key", "value"), [("seq", "x"), ("dimension", "x"), ("slices", "[]"), ("slices", '{"a": 1}')]
    )
    def test_a_broken_fact_is_corrupt(self, database: Path, key: str, value: str) -> None:
        """The facts are read with the same distrust as the rows."""
        execute(database, "UPDATE meta SET value = ? WHERE key = ?", value, key)
        with pytest.raises(ArtifactCorrupt, match="broken table of facts"):
            EmbeddedStore.open(database.parent)

    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ("vector", b"\0" * 4 * DIMENSION),
            ("vector", b""),
            ("attributes", json.dumps({"Gender": ["Men"], "Tampered": ["yes"]})),
            ("image", "../../etc/passwd"),
        ],
    )
    def test_a_row_that_was_tampered_with_is_corrupt(self, database: Path, column: str, value: object) -> None:
        """Every row carries checksums of its texts and of its vector."""
        execute(database, f"UPDATE shoes SET {column} = ? WHERE number = 7", value)
        with pytest.raises(ArtifactCorrupt, match="fails its checksum"):
            EmbeddedStore.open(database.parent)

    def test_an_index_killed_before_its_first_commit_goes_on(self, folder: Path) -> None:
        """An empty file is no catalogue to open, but one to make."""
        folder.mkdir()
        (folder / DATABASE).touch()
        with pytest.raises(ArtifactCorrupt, match="never finished"):
            EmbeddedStore.open(folder)
        with closing(embedded(folder)) as store:
            assert store.info().count == 0


class TestLinks:
    def test_a_store_stays_with_what_a_link_led_to(self, tmp_path: Path) -> None:
        """A link turned to another catalogue does not take the first write of an open store with it."""
        link = tmp_path / "current"
        for name in ("old", "new"):
            embedded(tmp_path / name).close()
        link.symlink_to(tmp_path / "old")
        with closing(EmbeddedStore.open(link)) as store:
            link.unlink()
            link.symlink_to(tmp_path / "new")
            store.upsert(shoes(3))
            assert store.info().count == 3
        with closing(EmbeddedStore.open(tmp_path / "new")) as store:
            assert store.info().count == 0


class TestReplaced:
    @pytest.mark.parametrize("wrote", [False, True])
    @pytest.mark.parametrize("how", ["another", "a copy", "made anew"])
    def test_a_catalogue_that_was_replaced_is_not_written_to(self, tmp_path: Path, wrote: bool, how: str) -> None:
        """Neither the new one nor the old one, which nobody will see again, takes a change of an open store."""
        live, new = tmp_path / "live", tmp_path / "new"
        for folder in (live, new):
            with closing(embedded(folder)) as store:
                store.upsert(shoes(2))
        with closing(EmbeddedStore.open(live)) as store:
            if wrote:
                store.patch("shoe-0", {"Lot": ("changed",)})
            if how == "made anew":
                EmbeddedStore.remove(live)
                embedded(live).close()
            else:
                if how == "a copy":
                    shutil.rmtree(new)
                    shutil.copytree(live, new)
                live.rename(tmp_path / "old")
                new.rename(live)
            with pytest.raises(StoreBusy, match="loaded anew"):
                store.upsert([shoe("put", [1.0])])
            with pytest.raises(StoreBusy, match="loaded anew"):
                store.delete(["shoe-0"])
            assert ids_in(store) == {"shoe-0", "shoe-1"}
        with closing(EmbeddedStore.open(live)) as store:
            assert ids_in(store) == (set() if how == "made anew" else {"shoe-0", "shoe-1"})

    def test_a_catalogue_that_was_put_back_is_written_to(self, folder: Path, tmp_path: Path) -> None:
        """A folder that was away for a moment, or another in its place, does not keep the store from going on."""
        embedded(tmp_path / "new").close()
        with closing(embedded(folder)) as store:
            folder.rename(tmp_path / "old")
            with pytest.raises(StoreBusy, match="loaded anew"):
                store.upsert(shoes(2))
            (tmp_path / "new").rename(folder)
            with pytest.raises(StoreBusy):
                store.upsert(shoes(2))
            shutil.rmtree(folder)
            (tmp_path / "old").rename(folder)
            store.upsert(shoes(2))
            assert store.info().count == 2


class TestDisk:
    @pytest.fixture
    def writers(self, monkeypatch: pytest.MonkeyPatch) -> list[sqlite3.Connection]:
        """The connections that write, of stores that are opened from now on."""
        found: list[sqlite3.Connection] = []

        def connect(path: Path, mode: str, **options: float) -> sqlite3.Connection:
            connection = original(path, mode, **options)
            if mode == "rw":
                found.append(connection)
            return connection

        original = database_module.connect
        monkeypatch.setattr(database_module, "connect", connect)
        return found

    def test_a_full_disk_is_said_and_changes_nothing(self, folder: Path, writers: list[sqlite3.Connection]) -> None:
        """The batch that did not fit is not there in part, and the store works on."""
        with closing(embedded(folder)) as store:
            store.upsert(shoes(10))
            (writer,) = writers
            pages = writer.execute("PRAGMA page_count").fetchone()[0]
            writer.execute(f"PRAGMA max_page_count = {pages + 2}")
            with pytest.raises(StorageFull, match="disk is full"):
                store.upsert(shoes(1000, prefix="more"))
            assert store.info().count == 10
            writer.execute("PRAGMA max_page_count = 1000000")
            assert store.upsert(shoes(1000, prefix="more")) == 1000
            assert store.info().count == 1010

    def test_a_locked_catalogue_is_said(self, folder: Path) -> None:
        """Another process that never ends its transaction makes an error, not a standstill."""
        with closing(embedded(folder)) as store:
            store.upsert(shoes(1))
        opened = EmbeddedStore.open(folder, busy_seconds=0.01)
        with closing(opened) as store, closing(sqlite3.connect(folder / DATABASE)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreBusy, match="another process"):
                store.upsert(shoes(2))
            assert store.info().count == 1
            other.rollback()
            assert store.upsert(shoes(2)) == 2

    def test_a_read_only_catalogue_is_said(self, folder: Path, writers: list[sqlite3.Connection]) -> None:
        """A change of a file that may not be written is an error of its own, and changes nothing."""
        with closing(embedded(folder)) as store:
            store.upsert(shoes(1))
            writers[0].execute("PRAGMA query_only = ON")
            for change in (
                lambda: store.upsert(shoes(2)),
                lambda: store.patch("shoe-0", {}),
                lambda: store.delete(["shoe-0"]),
            ):
                with pytest.raises(StorageReadOnly, match="read-only disk"):
                    change()
            assert store.info().count == 1

    def test_a_folder_that_is_a_file_is_said(self, tmp_path: Path) -> None:
        """An error with the path, not a trace."""
        (tmp_path / "file").touch()
        with pytest.raises(ArtifactError, match="file"):
            embedded(tmp_path / "file" / "catalog")


# Root may write anywhere, so the process gives that up, once everything is imported and before it opens the store.
READ_ONLY = """
import os, sys, logging
from pathlib import Path
from model.errors import ArtifactError
from service.store.embedded.store import EmbeddedStore
from tests.service.store.naive import ids, shoe

logging.basicConfig(level="INFO", stream=sys.stdout)
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    store = EmbeddedStore.open(Path(sys.argv[1]))
except ArtifactError as error:
    print("unreadable", error)
    sys.exit()
print("found", ids(store.search(store.vector("shoe-3")[None], 1)[0]))
try:
    store.upsert([shoe("new", [1.0])])
except ArtifactError as error:
    print("refused", error)
print("still", store.info().count)
store.close()
"""


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that any user may look into (pytest's own is private)."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name) / "catalog"


def read_as_another(folder: Path) -> str:
    """What READ_ONLY prints about a store that it can't write to."""
    folder.chmod(0o555)
    try:
        command = [sys.executable, "-c", READ_ONLY, str(folder)]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=240)
    finally:
        folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    return done.stdout


class TestReadOnly:
    def test_a_read_only_folder_can_be_searched(self, public: Path) -> None:
        """Also without a cache, which is then not written; a change is refused with the path and the reason."""
        with closing(embedded(public)) as store:
            store.upsert(shoes(20))
        (public / "vectors.bin").unlink()
        (public / DATABASE).chmod(0o444)
        printed = read_as_another(public)
        assert "found ['shoe-3']" in printed
        assert "could not be written" in printed
        assert f"refused {public / DATABASE}: no permission, or a read-only disk" in printed
        assert "still 20" in printed
        assert {path.name for path in public.iterdir()} == {DATABASE}

    def test_and_follows_what_another_user_writes(self, public: Path) -> None:
        """While the owner has it open, its log is read as well: nothing acknowledged is left out."""
        with closing(embedded(public)) as store:
            store.upsert(shoes(20))
            printed = read_as_another(public)
        assert "found ['shoe-3']" in printed
        assert "still 20" in printed

    def test_but_never_leaves_out_what_only_the_log_holds(self, public: Path) -> None:
        """A copy of a running store, or of a killed one, whose log can't be read with it, is refused, not half read."""
        running = public.with_name("running")
        public.mkdir()
        with closing(embedded(running)) as store:
            store.upsert(shoes(20))
            for name in (DATABASE, f"{DATABASE}-wal"):
                shutil.copy(running / name, public / name)
        printed = read_as_another(public)
        assert printed.startswith(f"unreadable {public / DATABASE}: no permission, or a read-only disk")


def test_search_reports_the_shoes_own_id_first(folder: Path) -> None:
    """A start from the cache answers like the instance that wrote it."""
    with closing(embedded(folder)) as store:
        store.upsert(shoes(50))
        expected = [store.search(record.vector[None], 5, condition="free")[0] for record in shoes(50)]
    with closing(EmbeddedStore.open(folder)) as store:
        for record, hits in zip(shoes(50), expected, strict=True):
            found = store.search(record.vector[None], 5, condition="free")[0]
            assert found == hits
            assert ids(found)[0] == record.item.id
