"""Uploaded shoes across a rebuild: saved from the old store, embedded by the new network, put into the new store.

    index --rebuild    save: the uploaded shoes into a file  ->  the old store is removed  ->  the catalogue is indexed
                       restore: their pictures are embedded  ->  they are in the new store  ->  the file goes

A run that is interrupted at any of these goes on with the file when the same command runs again.
"""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

from model.catalog import BadRow, Shoe
from model.embedder import PictureEmbedder
from model.errors import ArtifactError, ArtifactMissing
from model.files import explain_failure, write_atomic
from model.text import nfc, nfc_attributes
from service.catalog.images import Uploads, is_upload
from service.catalog.indexing.embed_pool import threads
from service.catalog.indexing.ledger import WAITING
from service.store.base import Item, Record, VectorStore, find_item
from service.store.factory import list_shoes

logger = logging.getLogger(__name__)


def save_uploads(folder: Path, address: str = "", *, token: str = "") -> None:
    """Save the uploaded shoes of a catalogue in `folder`. One that is damaged is passed over.

    Args:
        folder: where their pictures are, and the catalogue itself if there is no `address`.
        address: of a catalogue in Milvus.
        token: for Milvus.

    Raises:
        StoreUnavailable: Milvus does not answer.
        ArtifactError: the file can't be written.
    """
    try:
        items = [item for item in list_shoes(folder, address, token=token) if is_upload(item.image)]
    except ArtifactMissing:
        return  # perhaps a run before was interrupted after it had removed the store
    except ArtifactError as error:
        logger.warning("uploaded shoes, if there are any, are lost: %s", error)
        return
    known = {item.id: item for item in (*read_waiting(folder), *items)}
    if not known:
        return
    lines = [json.dumps([item.id, item.image, item.attributes], ensure_ascii=False) for item in known.values()]
    try:
        write_atomic(folder / WAITING, "".join(f"{line}\n" for line in lines).encode())
    except OSError as error:
        raise explain_failure(folder / WAITING, error) from error


def restore_uploads(folder: Path, store: VectorStore, embedder: PictureEmbedder) -> int:
    """Embed what `save_uploads` wrote down, and put it into the new store, but for ids that are there.

    Returns:
        How many shoes. One whose picture can't be used is left out, and said so in the log.

    Raises:
        ArtifactError: the store can't be written.
    """
    uploads, count = Uploads(folder), 0
    waiting = {item.id: item for item in read_waiting(folder)}
    waiting = {item_id: item for item_id, item in waiting.items() if find_item(store, item_id) is None}
    with threads(embedder, 1) as pool:
        for chunk in pool.embed(Shoe(item.id, uploads.locate(item.image), {}) for item in waiting.values()):
            good = [Record(waiting[shoe.id], made) for shoe, made in chunk if not isinstance(made, BadRow)]
            count += store.upsert(good) if good else 0
            for shoe, made in chunk:
                if isinstance(made, BadRow):
                    logger.warning("the uploaded shoe %s is left out: %s", shoe.id, made.reason)
    (folder / WAITING).unlink(missing_ok=True)
    return count


def read_waiting(folder: Path) -> Iterator[Item]:
    """What `save_uploads` wrote down, and `restore_uploads` has not put back yet."""
    try:
        lines = (folder / WAITING).read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return
    for line in filter(None, lines):
        item_id, image, attributes = json.loads(line)
        yield Item(nfc(item_id), image, nfc_attributes(attributes))
