"""What the page offers with an admin key: shoes added, changed and removed, and a reload."""

import pytest

from tests.e2e.conftest import ADMIN_KEY
from tests.support.browser import Upload, Visit, sync_api
from tests.support.stack import draw_shoe

pytestmark = pytest.mark.slow


@pytest.fixture
def live_server(changing: str) -> str:
    """The address of a service whose catalogue may be changed with a key."""
    return changing


def enter(visit: Visit) -> None:
    """Give the key as a reader, and once more to change things."""
    visit.page.goto(f"{visit.base}/#/status")
    visit.page.get_by_role("dialog").get_by_label("API key").fill(ADMIN_KEY)
    visit.page.keyboard.press("Enter")
    visit.page.get_by_label("Admin key").fill(ADMIN_KEY)
    visit.page.get_by_role("button", name="Use this key").last.click()
    sync_api.expect(visit.page.get_by_role("heading", name="Add shoes")).to_be_visible()
    visit.page.wait_for_load_state("networkidle")
    # The browser reports the refused request without a key.
    visit.errors[:] = [error for error in visit.errors if "status of 401" not in error]


def test_shoes_are_added_changed_and_removed(visit: Visit) -> None:
    """Pictures become shoes by their names, one that is none is told apart; a shoe's attributes change; it goes."""
    enter(visit)
    pictures = [Upload(f"new-{number}.jpg", "image/jpeg", draw_shoe(100 + number)) for number in range(3)]
    broken = Upload("broken.jpg", "image/jpeg", b"no picture")
    visit.page.get_by_label("Attributes of all of them").fill("Category: Boots\nBrand: Acme, Bolt")
    with visit.page.expect_file_chooser() as chooser:
        visit.page.get_by_role("button", name="Choose pictures").click()
    chooser.value.set_files([each.payload() for each in (*pictures, broken)])
    progress = visit.page.locator(".progress")
    sync_api.expect(progress).to_contain_text("4 of 4, 1 refused")
    sync_api.expect(progress).to_contain_text("broken:")
    visit.errors[:] = [error for error in visit.errors if not error.startswith("Failed to load resource")]

    visit.page.goto(f"{visit.base}/#/shoe?id=new-1")
    sync_api.expect(visit.page.locator("#view-shoe .facts")).to_contain_text("Acme, Bolt")
    visit.page.get_by_text("Edit or remove this shoe").click()
    field = visit.page.get_by_label("Attributes, one a line")
    field.fill("Category: Sandals\nPrice: 20")
    visit.page.get_by_role("button", name="Save").click()
    sync_api.expect(visit.page.locator("#toast")).to_have_text("Saved.")
    headers = {"x-api-key": ADMIN_KEY}
    item = visit.page.request.get(f"{visit.base}/v1/items/new-1", headers=headers).json()
    assert item["attributes"] == {"Category": ["Sandals"], "Price": ["20"]}
    sync_api.expect(visit.page.locator("#view-shoe .shoe-price")).to_have_text("Price 20")
    field.fill("Category: Sandals")
    visit.page.get_by_role("button", name="Save").click()
    sync_api.expect(visit.page.locator("#view-shoe .shoe-price")).to_have_count(0)
    item = visit.page.request.get(f"{visit.base}/v1/items/new-1", headers=headers).json()
    assert item["attributes"] == {"Category": ["Sandals"]}

    visit.page.get_by_role("button", name="Remove this shoe").click()
    visit.page.get_by_role("button", name="Remove it").click()
    sync_api.expect(visit.page.locator("#toast")).to_have_text("Removed.")
    visit.settle()
    assert visit.page.request.get(f"{visit.base}/v1/items/new-1", headers=headers).status == 404


def test_reload_says_what_is_served(visit: Visit) -> None:
    """A reload says how many workers serve the shoes; a forgotten key shows none of this any more."""
    enter(visit)
    visit.page.get_by_role("button", name="Reload").click()
    sync_api.expect(visit.page.locator("#view-status")).to_contain_text("1 worker serves")
    visit.page.get_by_role("button", name="Forget the key").click()
    sync_api.expect(visit.page.get_by_label("Admin key")).to_be_visible()
