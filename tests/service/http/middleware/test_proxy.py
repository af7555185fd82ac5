"""The service behind a proxy, under a path."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pydantic
import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from service.http.middleware.exchange import BehindProxy
from service.serving.engine import Engine
from service.settings import Settings
from tests.support.app import open_client
from tests.support.problems import check_problem
from tests.support.stack import draw_shoe

KEYS = "shop:read:reader-0123456789abcdef keeper:admin:keeper-0123456789abcdef"
KEEPER = {"x-api-key": "keeper-0123456789abcdef"}

PROXY = "10.1.2.3"

Serve = Callable[..., Any]


@pytest.fixture
def serve(memory_engine: Engine, settings: Settings) -> Serve:
    """Serves the engine with other settings to a proxy."""

    @contextmanager
    def serving(**changes: Any) -> Iterator[TestClient]:
        changed = Settings.model_validate({**settings.model_dump(), **changes})
        with open_client(changed, memory_engine, client=(PROXY, 5000)) as client:
            yield client

    return serving


def follow_links(client: TestClient, prefix: str, headers: dict[str, str] | None = None) -> None:
    """Assert that every link of a search's answer begins with the prefix, and leads somewhere."""
    response = client.post("/v1/search", files={"image": ("a.jpg", draw_shoe(0))}, headers=headers)
    for hit in response.json()["hits"]:
        for link in (hit["image"], hit["reconstruction"], hit["similar"]):
            assert link.startswith(f"{prefix}/v1/items/")
            assert client.get(link, headers=headers).status_code == 200


@pytest.mark.parametrize("root_path", ["/shoes", "/a/b.c/", "/v2"])
def test_root_path(serve: Serve, root_path: str) -> None:
    """Under a root path everything is there, whether or not the proxy cuts it off, and links begin with it."""
    root = root_path.rstrip("/")
    with serve(root_path=root_path) as client:
        for path in (
            "/",
            "/web/main.js",
            "/docs",
            "/openapi.json",
            "/healthz",
            "/readyz",
            "/v1/info",
            "/v1/items/1000.1",
        ):
            assert client.get(path).status_code == 200, path
            assert client.get(root + path).status_code == 200, path
        follow_links(client, root)
        assert client.get("/openapi.json").json()["servers"] == [{"url": root}]
        assert f"{root}/docs" in check_problem(client.get("/nothing"), 404)["detail"]
        to_page = client.get(root, follow_redirects=False)
        assert (to_page.status_code, to_page.headers["location"]) == (307, f"./{root.rpartition('/')[2]}/")
        check_problem(client.get(f"{root}x/v1/info"), 404)
        check_problem(client.get(f"{root}{root}/v1/info"), 404)


def test_place_of_an_added_shoe(serve: Serve) -> None:
    """The Location of a new shoe begins with the root path."""
    with serve(root_path="/shoes", api_keys=KEYS) as client:
        form = {"data": {"id": "new"}, "files": {"image": ("a.jpg", draw_shoe(3))}}
        response = client.post("/shoes/v1/items", **form, headers=KEEPER)
        assert (response.status_code, response.headers["location"]) == (201, "/shoes/v1/items/new")


@pytest.mark.parametrize("prefix", ["", "/shoes"])
def test_limits_and_keys_under_a_root_path(serve: Serve, settings: Settings, prefix: str) -> None:
    """Paths have the same limits, keys, hosts and names in the log under a root path as without one."""
    with serve(root_path="/shoes", api_keys=KEYS, trusted_hosts="shoes.example") as client:
        host = {"host": "shoes.example"}
        assert client.get(f"{prefix}/healthz").status_code == 200
        check_problem(client.get(f"{prefix}/v1/info"), 421)
        assert client.get(f"{prefix}/web/main.js", headers=host).status_code == 200
        check_problem(client.get(f"{prefix}/v1/info", headers=host), 401)
        reader = {**host, "x-api-key": "reader-0123456789abcdef"}
        check_problem(client.post(f"{prefix}/v1/admin/reload", headers=reader), 403)
        large = bytes(settings.max_upload_bytes + 1)
        response = client.post(f"{prefix}/v1/search", content=large, headers={**reader, "content-type": "image/jpeg"})
        assert "image has" in check_problem(response, 413)["detail"]


def test_paths_in_the_log(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """The log has the templates of paths as they are without a root path."""
    caplog.set_level("INFO", "service.requests")
    with serve(root_path="/shoes") as client:
        for path in ("/v1/items/1000.1", "/web/main.js", "/web/nothing", "/v1/info", "/"):
            client.get(f"/shoes{path}")
    routes = [vars(record)["fields"]["route"] for record in caplog.records if record.name == "service.requests"]
    assert routes == ["/v1/items/{id}", "/web/", "/web/", "/v1/info", "/"]


@pytest.mark.parametrize("root_path", ["shoes", "//evil.example", "/a b", "/a//b", "/%41", "https://shop.example/"])
def test_unusable_root_path(root_path: str) -> None:
    """A root path that links can't begin with is refused."""
    with pytest.raises(pydantic.ValidationError, match="root_path"):
        Settings(root_path=root_path)


@pytest.mark.parametrize(
    ("proxies", "believed"),
    [("", False), ("10.1.2.4", False), (PROXY, True), ("192.168.0.0/16, 10.0.0.0/8", True), ("*", True)],
)
def test_prefix_from_a_proxy(serve: Serve, proxies: str, believed: bool) -> None:
    """X-Forwarded-Prefix is the root path where a trusted proxy says so, and not where anybody else does."""
    with serve(trusted_proxies=proxies, root_path="/usual") as client:
        follow_links(client, "/shoes" if believed else "/usual", {"x-forwarded-prefix": "/shoes/"})
        follow_links(client, "/usual")
        follow_links(client, "/usual", {"x-forwarded-prefix": "//evil.example"})


@pytest.mark.parametrize(("proxies", "seen"), [("", (PROXY, "http")), (PROXY, ("203.0.113.9", "https"))])
def test_client_and_scheme_from_a_proxy(proxies: str, seen: tuple[str, str]) -> None:
    """X-Forwarded-For and -Proto are the client's address and scheme where a trusted proxy says so."""

    async def show(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(f"{scope['client'][0]} {scope['scheme']}")(scope, receive, send)

    client = TestClient(BehindProxy(show, Settings.model_validate({"trusted_proxies": proxies})), client=(PROXY, 5000))
    told = client.get("/", headers={"x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https"})
    assert told.text == " ".join(seen)


@pytest.mark.parametrize("proxy", ["proxy.example", "10.0.0.1/8", "10.0.0"])
def test_proxies_are_addresses(proxy: str) -> None:
    """A trusted proxy is an address or a network."""
    with pytest.raises(pydantic.ValidationError, match="trusted_proxies"):
        Settings.model_validate({"trusted_proxies": proxy})
