"""The interface's description at /docs, in a real browser."""

import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.conftest import KEY
from tests.support.browser import Visit, sync_api
from tests.support.server import Artifacts

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def live_server(keyed_server: str) -> str:
    """The address of a service that answers only to the key."""
    return keyed_server


def open_docs(visit: Visit) -> dict[str, Any]:
    """Open the page and wait for its operations; gives the description that it shows."""
    visit.page.goto(f"{visit.base}/docs")
    sync_api.expect(visit.page.locator("#operations-search-searchByImage")).to_be_visible()
    described: dict[str, Any] = visit.get("/openapi.json")
    return described


@pytest.mark.parametrize("width", [360, 1280])
def test_docs_show_every_operation(visit: Visit, width: int) -> None:
    """Each operation is there, from files of the service alone, and its strict policy is nowhere violated."""
    asked: list[str] = []
    visit.page.on("request", lambda request: asked.append(request.url))
    visit.page.set_viewport_size({"width": width, "height": 780})
    described = open_docs(visit)
    count = sum(len(methods) for methods in described["paths"].values())
    sync_api.expect(visit.page.locator(".opblock")).to_have_count(count)
    visit.page.wait_for_load_state("networkidle")
    assert [url for url in asked if not url.startswith((visit.base, "data:"))] == []
    policy = httpx2.get(f"{visit.base}/docs").headers["content-security-policy"]
    assert policy == httpx2.get(visit.base).headers["content-security-policy"]
    assert "unsafe" not in policy


def test_trying_a_search(visit: Visit, artifacts: Artifacts) -> None:
    """Try it out searches with a picture: refused without a key, and answered once Authorize has it."""
    open_docs(visit)
    page, photo = visit.page, next(artifacts.demo.rglob("*.jpg"))
    operation = page.locator("#operations-search-searchByImage")
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.locator("input[type=file]").set_input_files(photo)
    status = operation.locator(".live-responses-table .response-col_status")
    operation.get_by_role("button", name="Execute").click()
    sync_api.expect(status.last).to_contain_text("401")
    authorize(page)
    operation.get_by_role("button", name="Execute").click()
    sync_api.expect(status.last).to_contain_text("200")
    sync_api.expect(operation.locator(".live-responses-table")).to_contain_text(first_hit(visit.base, photo))
    visit.errors[:] = [error for error in visit.errors if "status of 401" not in error]


def authorize(page: Any) -> None:
    """Give Swagger UI the key, as its dialog asks for it."""
    page.locator(".auth-wrapper .btn.authorize").first.click()
    dialog = page.locator(".modal-ux")
    bearer = dialog.locator(".auth-container").filter(has_text=re.compile("bearer", re.IGNORECASE))
    bearer.locator("input").fill(KEY)
    bearer.get_by_role("button", name="Apply credentials").click()
    dialog.get_by_role("button", name="Close").last.click()


def first_hit(url: str, photo: Path) -> str:
    """The id that a plain request finds first."""
    files = {"image": (photo.name, photo.read_bytes())}
    answer = httpx2.post(f"{url}/v1/search", files=files, headers={"x-api-key": KEY}).json()
    return str(answer["hits"][0]["id"])
