"""A copy of an indexed catalogue, made while it is in use."""

import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from model.errors import ArtifactError
from model.files import explain_failure, sync_folder
from service.catalog.attributes import TYPES
from service.catalog.images import FOLDER, Uploads, is_upload, require_name
from service.catalog.indexing.ledger import LEDGER, UNFINISHED, WAITING
from service.catalog.maintenance.duplicates import MEASURE
from service.catalog.maintenance.reembed import read_waiting
from service.store.embedded.database import copy_database
from service.store.embedded.store import DATABASE


@dataclass(frozen=True)
class BackupReport:
    """What a backup holds.

    Attributes:
        shoes: how many.
        pictures: uploaded ones.
        missing: shoes whose uploaded picture was gone already.
    """

    shoes: int
    pictures: int
    missing: tuple[str, ...]


def back_up(catalog: Path, to: Path) -> BackupReport:
    """Copy a catalogue as it is at one moment, with the uploaded pictures of that moment.

    It may be served and changed meanwhile: nobody waits. Pictures below the catalogue's root are not copied: they are
    the owner's, and where they were. The copy is a catalogue's folder like any other, but for the map, which can be
    drawn anew; that of a catalogue whose indexing has not come to its end is as unfinished.

    Args:
        catalog: its folder.
        to: the copy's folder, which must not exist. It appears in one step, once all of it is on disk.

    Raises:
        ArtifactMissing: there is no catalogue.
        ArtifactCorrupt: the copy fails its check.
        ArtifactError: something can't be read or written, or `to` exists.
    """
    if to.exists():
        raise ArtifactError(f"{to} exists; give a folder that does not")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=to.parent, prefix=f".{to.name}.", suffix=".tmp"))
    except OSError as error:
        raise explain_failure(to, error) from error
    try:
        report = _copy(catalog, partial)
        partial.chmod(0o755)
        partial.rename(to)
        sync_folder(to.parent)
    except OSError as error:
        raise explain_failure(to, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return report


def _copy(catalog: Path, to: Path) -> BackupReport:
    uploads = Uploads(catalog)
    with uploads.holding():  # pictures that are replaced from here on stay where they are until they are copied
        # First the ledger: it may know less than the catalogue, which costs some work, but never more.
        _copy_present(catalog, to, LEDGER, TYPES, MEASURE, UNFINISHED, WAITING)
        items = copy_database(catalog / DATABASE, to / DATABASE)
        _copy_present(catalog, to, UNFINISHED, WAITING)  # again, as an indexing may have begun meanwhile
        uploaded = [item for item in (*items, *read_waiting(to)) if is_upload(item.image)]
        missing = []
        (to / FOLDER).mkdir()
        for item in uploaded:
            try:
                _copy_durably(uploads.locate(item.image), to / FOLDER / require_name(item.image))
            except (FileNotFoundError, ValueError):
                missing.append(item.id)
    with (to / DATABASE).open("rb") as file:
        os.fsync(file.fileno())
    sync_folder(to / FOLDER)
    sync_folder(to)
    return BackupReport(len(items), len(uploaded) - len(missing), tuple(missing))


def _copy_present(catalog: Path, to: Path, *names: str) -> None:
    """Copy those of some files that are there."""
    for name in names:
        with suppress(FileNotFoundError):
            _copy_durably(catalog / name, to / name)


def _copy_durably(source: Path, target: Path) -> None:
    shutil.copy2(source, target)
    with target.open("rb") as file:
        os.fsync(file.fileno())
