"""The application as a whole: the page, headers, the lifespan."""

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

STRICT = ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "form-action 'none'", "base-uri 'none'")


@pytest.mark.parametrize("path", ["/", "/web/main.js", "/v1/info", "/v1/items/1000.1/image", "/nothing", "/docs"])
def test_security_headers(client: TestClient, path: str) -> None:
    """Every answer tells a browser to guess no types, run no foreign scripts and send no referrers."""
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    for rule in STRICT:
        assert rule in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert "server" not in headers


def test_page_and_its_files(client: TestClient) -> None:
    """The page and every file it names are there, with types that a browser takes."""
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    files = re.findall(r'(?:href|src)="(web/[^"]+)"', page.text)
    assert len(files) >= 2
    for file in files:
        response = client.get(f"/{file}")
        assert response.status_code == 200, file
        kind = {".js": "javascript", ".css": "text/css", ".svg": "image/svg+xml"}[Path(file).suffix]
        assert kind in response.headers["content-type"]


def test_page_files_are_revalidated(client: TestClient) -> None:
    """A page's file that the browser has is not sent again, and never used unasked."""
    response = client.get("/web/main.js")
    assert response.headers["cache-control"] == "no-cache"
    again = client.get("/web/main.js", headers={"if-none-match": response.headers["etag"]})
    assert again.status_code == 304
