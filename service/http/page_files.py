"""The page's files: scripts, styles, icons and documents, in gzip where the client takes it."""

import gzip
import re
from functools import lru_cache
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Scope

HEADERS = {"cache-control": "no-cache", "vary": "Accept-Encoding"}
"""Of all files: they change with a release under the same names."""

TEXTS = {".css", ".html", ".js", ".svg"}

FEWEST_BYTES = 1_000
"""Of a file that is compressed: a smaller one fits into one packet as it is."""


GZIP = re.compile(r"\bgzip\s*(?:[,;]|$)(?!\s*q=0(?:\.0*)?\s*(?:,|$))")
"""Where a header Accept-Encoding (RFC 9110, 12.5.3) names gzip, but not to refuse it."""


class PageFiles(StaticFiles):
    """The files of a folder. Each is compressed once, when it is first asked for."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file at a path below the folder, or 304 where the client has it."""
        response = await super().get_response(path, scope)
        request = Headers(scope=scope)
        if isinstance(response, FileResponse) and takes_gzip(request) and "range" not in request:  # of the file
            response = await self._compress(response, request)
        response.headers.update(HEADERS)
        return response

    async def _compress(self, response: FileResponse, request: Headers) -> Response:
        path = Path(response.path)
        if path.suffix not in TEXTS or int(response.headers["content-length"]) < FEWEST_BYTES:
            return response
        etag = response.headers["etag"]
        content = await run_in_threadpool(_read_compressed, path, etag)
        headers = {"content-encoding": "gzip", "etag": f'{etag[:-1]}-gzip"'}
        headers["last-modified"] = response.headers["last-modified"]
        compressed = Response(content, headers=headers, media_type=response.media_type)
        return (
            NotModifiedResponse(compressed.headers) if self.is_not_modified(compressed.headers, request) else compressed
        )


def takes_gzip(request: Headers) -> bool:
    """Whether a client takes gzip, by the headers of its request."""
    return GZIP.search(request.get("accept-encoding", "").lower()) is not None


@lru_cache
def _read_compressed(path: Path, _etag: str) -> bytes:
    return gzip.compress(path.read_bytes(), mtime=0)
