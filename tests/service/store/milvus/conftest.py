from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.milvus_address import Address
from tests.service.store.conftest import SERVER, ServerStores, milvus_lite, needs_lite, needs_server


@pytest.fixture(scope="session")
def server_stores() -> Iterator[ServerStores]:
    """Stores in the server that SOLEMATE_TEST_MILVUS names."""
    stores = ServerStores(SERVER)
    yield stores
    stores.remove()


@pytest.fixture(params=[pytest.param("lite", marks=needs_lite), pytest.param("server", marks=needs_server)])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Address:
    """Where an empty store is, in each kind of Milvus in turn."""
    if request.param == "lite":
        milvus_lite(tmp_path).close()
        return Address(str(tmp_path / "milvus.db"), "shoes")
    stores: ServerStores = request.getfixturevalue("server_stores")
    with closing(stores(tmp_path / "catalog")):
        return stores.address(tmp_path / "catalog")
