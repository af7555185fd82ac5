"""Changing what is served. Every path here takes an API key of the scope admin."""

from fastapi import APIRouter, Depends

from service.answers import answer_reload
from service.openapi import answers
from service.parameters import ReloaderOf, known_query
from service.schemas import ReloadAnswer

__all__ = ["router"]

router = APIRouter(prefix="/v1/admin", tags=["administration"])


@router.post("/reload", dependencies=[Depends(known_query())], responses=answers("reload", 200, 401, 403, 409, 422))
async def reload_artifacts(reloader: ReloaderOf) -> ReloadAnswer:
    """Exchange the checkpoint and the catalogue that are served for those that are on disk now.

    They are opened and checked beside the old ones in every worker process; then all of them switch at once, or none
    does. No request is kept waiting, and those under way finish on the old ones.
    """
    return answer_reload(await reloader.reload())
