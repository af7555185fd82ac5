"""A service of twelve drawn shoes that needs no weights, and a client that speaks to it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from model.catalog import read_catalog
from model.preprocess import ImageLimits
from service.catalog.indexing.index import index_catalog
from service.catalog.maintenance.map import draw_map
from service.serving.engine import Engine, Network
from service.settings import Settings
from tests.support.app import open_client
from tests.support.fakes import DIGEST, FakeEmbedder, MemoryStore
from tests.support.stack import draw_catalog

COUNT = 12


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Tests that are coroutines run on asyncio, as the service does."""
    return "asyncio"


@pytest.fixture
def settings() -> Settings:
    """Limits small enough to be reached by a test."""
    return Settings(max_upload_bytes=100_000, max_body_bytes=250_000, max_pixels=90_000, max_images=3, max_k=10)


@pytest.fixture(scope="session")
def drawn_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve shoes on disk, for those who only read them."""
    return draw_catalog(tmp_path_factory.mktemp("catalog") / "demo", COUNT)


@pytest.fixture(scope="session")
def indexed_store(drawn_catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> MemoryStore:
    """Those shoes, indexed; only to be copied."""
    catalog = read_catalog(str(drawn_catalog))
    store = MemoryStore(catalog.root)
    index_catalog(catalog, FakeEmbedder(), store, tmp_path_factory.mktemp("indexed"))
    return store


@pytest.fixture(scope="session")
def drawn_map(indexed_store: MemoryStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with their map; only to be copied."""
    folder = tmp_path_factory.mktemp("map")
    draw_map(folder, indexed_store)
    return folder


@pytest.fixture
def memory_engine(indexed_store: MemoryStore, drawn_map: Path, settings: Settings, tmp_path: Path) -> Engine:
    """An engine over a store in memory."""
    embedder = FakeEmbedder(ImageLimits(max_bytes=settings.max_upload_bytes, max_pixels=settings.max_pixels))
    store = indexed_store.copy()
    network = Network(DIGEST, ("category", "closure"))
    shutil.copytree(drawn_map, tmp_path, dirs_exist_ok=True)
    return Engine(embedder, store, network, tmp_path, settings)


@pytest.fixture
def client(memory_engine: Engine, settings: Settings) -> Iterator[TestClient]:
    """Speaks HTTP to that engine."""
    with open_client(settings, memory_engine) as client:
        yield client
