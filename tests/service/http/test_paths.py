"""Paths with a slash too many or too few, and the methods of a path."""

from urllib.parse import urljoin

import pytest
from starlette.testclient import TestClient

from tests.support.problems import check_problem


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("/v1/search/", "/v1/search"),
        ("/v1/items:batch/", "/v1/items:batch"),
        ("/v1/items/a%20b/?x=1&y=%20", "/v1/items/a%20b?x=1&y=%20"),
        ("/web", "/web/"),
    ],
)
def test_slash_at_the_end(client: TestClient, asked: str, meant: str) -> None:
    """A client is sent to the path that is there, by a relative reference, which is right behind any proxy."""
    response = client.request("POST", asked, follow_redirects=False)
    assert response.status_code == 307
    location = response.headers["location"]
    assert not location.startswith(("/", "http"))
    for base in ("http://shoes", "https://shop.example/shoes"):
        assert urljoin(base + asked, location) == base + meant


@pytest.mark.parametrize("path", ["/v1/search//", "/v2/", "/v1/info//", "/nothing", "/web//evil.example"])
def test_other_paths_are_not_redirected(client: TestClient, path: str) -> None:
    """Where neither is there, the answer is a 404."""
    check_problem(client.get(path, follow_redirects=False), 404)


def test_all_methods_of_a_path(client: TestClient) -> None:
    """A wrong method is told all right ones, whichever routes they belong to."""
    assert client.request("BREW", "/v1/items").headers["allow"] == "GET, POST, HEAD"
    assert client.delete("/web/main.js").headers["allow"] == "GET, HEAD"
