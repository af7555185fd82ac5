"""The page of a service that asks for an API key, in a real browser."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import KEY
from tests.support.browser import Upload, Visit, sync_api
from tests.support.server import Artifacts, Server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def live_server(artifacts: Artifacts) -> Iterator[str]:
    """The address of a service that answers only to the key, which it never logs."""
    server = Server(artifacts, SOLEMATE_API_KEYS=f"shop:read:{KEY}")
    yield server.url
    server.stop()
    assert KEY not in "".join(server.log)


def answer(visit: Visit, key: str) -> Any:
    """Type a key into the page's question, and press Enter; returns the question."""
    question = visit.page.get_by_role("dialog")
    sync_api.expect(question).to_be_visible()
    field = question.get_by_label("API key")
    sync_api.expect(field).to_be_focused()
    field.fill(key)
    field.press("Enter")
    return question


def forgive_refusals(visit: Visit) -> None:
    """Browsers report each refused request; nothing else may have gone wrong."""
    refused = "Failed to load resource: the server responded with a status of 401"
    visit.errors[:] = [error for error in visit.errors if not error.startswith(refused)]


def test_page_asks_for_the_key(visit: Visit, photo: Upload) -> None:
    """The page asks for the key once, says if it is wrong, and then does all that it does without one."""
    visit.page.goto(visit.base)
    question = answer(visit, "not a key, with spaces")
    sync_api.expect(question.get_by_role("alert")).to_contain_text("without spaces")
    question = answer(visit, "wrong-0123456789abcdef")
    sync_api.expect(question.get_by_role("alert")).to_contain_text("does not know this key")
    sync_api.expect(answer(visit, KEY)).to_be_hidden()
    visit.settle()
    forgive_refusals(visit)

    visit.search(photo)
    visit.page.locator("#drawing summary").click()
    for picture in ("#query-picture img", "#query-reconstruction img", "#grid img >> nth=0"):
        sync_api.expect(visit.page.locator(picture)).to_be_visible()
        sync_api.expect(visit.page.locator(picture)).not_to_have_js_property("naturalWidth", 0)
    visit.page.get_by_role("button", name="Search with this shoe").nth(1).click()
    sync_api.expect(visit.page.locator("#query-caption")).to_have_text("From the catalogue")
    sync_api.expect(visit.page.locator("#query-reconstruction img")).not_to_have_js_property("naturalWidth", 0)
    visit.page.locator("#more").scroll_into_view_if_needed()
    sync_api.expect(visit.page.locator("#end")).to_contain_text("That is all")
    visit.page.locator("#grid img").last.scroll_into_view_if_needed()
    sync_api.expect(visit.page.locator("#grid img").last).not_to_have_js_property("naturalWidth", 0)

    visit.page.reload()
    visit.settle()
    sync_api.expect(question).to_be_hidden()
    assert visit.errors == []


def test_key_stays_in_its_tab(visit: Visit) -> None:
    """Another tab has to ask again: the key is stored nowhere but in the tab."""
    visit.page.goto(visit.base)
    answer(visit, KEY)
    visit.settle()
    assert visit.page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
    other = visit.page.context.new_page()
    other.goto(visit.base)
    sync_api.expect(other.get_by_role("dialog")).to_be_visible()
    forgive_refusals(visit)


def test_question_may_be_left_open(visit: Visit) -> None:
    """Whoever rather doesn't say is told why there are no shoes, and may answer later."""
    visit.page.goto(visit.base)
    sync_api.expect(visit.page.get_by_role("dialog")).to_be_visible()
    visit.page.keyboard.press("Escape")
    notice = visit.page.locator("#alert")
    sync_api.expect(notice).to_contain_text(re.compile("API key is needed"))
    notice.get_by_role("button", name="Try again").click()
    answer(visit, KEY)
    visit.settle()
    sync_api.expect(notice).to_be_empty()
    forgive_refusals(visit)


def test_question_fits_the_narrowest_phone(visit: Visit) -> None:
    """At 320 pixels nothing of the question sticks out."""
    visit.page.set_viewport_size({"width": 320, "height": 568})
    visit.page.goto(visit.base)
    box = visit.page.get_by_role("dialog").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 320
    assert box["y"] + box["height"] <= 568
    forgive_refusals(visit)
