"""The page, in a real browser, against a real service.

Needs the fixture `live_server`: the base URL (without a trailing slash) of a running service whose catalogue holds a
few dozen shoes (more than 24, so that "Show more" has something to show) with pictures, and at least one attribute
that has several values. The weights may be untrained: nothing here depends on which shoes are near.

Skipped where Playwright or Chromium is not installed.
"""

import re

import pytest

from tests.support.browser import Upload, Visit, sync_api

pytestmark = pytest.mark.slow


def test_start(visit: Visit) -> None:
    """The page opens with the catalogue's size and its shoes, and shows more of them as they are scrolled."""
    visit.open()
    total = visit.get("/v1/items?limit=1")["total"]
    sync_api.expect(visit.page.locator("#catalog-size")).to_have_text(f"{total:,} shoes")
    before = visit.ids()
    assert before
    picture = visit.page.locator("#grid img").first
    sync_api.expect(picture).to_have_js_property("complete", True)
    assert picture.evaluate("image => image.naturalWidth") > 0
    assert visit.page.locator("#grid .card").first.inner_text().strip()
    visit.page.locator("#more").scroll_into_view_if_needed()
    sync_api.expect(visit.page.locator("#grid .card")).not_to_have_count(len(before))
    after = visit.ids()
    assert after[: len(before)] == before
    assert len(set(after)) == len(after)


def test_upload(visit: Visit, photo: Upload) -> None:
    """A photo brings shoes, the nearest first, the photo itself and, unfolded, its reconstruction."""
    visit.open()
    visit.search(photo)
    sync_api.expect(visit.page.locator("#query-title")).to_have_text("my shoe")
    scores = [float(each.get_attribute("data-score")) for each in visit.page.locator("#grid .nearness").all()]
    assert len(scores) == len(visit.ids())
    assert scores == sorted(scores, reverse=True)
    visit.page.locator("#drawing summary").click()
    for tile in ("#query-picture img", "#query-reconstruction img"):
        sync_api.expect(visit.page.locator(tile)).to_be_visible()
        assert visit.page.locator(tile).evaluate("image => image.naturalWidth") > 0


@pytest.mark.parametrize("way", ["paste", "drop"])
def test_paste_and_drop(visit: Visit, photo: Upload, way: str) -> None:
    """A photo pasted or dropped anywhere on the page is searched with."""
    visit.open()
    hand_over = """([way, bytes, name, type]) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([new Uint8Array(bytes)], name, { type }));
      const event = way === "paste"
        ? new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true })
        : new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true });
      document.body.dispatchEvent(event);
    }"""
    visit.page.evaluate(hand_over, [way, list(photo.content), photo.name, photo.mime])
    sync_api.expect(visit.page.locator("#query-caption")).to_have_text("Your photo")
    visit.settle()


def test_result_becomes_query_and_back_returns(visit: Visit, photo: Upload) -> None:
    """A result can be searched from; Back brings the earlier answers again, the uploaded photo's included."""
    visit.open()
    start = visit.ids()
    visit.search(photo)
    first = visit.ids()
    visit.page.get_by_role("button", name="Search with this shoe").nth(1).click()
    sync_api.expect(visit.page.locator("#query-caption")).to_have_text("From the catalogue")
    visit.settle()
    assert f"#item={first[1]}" in visit.page.url.replace("%3A", ":")
    assert first[1] not in visit.ids()
    visit.page.go_back()
    sync_api.expect(visit.page.locator("#query-caption")).to_have_text("Your photo")
    visit.settle()
    assert visit.ids() == first
    visit.page.go_back()
    sync_api.expect(visit.page.locator("#query")).to_be_hidden()
    visit.settle()
    assert visit.ids() == start


def test_address_opens_a_search(visit: Visit) -> None:
    """A link to a search by a shoe opens it."""
    item = visit.get("/v1/items?limit=1")["items"][0]
    visit.open(f"/#item={item['id']}&group=none")
    sync_api.expect(visit.page.locator("#query-title")).to_contain_text(item["attributes"]["Category"][0])
    similar = visit.get(item["similar"] + "?k=24")["hits"]
    assert visit.ids() == [hit["id"] for hit in similar]


def test_photo_survives_a_reload(visit: Visit, photo: Upload) -> None:
    """After a reload the photo is still there with what it found, and is not sent again."""
    visit.open()
    visit.search(photo)
    visit.page.locator("#drawing summary").click()
    found = visit.ids()
    sent: list[str] = []
    visit.page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    visit.page.reload()
    visit.settle()
    sync_api.expect(visit.page.locator("#query-caption")).to_have_text("Your photo")
    visit.page.locator("#drawing summary").click()
    for tile in ("#query-picture img", "#query-reconstruction img"):
        sync_api.expect(visit.page.locator(tile)).not_to_have_js_property("naturalWidth", 0)
    assert visit.ids() == found
    assert sorted(url.removeprefix(visit.base) for url in sent) == ["/v1/reconstructions/vector", "/v1/search/vector"]


def test_photo_address_of_another_tab(visit: Visit, photo: Upload) -> None:
    """The address of a photo opens in no other tab; the page says so and goes to the start."""
    visit.open()
    visit.search(photo)
    visit.page.evaluate("sessionStorage.clear()")
    visit.page.reload()
    sync_api.expect(visit.page.get_by_role("alert")).to_contain_text("photo is gone")
    visit.settle()
    sync_api.expect(visit.page.locator("#drop")).to_be_visible()


def test_filter_narrows(visit: Visit) -> None:
    """A ticked value narrows the answer to the shoes that have it; taking it off brings the others back."""
    facets = visit.get("/v1/facets")
    total = facets["total"]
    key, value, count = next(
        (key, each["value"], each["count"])
        for key in visit.get("/v1/info")["attributes"]
        for each in facets["facets"].get(key, [])[:6]
        if 0 < each["count"] < total
    )
    visit.open()
    before = visit.ids()
    box = visit.page.locator(f'input[data-filter="{key}:{value}"]')
    box.evaluate("box => { box.closest('details').open = true; }")
    box.check()
    sync_api.expect(visit.page.locator("#chips")).to_contain_text(value)
    sync_api.expect(visit.page.locator("#results-count")).to_have_text(re.compile(rf"^{count:,} shoes?$"))
    visit.settle()
    for shoe in visit.ids():
        assert value in visit.get(f"/v1/items/{shoe}")["attributes"][key]
    sync_api.expect(box).to_be_checked()
    sync_api.expect(box).to_be_focused()
    visit.page.get_by_role("button", name="Remove filter").click()
    sync_api.expect(visit.page.locator("#chips")).to_be_hidden()
    visit.settle()
    assert visit.ids() == before


def test_condition_changes_the_answer(visit: Visit) -> None:
    """The chips are the service's conditions; one is searched by alone, two by the weights of their sliders."""
    _, one, other = visit.get("/v1/info")["conditions"]
    item = visit.get("/v1/items?limit=1")["items"][0]
    visit.open(f"/#item={item['id']}&group=none")

    def expect_hits(condition: str) -> None:
        visit.settle()
        assert visit.ids() == [hit["id"] for hit in visit.get(f"{item['similar']}?k=24&condition={condition}")["hits"]]

    chips = visit.page.locator("#condition-choices")
    chips.get_by_role("button", name=one, exact=False).click()
    sync_api.expect(chips.get_by_role("button", pressed=True)).to_have_text(one.capitalize())
    sync_api.expect(visit.page.locator("#weights")).to_be_hidden()
    expect_hits(one)
    chips.get_by_role("button", name=other, exact=False).click()
    expect_hits(f"{one}:1,{other}:1")
    slider = visit.page.get_by_role("slider", name=f"Weight of {other.capitalize()}")
    slider.focus()
    with visit.page.expect_response("**/similar?*0.7*"):
        for _ in range(3):
            slider.press("ArrowLeft")
    expect_hits(f"{one}:1,{other}:0.7")
    sync_api.expect(slider).to_be_focused()
    visit.page.reload()
    expect_hits(f"{one}:1,{other}:0.7")
    chips.get_by_role("button", name="Overall").click()
    expect_hits("overall")


def test_text_file_is_refused_kindly(visit: Visit) -> None:
    """A file that is no picture brings the service's explanation, and the page stays usable."""
    visit.open()
    text = Upload("note.txt", "text/plain", b"not a picture")
    visit.page.locator("#file").set_input_files(text.payload())
    alert = visit.page.get_by_role("alert")
    sync_api.expect(alert).to_contain_text("This photo did not work.")
    visit.settle()
    sync_api.expect(visit.page.locator("#drop")).to_be_visible()
    assert not re.search(r"Traceback|Error:|\[object|undefined", alert.inner_text())
    # The browser itself reports refused requests; nothing else may have gone wrong.
    refused = [error for error in visit.errors if error.startswith("Failed to load resource")]
    assert refused
    visit.errors[:] = [error for error in visit.errors if error not in refused]


@pytest.mark.parametrize("address", ["/#item=no-such-shoe", "/#filter=NoSuchKey:value"])
def test_wrong_address_offers_a_way_on(visit: Visit, address: str) -> None:
    """An address that names nothing brings an explanation and a button that leads on."""
    visit.page.goto(visit.base + address)
    alert = visit.page.get_by_role("alert")
    sync_api.expect(alert).not_to_be_empty()
    visit.page.wait_for_load_state("networkidle")
    visit.errors[:] = [error for error in visit.errors if not error.startswith("Failed to load resource")]
    alert.get_by_role("button").last.click()
    sync_api.expect(alert).to_be_empty()
    visit.settle()


def test_no_sideways_scrolling_at_320_pixels(visit: Visit, photo: Upload) -> None:
    """On the narrowest phone nothing sticks out, at the start, with results and open filters, in any colours."""
    visit.page.set_viewport_size({"width": 320, "height": 640})

    def check() -> None:
        for scheme in ("light", "dark"):
            visit.page.emulate_media(color_scheme=scheme)
            assert visit.page.evaluate("document.documentElement.scrollWidth") == 320

    visit.open()
    check()
    visit.search(photo)
    check()
    if visit.page.locator("#filters").is_visible():
        visit.page.get_by_role("button", name="Filters").click()
        sync_api.expect(visit.page.locator("#filter-panel")).to_be_visible()
        check()
