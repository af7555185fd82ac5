"""Peer: plain FastAPI and torch, a few lines around the work: `uvicorn benchmarks.serving.peers.plain:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, File, Request, UploadFile

from benchmarks.serving.peers.work import Work


@asynccontextmanager
async def load(_app: FastAPI) -> AsyncIterator[dict[str, Work]]:
    """The network and the index, once in each worker."""
    yield {"work": Work()}


app = FastAPI(lifespan=load)


@app.post("/search")
def search(request: Request, image: Annotated[UploadFile, File()]) -> dict[str, Any]:
    """The ten nearest shoes. FastAPI runs it in its pool of threads, off the event loop."""
    work: Work = request.state.work
    return work.answer([work.decode(image.file)])[0]
