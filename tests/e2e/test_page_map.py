"""The page's map, by mouse, touch and keyboard, with places for the shoes that are set here, to point at."""

import io
import re
from typing import Any

import pytest
from PIL import Image

from tests.support.browser import Visit, sync_api

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


@pytest.fixture(autouse=True)
def forgive_software_rendering(request: pytest.FixtureRequest) -> Any:
    """Without a graphics card the browser warns that reading the canvas back is slow."""
    visit: Visit = request.getfixturevalue("phone" if "touch" in request.node.name else "visit")
    yield visit
    visit.errors[:] = [error for error in visit.errors if "GL Driver Message" not in error]


def point(visit: Visit, index: int, count: int) -> tuple[float, float]:
    """Where a shoe is on the screen while the whole map is shown."""
    box = visit.page.locator(".map-canvas").bounding_box()
    least = min(box["width"], box["height"]) * 1.4
    across, down = (min(box[name], least) * 0.94 for name in ("width", "height"))
    x, y = index % COLUMNS / (COLUMNS - 1), index // COLUMNS / (-(-count // COLUMNS) - 1)
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


def test_shoes_are_lassoed(visit: Visit) -> None:
    """A lasso takes the shoes within it; what is searched next is like them."""
    items = chart(visit)
    wanted = [9, 10, 17, 18]
    corners = [point(visit, index, len(items)) for index in (9, 10, 18, 17, 9)]
    middle = [sum(axis) / 4 for axis in zip(*corners[:4], strict=True)]
    around = [(x + (x - middle[0]) * 0.4, y + (y - middle[1]) * 0.4) for x, y in corners]
    visit.page.get_by_role("button", name="Lasso").click()
    visit.page.mouse.move(*around[0])
    visit.page.mouse.down()
    for corner in around[1:]:
        visit.page.mouse.move(*corner, steps=5)
    visit.page.mouse.up()
    side = visit.page.locator(".selection")
    sync_api.expect(side).to_contain_text("4 shoes chosen")
    sync_api.expect(side.locator(".thumbs a")).to_have_count(4)
    side.get_by_role("button", name="Find shoes like these").click()
    sync_api.expect(visit.page.locator("#query-caption")).to_have_text("From your likes")
    visit.settle()
    assert re.findall(r"like=([^&]+)", visit.page.url) == [items[index]["id"] for index in wanted]


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


def test_a_catalogue_without_a_map(visit: Visit) -> None:
    """Where no map has been computed, the view says so in the service's words."""
    problem = {"status": 404, "title": "Not Found", "detail": "no map has been computed; `solemate map` makes it"}
    visit.page.route("**/v1/map", lambda route: route.fulfill(status=404, json=problem))
    visit.page.goto(f"{visit.base}/#/map")
    sync_api.expect(visit.page.locator("#view-map")).to_contain_text("solemate map")
    visit.page.wait_for_load_state("networkidle")
    visit.errors[:] = [error for error in visit.errors if "status of 404" not in error]
