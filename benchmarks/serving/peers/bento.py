"""Peer: BentoML with adaptive batching: `bentoml serve benchmarks.serving.peers.bento:Search`."""

import os
from typing import Any

import bentoml
from PIL.Image import Image

from benchmarks.serving.peers.work import MAX_BATCH, WORKERS, Work


@bentoml.service(workers=int(os.environ[WORKERS]), logging={"access": {"enabled": False}})
class Search:
    """Pictures to nearest shoes, as many at once as BentoML hands over."""

    def __init__(self) -> None:
        self.work = Work()

    @bentoml.api(batchable=True, max_batch_size=MAX_BATCH)
    def search(self, images: list[Image]) -> list[dict[str, Any]]:
        """The ten nearest shoes of each."""
        return self.work.answer([self.work.decode(image) for image in images])
