"""The metrics as Prometheus reads them: what this process and its sister workers counted, and what is being served."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from model.version import find_version
from service.serving.engine import Engine
from service.telemetry import metrics

__all__ = ["CONTENT_TYPE", "Processes", "Served", "read_shared", "render"]

CONTENT_TYPE = CONTENT_TYPE_LATEST

read_shared: Callable[[CollectorRegistry, str], object] = multiprocess.MultiProcessCollector  # without types


def render(engine: Engine) -> bytes:
    """Every metric, in Prometheus' text format. Reads files: not for the event loop."""
    registry = CollectorRegistry()
    folder = metrics.shared_folder()
    if folder is None:
        registry.register(metrics.REGISTRY)
    else:
        read_shared(registry, folder)
    registry.register(Served(engine))
    registry.register(Processes(folder))
    return generate_latest(registry)


class Served(Collector):
    """What is being served, read at the moment of asking: it changes with a reload, and by other processes' hands."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterable[Metric]:
        """The catalogue's size, and the names of what is served as labels."""
        store = self._engine.catalogue().info
        size = GaugeMetricFamily("solemate_catalogue_shoes", "Shoes in the catalogue.", value=store.count)
        names = ("version", "checkpoint", "catalogue", "dimension")
        info = GaugeMetricFamily("solemate_info", "What is served; the value is always 1.", labels=names)
        info.add_metric(
            (find_version(), self._engine.checkpoint, store.fingerprint, str(self._engine.embedder.dimension)), 1
        )
        return size, info


class Processes(Collector):
    """The memory of each live process, workers and their supervisor, where the system tells it as Linux does."""

    def __init__(self, folder: str | None) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """A number for each process."""
        memory = GaugeMetricFamily(
            "solemate_process_resident_bytes",
            "Memory that a process holds, a worker or the supervisor.",
            labels=("pid",),
        )
        for pid in sorted(self._pids()):
            resident = resident_bytes(pid)
            if resident is not None:
                memory.add_metric((str(pid),), resident)
        return (memory,)

    def _pids(self) -> Iterator[int]:
        """The processes that count: each has a file of its own, which is removed when it has ended."""
        if self._folder is None:
            yield os.getpid()
            return
        for file in Path(self._folder).glob("gauge_livesum_*.db"):
            yield int(file.stem.rpartition("_")[2])


def resident_bytes(pid: int) -> int | None:
    """Bytes of memory that a process holds; None if that can't be told."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
