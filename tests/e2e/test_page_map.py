"""The page's map, by mouse, touch and keyboard, with places for the shoes that are set here, to point at."""

import io
import re
from typing import Any

import pytest
from PIL import Image

from tests.support.browser import Upload, Visit, sync_api

pytestmark = pytest.mark.slow

COLUMNS = 8
SIDE = 65535


def chart(visit: Visit) -> list[dict[str, Any]]:
    """Lay the catalogue's shoes on the map row by row, eight in each, from the lower left; returns the shoes."""
    items: list[dict[str, Any]] = visit.get("/v1/items?limit=100")["items"]
    genders = ["Men", "Women"]
    rows = -(-len(items) // COLUMNS)
    tile = {
        "ids": [item["id"] for item in items],
        "x": [index % COLUMNS * SIDE // (COLUMNS - 1) for index in range(len(items))],
        "y": [index // COLUMNS * SIDE // (rows - 1) for index in range(len(items))],
        "values": {"Gender": [genders.index(item["attributes"]["Gender"][0]) for item in items]},
        "legend": {"Gender": genders},
    }
    facts = {"method": "opentsne", "items": len(items), "tile_items": 4096, "tiles": 1, "attributes": ["Gender"]}
    atlas = io.BytesIO()
    Image.new("RGB", (1536, 1536), "white").save(atlas, "JPEG")
    visit.page.route("**/v1/map", lambda route: route.fulfill(json={**facts, "thumbnail": 24}))
    visit.page.route("**/v1/map/tiles/0", lambda route: route.fulfill(json=tile))
    visit.page.route("**/v1/map/atlas/0", lambda route: route.fulfill(body=atlas.getvalue(), content_type="image/jpeg"))
    visit.page.goto(f"{visit.base}/#/map")
    sync_api.expect(visit.page.locator(".legend li")).to_have_count(2)
    visit.page.wait_for_load_state("networkidle")
    return items


def point(visit: Visit, index: int, count: int) -> tuple[float, float]:
    """Where a shoe is on the screen while the whole map is shown."""
    return spot(visit, index % COLUMNS / (COLUMNS - 1), index // COLUMNS / (-(-count // COLUMNS) - 1))


def spot(visit: Visit, x: float, y: float) -> tuple[float, float]:
    """Where a place of the map, in [0, 1] from the lower left, is on the screen while the whole map is shown."""
    box = visit.page.locator(".map-canvas").bounding_box()
    least = min(box["width"], box["height"]) * 1.4
    across, down = (min(box[name], least) - 64 for name in ("width", "height"))
    return (
        box["x"] + box["width"] / 2 + (x - 0.5) * across,
        box["y"] + box["height"] / 2 - (y - 0.5) * down,
    )


def test_a_point_tells_its_shoe_and_opens_it(visit: Visit) -> None:
    """The pointer over a point shows the shoe's picture and name; a click opens it; the legend counts."""
    items = chart(visit)
    women = sum(item["attributes"]["Gender"] == ["Women"] for item in items)
    sync_api.expect(visit.page.locator(".legend")).to_contain_text(f"Women{women}")
    x, y = point(visit, 11, len(items))
    visit.page.mouse.move(x + 2, y + 1)
    sync_api.expect(visit.page.locator(".tip")).to_contain_text(items[11]["attributes"]["Category"][0])
    visit.page.mouse.click(x + 2, y + 1)
    sync_api.expect(visit.page.locator("#view-shoe .facts")).to_contain_text(items[11]["id"])
    visit.page.go_back()
    sync_api.expect(visit.page.locator(".map-canvas")).to_be_visible()
    visit.page.wait_for_load_state("networkidle")


def lasso(visit: Visit, count: int) -> list[int]:
    """Draw a lasso around four of the shoes, and return their places."""
    corners = [point(visit, index, count) for index in (9, 10, 18, 17, 9)]
    middle = [sum(axis) / 4 for axis in zip(*corners[:4], strict=True)]
    around = [(x + (x - middle[0]) * 0.4, y + (y - middle[1]) * 0.4) for x, y in corners]
    visit.page.get_by_role("button", name="Lasso").click()
    visit.page.mouse.move(*around[0])
    visit.page.mouse.down()
    for corner in around[1:]:
        visit.page.mouse.move(*corner, steps=5)
    visit.page.mouse.up()
    sync_api.expect(visit.page.locator(".selection")).to_contain_text("4 shoes chosen")
    return [9, 10, 17, 18]


def test_shoes_are_lassoed(visit: Visit) -> None:
    """A lasso takes the shoes within it; what is searched next is like them."""
    items = chart(visit)
    wanted = lasso(visit, len(items))
    side = visit.page.locator(".selection")
    sync_api.expect(side.locator(".thumbs a")).to_have_count(4)
    side.get_by_role("button", name="Find shoes like these").click()
    sync_api.expect(visit.page.locator("#query-caption")).to_have_text("From your likes")
    visit.settle()
    assert re.findall(r"like=([^&]+)", visit.page.url) == [items[index]["id"] for index in wanted]


def test_shoes_are_searched_among(visit: Visit, photo: Upload) -> None:
    """What is searched next is the lassoed shoes, by a photo and by filters too, until the chip is taken off."""
    items = chart(visit)
    places = lasso(visit, len(items))
    wanted = [items[index]["id"] for index in places]
    visit.page.get_by_role("button", name="Search among these 4").click()
    visit.settle()
    chips = visit.page.locator("#chips")
    sync_api.expect(chips).to_contain_text("among 4 shoes from the map")
    assert visit.ids() == wanted
    assert len(visit.page.url) < len(visit.base) + 40
    visit.search(photo)
    assert sorted(visit.ids()) == sorted(wanted)
    sync_api.expect(visit.page.locator("#results-count")).to_have_text("4 nearest of 4 shoes")
    visit.page.reload()
    visit.settle()
    assert sorted(visit.ids()) == sorted(wanted)
    kind = items[9]["attributes"]["Category"][0]
    visit.page.locator(f'[data-filter="Category:{kind}"]').check()
    visit.settle()
    assert set(visit.ids()) == {
        items[index]["id"] for index in places if kind in items[index]["attributes"]["Category"]
    }
    visit.page.get_by_role("button", name="Search with this shoe").first.click()
    visit.settle()
    assert set(visit.ids()) < set(wanted)
    chips.get_by_role("button", name="among 4 shoes from the map").click()
    visit.settle()
    sync_api.expect(chips).not_to_contain_text("from the map")
    assert not set(visit.ids()) <= set(wanted)


def test_a_link_to_a_search_among_chosen_shoes(visit: Visit) -> None:
    """Elsewhere than in its own tab the choice is not there: the page says so, and searches the whole catalogue."""
    visit.open("/#among=elsewhere-1&filter=Gender%3AWomen")
    sync_api.expect(visit.page.get_by_role("alert")).to_contain_text("The choice from the map is gone.")
    sync_api.expect(visit.page.locator("#chips")).to_have_text("Remove filter Gender: Women")
    assert "among" not in visit.page.url


def test_the_map_is_as_it_was_left(visit: Visit) -> None:
    """Back from a shoe or a search the same shoes are chosen, and the map is looked at from the same place."""
    items = chart(visit)
    lasso(visit, len(items))
    visit.page.get_by_role("button", name="Nearer").click()
    visit.page.get_by_role("button", name="Search among these 4").click()
    visit.settle()
    visit.page.go_back()
    sync_api.expect(visit.page.locator(".selection")).to_contain_text("4 shoes chosen")
    x, y = point(visit, 10, len(items))
    box = visit.page.locator(".map-canvas").bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    visit.page.mouse.move(*(at + (1.6 - 1) * (at - half) for at, half in zip((x, y), middle, strict=True)))
    sync_api.expect(visit.page.locator(".tip")).to_contain_text(items[10]["attributes"]["Category"][0])
    visit.page.wait_for_load_state("networkidle")


def test_the_map_goes_by_keyboard(visit: Visit) -> None:
    """Keys move and enlarge the map under a cross, name the shoe below it, and Enter opens that one."""
    items = chart(visit)
    canvas = visit.page.get_by_role("application", name="Map of the catalogue")
    canvas.focus()
    for key in ("+", "+", "ArrowLeft", "ArrowUp", "-"):
        canvas.press(key)
    sync_api.expect(visit.page.locator(".tip")).not_to_be_empty()
    canvas.press("Enter")
    sync_api.expect(visit.page.locator("#view-shoe .facts")).to_be_visible()
    assert visit.page.url.partition("id=")[2] in {item["id"] for item in items}
    visit.page.wait_for_load_state("networkidle")


def test_a_touch_tells_and_the_next_opens(phone: Visit) -> None:
    """A finger's first tap on a point shows its shoe, and the second opens it."""
    items = chart(phone)
    spot = point(phone, 20, len(items))
    phone.page.touchscreen.tap(*spot)
    sync_api.expect(phone.page.locator(".tip")).to_contain_text(items[20]["attributes"]["Category"][0])
    assert "/map" in phone.page.url
    phone.page.touchscreen.tap(*spot)
    sync_api.expect(phone.page.locator("#view-shoe .facts")).to_contain_text(items[20]["id"])
    phone.page.wait_for_load_state("networkidle")


def test_a_finger_lassoes(phone: Visit) -> None:
    """A finger draws a lasso, too; lifted while it moves, it leaves the next tap to the button that is tapped."""
    items = chart(phone)
    phone.page.get_by_role("button", name="Lasso").tap()
    around = [(-0.03, -0.03), (0.5, -0.03), (0.5, 1.03), (-0.03, 1.03), (-0.03, -0.03)]
    phone.swipe(*(spot(phone, x, y) for x, y in around))
    sync_api.expect(phone.page.locator(".selection")).to_contain_text(f"{len(items) // 2} shoes chosen")
    phone.page.get_by_role("button", name="Search among these").tap()
    sync_api.expect(phone.page.locator("#chips")).to_contain_text("from the map")
    phone.settle()


def test_a_catalogue_without_a_map(visit: Visit) -> None:
    """Where no map has been computed, the view says so in the service's words."""
    problem = {"status": 404, "title": "Not Found", "detail": "no map has been computed; `solemate map` makes it"}
    visit.page.route("**/v1/map", lambda route: route.fulfill(status=404, json=problem))
    visit.page.goto(f"{visit.base}/#/map")
    sync_api.expect(visit.page.locator("#view-map")).to_contain_text("solemate map")
    visit.page.wait_for_load_state("networkidle")
    visit.errors[:] = [error for error in visit.errors if "status of 404" not in error]
