from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.store.base import VectorStore
from service.store.embedded import EmbeddedStore
from tests.service.store.naive import CHECKPOINT, DIMENSION, ROOT, SLICES

StoreFactory = Callable[[Path], VectorStore]


def embedded(folder: Path) -> EmbeddedStore:
    """The embedded store in `folder`, made or opened."""
    return EmbeddedStore.create(folder, dimension=DIMENSION, slices=SLICES, checkpoint=CHECKPOINT, root=ROOT)


def large(folder: Path) -> EmbeddedStore:
    """The same, where every catalogue is a large one: by inverted indexes, that find all."""
    return EmbeddedStore.create(
        folder, dimension=DIMENSION, slices=SLICES, checkpoint=CHECKPOINT, root=ROOT, exact_up_to=0, min_recall=1.0
    )


# A new kind of store joins the contract here: an empty one, made of a folder that is its own.
FACTORIES: dict[str, StoreFactory] = {"embedded": embedded, "large": large}


@pytest.fixture(params=FACTORIES, scope="session")
def make_store(request: pytest.FixtureRequest) -> StoreFactory:
    """Each kind of store in turn."""
    return FACTORIES[request.param]


@pytest.fixture
def store(make_store: StoreFactory, tmp_path: Path) -> Iterator[VectorStore]:
    """An empty store of the test's own."""
    with closing(make_store(tmp_path / "catalog")) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where an embedded store may be made."""
    return tmp_path / "catalog"
