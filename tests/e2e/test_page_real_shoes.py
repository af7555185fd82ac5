"""Each view of the page on photographs of real shoes, where there are some: by mouse, by touch and by keyboard.

The network has hardly been trained: the page has to show what the service answers, whatever that is.
"""

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_page_map import SIDE, spot
from tests.e2e.test_page_views import arrive
from tests.support.browser import Upload, Visit, sync_api
from tests.support.commands import run_main, run_training
from tests.support.hand import WAYS, Hand
from tests.support.server import Artifacts, serve_in_thread

DATA = Path(os.environ.get("SOLEMATE_TEST_DATA", "../shared/data"))
SHOES, PHOTOS = DATA / "shoes", DATA / "photos"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (SHOES.is_dir() and PHOTOS.is_dir()), reason=f"no shoes in {DATA}; set SOLEMATE_TEST_DATA"),
]

COUNT = 300
SIDES = (60, 64)
"""Pixels across a photograph of the catalogue, and a picture that the network draws."""

CATALOG = "csv:{}?id=id&image=images/{{id}}.jpg&attributes=articleType,gender,baseColour,usage"
TRAIN = ("--preset", "catalog", "--epochs", "1", "--validation-share", "0.2", "--threads", "1", "--no-onnx")


@pytest.fixture(scope="module")
def ids() -> list[str]:
    """The shoes that are served; of each there is a photo, too."""
    return (SHOES / "test-ids.txt").read_text().split()[:COUNT]


@pytest.fixture(scope="module")
def live_server(ids: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service of these shoes, with a network that has seen them once."""
    folder = tmp_path_factory.mktemp("real")
    (folder / "images").symlink_to((SHOES / "images").absolute())
    with (SHOES / "styles.csv").open(newline="") as table, (folder / "styles.csv").open("w", newline="") as chosen:
        rows = csv.DictReader(table)
        writer = csv.DictWriter(chosen, rows.fieldnames or ())
        writer.writeheader()
        writer.writerows(row for row in rows if row["id"] in ids)
    real = Artifacts(folder, folder / "checkpoint", folder / "catalog")
    catalog = ("--catalog", CATALOG.format(folder / "styles.csv"), "--device", "cpu")
    checkpoint = str(real.checkpoint)
    for done in (
        run_training("train", *catalog, *TRAIN, "--precision", "float32", "--out", checkpoint),
        run_main("index", *catalog, "--checkpoint", checkpoint, "--out", str(real.catalog)),
    ):
        assert done.status == 0, done.error
    with serve_in_thread(real) as url:
        yield url


@pytest.fixture(params=WAYS)
def hand(request: pytest.FixtureRequest) -> Hand:
    """A visit in each of the ways: from a phone by touch, and else from a laptop."""
    return Hand(request.getfixturevalue("phone" if request.param == "touch" else "visit"), request.param)


def expect_pictures(pictures: Any, side: int, number: int) -> None:
    """Wait until at least so many pictures are shown, each of them that many pixels across."""
    for index in range(number):
        sync_api.expect(pictures.nth(index)).to_have_js_property("naturalWidth", side)


def found(visit: Visit, address: str) -> list[str]:
    """The shoes that the service itself finds, one for all near-duplicates of it."""
    return [hit["id"] for hit in visit.get(f"{address}&k=24&group=duplicates")["hits"]]


def test_a_photo_is_searched_with(hand: Hand, ids: list[str]) -> None:
    """A photo of a shoe before a real background brings what the service finds, by one condition too."""
    visit, page = hand.visit, hand.visit.page
    photo = Upload(f"{ids[7]}.jpg", "image/jpeg", (PHOTOS / f"{ids[7]}.jpg").read_bytes())

    def expect_hits(condition: str) -> None:
        address = f"{visit.base}/v1/search?k=24&group=duplicates&condition={condition}"
        answer = page.request.post(address, multipart={"image": photo.payload()}).json()
        visit.settle()
        assert visit.ids() == [hit["id"] for hit in answer["hits"]]

    visit.open()
    with page.expect_file_chooser() as chooser:
        hand.use(page.get_by_role("button", name="Choose a photo"))
    chooser.value.set_files(photo.payload())
    sync_api.expect(page.locator("#query-caption")).to_have_text("Your photo")
    expect_hits("overall")
    expect_pictures(page.locator("#grid img"), SIDES[0], 2)
    assert page.locator("#query-picture img").first.evaluate("image => image.naturalWidth") in {330, 440}
    colour = page.get_by_role("button", name="Base colour", exact=True)
    hand.use(colour)
    sync_api.expect(colour).to_have_attribute("aria-pressed", "true")
    expect_hits("baseColour")


def test_a_shoe_is_searched_with(hand: Hand) -> None:
    """A search by a shoe is filtered, refined by a dislike and a like, and goes on below the first page."""
    visit, page = hand.visit, hand.visit.page
    visit.open()
    asked = visit.ids()[1]
    hand.use(page.get_by_role("button", name="Search with this shoe").nth(1))
    sync_api.expect(page.locator("#query-caption")).to_have_text("From the catalogue")
    visit.settle()
    if hand.way == "touch":
        hand.use(page.get_by_role("button", name="Filters"))
        hand.use(page.locator("#filter-sheet").get_by_text("Gender"))
    hand.use(page.locator('[data-filter="gender:Men"]'))
    sync_api.expect(page.locator("#chips")).to_contain_text("Gender: Men")
    if hand.way == "touch":
        hand.use(page.locator("#filter-done"))
    visit.settle()
    shown = visit.ids()
    assert shown == found(visit, f"/v1/items/{asked}/similar?filter=gender%3AMen")
    for number, (index, action) in enumerate(((1, "Less like this"), (3, "More like this")), start=1):
        hand.use(page.locator("#grid > li").nth(index).get_by_role("button", name=action))
        sync_api.expect(page.locator("#examples li")).to_have_count(number)
        visit.settle()
    first = visit.ids()
    assert shown[1] not in first
    hand.scroll_until(lambda: page.locator("#grid .card").count() > len(first))
    visit.settle()
    more = visit.ids()
    assert more[: len(first)] == first
    assert len(set(more)) == len(more)
    assert {visit.get(f"/v1/items/{each}")["attributes"]["gender"][0] for each in more[len(first) :][:3]} == {"Men"}


def test_a_shoe_is_looked_at_and_compared(hand: Hand) -> None:
    """A card opens its shoe, the drawing is slid over the photograph, and a neighbour is compared with it."""
    visit, page = hand.visit, hand.visit.page
    visit.open()
    shoe = visit.ids()[0]
    hand.use(page.locator("#grid .card").first)
    sync_api.expect(page.locator("#view-shoe .facts")).to_contain_text(shoe)
    expect_pictures(page.locator(".reveal .drawn img"), SIDES[1], 1)
    assert hand.slide(page.get_by_role("slider", name="How much of the drawing")) > 50
    row = page.locator(".row").first
    expect_pictures(row.locator("img"), SIDES[0], 2)
    other = row.locator(".card").first.get_attribute("data-id")
    hand.use(row.get_by_role("button", name="Compare with").first)
    section = page.locator(".why-section")
    why = visit.get(f"/v1/items/{shoe}/explain?with={other}")
    sync_api.expect(section.locator(".bars li")).to_have_count(len(why["conditions"]))
    sync_api.expect(section.locator("tr.agrees")).to_have_count(sum(each["agree"] for each in why["attributes"]))
    expect_pictures(section.locator("img"), SIDES[0], 2)


def test_two_shoes_are_morphed(hand: Hand, ids: list[str]) -> None:
    """The way between two shoes is gone by its slider and its film, and one takes over the other's colour."""
    visit, page = hand.visit, hand.visit.page
    one, other = ids[0], ids[40]

    def expect_nearest(card: Any, step: Any) -> None:
        sync_api.expect(card).to_have_attribute("href", f"#/shoe?id={step['nearest']['id']}")
        expect_pictures(card.locator("img"), SIDES[0], 1)

    def ask(address: str) -> Any:
        return page.request.get(visit.base + address, headers={"accept": "application/json"}).json()

    arrive(visit, f"/#/morph?from={one}&to={other}", ".swap-result .card")
    steps = ask(f"/v1/interpolations?from={one}&to={other}&steps=11")["steps"]
    expect_pictures(page.locator(".film .frame:first-child img"), SIDES[1], 11)
    step = int(hand.slide(page.get_by_role("slider", name="Step of the way")))
    assert step > 5
    expect_nearest(page.locator(".way .stage a.card"), steps[step])
    hand.use(page.locator(".film button").nth(2))
    expect_nearest(page.locator(".way .stage a.card"), steps[2])
    hand.use(page.locator(".swaps").get_by_role("button", name="Base colour"))
    result = page.locator(".swap-result")
    sync_api.expect(result).to_contain_text("With the other's base colour")
    expect_nearest(result.locator("a.card"), ask(f"/v1/swaps?item={one}&condition=baseColour&of={other}")["after"])
    expect_pictures(result.locator(".drawn-card img"), SIDES[1], 2)


def test_the_map_is_gone_through(hand: Hand) -> None:
    """A shoe on the map is opened at its place; those of one half, or of what is in view, are searched among."""
    visit, page = hand.visit, hand.visit.page
    visit.open()
    hand.use(page.get_by_role("link", name="Map"))
    canvas = page.locator('.map-canvas[data-pictured="true"]')
    sync_api.expect(canvas).to_be_visible()
    page.wait_for_load_state("networkidle")
    tile = visit.get("/v1/map/tiles/0")
    x, y = spot(visit, tile["x"][5] / SIDE, tile["y"][5] / SIDE)
    if hand.way == "keyboard":
        hand.reach(canvas)
        for key in ("+", "+", "ArrowLeft"):
            page.keyboard.press(key)
    elif hand.way == "touch":
        page.touchscreen.tap(x, y)
    else:
        page.mouse.move(x, y)
    expect_pictures(page.locator(".tip img"), SIDES[0], 1)
    {
        "keyboard": lambda: page.keyboard.press("Enter"),
        "touch": lambda: page.touchscreen.tap(x, y),
        "mouse": lambda: page.mouse.click(x, y),
    }[hand.way]()
    sync_api.expect(page.locator("#view-shoe .facts")).to_be_visible()
    assert page.url.partition("id=")[2] in (tile["ids"] if hand.way == "keyboard" else [tile["ids"][5]])
    page.go_back()
    page.wait_for_load_state("networkidle")
    if hand.way == "keyboard":
        hand.use(page.get_by_role("button", name="All in view"))
    else:
        hand.use(page.get_by_role("button", name="Lasso"))
        corners = [(-0.03, -0.03), (0.5, -0.03), (0.5, 1.03), (-0.03, 1.03), (-0.03, -0.03)]
        hand.drag(*(spot(visit, *corner) for corner in corners))
    sync_api.expect(page.locator(".selection")).to_contain_text("shoes chosen")
    chosen = int(page.locator(".selection h2").inner_text().split()[0])
    left = sum(across < SIDE / 2 for across in tile["x"])
    assert 0 < chosen < COUNT if hand.way == "keyboard" else abs(chosen - left) <= 4  # some lie at the edge
    hand.use(page.get_by_role("button", name=f"Search among these {chosen}"))
    visit.settle()
    sync_api.expect(page.locator("#chips")).to_contain_text(f"among {chosen} shoes from the map")


def test_status_leads_to_shoes(hand: Hand) -> None:
    """The status counts the shoes of each value and tells of the training; a value leads to its shoes."""
    visit, page = hand.visit, hand.visit.page
    visit.open()
    hand.use(page.get_by_role("link", name="Status"))
    view = page.locator("#view-status")
    sync_api.expect(view).to_contain_text(f"Catalogue: {COUNT} shoes")
    sync_api.expect(view.get_by_role("heading", name="Training")).to_be_visible()
    number = next(each["count"] for each in visit.get("/v1/facets")["facets"]["usage"] if each["value"] == "Sports")
    hand.use(view.get_by_role("link", name="Sports", exact=True))
    sync_api.expect(page.locator("#results-count")).to_have_text(f"{number} shoes")
    visit.settle()
