"""Health, facts, Prometheus metrics and reloads. Reloading takes an API key of the scope admin."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from model.version import find_version
from service.http.openapi import answers
from service.http.requests import EngineOf, LiveOf, PipelineOf, ReloaderOf, SettingsOf, known_query
from service.http.responses import answer_info, answer_record, answer_reload
from service.http.schemas import CheckpointRecord, Info, ReloadAnswer, Status
from service.serving.engine import Engine
from service.telemetry import metrics

read_shared: Callable[[CollectorRegistry, str], object] = multiprocess.MultiProcessCollector  # without types


def render(engine: Engine) -> bytes:
    """Every metric, in Prometheus' text format. Reads files: not for the event loop."""
    registry = CollectorRegistry()
    folder = metrics.shared_folder()
    if folder is None:
        registry.register(metrics.REGISTRY)
    else:
        read_shared(registry, folder)
    registry.register(Served(engine, folder))
    return generate_latest(registry)


class Served(Collector):
    """Collector of what is served, and by which processes: read at each scrape, as reloads and others change it."""

    def __init__(self, engine: Engine, folder: str | None) -> None:
        """`folder`: of the metrics' files, where several processes share them."""
        self._engine, self._folder = engine, folder

    def collect(self) -> Iterator[Metric]:
        """The catalogue's size, the names of what is served as labels, and the memory of each process; on Linux."""
        store = self._engine.catalogue().info
        yield GaugeMetricFamily("solemate_catalogue_shoes", "Shoes in the catalogue.", value=store.count)
        names = ("version", "checkpoint", "catalogue", "dimension")
        info = GaugeMetricFamily("solemate_info", "What is served; the value is always 1.", labels=names)
        dimension = str(self._engine.embedder.dimension)
        info.add_metric((find_version(), self._engine.checkpoint, store.fingerprint, dimension), 1)
        yield info
        text = "Memory that a process holds, a worker or the supervisor."
        memory = GaugeMetricFamily("solemate_process_resident_bytes", text, labels=("pid",))
        for pid in sorted(self._pids()):
            resident = resident_bytes(pid)
            if resident is not None:
                memory.add_metric((str(pid),), resident)
        yield memory

    def _pids(self) -> Iterator[int]:
        """The live processes: each has a metrics file, which is removed when it has ended."""
        if self._folder is None:
            yield os.getpid()
            return
        for file in Path(self._folder).glob("gauge_livesum_*.db"):
            yield int(file.stem.rpartition("_")[2])


def resident_bytes(pid: int) -> int | None:
    """Bytes of memory that a process holds; None where it is not known."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


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


@router.get("/v1/checkpoint", dependencies=[Depends(known_query())], responses=answers("checkpoint", 200, 422))
def get_checkpoint(engine: EngineOf, settings: SettingsOf) -> CheckpointRecord:
    """How the network was trained: its model card, the figures of each epoch, and its evaluation."""
    return answer_record(engine, settings)


admin = APIRouter(prefix="/v1/admin", tags=["administration"])


@admin.post("/reload", dependencies=[Depends(known_query())], responses=answers("reload", 200, 401, 403, 409, 422))
async def reload_artifacts(reloader: ReloaderOf) -> ReloadAnswer:
    """Exchange the checkpoint and the catalogue that are served for those that are on disk now.

    They are opened and checked beside the old ones in every worker process; then all of them switch at once, or none
    does. No request is kept waiting, and those under way finish on the old ones.
    """
    return answer_reload(await reloader.reload())


prometheus = APIRouter(tags=["operations"])


@prometheus.get("/metrics", include_in_schema=False)
def get_metrics(engine: EngineOf) -> Response:
    """The metrics of all workers, in Prometheus' text format."""
    return Response(render(engine), media_type=CONTENT_TYPE_LATEST)
