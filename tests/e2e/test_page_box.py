"""The box around the shoe in a photo, on the page."""

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import pytest
from PIL import ExifTags, Image, ImageDraw

from model.checkpoint import load_checkpoint, save_checkpoint
from tests.support.browser import Upload, Visit, sync_api
from tests.support.commands import run_main
from tests.support.server import Artifacts, index_arguments, serve_in_thread

pytestmark = pytest.mark.slow

Box = tuple[float, float, float, float]

SHOE: Box = (0.2, 0.5, 0.5, 0.25)
OTHER: Box = (0.6, 0.08, 0.3, 0.2)
EMBEDDINGS = "**/v1/embeddings"


@pytest.fixture(scope="module")
def live_server(artifacts: Artifacts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service whose checkpoint finds the shoe on a plain margin."""
    folder = tmp_path_factory.mktemp("framed")
    framed = Artifacts(artifacts.demo, folder / "checkpoint", folder / "catalog")
    checkpoint = load_checkpoint(artifacts.checkpoint)
    preprocess = replace(checkpoint.preprocess, framing="subject")
    save_checkpoint(framed.checkpoint, replace(checkpoint, preprocess=preprocess))
    assert run_main(*index_arguments(framed)).status == 0
    with serve_in_thread(framed) as url:
        yield url


def draw_scene(width: int = 300, height: int = 400, *shoes: Box) -> Upload:
    """Dark shapes on light grey, each of another colour; SHOE alone where none is named."""
    picture = Image.new("RGB", (width, height), (230, 230, 226))
    draw = ImageDraw.Draw(picture)
    for number, (left, top, across, down) in enumerate(shoes or (SHOE,)):
        edges = (left * width, top * height, (left + across) * width, (top + down) * height)
        draw.rectangle(edges, fill=[(120, 40, 30), (20, 50, 140)][number % 2])
        draw.ellipse(edges, fill=[(30, 120, 60), (150, 130, 20)][number % 2])
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=95)
    return Upload("scene.jpg", "image/jpeg", buffer.getvalue())


def box_on_screen(visit: Visit) -> Box:
    """Where the box is, in fractions of the photo as it is drawn."""
    box = visit.page.locator(".cropper-crop-box").bounding_box()
    canvas = visit.page.locator(".cropper-canvas").bounding_box()
    return (
        (box["x"] - canvas["x"]) / canvas["width"],
        (box["y"] - canvas["y"]) / canvas["height"],
        box["width"] / canvas["width"],
        box["height"] / canvas["height"],
    )


def wait_for(visit: Visit, reached: Callable[[], bool]) -> None:
    """Wait for something to happen in the browser."""
    for _ in range(200):
        if reached():
            return
        visit.page.wait_for_timeout(50)
    pytest.fail("it did not happen")


def expect_box(visit: Visit, box: Box) -> None:
    """Wait until the box is about there."""
    sync_api.expect(visit.page.locator(".cropper-crop-box")).to_be_visible()
    wait_for(visit, lambda: box_on_screen(visit) == pytest.approx(box, abs=0.03))


# Playwright does not show the fields of a form that holds a file.
WATCH_FORMS = """
const send = window.fetch;
window.fetch = (address, options) => {
  const entries = options?.body instanceof FormData ? [...options.body] : [];
  if (entries.length) window.tell(Object.fromEntries(entries.filter(([name]) => name !== "image")));
  return send(address, options);
};
"""


@pytest.fixture
def asked(visit: Visit) -> list[dict[str, str]]:
    """What each request to embed the photo says of where the shoe is, as they come."""
    said: list[dict[str, str]] = []

    def tell(fields: dict[str, str]) -> None:
        said.append(fields)

    visit.page.expose_function("tell", tell)
    visit.page.add_init_script(WATCH_FORMS)
    return said


def searched(visit: Visit, asked: list[dict[str, str]], count: int) -> dict[str, str]:
    """Wait for the answer to the photo's `count`th request, and return what that said."""
    wait_for(visit, lambda: len(asked) >= count)
    visit.settle()
    assert len(asked) == count
    return asked[-1]


def amend(visit: Visit, path: str, change: Callable[[Any], None]) -> None:
    """Let the page see the service's JSON answers at a path changed."""

    def answer(route: Any) -> None:
        response = route.fetch()
        content = response.json()
        change(content)
        route.fulfill(response=response, json=content)

    visit.page.route(path, answer)


def nearest(visit: Visit, photo: Upload, fields: dict[str, str]) -> list[str]:
    """What the service itself answers for a photo and these options."""
    answer = visit.page.request.post(f"{visit.base}/v1/search?k=24", multipart={"image": photo.payload(), **fields})
    assert answer.ok, answer.text()
    return [hit["id"] for hit in answer.json()["hits"]]


def drag(visit: Visit, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag from one point of the photo to another, in fractions of it as it is drawn."""
    canvas = visit.page.locator(".cropper-canvas").bounding_box()
    points = [(canvas["x"] + x * canvas["width"], canvas["y"] + y * canvas["height"]) for x, y in (start, end)]
    visit.page.mouse.move(*points[0])
    visit.page.mouse.down()
    visit.page.mouse.move(*points[1], steps=4)
    visit.page.mouse.up()


def press(box: Any, *keys: str) -> None:
    """Press keys at once: a slow machine may take longer from one press to the next than the page waits."""
    box.evaluate(
        """(element, keys) => keys.forEach((name) => {
          const key = name.replace("Shift+", "");
          const options = { key, shiftKey: key !== name, bubbles: true, cancelable: true };
          element.dispatchEvent(new KeyboardEvent("keydown", options));
        })""",
        keys,
    )


def expect_width(visit: Visit, width: int) -> None:
    """Wait until the page is as wide as the screen, and no wider."""
    visit.page.wait_for_function("width => document.documentElement.scrollWidth === width", arg=width)


def test_nothing_of_the_box_is_loaded_without_a_photo(visit: Visit) -> None:
    """The start, and a search by a shoe of the catalogue, load neither Cropper.js nor what uses it."""
    loaded: list[str] = []
    visit.page.on("request", lambda request: loaded.append(request.url))
    visit.open("/#group=none")
    visit.page.get_by_role("button", name="Search with this shoe").first.click()
    visit.settle()
    assert [url for url in loaded if re.search("cropper|cropbox|framing", url)] == []


def test_found_shoe_is_boxed(visit: Visit) -> None:
    """The box that the service found is drawn around the shoe, whatever the photo's size and shape."""
    visit.open("/#group=none")
    for size in ((300, 400), (3000, 4000), (4000, 1500)):
        visit.search(draw_scene(*size))
        expect_box(visit, SHOE)


def test_box_stands_on_the_upright_photo(visit: Visit) -> None:
    """A small photo that a camera stored on its side, and that is sent as it is, is shown upright with its box."""
    scene = draw_scene()
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(scene.content)) as picture:
        exif = picture.getexif()
        exif[ExifTags.Base.Orientation] = 6
        picture.transpose(Image.Transpose.ROTATE_90).save(buffer, "JPEG", quality=95, exif=exif)
    visit.open("/#group=none")
    visit.search(scene._replace(content=buffer.getvalue()))
    expect_box(visit, SHOE)


def test_dragged_box_is_searched(visit: Visit, asked: list[dict[str, str]]) -> None:
    """The box drawn around another shoe is what is searched with; the photo is cropped by the service."""
    photo = draw_scene(300, 400, SHOE, OTHER)
    visit.open("/#group=none")
    visit.search(photo)
    whole = visit.ids()
    expect_box(visit, (0.2, 0.08, 0.7, 0.67))
    drag(visit, (0.05, 0.03), (0.95, 0.03))  # not a box: it has no height
    drag(visit, (0.2, 0.75), (0.55, 0.05))  # the corner in the lower left, to above the other shoe
    corner = (0.55, 0.05)
    visit.settle()
    found = searched(visit, asked, 2)
    assert set(found) == {"crop"}
    crop = [float(number) for number in found["crop"].split(",")]
    assert crop[0] == pytest.approx(corner[0], abs=0.03)
    assert visit.ids() == nearest(visit, photo, found)
    assert len(visit.ids()) == len(whole)
    visit.page.locator("#drawing summary").click()
    drawn = visit.page.locator("#query-reconstruction img")
    sync_api.expect(drawn).to_be_visible()
    assert drawn.evaluate("image => image.naturalWidth") > 0


def test_box_moves_by_keys(visit: Visit, asked: list[dict[str, str]]) -> None:
    """Arrow keys move the box, with Shift they resize it, and one search follows when they rest."""
    visit.open("/#group=none")
    visit.search(draw_scene())
    expect_box(visit, SHOE)
    left, top, width, height = box_on_screen(visit)
    box = visit.page.get_by_role("application", name="Box around the shoe")
    box.focus()
    press(box, *["ArrowLeft"] * 2, "ArrowUp", "Shift+ArrowRight", *["Shift+ArrowDown"] * 2)
    expected = (left - 0.04, top - 0.02, width + 0.02, height + 0.04)
    assert box_on_screen(visit) == pytest.approx(expected, abs=0.004)
    crop = searched(visit, asked, 2)["crop"]
    assert [float(number) for number in crop.split(",")] == pytest.approx(expected, abs=0.004)
    sync_api.expect(box).to_be_focused()
    box.press("ArrowRight")
    searched(visit, asked, 3)


def test_box_goes_by_numbers(visit: Visit, asked: list[dict[str, str]]) -> None:
    """Numbers place the box where no pointer can be dragged; those that reach beyond the photo are corrected."""
    visit.open("/#group=none")
    visit.search(draw_scene())
    expect_box(visit, SHOE)
    visit.page.get_by_text("Place the box by numbers").click()
    for name, number in (("Left", "40"), ("Width", "90")):
        visit.page.get_by_label(name, exact=True).fill(number)
        visit.page.get_by_label(name, exact=True).press("Enter")
    # A page that is slow to wait asks after the first number, too.
    wait_for(visit, lambda: asked[-1].get("crop", "").startswith("0.1,"))
    visit.settle()
    expect_box(visit, (0.1, 0.5, 0.9, 0.25))
    sync_api.expect(visit.page.get_by_label("Left", exact=True)).to_have_value("10")


def test_turned_photo_is_searched(visit: Visit, asked: list[dict[str, str]]) -> None:
    """A photo that lies on its side is turned by a button; the shoe is found in it as it then is."""
    photo = draw_scene()
    visit.open("/#group=none")
    visit.search(photo)
    expect_box(visit, SHOE)
    visit.page.get_by_role("button", name="Turn the photo left").click()
    found = searched(visit, asked, 2)
    assert found == {"rotate": "90"}
    left, top, width, height = SHOE
    expect_box(visit, (top, 1 - left - width, height, width))
    assert visit.ids() == nearest(visit, photo, found)


@pytest.mark.parametrize("degrees", [90, -30])
def test_box_on_a_turned_photo_is_cropped(visit: Visit, asked: list[dict[str, str]], degrees: int) -> None:
    """What is boxed on a turned photo is part of what the service crops before it turns the photo."""
    photo = draw_scene()
    visit.open("/#group=none")
    visit.search(photo)
    expect_box(visit, SHOE)
    visit.page.get_by_label("Turn the photo, degrees to the left").fill(str(degrees))
    searched(visit, asked, 2)
    box = visit.page.get_by_role("application", name="Box around the shoe")
    box.press("ArrowUp")
    found = searched(visit, asked, 3)
    assert found["rotate"] == str(degrees)
    left, top, width, height = (float(number) for number in found["crop"].split(","))
    middle = (SHOE[0] + SHOE[2] / 2, SHOE[1] + SHOE[3] / 2)
    assert left < middle[0] < left + width
    assert top < middle[1] < top + height
    assert visit.ids() == nearest(visit, photo, found)


def test_whole_photo_and_back_to_the_shoe(visit: Visit, asked: list[dict[str, str]]) -> None:
    """One button takes the whole photo for the shoe, another finds the shoe again, and Back undoes."""
    photo = draw_scene()
    visit.open("/#group=none")
    visit.search(photo)
    first = visit.ids()
    expect_box(visit, SHOE)
    visit.page.get_by_role("button", name="Whole photo").click()
    found = searched(visit, asked, 2)
    assert found == {"subject": "whole"}
    expect_box(visit, (0, 0, 1, 1))
    assert visit.ids() == nearest(visit, photo, found)
    visit.page.get_by_role("button", name="Find the shoe").click()
    expect_box(visit, SHOE)
    visit.settle()
    assert visit.ids() == first
    visit.page.get_by_role("button", name="Whole photo").click()
    expect_box(visit, (0, 0, 1, 1))
    wait_for(visit, lambda: "subject=whole" in visit.page.url)
    visit.page.go_back()
    expect_box(visit, SHOE)
    visit.settle()
    assert visit.ids() == first
    assert len(asked) == 2  # what was asked once is known


def test_box_survives_a_reload(visit: Visit, asked: list[dict[str, str]]) -> None:
    """After a reload the box is where it was put, and nothing is sent again."""
    visit.open("/#group=none")
    visit.search(draw_scene())
    expect_box(visit, SHOE)
    visit.page.get_by_role("application", name="Box around the shoe").press("ArrowUp")
    searched(visit, asked, 2)
    ids, box = visit.ids(), box_on_screen(visit)
    assert parse_qs(visit.page.url.partition("#")[2])["box"]
    visit.page.reload()
    visit.settle()
    expect_box(visit, box)
    assert visit.ids() == ids
    assert len(asked) == 2


def test_last_box_wins(visit: Visit, asked: list[dict[str, str]]) -> None:
    """While a box is searched the shoes stay; the next one ends that search, and only its answer counts."""
    photo = draw_scene()
    visit.open("/#group=none")
    visit.search(photo)
    expect_box(visit, SHOE)
    before = visit.ids()
    held: list[Any] = []
    ended: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route)

    def end(request: Any) -> None:
        ended.append(request)

    visit.page.route(EMBEDDINGS, hold)
    box = visit.page.get_by_role("application", name="Box around the shoe")
    box.press("ArrowUp")
    wait_for(visit, lambda: len(held) == 1)
    assert visit.ids() == before
    visit.page.on("requestfailed", end)
    press(box, *["Shift+ArrowDown"] * 6)
    wait_for(visit, lambda: len(held) == 2)
    assert ended == [held[0].request]
    held[1].continue_()
    visit.page.unroute(EMBEDDINGS)
    last = searched(visit, asked, 3)
    assert visit.ids() == nearest(visit, photo, last)


def test_doubts_are_said(visit: Visit) -> None:
    """The page says in words that there are several shoes in the photo, or likely none."""
    two = {"box": list(SHOE), "coverage": 0.1, "confidence": 0.9, "others": 1}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"subject": two}, "more than one shoe"),
        ({"confidence": 0.2}, "does not look like a shoe"),
        ({"confidence": 0.8}, ""),
        ({"confidence": None}, ""),
    ]
    told = iter([each for each, _ in cases])
    amend(visit, EMBEDDINGS, lambda content: content["embeddings"][0].update(next(told)))
    visit.open("/#group=none")
    notes = visit.page.locator("#notes")
    for number, (_, said) in enumerate(cases):
        visit.search(draw_scene(300 + number))  # a photo that the page does not know yet
        sync_api.expect(notes).to_have_text(re.compile(said or "^$"))
        visit.page.get_by_role("link", name="Start over").click()
        sync_api.expect(notes).to_be_empty()


@pytest.mark.parametrize("finds", [True, False])
def test_photo_without_a_subject(visit: Visit, finds: bool) -> None:
    """Where no shoe was found, the box is around all of it; where the checkpoint looks for none, there is no box."""
    amend(visit, "**/v1/info", lambda content: content["checkpoint"].update(subjects=finds))
    amend(visit, EMBEDDINGS, lambda content: content["embeddings"][0].update(subject=None))
    visit.open("/#group=none")
    visit.search(draw_scene())
    if finds:
        expect_box(visit, (0, 0, 1, 1))
        return
    for name in ("#framing", "#framing-toggle", ".cropper-container", ".outline"):
        sync_api.expect(visit.page.locator(name)).to_be_hidden()
    sync_api.expect(visit.page.locator("#query-picture img")).to_be_visible()


def test_box_may_be_left_while_it_is_loaded(visit: Visit) -> None:
    """Who goes on before the box can be dragged is not held up, and finds it when coming back."""
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route)

    visit.page.route("**/cropper.min.js", hold)
    visit.open("/#group=none")
    visit.page.locator("#file").set_input_files(draw_scene().payload())
    wait_for(visit, lambda: len(held) == 1)
    sync_api.expect(visit.page.locator("#query-picture .outline rect")).to_be_visible()
    visit.page.get_by_role("link", name="Start over").click()
    held[0].continue_()
    visit.settle()
    sync_api.expect(visit.page.locator(".cropper-container")).to_have_count(0)
    visit.page.go_back()
    expect_box(visit, SHOE)


def test_box_on_a_phone(phone: Visit) -> None:
    """On a phone the box is drawn on the small photo; a button makes the photo large, where fingers move the box."""
    phone.open()
    phone.search(draw_scene(3000, 4000))
    sync_api.expect(phone.page.locator("#query-picture .outline rect")).to_be_visible()
    sync_api.expect(phone.page.locator(".cropper-container")).to_have_count(0)
    expect_width(phone, 360)
    phone.page.get_by_role("button", name="Adjust box").tap()
    expect_box(phone, SHOE)
    expect_width(phone, 360)
    phone.page.get_by_text("Place the box by numbers").tap()
    phone.page.set_viewport_size({"width": 320, "height": 640})
    expect_width(phone, 320)
    expect_box(phone, SHOE)
    phone.page.set_viewport_size({"width": 360, "height": 780})
    expect_box(phone, SHOE)
    before = box_on_screen(phone)
    spot = phone.page.locator(".cropper-crop-box").bounding_box()
    x, y = spot["x"] + spot["width"] / 2, spot["y"] + spot["height"] / 2
    touch = phone.page.context.new_cdp_session(phone.page)
    with phone.page.expect_response(EMBEDDINGS):
        for kind, points in (
            ("touchStart", [{"x": x, "y": y}]),
            ("touchMove", [{"x": x, "y": y - 20}]),
            ("touchMove", [{"x": x, "y": y - 40}]),
            ("touchEnd", []),
        ):
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    phone.settle()
    assert box_on_screen(phone)[1] < before[1] - 0.05
    phone.page.get_by_role("button", name="Done").tap()
    sync_api.expect(phone.page.locator(".cropper-container")).to_have_count(0)
    sync_api.expect(phone.page.locator("#query-picture .outline rect")).to_be_visible()


def test_camera_is_offered_on_a_phone(phone: Visit) -> None:
    """A phone offers its camera beside its photos, before the first photo and after it."""
    phone.open()
    with phone.page.expect_file_chooser() as chooser:
        phone.page.get_by_role("button", name="Use the camera").tap()
    assert chooser.value.element.get_attribute("id") == "camera"
    camera = phone.page.locator("#camera")
    assert camera.get_attribute("capture") == "environment"
    assert camera.get_attribute("accept") == "image/*"
    phone.search(draw_scene())
    sync_api.expect(phone.page.get_by_role("button", name="Another photo")).to_be_visible()
    with phone.page.expect_file_chooser() as chooser:
        phone.page.get_by_role("button", name="Camera", exact=True).tap()
    assert chooser.value.element.get_attribute("id") == "camera"
