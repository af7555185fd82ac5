"""The stores that the contract is held against.

The embedded one always. Milvus Lite where it is installed. A Milvus server where SOLEMATE_TEST_MILVUS names one, as
http://host:port: it should hold nothing else, as the collections that begin with `test_solemate` are dropped. One that
takes a single vector a shoe, before Milvus 2.4, gets catalogues without conditions.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import pytest

from model.errors import ArtifactError
from service.milvus_address import Address
from service.store.base import StoreSpec, VectorStore
from service.store.embedded.store import EmbeddedStore
from tests.service.store.naive import CHECKPOINT, DIMENSION, ROOT, SLICES, SPEC

StoreFactory = Callable[[Path], VectorStore]

SERVER = os.environ.get("SOLEMATE_TEST_MILVUS", "")

HAS_PYMILVUS = find_spec("pymilvus") is not None
HAS_LITE = HAS_PYMILVUS and find_spec("milvus_lite") is not None


def embedded(folder: Path) -> EmbeddedStore:
    """The embedded store in `folder`, made or opened."""
    return EmbeddedStore.create(folder, SPEC)


def large(folder: Path) -> EmbeddedStore:
    """The same, where every catalogue is a large one: by inverted indexes, that find all."""
    return EmbeddedStore.create(folder, SPEC, exact_shoes=0, min_recall=1.0)


def milvus(address: Address, slices: Mapping[str, tuple[int, int]] = SLICES) -> VectorStore:
    """The store at `address`, made or opened."""
    from service.store.milvus.store import MilvusStore  # noqa: PLC0415 - only where pymilvus is

    return MilvusStore.open(address, create=StoreSpec.of(DIMENSION, slices, CHECKPOINT, ROOT))


def milvus_lite(folder: Path) -> VectorStore:
    """A store in Milvus Lite, in `folder`, made or opened."""
    folder.mkdir(parents=True, exist_ok=True)
    return milvus(Address(str(folder / "milvus.db"), "shoes"))


NUMBERS = count()
"""Of the collections in the server, whoever makes them."""


class ServerStores:
    """Stores in one Milvus server: to make collections takes seconds, so those of ended tests are emptied and lent out.

    Attributes:
        used: folder -> its store's collection.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.used: dict[Path, str] = {}
        self.slices: Mapping[str, tuple[int, int]] = SLICES

    def __call__(self, folder: Path) -> VectorStore:
        """The store that stands for `folder`, made or opened."""
        for old in [each for each in self.used if not each.parent.exists()]:
            self.used[folder] = self.used.pop(old)
            store = milvus(self.address(folder), self.slices)
            store.delete([item.id for item in store.page(limit=100_000).items])
            return store
        self.used.setdefault(folder, f"test_solemate_{os.getpid()}_{next(NUMBERS)}")
        try:
            return milvus(self.address(folder), self.slices)
        except ArtifactError as error:
            if "2.4 or newer" not in str(error):
                raise
            self.slices = {}
            return milvus(self.address(folder), self.slices)

    def address(self, folder: Path) -> Address:
        """Of the store that stands for `folder`."""
        return Address(self.uri, self.used[folder])

    def remove(self) -> None:
        """Drop them all."""
        from service.store.milvus.store import MilvusStore  # noqa: PLC0415 - only where pymilvus is

        for name in self.used.values():
            MilvusStore.remove(Address(self.uri, name))


# A new kind of store joins the contract here: an empty one, made of a folder that is its own.
FACTORIES: dict[str, StoreFactory] = {"embedded": embedded, "large": large, "milvus-lite": milvus_lite}

needs_lite = pytest.mark.skipif(not HAS_LITE, reason="needs pymilvus and milvus-lite")
needs_server = pytest.mark.skipif(
    not (SERVER and HAS_PYMILVUS), reason="needs a Milvus server, named by SOLEMATE_TEST_MILVUS=http://host:port"
)

KINDS = [
    "embedded",
    "large",
    pytest.param("milvus-lite", marks=needs_lite),
    pytest.param("milvus-server", marks=needs_server),
]


@pytest.fixture(params=KINDS, scope="session")
def make_store(request: pytest.FixtureRequest) -> Iterator[StoreFactory]:
    """Each kind of store in turn."""
    if request.param == "milvus-server":
        stores = ServerStores(SERVER)
        yield stores
        stores.remove()
    else:
        yield FACTORIES[request.param]


def require_conditions(store: VectorStore) -> None:
    """Skip the test if the store can't have any."""
    if not store.info().slices:
        pytest.skip("this Milvus takes one vector a shoe: conditions need 2.4 or newer")


@pytest.fixture
def store(make_store: StoreFactory, tmp_path: Path) -> Iterator[VectorStore]:
    """An empty store of the test's own."""
    with closing(make_store(tmp_path / "catalog")) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where an embedded store may be made."""
    return tmp_path / "catalog"
