"""The real thing: a small catalogue indexed and served by the commands that a user types, and a browser."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import Upload, Visit, open_visit, start_chromium
from tests.support.server import Artifacts, serve_in_thread

KEY = "reader-0123456789abcdef"
ADMIN_KEY = "admin-0123456789abcdef"


@pytest.fixture(scope="module")
def live_server(artifacts: Artifacts) -> Iterator[str]:
    """The address of a service of that catalogue, such as http://127.0.0.1:41234."""
    with serve_in_thread(artifacts) as url:
        yield url


@pytest.fixture(scope="module")
def keyed_server(artifacts: Artifacts) -> Iterator[str]:
    """The address of a service that answers only to a key."""
    with serve_in_thread(artifacts, SOLEMATE_API_KEYS=f"shop:read:{KEY}") as url:
        yield url


@pytest.fixture
def changing(artifacts: Artifacts, tmp_path: Path) -> Iterator[str]:
    """The address of a service of a copy of the catalogue, which ADMIN_KEY may change."""
    copy = replace(artifacts, catalog=shutil.copytree(artifacts.catalog, tmp_path / "changing"))
    with serve_in_thread(copy, SOLEMATE_API_KEYS=f"ops:admin:{ADMIN_KEY} page:read:{KEY}") as url:
        yield url


# Not of the session: where Playwright is, no test can run an event loop of its own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium without a window."""
    with start_chromium() as chromium:
        yield chromium


@pytest.fixture
def visit(browser: Any, live_server: str) -> Iterator[Visit]:
    """A fresh visit, on a laptop's screen."""
    with open_visit(browser, live_server) as visit:
        yield visit


@pytest.fixture
def phone(browser: Any, live_server: str) -> Iterator[Visit]:
    """A fresh visit, from a phone."""
    with open_visit(
        browser, live_server, viewport={"width": 360, "height": 780}, has_touch=True, is_mobile=True
    ) as visit:
        yield visit


@pytest.fixture
def photo(artifacts: Artifacts) -> Upload:
    """A picture of a shoe: the first one of the catalogue."""
    picture = next(artifacts.demo.rglob("1000.1.jpg"))
    return Upload("my shoe.jpg", "image/jpeg", picture.read_bytes())
