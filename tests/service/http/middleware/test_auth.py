"""Who may ask for what."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.testclient import TestClient

from service.serving.engine import Engine
from service.settings import Settings
from tests.support.app import open_client
from tests.support.problems import check_problem
from tests.support.stack import draw_shoe

READ, ADMIN = "reader-0123456789abcdef", "keeper-0123456789abcdef"
KEYS = f"shop:read:{READ} keeper:admin:{ADMIN}"

Serve = Callable[..., Any]


@pytest.fixture
def serve(memory_engine: Engine, settings: Settings) -> Serve:
    """Serves the engine with other settings."""

    @contextmanager
    def serving(**changes: Any) -> Iterator[TestClient]:
        with open_client(Settings.model_validate({**settings.model_dump(), **changes}), memory_engine) as client:
            yield client

    return serving


def bearer(key: str) -> dict[str, str]:
    """A key as a header."""
    return {"authorization": f"Bearer {key}"}


def test_reading_needs_a_key_where_there_are_some(serve: Serve) -> None:
    """With keys set, reading needs one of them, in either header; the answer says how to send it."""
    picture = {"image": ("a.jpg", draw_shoe(0))}
    with serve(api_keys=KEYS) as client:
        response = client.get("/v1/info")
        assert "X-API-Key" in check_problem(response, 401)["detail"]
        assert response.headers["www-authenticate"] == 'Bearer realm="solemate"'
        check_problem(client.post("/v1/search", files=picture), 401)
        check_problem(client.get("/v1/info", headers=bearer("wrong-0123456789abcdef")), 401)
        check_problem(client.get("/v1/info", headers={"authorization": f"Basic {READ}"}), 401)
        check_problem(client.get("/v1/info", params={"api_key": READ}), 401)
        for headers in (bearer(READ), bearer(ADMIN), {"x-api-key": READ}, {"authorization": f"bearer  {READ}"}):
            assert client.get("/v1/info", headers=headers).status_code == 200
        assert client.post("/v1/search", files=picture, headers=bearer(READ)).status_code == 200


def test_page_and_health_are_open(serve: Serve) -> None:
    """The page, its files, the description and the health checks need no key."""
    with serve(api_keys=KEYS) as client:
        for path in ("/", "/web/main.js", "/docs", "/openapi.json", "/healthz", "/readyz"):
            assert client.get(path).status_code == 200, path


def test_changing_needs_an_admin(serve: Serve) -> None:
    """Whatever may change something needs a key of the scope admin; without keys nobody may."""
    changes = [("POST", "/v1/admin/reload"), ("POST", "/v1/items"), ("POST", "/v1/items:batch")]
    changes += [(method, "/v1/items/1") for method in ("PUT", "PATCH", "DELETE")]
    with serve(api_keys=KEYS) as client:
        for method, path in changes:
            check_problem(client.request(method, path), 401)
            assert (
                "shop may only read" in check_problem(client.request(method, path, headers=bearer(READ)), 403)["detail"]
            )
            assert client.request(method, path, headers=bearer(ADMIN)).status_code not in {401, 403}
    with serve() as client:
        for method, path in changes:
            for headers in ({}, bearer(ADMIN)):
                response = client.request(method, path, headers=headers)
                assert "SOLEMATE_API_KEYS" in check_problem(response, 403)["detail"]
        assert client.get("/v1/info").status_code == 200


WRONG = [
    ("POST", "/v1/serach", 404),
    ("PUT", "/v1/nothing", 404),
    ("GET", "/v1/admin/anything", 404),
    ("DELETE", "/new", 404),
    ("PUT", "/v1/search", 405),
    ("OPTIONS", "/v1/search", 405),
    ("OPTIONS", "/v1/items/1", 405),
    ("BREW", "/v1/items", 405),
    ("GET", "/v1/admin/reload", 405),
    ("DELETE", "/web/main.js", 405),
    ("POST", "/v1/search/", 307),
    ("POST", "/v1/items/", 307),
    ("GET", "/v1/info/", 307),
    ("GET", "/web", 307),
]


@pytest.mark.parametrize("keys", ["", KEYS])
@pytest.mark.parametrize(("method", "path", "status"), WRONG)
def test_wrong_path_or_method_needs_no_key(serve: Serve, method: str, path: str, status: int, keys: str) -> None:
    """A path or a method that is not there is answered as such, with and without keys, and with any key."""
    with serve(api_keys=keys) as client:
        for headers in ({}, bearer(READ), bearer("wrong-0123456789abcdef")):
            response = client.request(method, path, headers=headers, follow_redirects=False)
            assert response.status_code == status
            if status != 307:
                check_problem(response, status)
            if status == 405:
                assert response.headers["allow"]


def test_every_route_is_reading_or_closed(serve: Serve) -> None:
    """Of what the service answers, only the page, the description and health are open where keys are set."""
    with serve(api_keys=KEYS, metrics_access="read") as client:
        assert isinstance(client.app, FastAPI)
        for path, method in list_routes(client.app.routes):
            status = client.request(method, path.replace("{id}", "1000.1")).status_code
            is_open = path in {"/", "/docs", "/openapi.json", "/healthz", "/readyz"}
            assert (status == 401) == (not is_open), (method, path, status)


def list_routes(routes: list[BaseRoute]) -> Iterator[tuple[str, str]]:
    """Path and method of every route, those of included routers too."""
    for route in routes:
        if isinstance(route, APIRoute) or hasattr(route, "methods"):
            for method in sorted(getattr(route, "methods", None) or ()):
                yield getattr(route, "path", ""), method
        elif hasattr(route, "original_router"):
            yield from list_routes(route.original_router.routes)


def test_metrics(serve: Serve) -> None:
    """The metrics are open, or for the keys of a scope, as the setting has it."""
    for access, statuses in {"open": (200, 200, 200), "read": (401, 200, 200), "admin": (401, 403, 200)}.items():
        with serve(api_keys=KEYS, metrics_access=access) as client:
            given: list[dict[str, str]] = [{}, bearer(READ), bearer(ADMIN)]
            assert tuple(client.get("/metrics", headers=headers).status_code for headers in given) == statuses


def test_refused_body_is_not_read(serve: Serve) -> None:
    """Who has no key does not get to send a picture first."""
    taken = 0

    def pieces() -> Iterator[bytes]:
        nonlocal taken
        taken += 1
        yield b"x"

    with serve(api_keys=KEYS) as client:
        assert client.post("/v1/search", content=pieces()).status_code == 401
    assert taken <= 1  # the test's client takes what it sends as a whole


def test_answers_to_a_key_are_private(serve: Serve) -> None:
    """What needed a key is not kept by proxies for others; what did not, may be."""
    path = "/v1/items/1000.1/image"
    with serve(api_keys=KEYS) as client:
        headers = client.get(path, headers=bearer(READ)).headers
        assert "private" in headers["cache-control"]
        assert "public" not in headers["cache-control"]
        assert "authorization" in headers["vary"]
        assert client.get("/healthz", headers=bearer(READ)).headers.get("vary") is None
    with serve() as client:
        assert "public" in client.get(path).headers["cache-control"]


def test_keys_are_not_logged(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """No line of the log holds a key, right or wrong."""
    caplog.set_level("DEBUG")
    keys = (READ, ADMIN, "wrong-0123456789abcdef")
    with serve(api_keys=KEYS) as client:
        for key in keys:
            client.get("/v1/info", headers=bearer(key))
            client.post("/v1/admin/reload", headers={"x-api-key": key})
    assert "service.requests" in caplog.text
    for key in keys:
        assert key not in caplog.text


def test_other_origins_are_let_in_where_named(serve: Serve) -> None:
    """Pages of other origins may ask where the setting names them, with a key too, and not otherwise."""
    ours, theirs = {"origin": "https://shop.example"}, {"origin": "https://other.example"}
    asking = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    with serve() as client:
        response = client.get("/v1/info", headers=ours)
        assert "access-control-allow-origin" not in response.headers
        assert response.headers["cross-origin-resource-policy"] == "same-origin"
    with serve(cors_origins="https://shop.example", api_keys=KEYS) as client:
        preflight = client.options("/v1/search", headers={**ours, **asking})
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == ours["origin"]
        assert "access-control-allow-credentials" not in preflight.headers
        answer = client.get("/v1/info", headers={**ours, **bearer(READ)})
        assert answer.headers["access-control-allow-origin"] == ours["origin"]
        assert "X-Subject" in answer.headers["access-control-expose-headers"]
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
        assert client.get("/v1/info", headers=ours).headers["access-control-allow-origin"] == ours["origin"]  # the 401
        assert "access-control-allow-origin" not in client.get("/v1/info", headers=theirs).headers
        assert client.options("/v1/search", headers={**theirs, **asking}).status_code == 400


@pytest.mark.parametrize(
    ("host", "trusted"),
    [
        ("shoes.example", True),
        ("SHOES.example:8000", True),
        ("www.shoes.example", False),
        ("a.b.other.example", True),
        ("other.example", False),
        ("shoes.example.evil", False),
        ("evil", False),
        ("", False),
    ],
)
def test_hosts(serve: Serve, host: str, trusted: bool) -> None:
    """Only requests to the hosts that the setting names are answered; health checks always are."""
    with serve(trusted_hosts="shoes.example, *.Other.example") as client:
        response = client.get("/v1/info", headers={"host": host})
        if trusted:
            assert response.status_code == 200
        else:
            check_problem(response, 421)
        assert client.get("/healthz", headers={"host": host}).status_code == 200
    with serve() as client:
        assert client.get("/v1/info", headers={"host": host}).status_code == 200


def test_any_host(serve: Serve) -> None:
    """A star among the hosts is all of them."""
    with serve(trusted_hosts="shoes.example *") as client:
        assert client.get("/v1/info", headers={"host": "evil"}).status_code == 200
