"""What Prometheus collects."""

from fastapi import APIRouter, Response

from service.exposition import CONTENT_TYPE, render
from service.parameters import EngineOf

__all__ = ["router"]

router = APIRouter(tags=["operations"])


@router.get("/metrics", include_in_schema=False)
def get_metrics(engine: EngineOf) -> Response:
    """The metrics of all workers, in Prometheus' text format."""
    return Response(render(engine), media_type=CONTENT_TYPE)
