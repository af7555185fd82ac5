"""The commands that look after a catalogue."""

import json
import shutil
import subprocess
import sys
import zipfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from numpy.typing import NDArray

from model.files import sha256_bytes
from service.catalog.attributes import declare_types, read_types
from service.catalog.images import Uploads, require_name
from service.catalog.indexing.ledger import WHOLE, Shard, begin, is_complete
from service.catalog.maintenance import backup
from service.catalog.maintenance.archive import export_catalog
from service.catalog.maintenance.duplicates import MEASURE
from service.store.base import Item, Record
from service.store.embedded.database import copy_database
from service.store.embedded.files import VECTORS
from service.store.embedded.store import DATABASE, EmbeddedStore
from tests.support.commands import Done, run_main
from tests.support.stack import draw_catalog, draw_shoe, make_checkpoint


class Folder:
    """A small indexed catalogue with two uploaded shoes, and the commands on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.demo, self.checkpoint, self.catalog = path / "demo", path / "checkpoint", path / "catalog"

    def make(self) -> None:
        """All of it."""
        draw_catalog(self.demo, 10)
        make_checkpoint(self.checkpoint)
        options = ("--catalog", str(self.demo), "--out", str(self.catalog), "--device", "cpu")
        assert self._run("index", *options).status == 0
        for number in (50, 51):
            assert self.add(f"new-{number}", number, "-a", "Gender:Women", "-a", "Farbe:grün").status == 0

    def run(self, *arguments: str, catalog: Path | None = None) -> Done:
        """A command on the catalogue, or on another one."""
        return self._run(*arguments, "--index", str(catalog or self.catalog))

    def add(self, item_id: str, number: int, *options: str) -> Done:
        """Add a drawn shoe."""
        image = self.path / f"{number}.jpg"
        image.write_bytes(draw_shoe(number))
        return self.run("items", "add", item_id, str(image), *options)

    def verify(self, *options: str, catalog: Path | None = None) -> Done:
        """Verify all of it."""
        return self.run("verify", "--orphan-seconds", "0", *options, catalog=catalog)

    def images(self, catalog: Path | None = None) -> dict[str, str]:
        """Id -> picture, of all shoes."""
        with closing(EmbeddedStore.open(catalog or self.catalog)) as store:
            return {item.id: item.image for item in store.page(limit=100).items}

    def _run(self, *arguments: str) -> Done:
        return run_main(*arguments, SOLEMATE_CHECKPOINT=str(self.checkpoint))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """One for all, not to be changed."""
    folder = Folder(tmp_path_factory.mktemp("original"))
    folder.make()
    return folder


@pytest.fixture
def folder(original: Folder, tmp_path: Path) -> Folder:
    """A copy with a catalogue of its own."""
    copy = Folder(tmp_path)
    copy.demo, copy.checkpoint = original.demo, original.checkpoint
    shutil.copytree(original.catalog, copy.catalog)
    return copy


class TestItems:
    def test_list(self, original: Folder) -> None:
        """Every shoe is a line of JSON, in the catalogue's order; a filter leaves some."""
        done = original.run("items", "list")
        shoes = [json.loads(line) for line in done.output.splitlines()]
        assert [shoe["id"] for shoe in shoes][-2:] == ["new-50", "new-51"]
        assert len(shoes) == 12
        assert (shoes[0]["id"], shoes[0]["image"]) == ("1000.1", "Shoes/Heels/Ana/1000.1.jpg")
        assert shoes[-1]["attributes"] == {"Gender": ["Women"], "Farbe": ["grün"]}
        green = original.run("items", "list", "--filter", "Farbe:grün", "--filter", "Gender:Women").output
        assert [json.loads(line)["id"] for line in green.splitlines()] == ["new-50", "new-51"]
        wrong = original.run("items", "list", "--filter", "Colour:Red")
        assert (wrong.status, wrong.output) == (1, "")
        assert "unknown attribute 'Colour'" in wrong.error

    def test_add_and_replace(self, folder: Folder) -> None:
        """A shoe is added, replaced, and not replaced where that was not wanted; the picture follows."""
        before = folder.images()["new-50"]
        assert folder.add("new-50", 52).output == "replaced new-50\n"
        assert folder.images()["new-50"] != before
        refused = folder.add("new-50", 53, "--no-overwrite")
        assert refused.status == 1
        assert refused.error.endswith("is in the catalogue already; it was not replaced\n")
        assert folder.add("newer", 53, "--no-overwrite").output == "added newer\n"
        assert folder.verify().status == 0

    @pytest.mark.parametrize(
        ("arguments", "status", "said"),
        [
            (("a/b", "50.jpg"), 1, "slashes"),
            (("a", "nothing.jpg"), 1, "nothing.jpg"),
            (("a", "notes.txt"), 1, "not an image"),
            (("a", "50.jpg", "-a", "Gender"), 2, "Name:Value"),
            (("a", "50.jpg", "-a", "Gender:"), 1, "1 to 200"),
        ],
    )
    def test_what_can_not_be_added(self, folder: Folder, arguments: tuple[str, ...], status: int, said: str) -> None:
        """A wrong id, picture or attribute is one line, and nothing is changed."""
        (folder.path / "50.jpg").write_bytes(draw_shoe(50))
        (folder.path / "notes.txt").write_bytes(b"no picture")
        done = folder.run("items", "add", arguments[0], str(folder.path / arguments[1]), *arguments[2:])
        assert done.status == status
        assert said in done.error
        assert len(folder.images()) == 12
        assert len(list(Uploads(folder.catalog).names())) == 2

    def test_another_checkpoint(self, folder: Folder, tmp_path: Path) -> None:
        """A picture is not embedded by another network than the others."""
        make_checkpoint(tmp_path / "other", seed=5)
        done = folder.add("a", 60, "--checkpoint", str(tmp_path / "other"))
        assert done.status == 1
        assert "were made by the checkpoint" in done.error

    def test_delete(self, folder: Folder) -> None:
        """Shoes go with their uploaded pictures; one that is not there fails alone."""
        done = folder.run("items", "delete", "new-50", "nobody", "1000.1")
        assert done.status == 1
        assert done.output == "deleted new-50\ndeleted 1000.1\n"
        assert "no shoe with id 'nobody'" in done.error
        assert len(list(Uploads(folder.catalog).names())) == 1
        assert next(folder.demo.rglob("1000.1.jpg")).exists()
        assert folder.run("items", "delete", "new-51").status == 0

    def test_indexing_again_leaves_added_shoes(self, folder: Folder) -> None:
        """A shoe that was added is no shoe that has vanished from the catalogue."""
        before = folder.images()
        options = ("--catalog", str(folder.demo), "--out", str(folder.catalog), "--device", "cpu")
        done = run_main("index", *options, SOLEMATE_CHECKPOINT=str(folder.checkpoint))
        assert "0 removed" in done.output
        assert folder.images() == before

    def test_another_network_keeps_added_shoes(self, folder: Folder, tmp_path: Path) -> None:
        """A rebuild with another checkpoint embeds the added shoes' own pictures anew, with their attributes."""
        before = folder.images()
        folder.run("items", "delete", "new-51")
        make_checkpoint(tmp_path / "newer", seed=5)
        folder.checkpoint = tmp_path / "newer"
        options = ("--catalog", str(folder.demo), "--out", str(folder.catalog), "--device", "cpu", "--rebuild")
        done = run_main("index", *options, SOLEMATE_CHECKPOINT=str(folder.checkpoint))
        assert "11 shoes are in" in done.output
        assert "1 uploaded shoes embedded anew" in done.output
        del before["new-51"]
        assert folder.images() == before
        with closing(EmbeddedStore.open(folder.catalog)) as store:
            assert store.get("new-50").attributes == {"Gender": ("Women",), "Farbe": ("grün",)}
        assert folder.verify().output == "11 shoes, 11 vectors made again: all is well\n"
        assert not (folder.catalog / "uploaded-shoes.jsonl").exists()

    def test_an_interrupted_rebuild_keeps_added_shoes(self, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
        """Added shoes are in the store, or waiting in a file to be, however often a rebuild is interrupted."""
        before = folder.images()
        options = ("--catalog", str(folder.demo), "--out", str(folder.catalog), "--device", "cpu", "--rebuild")

        def interrupt(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("service.catalog.indexing.index.index_catalog", interrupt)
            for _ in range(2):
                assert run_main("index", *options, SOLEMATE_CHECKPOINT=str(folder.checkpoint)).status == 130
        assert run_main("index", *options[:-1], SOLEMATE_CHECKPOINT=str(folder.checkpoint)).status == 0
        assert folder.images() == before
        assert folder.verify().status == 0

    def test_added_shoes_outlive_what_is_done_before_they_are_put_back(
        self, folder: Folder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The catalogue is not complete, their pictures are no orphans, and a backup has them."""
        before, copy = folder.images(), folder.path / "copy"
        options = ("--catalog", str(folder.demo), "--device", "cpu")
        rebuild = ("index", *options, "--out", str(folder.catalog), "--rebuild")
        with monkeypatch.context() as patch:
            patch.setattr("service.catalog.maintenance.reembed.restore_uploads", Mock(side_effect=KeyboardInterrupt))
            assert run_main(*rebuild, SOLEMATE_CHECKPOINT=str(folder.checkpoint)).status == 130
        assert len(folder.images()) == 10
        assert not is_complete(folder.catalog)
        assert folder.verify("--remove-orphans").status == 0
        assert folder.run("backup", str(copy)).status == 0
        for catalog in (folder.catalog, copy):
            done = run_main("index", *options, "--out", str(catalog), SOLEMATE_CHECKPOINT=str(folder.checkpoint))
            assert "2 uploaded shoes embedded anew" in done.output
            assert folder.images(catalog) == before
            assert is_complete(catalog)
            assert folder.verify(catalog=catalog).status == 0


class TestVerify:
    def test_all_is_well(self, original: Folder) -> None:
        """Of a whole catalogue every vector can be made again, and the status says so."""
        done = original.verify()
        assert done.status == 0, done.output
        assert done.output == "12 shoes, 12 vectors made again: all is well\n"
        assert original.verify("--sample", "3").output.startswith("12 shoes, 3 vectors")

    def test_pictures(self, folder: Folder, tmp_path: Path) -> None:
        """Pictures that are gone, changed, or belong to no shoe are told; the last can be removed."""
        uploads = Uploads(folder.catalog)
        images = folder.images()
        uploads.locate(images["new-50"]).unlink()
        uploads.locate(images["new-51"]).write_bytes(draw_shoe(3))
        (uploads.folder / f"{'0' * 32}-{'0' * 16}.png").write_bytes(draw_shoe(3))
        done = folder.verify()
        assert done.status == 1
        told = done.output.splitlines()
        assert any(line.startswith("shoe 'new-50': its picture is gone") for line in told)
        assert any(line.startswith("shoe 'new-51': its picture fails its digest") for line in told)
        assert any(line.startswith("shoe 'new-51': its vector is") for line in told)
        assert any("no shoe has it" in line for line in told)
        assert len(told) == 5
        folder.run("items", "delete", "new-50", "new-51")
        assert folder.run("verify").status == 0  # it is too young to be called an orphan
        assert "1 pictures without a shoe removed: all is well" in folder.verify("--remove-orphans").output
        assert folder.verify().status == 0
        assert list(uploads.names()) == []

    def test_vectors(self, folder: Folder) -> None:
        """A vector that its picture does not make is found, whatever its checksum says."""
        with closing(EmbeddedStore.open(folder.catalog)) as store:
            records = [(store.get(name), store.vector(name) + 0.5) for name in ("1001.1", "new-50")]
            store.upsert(Record(item, vector) for item, vector in records)
        done = folder.verify()
        assert done.status == 1
        assert [line.partition(":")[0] for line in done.output.splitlines()[:-1]] == ["shoe '1001.1'", "shoe 'new-50'"]

    def test_files(self, folder: Folder, tmp_path: Path) -> None:
        """A damaged database, cache or checkpoint is told by name, and what can be looked at is."""
        shutil.copytree(folder.checkpoint, tmp_path / "broken")
        weights = tmp_path / "broken" / "weights.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1] + b"\xff")
        with closing(EmbeddedStore.open(folder.catalog)) as store:
            store.patch("1000.1", {})  # so that closing writes the cache
        with (folder.catalog / VECTORS).open("r+b") as cache:
            cache.seek(-1, 2)
            cache.write(b"\xff")
        done = folder.verify("--checkpoint", str(tmp_path / "broken"))
        assert done.status == 1
        assert "weights.safetensors" in done.output
        assert f"{folder.catalog / VECTORS} fails its digest" in done.output
        assert "12 shoes, 0 vectors made again" in done.output
        data = bytearray((folder.catalog / DATABASE).read_bytes())
        data[4096:8192] = bytes(4096)
        (folder.catalog / DATABASE).write_bytes(data)
        assert folder.verify().status == 1

    def test_nothing_there(self, folder: Folder, tmp_path: Path) -> None:
        """Without a catalogue there is nothing to verify, and a way to make one."""
        done = folder.verify(catalog=tmp_path / "nothing")
        assert done.status == 1
        assert "make one with" in done.error


class TestCarrying:
    def test_to_a_new_catalogue_and_back(self, folder: Folder, tmp_path: Path) -> None:
        """What is imported is what was exported: shoes, order, vectors, pictures; twice changes nothing more."""
        assert folder.run("export", str(tmp_path / "shoes.zip")).output.startswith("12 shoes are in")
        other = tmp_path / "other"
        done = folder.run("import", str(tmp_path / "shoes.zip"), catalog=other)
        assert done.status == 0, done.error
        assert "12 shoes" in done.output
        assert "12 added, 0 replaced, 2 with their pictures" in done.output
        with closing(EmbeddedStore.open(folder.catalog)) as one, closing(EmbeddedStore.open(other)) as two:
            assert one.info().uuid != two.info().uuid
            mine, theirs = one.page(limit=100).items, two.page(limit=100).items
            assert [(item.id, item.attributes) for item in mine] == [(item.id, item.attributes) for item in theirs]
            for item in mine:
                assert (one.vector(item.id) == two.vector(item.id)).all()
        assert folder.verify(catalog=other).status == 0
        again = folder.run("import", str(tmp_path / "shoes.zip"), catalog=other)
        assert "0 added, 12 replaced" in again.output
        assert folder.verify(catalog=other).status == 0
        assert set(folder.images(other).values()).isdisjoint(
            image for image in folder.images().values() if image.startswith("/")
        )

    def test_a_shoe_that_is_replaced_meanwhile(
        self, folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is in the file as it was before or after: never one's picture with the other's vector."""
        uploads = Uploads(folder.catalog)
        with closing(EmbeddedStore.open(folder.catalog)) as store, closing(EmbeddedStore.open(folder.catalog)) as other:
            new = store.record("new-51")

            def vector(item_id: str) -> NDArray[np.float32]:
                if item_id == "new-50":
                    other.delete(["new-51"])
                    other.upsert([Record(replace(new.item, id=item_id), new.vector)])
                return EmbeddedStore.vector(store, item_id)

            monkeypatch.setattr(store, "vector", vector)
            export_catalog(store, uploads, tmp_path / "shoes.zip")
        other_catalog = tmp_path / "other"
        assert folder.run("import", str(tmp_path / "shoes.zip"), catalog=other_catalog).status == 0
        assert folder.verify(catalog=other_catalog).status == 0

    def test_not_over_another_file(self, folder: Folder, tmp_path: Path) -> None:
        """An export is not written over a file that is there, as a backup is not."""
        (tmp_path / "shoes.zip").write_bytes(b"precious")
        done = folder.run("export", str(tmp_path / "shoes.zip"))
        assert done.status == 1
        assert "shoes.zip exists; give a file that does not" in done.error
        assert (tmp_path / "shoes.zip").read_bytes() == b"precious"

    def test_ids_of_an_old_store_in_another_unicode_form(self, folder: Folder, tmp_path: Path) -> None:
        """`verify` names an id in form D, which an old store may have; an import and a rebuild bring it into form C."""
        with closing(EmbeddedStore.open(folder.catalog)) as store:
            old = store.get("new-50")
            renamed = replace(old, id="Schu\u0308hchen", attributes={"Gro\u0308ße": ("fu\u0308r alle",)})
            store.upsert([Record(renamed, store.vector("new-50"))])
            store.delete(["new-50"])
        verified = folder.verify()
        assert verified.status == 1
        assert "Schu\u0308hchen" in verified.output
        assert "normal form C" in verified.output
        folder.run("export", str(tmp_path / "shoes.zip"))
        folder.run("import", str(tmp_path / "shoes.zip"), catalog=tmp_path / "other")
        options = ("--catalog", str(folder.demo), "--out", str(folder.catalog), "--device", "cpu")
        done = run_main("index", "--rebuild", *options, SOLEMATE_CHECKPOINT=str(folder.checkpoint))
        assert done.status == 0, done.error
        for catalog in (tmp_path / "other", folder.catalog):
            assert folder.verify(catalog=catalog).status == 0
            with closing(EmbeddedStore.open(catalog)) as store:
                assert store.get("Schühchen").attributes == {"Größe": ("für alle",)}
        assert folder.run("items", "delete", "Schu\u0308hchen").output == "deleted Schühchen\n"

    def test_indexing_after_an_import(self, tmp_path: Path) -> None:
        """The next run embeds what was imported: a picture may have changed since the export."""
        folder = Folder(tmp_path)
        folder.make()
        folder.run("export", str(tmp_path / "shoes.zip"))
        next(folder.demo.rglob("1001.1.jpg")).write_bytes(draw_shoe(99))
        options = ("--catalog", str(folder.demo), "--out", str(folder.catalog), "--device", "cpu")
        for command in (("index", *options), ("import", str(tmp_path / "shoes.zip"), "--index", str(folder.catalog))):
            assert run_main(*command, SOLEMATE_CHECKPOINT=str(folder.checkpoint)).status == 0
        assert folder.verify().status == 1
        assert "10 embedded" in run_main("index", *options, SOLEMATE_CHECKPOINT=str(folder.checkpoint)).output
        assert folder.verify().status == 0

    def test_another_root(self, folder: Folder, tmp_path: Path) -> None:
        """A new catalogue may have its indexed pictures elsewhere, and `export` makes the folder of its file."""
        file = str(tmp_path / "exports/shoes.zip")
        folder.run("export", file)
        shutil.copytree(folder.demo, tmp_path / "moved")
        root = tmp_path / "moved" / "ut-zap50k-images"
        done = folder.run("import", file, "--root", str(root), catalog=tmp_path / "other")
        assert done.status == 0
        with closing(EmbeddedStore.open(tmp_path / "other")) as store:
            assert store.info().root == str(root)
        assert folder.verify(catalog=tmp_path / "other").status == 0

    def test_another_checkpoint(self, folder: Folder, tmp_path: Path) -> None:
        """Vectors of another network are refused, and nothing is taken."""
        other = Folder(tmp_path / "other")
        draw_catalog(other.demo, 2)
        make_checkpoint(other.checkpoint, seed=7)
        options = ("--catalog", str(other.demo), "--out", str(other.catalog), "--device", "cpu")
        assert run_main("index", *options, SOLEMATE_CHECKPOINT=str(other.checkpoint)).status == 0
        folder.run("export", str(tmp_path / "shoes.zip"))
        done = other.run("import", str(tmp_path / "shoes.zip"))
        assert done.status == 1
        assert "were made by the checkpoint" in done.error
        assert len(other.images()) == 2

    def test_backup(self, folder: Folder, tmp_path: Path) -> None:
        """A backup is a catalogue like the one that was copied, and is not written over another."""
        done = folder.run("backup", str(tmp_path / "backups" / "monday"))
        assert done.output.startswith("12 shoes and 2 uploaded pictures are in")
        monday = tmp_path / "backups" / "monday"
        assert sorted(path.name for path in monday.iterdir()) == ["catalog.sqlite", "pictures.jsonl", "uploads"]
        assert folder.images(monday) == folder.images()
        assert folder.verify(catalog=monday).status == 0
        folder.run("items", "delete", "new-50")
        assert "new-50" in folder.images(monday)
        again = folder.run("backup", str(monday))
        assert again.status == 1
        assert "exists" in again.error
        assert [path.name for path in monday.parent.iterdir()] == ["monday"]

    def test_backup_has_what_is_known_of_the_catalogue(self, folder: Folder, tmp_path: Path) -> None:
        """Declared types, the distance of near-duplicates, and that the indexing has not come to its end."""
        declare_types(folder.catalog, {"Farbe": "display"})
        (folder.catalog / MEASURE).write_text("measured")
        begin(folder.catalog, Shard(2, 2))
        assert folder.run("backup", str(tmp_path / "copy")).status == 0
        assert read_types(tmp_path / "copy") == {"Farbe": "display"}
        assert (tmp_path / "copy" / MEASURE).read_text() == "measured"
        assert not is_complete(tmp_path / "copy")

    def test_backup_of_an_indexing_that_begins_meanwhile(
        self, folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A copy that may have half of it does not pass for complete."""

        def copy_and_begin(source: Path, target: Path) -> list[Item]:
            begin(folder.catalog, WHOLE)
            return copy_database(source, target)

        monkeypatch.setattr(backup, "copy_database", copy_and_begin)
        backup.back_up(folder.catalog, tmp_path / "copy")
        assert not is_complete(tmp_path / "copy")

    def test_backup_of_what_is_not_whole(self, folder: Folder, tmp_path: Path) -> None:
        """A picture that is gone already is told, and the rest is copied; of no catalogue there is no backup."""
        Uploads(folder.catalog).locate(folder.images()["new-50"]).unlink()
        done = folder.run("backup", str(tmp_path / "copy"))
        assert done.status == 1
        assert "'new-50'" in done.error
        assert "12 shoes and 1 uploaded pictures" in done.output
        assert folder.run("export", str(tmp_path / "shoes.zip")).status == 1
        assert folder.run("backup", str(tmp_path / "b"), catalog=tmp_path / "nothing").status == 1
        assert not (tmp_path / "b").exists()
        assert not (tmp_path / "shoes.zip").exists()
        assert not list(tmp_path.glob(".*"))


def rewrite(path: Path, change: dict[str, bytes], *, add: dict[str, bytes] | None = None) -> None:
    """An archive anew, with some of its parts changed; empty bytes leave one out."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**parts, **change, **(add or {})}.items():
            if content:
                archive.writestr(name, content)


class TestForgedArchives:
    @pytest.fixture
    def archive(self, original: Folder, tmp_path: Path) -> Path:
        """A good one."""
        assert original.run("export", str(tmp_path / "shoes.zip")).status == 0
        return tmp_path / "shoes.zip"

    def refuse(self, original: Folder, archive: Path, said: str) -> None:
        """It is refused in one line, and nothing is written beyond a new catalogue's folder."""
        before = {path for path in archive.parent.parent.rglob("*") if "other" not in path.parts}
        done = original.run("import", str(archive), catalog=archive.parent / "other")
        assert done.status == 1, done.output
        assert said in done.error
        assert "Traceback" not in done.error
        assert {path for path in archive.parent.parent.rglob("*") if "other" not in path.parts} == before

    @pytest.mark.parametrize("name", ["../evil.png", "/etc/evil", "uploads/../../evil.png", "uploads/evil.png", "x"])
    def test_other_paths(self, original: Folder, archive: Path, name: str) -> None:
        """A part of a name that no export gives is refused before anything is read."""
        rewrite(archive, {}, add={name: b"evil"})
        self.refuse(original, archive, "no picture's name")

    @pytest.mark.parametrize(
        "image", ["../../etc/passwd", "/etc/passwd", "/uploads/../catalog.sqlite", "a/../../b.jpg", "a\0.jpg", ""]
    )
    def test_pictures_elsewhere(self, original: Folder, archive: Path, image: str) -> None:
        """A shoe whose picture would lie elsewhere is refused, though all digests are right."""
        self.forge(archive, lambda shoes: shoes[0].update(image=image))
        self.refuse(original, archive, "line 1 of items.jsonl is no shoe")

    @pytest.mark.parametrize("change", [{"id": 5}, {"id": ""}, {"attributes": {"a": [1]}}, {"attributes": {"a": [""]}}])
    def test_shoes_that_are_none(self, original: Folder, archive: Path, change: dict[str, object]) -> None:
        """So is one whose texts are none."""
        self.forge(archive, lambda shoes: shoes[0].update(change))
        self.refuse(original, archive, "line 1 of items.jsonl is no shoe")

    def test_damage(self, original: Folder, archive: Path) -> None:
        """A part that fails its digest, is missing or too short, or an archive that is none."""
        good = archive.read_bytes()
        with zipfile.ZipFile(archive) as opened:
            vectors = opened.read("vectors.f32")
            picture = next(name for name in opened.namelist() if name.startswith("uploads/"))
        for change, said in (
            ({"vectors.f32": vectors[:-1] + b"\xff"}, "vectors.f32 fails its digest"),
            ({"vectors.f32": vectors[:-4]}, "its vectors are not 12 of 8 numbers"),
            ({"manifest.json": b""}, "expected items.jsonl, manifest.json, vectors.f32"),
            ({"manifest.json": b"[]"}, "is damaged"),
            ({"manifest.json": b'{"format": "other"}'}, "it is not a solemate catalogue"),
            ({picture: draw_shoe(1)}, "fails its digest"),
            ({picture: b""}, "is damaged"),
        ):
            archive.write_bytes(good)
            rewrite(archive, change)
            self.refuse(original, archive, said)
        for data in (b"", b"PK", good[: len(good) // 2], b"nonsense" * 100):
            archive.write_bytes(data)
            self.refuse(original, archive, "is no zip archive")
        archive.unlink()
        self.refuse(original, archive, "shoes.zip")

    def test_pictures_that_are_none(self, original: Folder, archive: Path) -> None:
        """What is no picture is not put where pictures are served from, though its digest is right."""
        page = b"<html><script>alert(1)</script></html>"
        name = f"/uploads/{sha256_bytes(page)[:32]}-{'0' * 16}.png"
        self.forge(archive, lambda shoes: shoes[0].update(image=name), add={name[1:]: page})
        self.refuse(original, archive, "not an image")

    def forge(self, archive: Path, change: object, add: dict[str, bytes] | None = None) -> None:
        """Change the shoes, and make the digest right."""
        assert callable(change)
        with zipfile.ZipFile(archive) as opened:
            manifest = json.loads(opened.read("manifest.json"))
            shoes = [json.loads(line) for line in opened.read("items.jsonl").splitlines()]
        change(shoes)
        lines = b"".join(json.dumps(shoe).encode() + b"\n" for shoe in shoes)
        manifest["items_sha256"] = sha256_bytes(lines)
        rewrite(archive, {"items.jsonl": lines, "manifest.json": json.dumps(manifest).encode()}, add=add)


def test_looking_after_files_needs_no_network() -> None:
    """Listing and deleting do without torch, and all of it without what only training needs."""
    code = """
import sys, service.cli.main, service.catalog.writer, service.catalog.images
import service.store.embedded.store, service.store.embedded.database
assert "torch" not in sys.modules
import service.catalog.maintenance.verify, service.catalog.maintenance.archive, service.catalog.maintenance.backup
assert not {"matplotlib", "torch", "training", "fastapi"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_uploaded_names_are_the_stores_own(original: Folder) -> None:
    """What was added by the command is named as what was added over HTTP."""
    names = {require_name(image) for image in original.images().values() if image.startswith("/")}
    assert names == set(Uploads(original.catalog).names())
