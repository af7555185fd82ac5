"""Uploaded pictures: written anew, named by nobody, durable, and gone when they are not needed."""

import io
import os
import re
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin

from model.errors import CorruptImage, StorageFull, StorageReadOnly
from model.files import sha256_bytes
from model.preprocess import PreprocessConfig, Preprocessor
from service.catalog.images import LONGEST, CleanPicture, Uploads, clean_picture, digest_in, is_upload, require_name
from service.errors import StoreBusy
from tests.support.stack import draw_shoe

PREPROCESSOR = Preprocessor(PreprocessConfig(size=16))


def picture(number: int = 0) -> CleanPicture:
    """A small one."""
    return clean_picture(PREPROCESSOR, draw_shoe(number))


def opened(clean: CleanPicture) -> Image.Image:
    """What a reader sees."""
    return Image.open(io.BytesIO(clean.content))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """A file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    """Those of a catalogue that has none yet."""
    return Uploads(tmp_path)


class TestCleaning:
    def test_small_pictures_keep_their_pixels(self) -> None:
        """A small picture is kept without loss: its vector is that of what was sent."""
        clean = picture(5)
        assert clean.suffix == "png"
        np.testing.assert_array_equal(PREPROCESSOR.decode(clean.content), PREPROCESSOR.decode(draw_shoe(5)))

    def test_large_pictures_are_shrunk(self) -> None:
        """A large picture becomes a JPEG of at most so many pixels a side, in its proportions."""
        clean = clean_picture(PREPROCESSOR, saved(Image.new("RGB", (4000, 1000), "red"), "JPEG"))
        assert clean.suffix == "jpg"
        assert opened(clean).format == "JPEG"
        assert opened(clean).size == (LONGEST, LONGEST // 4)
        assert clean_picture(PREPROCESSOR, saved(Image.new("RGB", (1, 20_000), "red"), "PNG")).suffix == "png"

    def test_turned_as_the_camera_said_and_nothing_else_kept(self) -> None:
        """EXIF's orientation is applied, and its other data, with profiles, comments and texts, is gone."""
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        exif[ExifTags.Base.Artist] = "somebody SECRET"
        for size in ((40, 20), (600, 300)):
            photo = Image.new("RGB", size, "blue")
            photo.paste("red", (0, 0, size[0] // 2, size[1]))
            data = saved(photo, "JPEG", exif=exif, icc_profile=b"SECRET profile", comment=b"SECRET", quality=95)
            assert data.count(b"SECRET") == 3
            clean = clean_picture(PREPROCESSOR, data)
            assert b"SECRET" not in clean.content
            shown = opened(clean)
            assert not shown.getexif()
            assert not {"icc_profile", "comment", "exif"} & shown.info.keys()
            assert shown.size == (size[1], size[0])
            # The left half is on top.
            assert np.asarray(shown.convert("RGB"))[2, size[1] // 2, 0] > 200
        text = PngImagePlugin.PngInfo()
        text.add_text("Comment", "SECRET")
        data = saved(Image.new("RGB", (8, 8)), "PNG", pnginfo=text, icc_profile=b"SECRET profile")
        assert b"SECRET" not in clean_picture(PREPROCESSOR, data).content

    def test_what_follows_a_picture_is_not_kept(self) -> None:
        """A file that is a picture and something else at once leaves only the picture."""
        assert b"<script>" not in clean_picture(PREPROCESSOR, draw_shoe(1) + b"<script>alert(1)</script>").content

    @pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16", "F"])
    def test_any_mode_becomes_rgb(self, mode: str) -> None:
        """Whatever a picture was stored as, what is kept is opaque RGB, and the network sees the same in it."""
        data = saved(Image.new(mode, (20, 20)), "TIFF")
        clean = clean_picture(PREPROCESSOR, data)
        assert opened(clean).mode == "RGB"
        np.testing.assert_array_equal(PREPROCESSOR.decode(clean.content), PREPROCESSOR.decode(data))

    def test_broken_pictures_are_refused(self) -> None:
        """All of a picture is decoded: one that ends early is refused."""
        with pytest.raises(CorruptImage):
            clean_picture(PREPROCESSOR, draw_shoe(1)[:600])


class TestFiles:
    def test_written_under_names_of_our_own(self, uploads: Uploads) -> None:
        """Each picture has a file of its own, named by its digest, also where two are alike; nothing else is left."""
        first, second = picture(1), picture(2)
        images = uploads.write([first, second, first])
        assert len(set(images)) == 3
        for image, clean in zip(images, (first, second, first), strict=True):
            assert is_upload(image)
            assert re.fullmatch(r"/uploads/[0-9a-f]{32}-[0-9a-f]{16}\.png", image)
            assert uploads.locate(image).read_bytes() == clean.content
            assert sha256_bytes(clean.content).startswith(digest_in(require_name(image)))
        assert sorted(f"/uploads/{name}" for name in uploads.names()) == sorted(images)
        assert len(list(uploads.folder.iterdir())) == 3

    def test_removed(self, uploads: Uploads) -> None:
        """What is removed is gone; what is gone already, or is no upload, makes no trouble."""
        images = uploads.write([picture(1), picture(2)])
        uploads.remove([images[0], images[0], "Boots/1000.1.jpg"])
        assert [f"/uploads/{name}" for name in uploads.names()] == [images[1]]
        uploads.remove([])

    @pytest.mark.parametrize(
        "image",
        ["/uploads/../catalog.sqlite", "/uploads/", "/uploads/.change.lock", "/uploads/a.png", "/etc/passwd",
         f"/uploads/{'0' * 32}-{'0' * 16}.png/x", f"uploads/{'0' * 32}-{'0' * 16}.png"],
    )  # fmt: skip
    def test_paths_that_are_none(self, uploads: Uploads, image: str) -> None:
        """Only what was given for a picture that was written names a file."""
        with pytest.raises(ValueError, match="names no uploaded picture"):
            uploads.locate(image)

    @pytest.mark.parametrize(
        ("number", "kind"), [(28, StorageFull), (122, StorageFull), (30, StorageReadOnly), (13, StorageReadOnly)]
    )
    def test_a_disk_that_fails(
        self, uploads: Uploads, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
    ) -> None:
        """A full disk and a read-only one are told apart, and of several pictures none is left."""
        calls = 0

        def fail(_descriptor: int) -> None:
            nonlocal calls
            calls += 1
            if calls == 3:  # the folder's, and the first picture's, go well
                raise OSError(number, "no")

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(kind):
            uploads.write([picture(1), picture(2)])
        assert list(uploads.folder.iterdir()) == []

    def test_stays_with_what_a_link_led_to(self, tmp_path: Path) -> None:
        """A link that is turned to another catalogue does not take the uploads of an open one with it."""
        (tmp_path / "old").mkdir()
        (tmp_path / "new").mkdir()
        link = tmp_path / "current"
        link.symlink_to(tmp_path / "old")
        uploads = Uploads(link)
        link.unlink()
        link.symlink_to(tmp_path / "new")
        uploads.write([picture()])
        assert not (tmp_path / "new" / "uploads").exists()


class TestOrphans:
    def test_are_old_and_named_by_no_shoe(self, uploads: Uploads) -> None:
        """Neither what a shoe names nor what is young is an orphan; what a kill left half written is."""
        named, orphan = (require_name(image) for image in uploads.write([picture(1), picture(2)]))
        (uploads.folder / f".{orphan}.abc.tmp").touch()
        (uploads.folder / "notes.txt").touch()
        assert uploads.orphans({named}) == []
        assert uploads.orphans({named}, older_than=0) == sorted([orphan, f".{orphan}.abc.tmp"])
        before = time.time() - 4000
        os.utime(uploads.folder / orphan, (before, before))
        assert uploads.orphans({named}) == [orphan]
        uploads.sweep([orphan])
        assert list(uploads.names()) == [named]

    def test_of_a_catalogue_without_uploads(self, uploads: Uploads) -> None:
        """There are none, and looking for them makes no folder."""
        assert uploads.orphans(set()) == []
        assert list(uploads.names()) == []
        assert not uploads.folder.exists()


class TestLocks:
    def test_one_change_at_a_time(self, uploads: Uploads, tmp_path: Path) -> None:
        """While one changes, another waits for as long as it may, and is then told that all are busy."""
        with uploads.changing(0), pytest.raises(StoreBusy), Uploads(tmp_path).changing(0.01):
            pytest.fail("both are in")
        with Uploads(tmp_path).changing(0):
            pass

    def test_a_waiting_change_goes_on(self, uploads: Uploads, tmp_path: Path) -> None:
        """Whoever waits is let in when the other has done."""
        entered, inside = threading.Event(), threading.Event()

        def wait() -> None:
            inside.wait(60)
            with Uploads(tmp_path).changing(60):
                entered.set()

        waiting = threading.Thread(target=wait)
        waiting.start()
        with uploads.changing(0):
            inside.set()
            assert not entered.wait(0.05)
        waiting.join(60)
        assert entered.is_set()

    def test_a_backup_keeps_what_is_removed(self, uploads: Uploads, tmp_path: Path) -> None:
        """While somebody holds the files, removing one leaves it to be swept; others may write on."""
        (image,) = uploads.write([picture()])
        with Uploads(tmp_path).holding():
            uploads.remove([image])
            assert uploads.locate(image).exists()
            uploads.write([picture()])
        uploads.remove([image])
        assert not uploads.locate(image).exists()

    def test_sweeping_waits_for_a_backup(self, uploads: Uploads, tmp_path: Path) -> None:
        """The backup may be about to copy what no shoe has any more."""
        (image,) = uploads.write([picture()])
        holding, swept = threading.Event(), threading.Event()

        def sweep() -> None:
            assert holding.wait(60)
            uploads.sweep([require_name(image)])
            swept.set()

        sweeping = threading.Thread(target=sweep)
        sweeping.start()
        with Uploads(tmp_path).holding():
            holding.set()
            assert not swept.wait(0.05)
            assert uploads.locate(image).exists()
        sweeping.join(60)
        assert swept.is_set()
        assert not uploads.locate(image).exists()

    def test_nothing_to_hold(self, uploads: Uploads) -> None:
        """A catalogue without uploads is held without making a folder for them."""
        with uploads.holding():
            assert not uploads.folder.exists()
