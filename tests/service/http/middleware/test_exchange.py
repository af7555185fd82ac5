"""What is noted of a request, and the headers of its answer."""

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.middleware.exchange import ServeExchange, security_headers
from service.settings import Settings
from service.telemetry.request_timing import STAGES, current_stages
from tests.support.samples import value
from tests.support.stack import draw_shoe

ROUTE = "/v1/items/{id}"

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """The fields of the requests' lines in the log."""
    caplog.set_level(logging.INFO, "service.requests")
    return lambda: [vars(record)["fields"] for record in caplog.records if record.name == "service.requests"]


def timings(header: str) -> dict[str, float]:
    """Server-Timing's names and milliseconds."""
    parts = (re.fullmatch(r"([a-z]+);dur=([0-9.]+)", part) for part in header.split(", "))
    return {part[1]: float(part[2]) for part in parts if part is not None}


def exchange(app: ASGIApp, path: str = "/x", **scope: Any) -> list[Message]:
    """Send one request through the middleware; returns what was answered."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    request = {"type": "http", "method": "GET", "path": path, "headers": [], **scope}
    asyncio.run(ServeExchange(app, Settings(), ["/x", ROUTE, "/web/"])(request, receive, send))
    return sent


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with two bytes."""
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"ok"})


async def fail(scope: Scope, receive: Receive, send: Send) -> None:
    """Fail before the answer has begun."""
    assert value("solemate_requests_in_flight") == 1
    raise RuntimeError


def test_line(client: TestClient, lines: Lines) -> None:
    """Each request is one line: method, the template of its path, status, bytes, milliseconds, stages."""
    response = client.get("/v1/items/1000.1")
    (line,) = lines()
    assert {name: line[name] for name in ("method", "route", "status", "bytes")} == {
        "method": "GET",
        "route": ROUTE,
        "status": 200,
        "bytes": len(response.content),
    }
    assert set(line["stages"]) <= set(STAGES)
    assert 0 < sum(line["stages"].values()) <= line["ms"] + 0.05


def test_nothing_personal_is_logged(client: TestClient, lines: Lines, caplog: pytest.LogCaptureFixture) -> None:
    """Neither query values nor ids, file names or headers of a client reach the log."""
    headers = {"authorization": "Bearer swordfish", "x-api-key": "swordfish", "referer": "http://swordfish"}
    client.get("/v1/items", params={"filter": "Gender:swordfish", "swordfish": "1"}, headers=headers)
    client.get("/v1/items/swordfish", headers=headers)
    client.get("/swordfish", headers=headers)
    client.post("/v1/search", files={"image": ("swordfish.jpg", b"swordfish")}, headers=headers)
    assert len(lines()) == 4
    assert "swordfish" not in "".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/healthz", "/healthz"),
        ("/v1/items/1000.1/image", "/v1/items/{id}/image"),
        ("/v1/items/nothing", ROUTE),
        ("/web/main.js", "/web/"),
        ("/web/nothing.js", "/web/"),
        ("/nothing", "other"),
        ("/v1/search/", "other"),
        ("/", "/"),
    ],
)
def test_routes_are_templates(client: TestClient, path: str, route: str) -> None:
    """Requests are counted by the template of their path, whatever they name in it."""
    labels = {"method": "GET", "route": route}
    response = client.get(path, follow_redirects=False)
    assert value("solemate_requests_total", **labels, status=str(response.status_code)) >= 1


def test_refused_before_its_route(client: TestClient, lines: Lines) -> None:
    """A request that is refused before it is routed still counts under its path."""
    client.post("/v1/search", content=bytes(2_000_000))
    assert [(line["route"], line["status"]) for line in lines()] == [("/v1/search", 413)]


def test_stages_of_a_search(client: TestClient) -> None:
    """A search by a picture passes all stages but that of changes; Server-Timing tells them in order, and the whole."""
    response = client.post("/v1/search", files={"image": ("a.jpg", draw_shoe(0))})
    assert response.status_code == 200
    told = timings(response.headers["server-timing"])
    assert list(told) == [*(stage for stage in STAGES if stage != "write"), "total"]
    assert sum(told.values()) - told["total"] <= told["total"] + 0.05


def test_code_of_the_request_adds_stages() -> None:
    """What the request's own code measures is told in the header and counted."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        stages = current_stages()
        assert stages is not None
        stages.add("encode", 0.25)
        await answer(scope, receive, send)

    before = value("solemate_stage_seconds_sum", stage="encode")
    headers = dict(exchange(app)[0]["headers"])
    assert timings(headers[b"server-timing"].decode())["encode"] == 250
    assert value("solemate_stage_seconds_sum", stage="encode") == before + 0.25


@pytest.mark.parametrize("given", [b"abc", b"A1._-" * 12, b"x" * 64])
def test_request_id_of_a_proxy(given: bytes) -> None:
    """A sane X-Request-ID is taken over and sent back."""
    headers = dict(exchange(answer, headers=[(b"x-request-id", given)])[0]["headers"])
    assert headers[b"x-request-id"] == given


@pytest.mark.parametrize("given", [b"", b"x" * 65, b"a b", b"a\nb", b"a=1;b", b"\xff", "é".encode()])
def test_odd_request_ids_are_replaced(given: bytes) -> None:
    """Anything that could disturb a log or a header gets a new id, as a request without one does."""
    ids = [
        dict(exchange(answer, headers=headers)[0]["headers"])[b"x-request-id"]
        for headers in ([(b"x-request-id", given)], [])
    ]
    assert all(re.fullmatch(rb"[0-9a-f]{16}", each) for each in ids)
    assert ids[0] != ids[1]


def test_unexpected_error(client: TestClient, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that fails as nobody foresaw is counted and logged as a 500, and its headers are there too."""
    monkeypatch.setattr("service.http.routes.items.answer_item", None)
    response = client.get("/v1/items/1000.1")
    assert response.headers["x-request-id"]
    assert [(line["route"], line["status"]) for line in lines()] == [(ROUTE, 500)]


def test_error_that_nobody_caught(lines: Lines) -> None:
    """An error that comes through all the way is answered and noted as a 500."""
    sent = exchange(fail)
    assert sent[0]["status"] == 500
    assert [(line["status"], line["bytes"], line.get("cut")) for line in lines()] == [(500, len(sent[1]["body"]), None)]


def test_client_that_goes_away(lines: Lines) -> None:
    """A request that ends without an answer is noted as one whose client has gone."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

    assert exchange(app) == []
    assert [(line["status"], line["cut"]) for line in lines()] == [(499, True)]


def test_cut_answer(lines: Lines) -> None:
    """An answer that breaks off keeps its status and is told to be cut; a whole one is not."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError

    with pytest.raises(RuntimeError):
        exchange(app)
    exchange(answer)
    assert [(line["status"], line["bytes"], line.get("cut")) for line in lines()] == [(200, 4, True), (200, 2, None)]


def test_machines_that_ask_all_the_time_are_quiet(
    client: TestClient, lines: Lines, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Health and metrics are in the log only if it is to hold everything, or if they fail."""
    for path in ("/healthz", "/readyz", "/metrics"):
        assert client.get(path).status_code == 200
    assert lines() == []
    caplog.set_level(logging.DEBUG, "service.requests")
    client.get("/healthz")
    assert len(lines()) == 1
    caplog.set_level(logging.INFO, "service.requests")
    monkeypatch.setattr("service.serving.engine.CANARY_TOLERANCE", -1)
    assert client.get("/readyz").status_code == 503
    assert len(lines()) == 2


def test_in_flight_comes_back_to_zero(client: TestClient) -> None:
    """A request is under way until it has ended, however it ends."""
    assert exchange(fail)[0]["status"] == 500
    client.get("/healthz")
    assert value("solemate_requests_in_flight") == 0


def test_other_protocols_pass() -> None:
    """What is no HTTP request is handed on as it is."""
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope["type"], current_stages()))

    exchange(app, type="lifespan")
    assert seen == [("lifespan", None)]


def read_security(**settings: object) -> dict[str, str]:
    """The headers under these settings."""
    headers = security_headers(Settings.model_validate(settings))
    return {name.decode(): value.decode() for name, value in headers}


def test_frames() -> None:
    """No other page shows this one in a frame, unless it is named."""
    assert "frame-ancestors 'none'" in read_security()["content-security-policy"]
    named = read_security(frame_ancestors="https://shop.example https://*.other.example")["content-security-policy"]
    assert named.endswith("frame-ancestors https://shop.example https://*.other.example")


def test_https_is_left_to_the_proxy() -> None:
    """Whether browsers are to insist on HTTPS is said by whoever terminates TLS."""
    assert "strict-transport-security" not in read_security()
