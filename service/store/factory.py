"""Opens, creates and removes stores: in a folder, or in Milvus where an address is given."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from model.errors import ArtifactError
from service.milvus_address import parse_address
from service.store.base import Item, StoreSpec, VectorStore, iterate_items
from service.store.embedded.database import BUSY_SECONDS, read_items
from service.store.embedded.store import DATABASE, EmbeddedStore, StoreOptions

if TYPE_CHECKING:
    from service.store.milvus.store import MilvusStore


def open_store(
    folder: Path,
    store: str = "",
    *,
    token: str = "",
    busy_seconds: float = BUSY_SECONDS,
    **options: Unpack[StoreOptions],
) -> VectorStore:
    """Open a catalogue that is there.

    Args:
        folder: of the embedded store.
        store: an address of Milvus, in place of the folder; the options are then of no effect.
        token: for Milvus.
        busy_seconds: see `EmbeddedStore.open`.
        options: see `EmbeddedStore`.

    Raises:
        ArtifactMissing: there is none; the message names the command that makes one.
        ArtifactCorrupt: it fails its check.
        ArtifactError: what speaks to Milvus is not installed.
        StoreUnavailable: Milvus does not answer.
    """
    if store:
        return load_milvus().open(parse_address(store), token=token)
    return EmbeddedStore.open(folder, busy_seconds=busy_seconds, **options)


def create_store(folder: Path, spec: StoreSpec, store: str = "", *, token: str = "") -> VectorStore:
    """Make an empty catalogue, or open the one that is there if this is its specification.

    See `EmbeddedStore.create` and `MilvusStore.open` for the arguments, and for what they raise.
    """
    if store:
        return load_milvus().open(parse_address(store), create=spec, token=token)
    return EmbeddedStore.create(folder, spec)


def list_shoes(folder: Path, store: str = "", *, token: str = "") -> Iterator[Item]:
    """The shoes of a catalogue, in their order, whatever checkpoint made their vectors.

    Raises:
        ArtifactMissing: there is none.
        ArtifactCorrupt: it fails its check.
        ArtifactError: it can't be read.
        StoreUnavailable: Milvus does not answer.
    """
    if store:
        with closing(load_milvus().open(parse_address(store), token=token)) as opened:
            yield from iterate_items(opened)
    else:
        yield from read_items(folder / DATABASE)


def remove_store(folder: Path, store: str = "", *, token: str = "") -> None:
    """Delete a catalogue's own files or collections, and no others, so that `create_store` starts anew."""
    if store:
        load_milvus().remove(parse_address(store), token=token)
    else:
        EmbeddedStore.remove(folder)


def load_milvus() -> "type[MilvusStore]":
    """The store in Milvus. Loaded only where one is used. Raises ArtifactError where that can't be."""
    try:
        from service.store.milvus.store import MilvusStore  # noqa: PLC0415 - its library is an extra
    except ModuleNotFoundError as error:
        raise ArtifactError(
            f"a store in Milvus needs {error.name}, which is not installed: pip install 'solemate[milvus]'"
        ) from error
    return MilvusStore
