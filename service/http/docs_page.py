"""The interface's description as a page: Swagger UI, from files of our own under the page's strict content policy."""

from pathlib import Path

from fastapi import FastAPI
from starlette.responses import FileResponse

__all__ = ["install"]

PAGE = Path(__file__).parents[1] / "web" / "docs.html"


def install(app: FastAPI) -> None:
    """Serve the page at /docs."""

    async def get_docs() -> FileResponse:
        return FileResponse(PAGE, headers={"cache-control": "no-cache"})

    app.add_api_route("/docs", get_docs, include_in_schema=False)
