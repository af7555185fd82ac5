"""A small HTTP server for downloads, with the faults of large ones."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """One file, and how it is served.

    Attributes:
        data: its content.
        etag: None sends none.
        modified: the date, as HTTP spells it; None sends none.
        ranges: whether parts are sent.
        stops: for each answer in turn, the bytes after which the connection breaks; after those all of it is sent.
        statuses: for each answer in turn, an HTTP status instead of the file.
        headers: sent besides, and instead of the usual ones.
        location: sends the client elsewhere.
        endless: sends no length; the end of the connection is the file's.
    """

    data: bytes = b""
    etag: str | None = '"1"'
    modified: str | None = None
    ranges: bool = True
    stops: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    location: str | None = None
    endless: bool = False


@dataclass
class FileServer:
    """A server that runs: what it serves, by name, and what it was asked.

    Attributes:
        url: with a slash at its end.
        files: name -> file; may be changed at any time.
        requests: (name, Range header or "", status) of each request.
    """

    url: str
    files: dict[str, Served] = field(default_factory=dict)
    requests: list[tuple[str, str, int]] = field(default_factory=list)


@contextmanager
def serve_files() -> Iterator[FileServer]:
    """Serve on a free port of this machine until the block ends."""

    class Handler(_Handler):
        pass

    with _Server(("127.0.0.1", 0), Handler) as http:
        server = FileServer(f"http://127.0.0.1:{http.server_port}/")
        Handler.server_facts = server
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has seen enough hangs up; anything else would show in what it got."""


class _Handler(BaseHTTPRequestHandler):
    server_facts: FileServer

    def do_GET(self) -> None:
        name, asked = self.path.lstrip("/"), self.headers.get("Range", "")
        file = self.server_facts.files.get(name)
        status, start = 404, 0
        if file is not None:
            start = self._start(file, asked)
            status = 206 if start else 200
            if start >= len(file.data) > 0:
                status = 416
            status = file.statuses.pop(0) if file.statuses else 302 if file.location else status
        self.server_facts.requests.append((name, asked, status))
        self.send_response(status)
        if file is None or status not in {200, 206}:
            self._end(file.location if file is not None else None)
            return
        self._send(file, start, status)

    def _start(self, file: Served, asked: str) -> int:
        match = re.fullmatch(r"bytes=(\d+)-", asked)
        same = self.headers.get("If-Range") in {None, file.etag, file.modified}
        return int(match[1]) if match and file.ranges and same else 0

    def _end(self, location: str | None) -> None:
        if location is not None:
            self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, file: Served, start: int, status: int) -> None:
        body = file.data[start:]
        headers = {"Content-Type": "application/zip", "Content-Length": str(len(body))}
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{len(file.data) - 1}/{len(file.data)}"
        headers |= {"ETag": file.etag} if file.etag else {}
        headers |= {"Last-Modified": file.modified} if file.modified else {}
        headers |= file.headers
        for key, value in headers.items():
            if not (file.endless and key == "Content-Length"):
                self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body[: file.stops.pop(0)] if file.stops else body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
