"""The page's files, compressed for those who take it."""

import gzip

import pytest
from starlette.testclient import TestClient


@pytest.mark.parametrize("path", ["/", "/web/main.js", "/web/style.css", "/docs"])
def test_compressed_and_as_it_is(client: TestClient, path: str) -> None:
    """The same file either way, under different ETags, each of which is answered with 304."""
    plain = client.get(path, headers={"accept-encoding": "identity"})
    small = client.get(path, headers={"accept-encoding": "br, gzip"})
    assert "content-encoding" not in plain.headers
    assert plain.content == small.content  # the client decompresses
    for answer, encoding in ((plain, "identity"), (small, "gzip")):
        assert answer.headers["vary"] == "Accept-Encoding"
        assert answer.headers["cache-control"] == "no-cache"
        again = {"if-none-match": answer.headers["etag"], "accept-encoding": encoding}
        unchanged = client.get(path, headers=again)
        assert (unchanged.status_code, unchanged.content) == (304, b"")
    if path != "/docs":  # a few hundred bytes
        assert small.headers["content-encoding"] == "gzip"
        assert int(small.headers["content-length"]) < len(plain.content) / 2
        asked = client.head(path, headers={"accept-encoding": "gzip"})
        assert (asked.headers["content-length"], asked.content) == (small.headers["content-length"], b"")
        assert small.headers["etag"] != plain.headers["etag"]
        assert small.headers["content-type"] == plain.headers["content-type"]


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        *(("gzip", True), ("GZIP;q=0.5, br", True), ("br , gzip ; q=0.01", True)),
        *(("gzip;q=0", False), ("br, gzip ; q=0.000, identity", False), ("", False)),
    ],
)
def test_who_takes_gzip(client: TestClient, accepted: str, packed: bool) -> None:
    """Whoever names gzip, in whatever case, gets files and tiles in it; not who gives it the weight 0."""
    for path in ("/web/main.js", "/v1/map/tiles/0"):
        answer = client.get(path, headers={"accept-encoding": accepted})
        assert ("content-encoding" in answer.headers) == packed


def test_ranges_are_of_the_file(client: TestClient) -> None:
    """A range is answered from the file as it is, also where gzip is taken."""
    whole = client.get("/web/main.js").content
    part = client.get("/web/main.js", headers={"range": "bytes=10-19", "accept-encoding": "gzip"})
    assert (part.status_code, part.content) == (206, whole[10:20])
    assert "content-encoding" not in part.headers


def test_what_is_compressed_once(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is not compressed again for the next client."""
    first = client.get("/web/base/api.js", headers={"accept-encoding": "gzip"})
    monkeypatch.setattr(gzip, "compress", None)
    again = client.get("/web/base/api.js", headers={"accept-encoding": "gzip"})
    assert again.content == first.content
