"""How the service is, and what it serves."""

from fastapi import APIRouter, Depends

from service.answers import answer_info
from service.openapi import answers
from service.parameters import EngineOf, LiveOf, PipelineOf, SettingsOf, known_query
from service.schemas import Info, Status

__all__ = ["router"]

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
