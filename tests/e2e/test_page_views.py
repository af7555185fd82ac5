"""The page's views beside the search: a shoe, morph, status; by mouse, touch and keyboard, and for everybody."""

import io
import re
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest
from PIL import Image

from tests.support.browser import Upload, Visit, sync_api

pytestmark = pytest.mark.slow

ONE, OTHER = "1000.1", "1004.2"


def arrive(visit: Visit, address: str, awaited: str) -> None:
    """Open a view's address and wait for a part of it, and until nothing is being loaded any more."""
    visit.page.goto("about:blank")
    visit.page.goto(visit.base + address)
    sync_api.expect(visit.page.locator(awaited).first).to_be_visible()
    visit.page.wait_for_load_state("networkidle")


def test_a_card_opens_the_shoe_and_back_returns(visit: Visit) -> None:
    """A click on a card opens the shoe with what is known of it and its neighbours by each condition; Back returns."""
    visit.open("/#filter=Gender%3AWomen")
    found = visit.ids()
    visit.page.evaluate("scrollTo({ top: 400, behavior: 'instant' })")  # a wheel's way is still going on afterwards
    place = visit.page.evaluate("scrollY")
    assert place > 300
    visit.page.locator("#grid .card").nth(5).click()
    shoe = visit.get(f"/v1/items/{found[5]}")
    facts = visit.page.locator("#view-shoe .facts")
    for values in [*shoe["attributes"].values(), [shoe["id"]]]:
        sync_api.expect(facts).to_contain_text(", ".join(values))
    conditions = visit.get("/v1/info")["conditions"]
    rows = visit.page.locator("#view-shoe .row")
    sync_api.expect(rows).to_have_count(len(conditions))
    titles = ["Most alike", *(f"Alike by {condition}" for condition in conditions[1:])]
    sync_api.expect(visit.page.locator("#view-shoe .rows h2")).to_have_text(titles)
    for row, condition in zip(rows.all(), conditions, strict=True):
        sync_api.expect(row.locator(".card").first).to_be_visible()
        hits = visit.get(f"{shoe['similar']}?k=12&condition={condition}&duplicate_distance=0&group=duplicates")["hits"]
        assert row.locator(".card").first.get_attribute("data-id") == hits[0]["id"]
    visit.page.go_back()
    visit.settle()
    assert visit.ids() == found
    assert visit.page.evaluate("scrollY") == pytest.approx(place, abs=2)


def test_the_drawing_is_slid_over_the_picture(visit: Visit) -> None:
    """A slider, by keyboard too, shows more or less of what the network kept over the shoe's own picture."""
    arrive(visit, f"/#/shoe?id={ONE}", ".reveal .drawn img")
    stage = visit.page.locator(".reveal")
    before = stage.screenshot()
    slider = visit.page.get_by_role("slider", name="How much of the drawing")
    slider.focus()
    slider.press("End")
    assert stage.evaluate("each => each.style.getPropertyValue('--at')") == "100%"
    assert stage.screenshot() != before


def test_a_picture_on_a_coloured_ground_lies_over_its_drawing(visit: Visit) -> None:
    """Where a picture has no white margin, it is laid over the drawing by where the network finds the shoe in it."""

    def draw(side: int, ground: int, first: int, last: int) -> bytes:
        picture = Image.new("RGB", (side, side), (ground, ground, ground))
        picture.paste((20, 20, 20), (first, first, last, last))
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        return buffer.getvalue()

    found = {"embeddings": [{"vector": [], "subject": {"box": [0.25, 0.25, 0.5, 0.5]}}], "checkpoint": ""}
    visit.page.route(f"**/v1/items/{ONE}/image", lambda route: route.fulfill(body=draw(100, 200, 25, 75)))
    visit.page.route(f"**/v1/items/{ONE}/reconstruction", lambda route: route.fulfill(body=draw(64, 255, 8, 56)))
    visit.page.route("**/v1/embeddings", lambda route: route.fulfill(json=found))
    arrive(visit, f"/#/shoe?id={ONE}", ".reveal canvas")
    levels = """canvas => {
      const { data, width } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return [75, 105, 615, 645].map((at) => data[4 * (at * width + at)]);
    }"""
    # The shoe is at 8 to 56 of 64 pixels in the drawing, and so at 90 to 630 of 720 in the picture over it.
    assert visit.page.locator(".reveal canvas").evaluate(levels) == pytest.approx([200, 20, 20, 200], abs=25)


def test_why_two_shoes_are_alike(visit: Visit) -> None:
    """Comparing shows the parts of the distance by slice, as the service explains it, and which attributes agree."""
    arrive(visit, f"/#/shoe?id={ONE}", ".row .card")
    compare = visit.page.locator(".row").first.get_by_role("button", name="Compare with").first
    other = visit.page.locator(".row").first.locator(".card").first.get_attribute("data-id")
    compare.focus()
    compare.press("Enter")
    section = visit.page.locator(".why-section")
    sync_api.expect(section.get_by_role("heading", level=2)).to_be_focused()
    why = visit.get(f"/v1/items/{ONE}/explain?with={other}")
    bars = section.locator(".bars li")
    sync_api.expect(bars).to_have_count(len(why["conditions"]))
    for bar, condition in zip(bars.all(), why["conditions"], strict=True):
        sync_api.expect(bar).to_contain_text(f"{round(condition['share'] * 100)}%")
    sync_api.expect(bars.last).to_contain_text("Remaining look")
    agreeing = {each["name"] for each in why["attributes"] if each["agree"]}
    assert section.locator("tr.agrees").count() == len(agreeing)
    visit.page.reload()
    sync_api.expect(section.locator(".bars li")).to_have_count(len(why["conditions"]))
    section.get_by_role("button", name="Close the comparison").click()
    sync_api.expect(section).to_be_hidden()
    visit.page.go_back()
    sync_api.expect(section).to_be_visible()


def test_morph_by_slider_and_by_the_film(visit: Visit) -> None:
    """Each step shows what is drawn and the nearest shoe that the service names; the address keeps the step."""
    arrive(visit, f"/#/morph?from={ONE}&to={OTHER}", ".film button")
    answer = visit.page.request.get(
        f"{visit.base}/v1/interpolations?from={ONE}&to={OTHER}&steps=11", headers={"accept": "application/json"}
    )
    steps = answer.json()["steps"]
    stage = visit.page.locator(".way .stage")
    slider = visit.page.get_by_role("slider", name="Step of the way")
    sync_api.expect(slider).to_have_value("5")
    slider.focus()
    slider.press("ArrowRight")
    sync_api.expect(stage.locator(".card[data-id], a.card")).to_have_attribute(
        "href", f"#/shoe?id={steps[6]['nearest']['id']}"
    )
    sync_api.expect(stage).to_contain_text("60% of the way")
    visit.page.locator(".film button").first.click()
    sync_api.expect(stage).to_contain_text("0% of the way")
    assert visit.page.url.endswith("step=0")
    visit.page.get_by_role("button", name="Exchange").click()
    sync_api.expect(visit.page.locator(".slot-picture").first).to_have_attribute("href", f"#/shoe?id={OTHER}")


def test_one_trait_is_swapped(visit: Visit) -> None:
    """A trait of the other shoe is drawn into the first, beside the nearest shoe; the address keeps trait and step."""
    arrive(visit, f"/#/morph?from={ONE}&to={OTHER}", ".swap-result .card")
    visit.page.locator(".swaps").get_by_role("button", name="Closure").click()
    answer = visit.page.request.get(
        f"{visit.base}/v1/swaps?item={ONE}&condition=closure&of={OTHER}", headers={"accept": "application/json"}
    ).json()
    result = visit.page.locator(".swap-result")
    sync_api.expect(result).to_contain_text("With the other's closure")
    sync_api.expect(result.locator("a.card")).to_have_attribute("href", f"#/shoe?id={answer['after']['nearest']['id']}")
    assert "swap=closure" in visit.page.url
    visit.page.locator(".film button").first.click()
    assert visit.page.url.endswith("step=0&swap=closure")
    result.locator(".tag").nth(1).evaluate("tag => { tag.textContent = 'two lines '.repeat(5); }")
    frames = result.locator(".frame").all()
    assert len({round(frame.bounding_box()["y"]) for frame in frames}) == 1


def test_the_film_follows_the_step_on_a_phone(phone: Visit) -> None:
    """Where the film is wider than the screen, it is scrolled to the step that is shown, from the start on."""
    arrive(phone, f"/#/morph?from={ONE}&to={OTHER}", ".film button")
    current = phone.page.locator(".film [aria-current]")
    sync_api.expect(current).to_be_in_viewport(ratio=1)
    phone.page.get_by_role("slider", name="Step of the way").press("End")
    sync_api.expect(current).to_have_accessible_name(re.compile("Step 11 of 11"))
    sync_api.expect(current).to_be_in_viewport(ratio=1)


def test_shoes_are_chosen_on_a_phone(phone: Visit) -> None:
    """By touch, a shoe to compare with is chosen from the catalogue in a sheet."""
    arrive(phone, f"/#/shoe?id={ONE}", ".row .card")
    phone.page.get_by_role("button", name="Compare", exact=True).tap()
    sheet = phone.page.get_by_role("dialog", name="Compare with which shoe?")
    sheet.locator(f'[data-id="{OTHER}"]').tap()
    sync_api.expect(sheet).to_be_hidden()
    sync_api.expect(phone.page.locator(".why-section")).to_contain_text("Agree")
    assert f"with={OTHER}" in phone.page.url
    phone.page.get_by_role("link", name="Morph").tap()
    sync_api.expect(phone.page.locator(".film button").first).to_be_visible()
    phone.page.wait_for_load_state("networkidle")


def test_a_choice_ends_with_its_view(visit: Visit, photo: Upload) -> None:
    """A photo that is dropped while a shoe is asked for is searched with, and nobody is asked for a shoe any more."""
    arrive(visit, f"/#/shoe?id={ONE}", ".row .card")
    visit.page.get_by_role("button", name="Compare", exact=True).click()
    sheet = visit.page.get_by_role("dialog", name="Compare with which shoe?")
    sync_api.expect(sheet.locator(f'[data-id="{OTHER}"]')).to_be_visible()
    drop = """([bytes, name, type]) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([new Uint8Array(bytes)], name, { type }));
      document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
    }"""
    visit.page.evaluate(drop, [list(photo.content), photo.name, photo.mime])
    sync_api.expect(visit.page.locator("#query-caption")).to_have_text("Your photo")
    sync_api.expect(sheet).to_be_hidden()
    visit.settle()


def test_filters_are_a_sheet_on_a_phone(phone: Visit) -> None:
    """By touch, filters open as a sheet over the shoes, count what they leave, and close again."""
    phone.open()
    phone.page.get_by_role("button", name="Filters").tap()
    sheet = phone.page.get_by_role("dialog", name="Filters")
    sheet.get_by_text("Gender").tap()
    sheet.get_by_text("Women", exact=True).tap()
    done = sheet.get_by_role("button", name="Show 2")
    sync_api.expect(done).to_be_visible()
    done.tap()
    sync_api.expect(sheet).to_be_hidden()
    sync_api.expect(phone.page.locator("#chips")).to_contain_text("Gender: Women")
    phone.settle()


def test_a_value_is_left_out(visit: Visit) -> None:
    """A value can be excluded: no shoe with it is left, and the chip says so."""
    visit.open()
    visit.page.get_by_role("button", name="Without Women").click()
    sync_api.expect(visit.page.locator("#chips")).to_contain_text("Gender: not Women")
    visit.settle()
    assert visit.ids()
    for shoe in visit.ids():
        assert visit.get(f"/v1/items/{shoe}")["attributes"]["Gender"] == ["Men"]


def test_a_sample_is_tried(visit: Visit) -> None:
    """The start offers three photos to try; one click searches with it."""
    visit.open()
    samples = visit.page.get_by_role("button", name="Sample photo")
    sync_api.expect(samples).to_have_count(3)
    samples.first.click()
    sync_api.expect(visit.page.locator("#query-caption")).to_have_text("Your photo")
    visit.settle()
    assert visit.page.locator("#query-picture img").first.evaluate("image => image.naturalWidth") == 360


def test_colours_are_chosen(visit: Visit) -> None:
    """Dark and light can be chosen whatever the device prefers, and the choice outlives a reload."""
    visit.page.emulate_media(color_scheme="light")
    visit.open()
    ground = "getComputedStyle(document.body).backgroundColor"
    light = visit.page.evaluate(ground)
    visit.page.get_by_label("Colours").select_option("dark")
    dark = visit.page.evaluate(ground)
    assert dark != light
    visit.page.reload()
    visit.settle()
    assert visit.page.evaluate(ground) == dark
    visit.page.get_by_label("Colours").select_option("auto")
    assert visit.page.evaluate(ground) == light


def test_status_tells_what_is_served(visit: Visit) -> None:
    """The status has the service's facts, leads to the interface's description, and a value leads to its shoes."""
    info = visit.get("/v1/info")
    arrive(visit, "/#/status", ".panel")
    view = visit.page.locator("#view-status")
    for text in (info["version"], info["catalog"]["fingerprint"], info["checkpoint"]["digest"][:16], "Answering"):
        sync_api.expect(view).to_contain_text(text)
    assert view.get_by_role("link", name="The interface").get_attribute("href") == f"{visit.base}/docs"
    view.get_by_role("link", name="Women").click()
    sync_api.expect(visit.page.locator("#chips")).to_contain_text("Gender: Women")
    visit.settle()


def test_status_tells_of_the_training(visit: Visit) -> None:
    """The status draws a line for each figure of the epochs and holds the model card, where the checkpoint has them."""
    epoch = {"training": {}, "validation": {"mse": 0.1, "triplet_accuracy/heel/HeelHeight": 0.5}}
    better = {"training": {}, "validation": {"mse": None, "triplet_accuracy/heel/HeelHeight": 0.75}}
    row = {"slice": "heel", "attribute": "HeelHeight", "triplet_accuracy": 0.75, "recall": {"1": None, "10": 1.0}}
    record = {
        "card": "# A solemate checkpoint",
        "history": [{"epoch": 1, **epoch}, {"epoch": 2, **better}],
        "evaluation": {"shoes": 12, "rows": [row]},
    }
    visit.page.route("**/v1/checkpoint", lambda route: route.fulfill(json=record))
    arrive(visit, "/#/status", ".panel")
    view = visit.page.locator("#view-status")
    charts = view.get_by_role("img")
    sync_api.expect(charts).to_have_count(2)
    assert charts.first.locator("polyline").get_attribute("points") == "0.0,116.0 320.0,60.0"
    sync_api.expect(view.locator(".chart-legend")).to_have_text(["Heel 75%", "Squared error a number \u2013"])
    sync_api.expect(view.get_by_role("row", name="Heel 75% \u2013 100%")).to_be_visible()
    view.get_by_text("Model card").click()
    sync_api.expect(view.get_by_text("# A solemate checkpoint")).to_be_visible()

    visit.page.route("**/v1/checkpoint", lambda route: route.fulfill(json={"card": None, "history": []}))
    visit.page.reload()
    sync_api.expect(view.get_by_role("heading", name="Network")).to_be_visible()
    sync_api.expect(view.get_by_role("heading", name="Training")).to_have_count(0)


VIEWS = {
    "start": ("/", "#sample-list button"),
    "search": (f"/#item={ONE}&like=1003.1&condition=closure%3A1%2Ccategory%3A0.5&filter=Gender%3AWomen", "#grid .card"),
    "shoe": (f"/#/shoe?id={ONE}&with={OTHER}", ".row .card"),
    "morph": (f"/#/morph?from={ONE}&to={OTHER}", ".swap-result .card"),
    "map": ("/#/map", ".legend button"),
    "status": ("/#/status", ".panel"),
}


@pytest.mark.skipif(find_spec("axe_playwright_python") is None, reason="needs axe (pip install axe-playwright-python)")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", VIEWS)
def test_axe_finds_nothing(request: pytest.FixtureRequest, name: str, scheme: str) -> None:
    """Axe finds nothing of any level in any view: on a laptop in light colours, on a phone in dark ones."""
    visit: Visit = request.getfixturevalue("visit" if scheme == "light" else "phone")
    visit.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    arrive(visit, *VIEWS[name])
    axe: Any = import_module("axe_playwright_python.sync_playwright").Axe()
    violations = axe.run(visit.page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in violations] == []


@pytest.mark.parametrize("name", VIEWS)
def test_no_view_sticks_out(visit: Visit, name: str) -> None:
    """On every width each view fits, whether it is opened there or the window becomes smaller."""
    for widths in ((320,), (1680, 1280, 768, 360, 320)):
        visit.page.set_viewport_size({"width": widths[0], "height": 860})
        arrive(visit, *VIEWS[name])
        for width in widths:
            visit.page.set_viewport_size({"width": width, "height": 860})
            visit.page.wait_for_function("width => document.documentElement.scrollWidth === width", arg=width)
