"""What of a picture is taken for the shoe: said by the answers, and by those who ask."""

import base64
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from model.preprocess import Framing, ImageLimits
from service.serving.engine import Engine, Network
from service.settings import Settings
from tests.support.app import open_client
from tests.support.fakes import DIGEST, FakeEmbedder, FindsRed, MemoryStore
from tests.support.problems import check_problem
from tests.support.stack import draw_shoe

RED, GREEN = (220, 20, 20), (20, 200, 20)
LARGE, SMALL = (10, 20, 60, 60), (80, 40, 110, 64)
PATHS = ("/v1/search", "/v1/embeddings", "/v1/reconstructions", "/v1/subjects")
AS_PNG = {"accept": "image/png"}

Box = tuple[int, int, int, int]


def scene(*boxes: Box, size: tuple[int, int] = (120, 90), colour: Any = RED) -> Image.Image:
    """Rectangles, which stand for shoes, on dark noise."""
    noise = np.random.default_rng(0).integers(0, 60, (size[1], size[0], 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    for box in boxes:
        picture.paste(colour, box)
    return picture


def encode(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The bytes of a picture's file."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def post(client: TestClient, path: str, picture: Image.Image | bytes, **options: Any) -> Any:
    """Post a picture as a form."""
    content = picture if isinstance(picture, bytes) else encode(picture)
    return client.post(path, files={"image": ("a.png", content, "image/png")}, **options)


def embed(client: TestClient, picture: Image.Image | bytes, **options: Any) -> tuple[Any, Any]:
    """A picture's vector and subject."""
    answer = post(client, "/v1/embeddings", picture, params=options)
    assert answer.status_code == 200, answer.text
    (each,) = answer.json()["embeddings"]
    return each["vector"], each["subject"]


def read_cutout(answer: Any) -> Image.Image:
    """The picture in an answer."""
    content = answer.content
    if answer.headers["content-type"] == "application/json":
        head, _, digits = answer.json()["cutout"].partition(",")
        assert head == "data:image/png;base64"
        content = base64.b64decode(digits)
    picture = Image.open(io.BytesIO(content))
    assert (picture.format, picture.mode) == ("PNG", "RGBA")
    return picture


def serve(tmp_path: Path, settings: Settings, framing: Framing = "subject", **options: Any) -> Iterator[TestClient]:
    """A client of a service without shoes."""
    limits = ImageLimits(max_bytes=settings.max_upload_bytes, max_pixels=settings.max_pixels)
    embedder = FakeEmbedder(limits, framing=framing, **options)
    engine = Engine(embedder, MemoryStore(tmp_path), Network(DIGEST), tmp_path, settings)
    with open_client(settings, engine) as client:
        yield client


@pytest.fixture
def finder(tmp_path: Path, settings: Settings) -> Iterator[TestClient]:
    """Speaks to a service that takes what is red for a shoe."""
    yield from serve(tmp_path, settings, localizer=FindsRed())


@pytest.fixture
def trimmer(tmp_path: Path, settings: Settings) -> Iterator[TestClient]:
    """Speaks to one whose checkpoint trims plain margins and has no localizer."""
    yield from serve(tmp_path, settings)


def within(box: Sequence[float], expected: Box, size: tuple[int, int], slack: float = 0.06) -> bool:
    """Whether a box in fractions is about the one in pixels."""
    left, top, right, bottom = expected
    width, height = size
    wanted = (left / width, top / height, (right - left) / width, (bottom - top) / height)
    return bool(np.abs(np.subtract(box, wanted)).max() < slack)


def test_answers_say_what_was_taken(finder: TestClient) -> None:
    """Search and embeddings tell where in a photo the shoe was found, and how sure its outline is."""
    subject = post(finder, "/v1/search", scene(LARGE)).json()["subject"]
    assert within(subject["box"], LARGE, (120, 90))
    assert subject["coverage"] == pytest.approx(50 * 40 / (120 * 90), abs=0.05)
    assert 0.5 < subject["confidence"] <= 1
    assert subject["others"] == 0
    assert embed(finder, scene(LARGE))[1] == subject


def test_answers_say_how_likely_it_is_a_shoe(finder: TestClient, client: TestClient) -> None:
    """Searches by a picture and embeddings have the same confidence; it is null where the checkpoint can't tell."""
    found = post(finder, "/v1/search", scene(LARGE)).json()["confidence"]
    (embedded,) = post(finder, "/v1/embeddings", scene(LARGE)).json()["embeddings"]
    assert found == embedded["confidence"] == pytest.approx(1.0 - np.mean(embedded["vector"]), abs=1e-4)
    assert post(client, "/v1/search", scene(LARGE)).json()["confidence"] is None


def test_answers_without_a_picture_have_no_subject(client: TestClient) -> None:
    """Searches that are not by a picture say nothing of one."""
    vector = {"vector": [0.0] * 8}
    assert "subject" not in client.post("/v1/search/vector", json=vector).json()
    assert "subject" not in client.get("/v1/items/1000.1/similar").json()
    files = {"positive_image": ("a.jpg", draw_shoe(1))}
    assert "subject" not in client.post("/v1/recommendations", files=files).json()


def test_two_shoes(finder: TestClient) -> None:
    """Of two shoes the larger is taken, the other is counted, and a crop around it takes that one."""
    picture = scene(LARGE, SMALL)
    _, larger = embed(finder, picture)
    assert larger["others"] == 1
    assert within(larger["box"], LARGE, picture.size)
    vector, smaller = embed(finder, picture, crop=f"{70 / 120},{30 / 90},{50 / 120},{44 / 90}")
    assert smaller["others"] == 0
    assert within(smaller["box"], (10, 10, 40, 34), (50, 44))
    assert (vector, smaller) == embed(finder, picture.crop((70, 30, 120, 74)))


def test_rotate_turns(finder: TestClient) -> None:
    """A picture that is to be turned is as one that was, counter-clockwise and after the crop."""
    picture = scene(LARGE, SMALL)
    assert embed(finder, picture, rotate="90") == embed(finder, picture.transpose(Image.Transpose.ROTATE_90))
    assert embed(finder, picture, rotate="-180") == embed(finder, picture.transpose(Image.Transpose.ROTATE_180))
    part = picture.crop((0, 0, 60, 90)).transpose(Image.Transpose.ROTATE_90)
    assert embed(finder, picture, crop="0,0,0.5,1", rotate="90") == embed(finder, part)


def test_whole_takes_all(finder: TestClient, trimmer: TestClient) -> None:
    """With `subject=whole` nothing is trimmed and nothing is looked for: the picture fills the square."""
    margin = Image.new("RGB", (80, 80), "white")
    margin.paste(RED, (30, 30, 50, 50))
    for client in (finder, trimmer):
        trimmed, subject = embed(client, margin)
        assert within(subject["box"], (30, 30, 50, 50), (80, 80))
        whole, nothing = embed(client, margin, subject="whole")
        assert nothing is None
        assert np.abs(np.subtract(whole, trimmed)).max() > 0.1
        assert embed(client, margin, subject="auto") == (trimmed, subject)


NOTHING = {
    "white": Image.new("RGB", (60, 40), "white"),
    "black": Image.new("RGB", (60, 40)),
    "noise": scene(),
    "green": scene(LARGE, colour=GREEN),
    "one pixel": Image.new("RGB", (1, 1)),
    "a line": Image.new("RGB", (1, 300), RED),
}


@pytest.mark.parametrize("name", NOTHING)
@pytest.mark.parametrize("kind", ["finder", "trimmer", "client"])
def test_no_shoe(name: str, kind: str, request: pytest.FixtureRequest) -> None:
    """A picture in which no shoe is found is taken as a whole, or as what stands out of it, by every route."""
    client: TestClient = request.getfixturevalue(kind)
    for path in PATHS:
        answer = post(client, path, NOTHING[name])
        assert answer.status_code == 200, answer.text
    subject = embed(client, NOTHING[name])[1]
    if name == "a line":
        assert subject is None or min(subject["box"]) >= 0
    else:
        assert subject is None
        assert read_cutout(answer).getchannel("A").getextrema() == (255, 255)


def test_a_shoe_that_touches_every_edge(finder: TestClient) -> None:
    """A photo that the shoe fills is taken whole, as that shoe."""
    for path in PATHS:
        assert post(finder, path, Image.new("RGB", (60, 40), RED)).status_code == 200
    subject = embed(finder, Image.new("RGB", (60, 40), RED))[1]
    assert within(subject["box"], (0, 0, 60, 40), (60, 40))
    assert 0 <= min(subject["box"]) <= max(subject["box"]) <= 1


WRONG = [
    ({"crop": "0.5,0,0.6,1"}, "crop", "width"),
    ({"crop": "0,0.5,1,0.6"}, "crop", "height"),
    ({"crop": "-0.1,0,0.5,0.5"}, "crop", "at least 0"),
    ({"crop": "0,0,0,1"}, "crop", "more than 0"),
    ({"crop": "1,0,1,1"}, "crop", "together at most 1"),
    ({"crop": "nan,0,1,1"}, "crop", "left,top,width,height"),
    ({"crop": "0,0,1,inf"}, "crop", "left,top,width,height"),
    ({"crop": "0,0,1"}, "crop", "left,top,width,height"),
    ({"crop": "0,0,1,1,1"}, "crop", "left,top,width,height"),
    ({"crop": "0,0,1_0,1"}, "crop", "left,top,width,height"),
    ({"crop": "all of it"}, "crop", "left,top,width,height"),
    ({"crop": "0,0,0.05,0.5"}, "crop", "at least 8 a side"),
    ({"crop": "0,0,1e-320,1"}, "crop", "at least 8 a side"),
    ({"rotate": "181"}, "rotate", "-180 to 180"),
    ({"rotate": "-180.5"}, "rotate", "-180 to 180"),
    ({"rotate": "nan"}, "rotate", "finite"),
    ({"rotate": "left"}, "rotate", "'left'"),
    ({"subject": "all"}, "subject", "whole"),
    ({"mirror": "1"}, "mirror", "rotate"),
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("options", "field", "said"), WRONG, ids=[str(each[0]) for each in WRONG])
def test_refused_options(finder: TestClient, path: str, options: Any, field: str, said: str) -> None:
    """What can't be is refused by name, with what is expected, in the query string and in the form."""
    for place in ("params", "data"):
        assert said in check_problem(post(finder, path, scene(LARGE), **{place: options}), 422, field)["detail"]


@pytest.mark.parametrize("path", PATHS)
def test_refused_options_in_json(finder: TestClient, path: str) -> None:
    """In JSON likewise."""
    image = base64.b64encode(encode(scene(LARGE))).decode()
    for options in (
        {"crop": [0, 0, 1]},
        {"crop": [0.5, 0, 0.6, 1]},
        {"crop": ["0", 0, 1, 1]},
        {"crop": 3},
        {"rotate": "90"},
        {"rotate": 200},
        {"subject": "all"},
    ):
        (field,) = options
        check_problem(finder.post(path, json={"image": image, **options}), 422, field)
    nan = json.dumps({"image": image, "crop": [0, 0, 1, float("nan")]})
    response = finder.post(path, content=nan, headers={"content-type": "application/json"})
    check_problem(response, 422, "crop")


@pytest.mark.parametrize("path", PATHS)
def test_options_anywhere(finder: TestClient, path: str) -> None:
    """The query string, a form, JSON and a picture alone with a query string say the same, and may say it twice."""
    content = encode(scene(LARGE, SMALL))
    options: dict[str, Any] = {"crop": "0.5,0.25,0.5,0.75", "rotate": "30"}
    expected = post(finder, path, content, params=options)
    assert expected.status_code == 200
    assert expected.content != post(finder, path, content).content
    body = {"image": base64.b64encode(content).decode(), "crop": [0.5, 0.25, 0.5, 0.75], "rotate": 30}
    for answer in (
        post(finder, path, content, data=options),
        post(finder, path, content, data=options, params=options),
        finder.post(path, json=body),
        finder.post(path, json=body, params=options),
        finder.post(path, content=content, params=options, headers={"content-type": "image/png"}),
    ):
        assert answer.content == expected.content.replace(b'"a.png"', b'""') or answer.content == expected.content
    empty = dict.fromkeys(("crop", "rotate", "subject"), "")
    assert post(finder, path, content, data=empty).content == post(finder, path, content).content
    check_problem(post(finder, path, content, data=options, params={"rotate": "31"}), 422, "rotate")


def test_a_box_can_be_sent_back(finder: TestClient) -> None:
    """The box of an answer is a crop that is allowed, also where it ends with the picture."""
    for right in range(90, 121):
        picture = scene((33, 17, right, 90))
        box = embed(finder, picture)[1]["box"]
        assert embed(finder, picture, crop=",".join(map(str, box)))[1] is not None


def test_several_pictures(finder: TestClient) -> None:
    """Each picture of a request has its own subject; a crop is of each, and one that is too small for it is named."""
    parts = [("image", (name, encode(each))) for name, each in (("a", scene(LARGE)), ("b", scene()))]
    first, second = finder.post("/v1/embeddings", files=parts).json()["embeddings"]
    assert within(first["subject"]["box"], LARGE, (120, 90))
    assert second["subject"] is None
    parts.append(("image", ("c", encode(scene(size=(12, 90))))))
    answer = finder.post("/v1/embeddings", files=parts, params={"crop": "0,0,0.5,0.5"})
    assert "image 3 of 3 ('c')" in check_problem(answer, 422, "crop")["detail"]


@pytest.mark.parametrize("kind", ["trimmer", "client"])
def test_checkpoint_without_localizer(kind: str, request: pytest.FixtureRequest) -> None:
    """It finds no shoe in a photo, and says so; crop and rotate work, and `subject=auto` is no error."""
    client: TestClient = request.getfixturevalue(kind)
    picture = scene(LARGE)
    assert not client.get("/v1/info").json()["checkpoint"]["subjects"]
    vector, subject = embed(client, picture, subject="auto")
    assert subject is None
    cropped = embed(client, picture, crop=f"{10 / 120},{20 / 90},{50 / 120},{40 / 90}")
    assert np.abs(np.subtract(cropped[0], vector)).max() > 0.1
    assert cropped == embed(client, picture.crop(LARGE))
    turned = embed(client, picture, rotate="90")
    assert turned == embed(client, picture.transpose(Image.Transpose.ROTATE_90))
    answer = post(client, "/v1/subjects", picture, params={"crop": "0,0,0.5,1"})
    assert answer.json()["subject"] is None
    assert read_cutout(answer).convert("RGB").tobytes() == picture.crop((0, 0, 60, 90)).tobytes()


def test_info_says_whether_shoes_are_found(finder: TestClient) -> None:
    """A client learns whether the checkpoint has a localizer."""
    assert finder.get("/v1/info").json()["checkpoint"]["subjects"]


def test_a_large_photo(tmp_path: Path) -> None:
    """A photo of 12 megapixels is found the same as a small one; a crop of it is decoded as finely as it needs."""
    large = scene(LARGE, SMALL, size=(160, 120)).resize((4000, 3000), Image.Resampling.NEAREST)
    content = encode(large, "JPEG", quality=60)
    for client in serve(tmp_path, Settings(), localizer=FindsRed()):
        answer = post(client, "/v1/search", content).json()
        assert within(answer["subject"]["box"], LARGE, (160, 120))
        assert answer["subject"]["others"] == 1
        answer = post(client, "/v1/subjects", content, params={"crop": "0.45,0.3,0.3,0.3"})
        assert within(answer.json()["subject"]["box"], (8, 4, 38, 28), (48, 36))
        assert max(read_cutout(answer).size) > 400


def test_crop_is_of_the_upright_picture(finder: TestClient) -> None:
    """A photo that a camera took on its side is turned before it is cropped."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    upright = scene(LARGE, SMALL)
    stored = encode(upright.transpose(Image.Transpose.ROTATE_90), exif=exif)
    crop = {"crop": "0.55,0.35,0.45,0.5"}
    assert embed(finder, stored, **crop) == embed(finder, upright, **crop)


def test_cutout_of_a_photo(finder: TestClient) -> None:
    """The shoe is opaque and in its own colours, and what the mask leaves out of its box is transparent."""
    picture = scene((10, 20, 60, 40), (40, 20, 60, 80))  # an L on its head
    answer = post(finder, "/v1/subjects", picture)
    subject, cutout = answer.json()["subject"], read_cutout(answer)
    assert within(subject["box"], (10, 20, 60, 80), picture.size)
    width, height = cutout.size
    assert abs(width - 50) <= 4
    assert abs(height - 60) <= 4
    red, *_, alpha = cutout.getpixel((width - 8, height // 2))  # type: ignore[misc]
    assert alpha == 255
    assert red > 200
    assert cutout.getpixel((3, height - 4))[3] == 0  # type: ignore[index]


def test_cutout_of_a_plain_margin(finder: TestClient, trimmer: TestClient) -> None:
    """The margin is transparent beside the shoe, and what has its colour within the shoe stays."""
    picture = Image.new("RGB", (120, 90), (250, 250, 250))
    picture.paste(RED, (20, 30, 90, 50))
    picture.paste(RED, (60, 30, 90, 80))
    picture.paste((250, 250, 250), (70, 35, 80, 45))
    for client in (finder, trimmer):
        cutout = read_cutout(post(client, "/v1/subjects", picture))
        assert cutout.size == (70, 50)
        assert cutout.getpixel((0, 49))[3] == 0  # type: ignore[index]
        assert cutout.getpixel((5, 5)) == (*RED, 255)
        assert cutout.getpixel((55, 10)) == (250, 250, 250, 255)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("image/png", "image/png"),
        ("image/*", "image/png"),
        ("image/png, application/json;q=0.9", "image/png"),
        ("image/webp,image/png,*/*;q=0.5", "image/png"),
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("text/html", "application/json"),
        ("application/json, image/png", "application/json"),
        ("image/png;q=0.2, application/*;q=0.8", "application/json"),
        ("image/png;q=much", "application/json"),
        ("", "application/json"),
    ],
)
def test_cutout_as_it_is_accepted(finder: TestClient, accept: str, kind: str) -> None:
    """The cut-out is a PNG alone where the client would rather have that; the subject is then in a header."""
    in_json = post(finder, "/v1/subjects", scene(LARGE))
    answer = post(finder, "/v1/subjects", scene(LARGE), headers={"accept": accept})
    assert answer.headers["content-type"] == kind
    assert "accept" in answer.headers["vary"].lower()
    assert read_cutout(answer).tobytes() == read_cutout(in_json).tobytes()
    if kind == "image/png":
        assert json.loads(answer.headers["x-subject"]) == in_json.json()["subject"]


def test_no_subject_in_a_header(finder: TestClient) -> None:
    """Where no shoe is found the header says null."""
    assert post(finder, "/v1/subjects", scene(), headers=AS_PNG).headers["x-subject"] == "null"
