"""How the service is, what it serves, its metrics, and reloading it, which takes an API key of the scope admin."""

from fastapi import APIRouter, Depends, Response

from service.http.dependencies import EngineOf, LiveOf, PipelineOf, ReloaderOf, SettingsOf, known_query
from service.http.openapi import answers
from service.http.prometheus import CONTENT_TYPE, render
from service.http.responses import answer_info, answer_reload
from service.http.schemas import Info, ReloadAnswer, Status

__all__ = ["admin", "metrics", "router"]

router = APIRouter(tags=["operations"])


@router.get("/healthz", responses=answers("healthz", 200))
async def get_health() -> Status:
    """Whether the process answers at all."""
    return Status(status="ok")


@router.get("/readyz", responses=answers("readyz", 200, 503))
async def get_readiness(live: LiveOf, pipeline: PipelineOf) -> Status:
    """Whether it answers rightly: a known picture goes through the network and the store, as any other would."""
    live.require_open()
    await pipeline.check_ready()
    return Status(status="ready")


@router.get("/v1/info", dependencies=[Depends(known_query())], responses=answers("info", 200, 422))
def get_info(engine: EngineOf, settings: SettingsOf) -> Info:
    """The checkpoint, the catalogue, and what a request may ask for."""
    return answer_info(engine, settings)


admin = APIRouter(prefix="/v1/admin", tags=["administration"])


@admin.post("/reload", dependencies=[Depends(known_query())], responses=answers("reload", 200, 401, 403, 409, 422))
async def reload_artifacts(reloader: ReloaderOf) -> ReloadAnswer:
    """Exchange the checkpoint and the catalogue that are served for those that are on disk now.

    They are opened and checked beside the old ones in every worker process; then all of them switch at once, or none
    does. No request is kept waiting, and those under way finish on the old ones.
    """
    return answer_reload(await reloader.reload())


metrics = APIRouter(tags=["operations"])


@metrics.get("/metrics", include_in_schema=False)
def get_metrics(engine: EngineOf) -> Response:
    """The metrics of all workers, in Prometheus' text format."""
    return Response(render(engine), media_type=CONTENT_TYPE)
