"""What the page does with a photo before and after it is sent."""

import base64
import io
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.browser import Upload, Visit, sync_api
from tests.support.server import Artifacts, serve_in_thread

pytestmark = pytest.mark.slow

LIMIT = 300_000

HAND_OVER = """([way, texts]) => {
  const transfer = new DataTransfer();
  for (const [type, text] of Object.entries(texts)) transfer.setData(type, text);
  const options = { bubbles: true, cancelable: true };
  const event = way === "paste"
    ? new ClipboardEvent("paste", { clipboardData: transfer, ...options })
    : new DragEvent("drop", { dataTransfer: transfer, ...options });
  document.body.dispatchEvent(event);
  return event.defaultPrevented;
}"""


@pytest.fixture(scope="module")
def live_server(artifacts: Artifacts) -> Iterator[str]:
    """The address of a service that takes no picture of more than LIMIT bytes."""
    with serve_in_thread(artifacts, SOLEMATE_MAX_UPLOAD_BYTES=str(LIMIT)) as url:
        yield url


def draw_photo(width: int, height: int, kind: str = "JPEG") -> Upload:
    """A slope of colours with a dark shape and a phone's noise."""
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = np.stack([255 * rows / height, 255 * columns / width, np.full((height, width), 190.0)], axis=2)
    pixels[height // 3 : height // 2, width // 4 : width // 2] = (40, 30, 90)
    pixels += np.random.default_rng(0).normal(0, 12, pixels.shape)
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, kind, quality=95)
    return Upload(f"photo.{kind.lower()}", f"image/{kind.lower()}", buffer.getvalue())


def address_of(upload: Upload) -> str:
    """A file as a data: address."""
    return f"data:{upload.mime};base64,{base64.b64encode(upload.content).decode()}"


def follow(visit: Visit) -> list[Any]:
    """The requests that post something, as they come."""
    posted: list[Any] = []
    visit.page.on("request", lambda request: posted.append(request) if request.method == "POST" else None)
    return posted


def test_query_picture_is_whole(visit: Visit) -> None:
    """A tall, a wide and a square photo are each shown whole, within their tile, on a phone and on a laptop."""
    visit.open()
    sizes, tiles = ((300, 400), (60, 80), (900, 200), (256, 256)), ("#query-picture", "#query-reconstruction")
    for size, width, name in product(sizes, (360, 1280), tiles):
        visit.page.set_viewport_size({"width": width, "height": 780})
        if (width, name) == (360, tiles[0]):
            visit.search(draw_photo(*size))
            if size == sizes[0]:
                visit.page.locator("#drawing summary").click()
            sync_api.expect(visit.page.locator("#query-reconstruction img")).to_be_visible()
        tile, picture = visit.page.locator(name), visit.page.locator(f"{name} img")
        outer, inner = tile.bounding_box(), picture.bounding_box()
        assert outer["width"] == pytest.approx(outer["height"], abs=1)
        assert inner["x"] >= outer["x"]
        assert inner["y"] >= outer["y"]
        assert inner["x"] + inner["width"] <= outer["x"] + outer["width"]
        assert inner["y"] + inner["height"] <= outer["y"] + outer["height"]
        assert picture.evaluate("image => getComputedStyle(image).objectFit") == "contain"


def test_photo_is_sent_once_and_small(visit: Visit) -> None:
    """A large photo is sent once, as a small one with the same vector; what follows is asked by that vector."""
    photo = draw_photo(2400, 3200)
    assert len(photo.content) > 10 * LIMIT  # as it is, it would be refused
    visit.open("/#group=none")
    posted = follow(visit)
    visit.search(photo)
    visit.page.locator("#drawing summary").click()
    visit.page.locator(".segment").nth(1).click()
    visit.settle()
    visit.page.locator("#filter-groups input").first.check()
    visit.settle()
    visit.page.go_back()
    visit.settle()
    visit.page.locator("#more").scroll_into_view_if_needed()
    sync_api.expect(visit.page.locator("#grid .card")).to_have_count(40)
    paths = [request.url.removeprefix(visit.base) for request in posted]
    assert paths.count("/v1/embeddings") == 1
    assert set(paths) == {"/v1/embeddings", "/v1/reconstructions/vector", "/v1/search/vector"}

    sent = posted[paths.index("/v1/embeddings")].response().json()["embeddings"][0]["vector"]
    smaller = io.BytesIO()
    with Image.open(io.BytesIO(photo.content)) as picture:
        picture.resize((150, 200), Image.Resampling.BOX).save(smaller, "PNG")
    form = {"image": {"name": "photo.png", "mimeType": "image/png", "buffer": smaller.getvalue()}}
    answer = visit.page.request.post(f"{visit.base}/v1/embeddings", multipart=form)
    other = visit.get(f"/v1/items/{visit.ids()[0]}")["vector"]
    meant = answer.json()["embeddings"][0]["vector"]
    assert np.linalg.norm(np.subtract(sent, meant)) < 0.02 * np.linalg.norm(np.subtract(other, meant))


def test_small_photo_is_sent_as_it_is(visit: Visit) -> None:
    """A small photo in a format that the service takes keeps each of its bytes, and so its vector."""
    photo = draw_photo(60, 80)
    visit.open()
    posted = follow(visit)
    visit.search(photo)
    form = {"image": photo.payload()}
    answer = visit.page.request.post(f"{visit.base}/v1/embeddings", multipart=form)
    sent = next(request for request in posted if request.url.endswith("/v1/embeddings")).response().json()
    assert sent["embeddings"][0]["vector"] == pytest.approx(answer.json()["embeddings"][0]["vector"], abs=1e-5)


def test_what_the_browser_can_show_is_converted(visit: Visit) -> None:
    """A picture in a format that the browser knows and the service does not is sent as a JPEG."""
    photo = draw_photo(64, 64, "ICO")
    assert "ICO" not in visit.get("/v1/info")["limits"]["formats"]
    visit.open()
    visit.search(photo)
    sync_api.expect(visit.page.get_by_role("alert")).to_be_empty()


def test_transparency_becomes_white(visit: Visit) -> None:
    """What shows through a large picture with transparency is white, as the service has it, and not black."""
    buffer = io.BytesIO()
    Image.new("RGBA", (2000, 2000), (0, 0, 0, 0)).save(buffer, "PNG")
    visit.open()
    visit.search(Upload("empty.png", "image/png", buffer.getvalue()))
    brightness = """async image => {
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = 1;
      const context = canvas.getContext("2d");
      context.drawImage(image, 0, 0, 1, 1);
      return Array.from(context.getImageData(0, 0, 1, 1).data);
    }"""
    visit.page.reload()  # what is shown is what was sent
    visit.settle()
    assert visit.page.locator("#query-picture img").evaluate(brightness) == [255, 255, 255, 255]


@pytest.mark.parametrize("way", ["paste", "drop"])
@pytest.mark.parametrize(
    "texts",
    [
        {"text/plain": "https://shop.example/shoe.jpg"},
        {"text/uri-list": "https://shop.example/", "text/html": '<img src="https://shop.example/shoe.jpg">'},
        {"text/plain": "a red shoe"},
    ],
    ids=["link", "picture of another page", "words"],
)
def test_no_picture_is_said(visit: Visit, way: str, texts: dict[str, str]) -> None:
    """A link, a picture of another site, or words: the page says what to do instead, and stays."""
    visit.open()
    assert visit.page.evaluate(HAND_OVER, [way, texts])
    sync_api.expect(visit.page.get_by_role("alert")).to_contain_text("drop or paste", ignore_case=True)
    assert visit.page.url.startswith(visit.base)
    sync_api.expect(visit.page.locator("#grid .card").first).to_be_visible()


@pytest.mark.parametrize("way", ["paste", "drop"])
def test_picture_within_an_address_is_used(visit: Visit, way: str) -> None:
    """A picture of another page that comes with its data is searched with."""
    visit.open()
    html = f'<meta charset="utf-8"><img alt="" src="{address_of(draw_photo(60, 80))}">'
    assert visit.page.evaluate(HAND_OVER, [way, {"text/html": html, "text/uri-list": "https://shop.example/"}])
    sync_api.expect(visit.page.locator("#query-caption")).to_have_text("Your photo")
    visit.settle()


def test_shoe_of_another_tab_is_used(visit: Visit) -> None:
    """A shoe dragged from another tab of this page becomes the query."""
    visit.open()
    item = visit.get("/v1/items?limit=1")["items"][0]
    html = f'<a href="{visit.base}/#item={item["id"]}"><img src="{visit.base}{item["image"]}"></a>'
    assert visit.page.evaluate(HAND_OVER, ["drop", {"text/html": html}])
    sync_api.expect(visit.page.locator("#query-caption")).to_have_text("From the catalogue")
    assert f"#item={item['id']}" in visit.page.url
    visit.settle()


def test_no_drag_leaves_the_page(visit: Visit) -> None:
    """Whatever is dragged over the page, the browser is told that the page takes it."""
    visit.open()
    taken = """() => {
      const event = new DragEvent("dragover", { dataTransfer: new DataTransfer(), bubbles: true, cancelable: true });
      document.body.dispatchEvent(event);
      return event.defaultPrevented;
    }"""
    assert visit.page.evaluate(taken)
