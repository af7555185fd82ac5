"""Prometheus metrics: every one is declared here, and recorded by a function here.

Several worker processes share their numbers through files, in the folder that PROMETHEUS_MULTIPROC_DIR names. The
client library reads that variable when it is first imported, so whoever starts workers sets it before importing this
module, and gives each worker the same one. Without it the numbers are those of this process alone.

Labels have few values, all of them the program's own: no text of a client becomes a label.
"""

import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, multiprocess

from service.telemetry.metrics_files import release
from service.telemetry.request_timing import STAGES

# The library gives these no types.
drop_created_series: Callable[[], None] = disable_created_metrics
mark_process_dead: Callable[[int], None] = multiprocess.mark_process_dead

# Series with creation times would double their number, and do not exist where several processes share metrics.
drop_created_series()

REGISTRY = CollectorRegistry()

REASONS = (
    "queue-full",  # no place in the queue of a batcher
    "deadline",  # it waited in the queue for too long
    "batcher-failed",  # the thread that runs batches died with it in hand
    "memory",  # the bytes of all requests under way are more than the process may hold
    "connections",  # more of them are open than the process takes
    "head-too-large",
    "body-too-large",
    "too-many-parts",  # a form with more parts, or larger headers and fields, than it may have
    "slow-sender",
    "slow-reader",
    "unauthorized",
    "forbidden",
    "wrong-host",
    "disconnected",  # the client went away before its answer was worked out
)
"""Labels of rejected requests: why they were refused or dropped before they were handled."""

OTHER = "other"

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

QueueName = Literal["encode", "write"]

ReloadOutcome = Literal["switched", "kept"]

STAGE_SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
REQUEST_SECONDS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.035, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)

requests = Counter(
    "solemate_requests", "Requests that ended, with their status.", ("method", "route", "status"), registry=REGISTRY
)
request_seconds = Histogram(
    "solemate_request_seconds",
    "From a request's headers to the last byte of its answer.",
    ("route",),
    buckets=REQUEST_SECONDS,
    registry=REGISTRY,
)
stage_seconds = Histogram(
    "solemate_stage_seconds",
    "What requests spent in each stage.",
    ("stage",),
    buckets=STAGE_SECONDS,
    registry=REGISTRY,
)
in_flight = Gauge(
    "solemate_requests_in_flight", "Requests that are under way.", multiprocess_mode="livesum", registry=REGISTRY
)
queue_depth = Gauge(
    "solemate_queue_depth",
    "Jobs that wait for a batch.",
    ("queue",),
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
batch_size = Histogram(
    "solemate_batch_size", "Jobs that ran as one batch.", ("queue",), buckets=BATCH_SIZES, registry=REGISTRY
)
batch_retries = Counter(
    "solemate_batch_retries", "Batches that failed and were run again, job by job.", ("queue",), registry=REGISTRY
)
batcher_deaths = Counter(
    "solemate_batcher_deaths",
    "Times that the thread of a batcher died and was replaced.",
    ("queue",),
    registry=REGISTRY,
)
rejections = Counter(
    "solemate_rejections", "Requests turned away or dropped before the work was done.", ("reason",), registry=REGISTRY
)
problems = Counter(
    "solemate_problems", "Answers that were problems, by the last part of their type.", ("type",), registry=REGISTRY
)
reloads = Counter(
    "solemate_reloads",
    "Reloads of the artifacts, worker by worker: switched to the new ones, or kept the old.",
    ("outcome",),
    registry=REGISTRY,
)
worker_restarts = Counter(
    "solemate_worker_restarts", "Workers that ended by themselves and were replaced.", registry=REGISTRY
)
index_recall = Gauge(
    "solemate_index_recall",
    "Recall@10 of searches, measured when their index was built; 1 where they are exact. The least of all workers'.",
    ("condition",),
    multiprocess_mode="livemin",
    registry=REGISTRY,
)


def observe_request(method: str, route: str, status: int, seconds: float, stages: Mapping[str, float]) -> None:
    """Record a request that has ended.

    Args:
        method: its HTTP method; one that HTTP does not know counts as `OTHER`.
        route: the template of its path, such as `/v1/items/{id}`; never the path itself.
        status: of its answer.
        seconds: from its headers to the last byte of its answer.
        stages: stage -> seconds.
    """
    counted, timed = _of_route(method if method in METHODS else OTHER, route, status)
    counted.inc()
    timed.observe(seconds)
    for stage, spent in stages.items():
        _of_stage(stage).observe(spent)


def request_began() -> None:
    """Record that a request has begun; `request_ended` follows in every case."""
    in_flight.inc()


def request_ended() -> None:
    """Record that it is over."""
    in_flight.dec()


def set_queue_depth(depth: int, queue: QueueName = "encode") -> None:
    """Record how many jobs wait in a queue of this process."""
    _of_queue(queue)[0].set(depth)


def observe_batch(size: int, queue: QueueName = "encode") -> None:
    """Record how many jobs were taken out of the queue to run as one batch."""
    _of_queue(queue)[1].observe(size)


def count_batch_retry(queue: QueueName = "encode") -> None:
    """Record a batch that failed and is run again job by job."""
    batch_retries.labels(queue).inc()


def count_batcher_death(queue: QueueName = "encode") -> None:
    """Record that the thread that runs a queue's batches died."""
    batcher_deaths.labels(queue).inc()


def count_rejection(reason: str) -> None:
    """Record a request that is turned away or dropped; `reason` is one of `REASONS`, any other counts as `OTHER`."""
    rejections.labels(reason if reason in REASONS else OTHER).inc()


def count_problem(slug: str) -> None:
    """Record an answer that is a problem. `slug`: the last part of its type, one of the table's own."""
    problems.labels(slug or OTHER).inc()


def count_reload(outcome: ReloadOutcome) -> None:
    """Record how a reload ended in this worker."""
    reloads.labels(outcome).inc()


def count_worker_restart() -> None:
    """Record that a worker ended by itself and another was started in its place. For the supervisor."""
    worker_restarts.inc()


def set_index_recall(condition: str, recall: float) -> None:
    """Record the recall@10, in [0, 1], of the index that a condition's searches go by; 1 if they are exact."""
    index_recall.labels(condition).set(recall)


def shared_folder() -> str | None:
    """The folder through which worker processes share their numbers; None if this process is the only one."""
    return os.environ.get("PROMETHEUS_MULTIPROC_DIR")


def forget_worker(pid: int) -> None:
    """Leave a worker that has ended out of what is live; what it counted stays. For the supervisor."""
    if shared_folder() is not None:
        mark_process_dead(pid)
        release(pid)


# Looking labels up takes the library a good part of what noting a number does.
@cache
def _of_route(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    return requests.labels(method, route, str(status)), request_seconds.labels(route)


@cache
def _of_stage(stage: str) -> Histogram:
    return stage_seconds.labels(stage)


@cache
def _of_queue(queue: str) -> tuple[Gauge, Histogram]:
    return queue_depth.labels(queue), batch_size.labels(queue)


def _show_zeros() -> None:
    """Make the series whose labels are known beforehand: a first event is seen only as a step from zero."""
    for stage in STAGES:
        _of_stage(stage)
    for reason in (*REASONS, OTHER):
        rejections.labels(reason)
    for queue in ("encode", "write"):
        _of_queue(queue)
        batch_retries.labels(queue)
        batcher_deaths.labels(queue)
    for outcome in ("switched", "kept"):
        reloads.labels(outcome)


_show_zeros()
