"""Clients that ask wrongly, slowly, too much, or with pictures made to do harm; good ones beside them are served."""

import asyncio
import io
import json
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain, repeat
from typing import Any
from urllib.parse import urlsplit

import httpx2
import numpy as np
from PIL import Image

from model.catalog import read_catalog
from model.checkpoint import load_checkpoint
from model.embedder import Embedder
from tests.support import bodies
from tests.support.load import Load, Query
from tests.support.nasty import collect, make_big_jpeg, make_png, truncate
from tests.support.problems import check_problem
from tests.support.scale import LONG, long_only
from tests.support.server import Artifacts, Server
from tests.system.conftest import HEADERS, PICTURES, Crew, make_queries

FORM = {"content-type": bodies.CONTENT_TYPE}
JPEG = {"content-type": "image/jpeg"}
JSON = {"content-type": "application/json"}

Check = Callable[[httpx2.Response], object]
Case = tuple[Check, str, str, bytes, dict[str, str]]
"""What must come of a request; its method, path, body and headers."""


def client_of(url: str) -> httpx2.Client:
    """Many connections, with the admin's key."""
    return httpx2.Client(base_url=url, headers=HEADERS, timeout=60)


def ask_all(url: str, cases: list[Case], clients: int = 8) -> None:
    """Ask all of them, several at once, and check every answer."""
    with client_of(url) as client, ThreadPoolExecutor(clients) as pool:

        def ask(case: Case) -> None:
            check, method, path, body, headers = case
            check(client.request(method, path, content=body, headers=headers))

        for _ in pool.map(ask, cases):
            pass


def refused(status: int) -> Check:
    """The answer is a problem of this status."""
    return lambda response: check_problem(response, status, response.json().get("field"))


def finds(query: Query, besides: str = "") -> Check:
    """The answer has the nearest shoes, besides one."""
    others = {
        key: {name: far for name, far in each.items() if name != besides} for key, each in query.distances.items()
    }

    def check(response: httpx2.Response) -> None:
        assert response.status_code == 200, response.text
        assert not Query(query.picture, others).find_mistake(response.json())

    return check


def is_picture(response: httpx2.Response) -> None:
    """The answer is one."""
    assert response.status_code == 200, response.text
    Image.open(io.BytesIO(response.content)).load()


def has(get: Callable[[Any], Any], *expected: Any) -> Check:
    """The answer's JSON has these vectors."""

    def check(response: httpx2.Response) -> None:
        assert response.status_code == 200, response.text
        np.testing.assert_allclose(get(response.json()), expected, rtol=0, atol=1e-4)

    return check


def good_cases(artifacts: Artifacts) -> Iterator[Case]:
    """A request of every kind for each shoe, with the right answer known beforehand."""
    shoes = read_catalog(str(artifacts.demo)).shoes
    pictures = [shoe.image.read_bytes() for shoe in shoes]
    vectors = Embedder(load_checkpoint(artifacts.checkpoint)).embed(pictures)
    for number, (shoe, query, vector) in enumerate(zip(shoes, make_queries(pictures, artifacts), vectors, strict=True)):
        other = (number + 1) % len(shoes)
        two = bodies.form(bodies.image(query.picture), bodies.image(pictures[other]))
        found, item = finds(query), f"/v1/items/{shoe.id}"
        asked = json.dumps({"vector": vector.tolist(), "k": 10}).encode()
        yield found, "POST", "/v1/search", bodies.form(bodies.image(query.picture)), FORM
        yield found, "POST", "/v1/search?k=3", query.picture, JPEG
        yield found, "POST", "/v1/search/vector", asked, JSON
        embedded = has(lambda told: [each["vector"] for each in told["embeddings"]], vector, vectors[other])
        yield embedded, "POST", "/v1/embeddings", two, FORM
        yield has(lambda told: [told["vector"]], vector), "GET", item, b"", {}
        yield finds(query, besides=shoe.id), "GET", f"{item}/similar?k=9", b"", {}
        yield is_picture, "GET", f"{item}/image", b"", {}
        yield is_picture, "GET", f"{item}/reconstruction", b"", {}


def bad_cases(picture: bytes) -> Iterator[Case]:
    """A request of every kind of mistake, with the status that it must get."""
    search, vector = "/v1/search", "/v1/search/vector"
    whole = bodies.form(bodies.image(picture))
    two = bodies.form(bodies.image(picture), bodies.image(picture))
    numbers = json.dumps({"vector": [0.0] * 3}).encode()
    for status, method, path, body, headers in (
        (415, "POST", search, bodies.form(bodies.image(b"not a picture")), FORM),
        (422, "POST", search, bodies.form(bodies.image(b"")), FORM),
        (422, "POST", search, bodies.form(bodies.image(picture[: len(picture) // 2])), FORM),
        (413, "POST", search, bodies.form(bodies.image(make_png(50_000, 50_000))), FORM),
        (413, "POST", search, make_big_jpeg(), JPEG),
        (422, "POST", search, picture, {"content-type": "text/plain"}),
        (400, "POST", search, whole[:-9], FORM),
        (400, "POST", search, whole, {"content-type": "multipart/form-data; boundary=x"}),
        (400, "POST", search, whole, {"content-type": "multipart/form-data"}),
        (422, "POST", search, bodies.form(), FORM),
        (422, "POST", search, bodies.form(bodies.part("picture", picture, "a.jpg")), FORM),
        (422, "POST", search, two, FORM),
        (422, "POST", "/v1/embeddings", bodies.form(bodies.image(picture), bodies.image(picture[:300])), FORM),
        *((422, "POST", f"{search}?{query}", picture, JPEG) for query in ("k=0", "k=1000000", "k=ten")),
        (422, "POST", f"{search}?condition=taste", picture, JPEG),
        (422, "POST", f"{search}?filter=Taste:Good", picture, JPEG),
        (422, "POST", f"{search}?fliter=Gender:Women", picture, JPEG),
        (422, "POST", vector, numbers, JSON),
        (400, "POST", vector, numbers[:-3], JSON),
        (422, "POST", vector, b"[1]", JSON),
        (404, "GET", "/v1/items/nobody", b"", {}),
        (404, "GET", "/v1/items/..%2f..%2fetc%2fpasswd/image", b"", {}),
        (422, "GET", "/v1/items?cursor=xyz", b"", {}),
        (422, "GET", "/v1/items?limit=-1", b"", {}),
        (404, "GET", "/v2/search", b"", {}),
        (405, "DELETE", search, b"", {}),
        (401, "POST", "/v1/admin/reload", b"", {"x-api-key": "wrong"}),
        (431, "GET", "/healthz", b"", {f"x-{number}": "1" for number in range(150)}),
    ):
        yield refused(status), method, path, body, headers


def test_good_and_bad_requests_at_once(crew: Crew) -> None:
    """Of good and bad requests of every kind, shuffled, each is answered or refused as it must be."""
    good, bad = list(good_cases(crew.artifacts)), list(bad_cases(PICTURES[0]))
    cases = (good + bad * (len(good) // len(bad))) * (10 if LONG else 1)
    random.Random(0).shuffle(cases)
    ask_all(crew.server.url, cases)


@long_only
def test_nasty_pictures(crew: Crew) -> None:
    """Bombs, broken and odd pictures are answered or refused as they should be, within the memory for two at a time."""
    before, most = crew.memory(), 0

    def watch(allowed: frozenset[int]) -> Check:
        def check(response: httpx2.Response) -> None:
            nonlocal most
            most = max(most, crew.memory()) if "bomb" in response.request.headers else most
            assert response.status_code in allowed, response.text
            if response.status_code != 200:
                check_problem(response, response.status_code)

        return check

    plain = collect(bombs_too=False)
    cases: list[Case] = []
    for name, nasty in chain(collect().items(), truncate()):
        headers = {"bomb": "1"} if name not in plain and "cut after" not in name else {}
        check = watch(nasty.statuses)
        form = bodies.form(bodies.image(nasty.data))
        cases.append((check, "POST", "/v1/search", form, {**FORM, **headers}))
        cases.append(
            (check, "POST", "/v1/reconstructions", nasty.data, {"content-type": nasty.content_type, **headers})
        )
    with crew.load(clients=2) as load:
        load.wait_for(10)
        ask_all(crew.server.url, cases)
        load.wait_for(10)
    assert not load.failed, load.failed[:3]
    assert load.statuses == {200}
    assert most - before < 2 * (2 * 400 + 150) * 2**20


def enlarge(picture: bytes, side: int) -> bytes:
    """The picture with `side` pixels a side, as a PNG: of few bytes, and slow to decode."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(picture)).resize((side, side), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()


def test_overload(artifacts: Artifacts) -> None:
    """More clients than can be served in the time that a request may wait get 503 with Retry-After or a right answer.

    Meanwhile the service says that it is healthy, and afterwards it answers as before.
    """
    large = make_queries([enlarge(picture, 1600) for picture in PICTURES[:4]], artifacts)
    server = Server(artifacts, SOLEMATE_WORKERS="2" if LONG else "1", SOLEMATE_WAIT_SECONDS="1")
    try:
        with Load(server.url, large, clients=200 if LONG else 80) as load:
            for _ in range(60 if LONG else 1):
                load.wait_for(40, status=503)
                for path in ("/healthz", "/readyz"):
                    assert httpx2.get(f"{server.url}{path}", timeout=60).status_code == 200
                load.wait_for(10)
        with Load(server.url, large, clients=1) as calm:
            calm.wait_for(8)
    finally:
        assert server.stop() == 0
    assert not load.failed, load.failed[:3]
    assert load.statuses == {200, 503}
    assert all(int(result.retry_after) >= 1 for result in load.with_status(503))
    assert calm.statuses == {200}


BODY = b"POST /v1/search HTTP/1.1\r\nHost: shoes\r\nContent-Type: image/jpeg\r\n"
SLOW = {
    "head": (b"POST /v1/search HTTP/1.1\r\nHost: shoes\r\nX-Slow: ", b"a", b"408"),
    "body": (BODY + b"Content-Length: 100000\r\n\r\n", b"x", b"408"),
    "chunks": (BODY + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", b"408"),
    "nothing": (b"", b"", b""),
}


@long_only
def test_slow_clients(artifacts: Artifacts) -> None:
    """Hundreds of clients that send a byte now and then, or nothing, are told 408 or closed; good ones are served."""
    server = Server(
        artifacts,
        SOLEMATE_WORKERS="2",
        SOLEMATE_HEAD_SECONDS="5",
        SOLEMATE_GRACE_SECONDS="5",
        SOLEMATE_KEEP_ALIVE_SECONDS="5",
    )
    port = urlsplit(server.url).port

    async def trickle(first: bytes, drop: bytes, status: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def send() -> None:
            for piece in chain([first], repeat(drop)):
                writer.write(piece)
                await asyncio.sleep(0.25)

        sending = asyncio.create_task(send())
        try:
            async with asyncio.timeout(60):
                line = b""
                with suppress(ConnectionError):
                    line = await reader.readline()
            assert line.split()[1:2] == [status] * bool(status)
        finally:
            sending.cancel()
            writer.close()

    async def besiege() -> None:
        await asyncio.gather(*(trickle(*SLOW[kind]) for kind in SLOW for _ in range(200)))

    try:
        with Load(server.url, make_queries(PICTURES, artifacts)) as load:
            load.wait_for(50)
            asyncio.run(besiege())
            load.wait_for(50)
    finally:
        assert server.stop() == 0
    assert not load.failed, load.failed[:3]
    assert load.statuses == {200}
