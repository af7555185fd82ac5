"""Pictures in JSON."""

import base64
import tracemalloc
from typing import Any

import pytest
from starlette.testclient import TestClient

from model.errors import ImageTooLarge, QueryError
from service.http.requests import decode_picture
from service.serving.engine import Engine
from tests.support.problems import check_problem
from tests.support.stack import draw_shoe

SHOE = draw_shoe(3)
BASE64 = base64.b64encode(SHOE).decode()

PATHS = ("/v1/search", "/v1/embeddings", "/v1/reconstructions", "/v1/subjects")


@pytest.mark.parametrize(
    "text",
    [
        f"data:image/jpeg;base64,{BASE64}",
        f"DATA:;charset=x;BASE64,{BASE64}",
        BASE64,
        BASE64.rstrip("="),
        base64.encodebytes(SHOE).decode(),
    ],
)
def test_base64_is_read_as_clients_write_it(text: str) -> None:
    """A data: URL or its base64 alone, with padding and line ends or without, gives the picture's bytes."""
    assert decode_picture(text, len(SHOE)) == SHOE
    with pytest.raises(ImageTooLarge):
        decode_picture(text, len(SHOE) - 1)


@pytest.mark.parametrize(
    "text", ["x", "no base64!", "größe", "https://example.org/shoe.jpg", "data:image/jpeg,%FF%D8", "a,b,c", "\x00"]
)
def test_what_is_no_base64(text: str) -> None:
    """Whatever else stands in its place is refused by name; nothing is fetched."""
    with pytest.raises(QueryError, match="no picture in base64") as caught:
        decode_picture(text, 100)
    assert caught.value.field == "image"


def test_sizes_are_checked_before_decoding() -> None:
    """What is too large is refused for that, whatever it consists of; white space takes no more memory than letters."""
    with pytest.raises(ImageTooLarge):
        decode_picture("!" * 136, 100)
    text = "ab " * 2**18
    tracemalloc.start()
    try:
        with pytest.raises(ImageTooLarge, match="more than 100 bytes"):
            decode_picture(text, 100)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(text)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("path", PATHS)
def test_the_same_answer(client: TestClient, path: str) -> None:
    """A picture in JSON is answered as in a form, and so is one that is an octet stream."""
    as_form = client.post(path, files={"image": ("a.jpg", SHOE)}).content.replace(b"a.jpg", b"")
    as_bytes = client.post(path, content=SHOE, headers={"content-type": "application/octet-stream"})
    for image in (BASE64, f"data:image/png;base64,{BASE64}"):
        answer = client.post(path, json={"image": image})
        assert answer.status_code == 200
        assert answer.content == as_form == as_bytes.content


def test_options_in_json(client: TestClient) -> None:
    """A search in JSON has its options beside the picture, or in the query string, as any other."""
    options: dict[str, Any] = {"k": 2, "condition": "closure", "filter": ["Gender:Men"]}
    answer = client.post("/v1/search", json={"image": BASE64, **options}).json()
    assert answer == client.post("/v1/search", files={"image": ("a.jpg", SHOE)}, params=options).json()
    assert answer == client.post("/v1/search", json={"image": BASE64}, params=options).json()
    check_problem(client.post("/v1/search", json={"image": BASE64, "k": 2}, params={"k": 3}), 422, "k")


def test_several_in_json(client: TestClient) -> None:
    """Embeddings take a list of pictures in JSON, as many as in a form; a reconstruction takes one."""
    answer = client.post("/v1/embeddings", json={"image": [BASE64, base64.b64encode(draw_shoe(4)).decode()]}).json()
    parts = [("image", ("a.jpg", content)) for content in (SHOE, draw_shoe(4))]
    for one, other in zip(
        answer["embeddings"], client.post("/v1/embeddings", files=parts).json()["embeddings"], strict=True
    ):
        assert one["vector"] == other["vector"]
    for path, count in (("/v1/embeddings", 0), ("/v1/embeddings", 4), ("/v1/reconstructions", 2)):
        check_problem(client.post(path, json={"image": [BASE64] * count}), 422, "image")


@pytest.mark.parametrize("path", PATHS)
def test_json_that_is_wrong(client: TestClient, path: str) -> None:
    """JSON that is none, or has something else in it, is refused as elsewhere, and so is what is no picture."""
    headers = {"content-type": "application/json"}
    check_problem(client.post(path, content=b'{"image": ', headers=headers), 400)
    check_problem(client.post(path, content=b"[" * 10_000, headers=headers), 400)
    check_problem(client.post(path, json={}), 422, "image")
    check_problem(client.post(path, json={"image": None}), 422, "image")
    check_problem(client.post(path, json={"image": BASE64, "colour": "red"}), 422, "colour")
    check_problem(client.post(path, json={"image": "https://example.org/shoe.jpg"}), 422, "image")
    check_problem(client.post(path, json={"image": base64.b64encode(b"no picture").decode()}), 415)


@pytest.mark.parametrize("path", PATHS)
def test_sizes_in_json(client: TestClient, memory_engine: Engine, path: str) -> None:
    """A picture may have as many bytes in JSON as elsewhere, though base64 makes them more; not one more."""
    largest = memory_engine.embedder.preprocessor.limits.max_bytes
    for size, status in ((largest, 200), (largest + 1, 413)):
        padded = SHOE + bytes(size - len(SHOE))
        assert client.post(path, json={"image": base64.b64encode(padded).decode()}).status_code == status
