"""The load: so many clients, each of which sends its next request as soon as the last one is answered.

`wrk` (Debian's package of that name) where there is one, as it takes a tenth of a millisecond of processor time a
request or less; else a loop in Python, which takes a few times that from the server it measures. wrk's percentiles
count a stall once more for each request that it kept from being sent.
"""

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np

SCRIPT = Path(__file__).with_name("wrk.lua")
BOUNDARY = "solemate-benchmark"
TIMEOUT = 10
"""Seconds after which a request counts as an error."""


class BenchmarkError(Exception):
    """A server did not start, went away, or answers wrongly: its figures would mean nothing."""


@dataclass(frozen=True)
class Load:
    """What the clients saw.

    Attributes:
        requests: answers, the wrong ones among them.
        errors: answers of another status than 2xx, broken connections and time-outs.
        seconds: how long it went on.
        p50_ms: the median time to an answer, in milliseconds.
        p99_ms: the time within which 99 of 100 answers came.
    """

    requests: int
    errors: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Right answers a second."""
        return max(0, self.requests - self.errors) / self.seconds


def find_wrk() -> str | None:
    """Where wrk is, if it is installed."""
    return shutil.which("wrk")


def form(field: str, picture: bytes) -> bytes:
    """The body of a multipart form with one picture."""
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="shoe.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    return head.encode() + picture + f"\r\n--{BOUNDARY}--\r\n".encode()


def prepare(path: str, field: str, pictures: Sequence[bytes]) -> list[bytes]:
    """Whole requests of HTTP/1.1, one for each picture, byte for byte as they are sent."""
    requests = []
    for picture in pictures:
        body = form(field, picture)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        requests.append(head.encode() + body)
    return requests


def run_load(port: int, requests: Sequence[bytes], *, clients: int, seconds: float, scratch: Path) -> Load:
    """Send requests to 127.0.0.1 for so long.

    Args:
        port: where the server listens.
        requests: sent in turn, over and over.
        clients: connections, each with one request under way.
        seconds: how long; whole seconds for wrk.
        scratch: a folder for files in between.

    Raises:
        BenchmarkError: wrk gave up.
    """
    wrk = find_wrk()
    if wrk is None:
        return run_load_in_python(port, requests, clients=clients, seconds=seconds)
    scratch.mkdir(parents=True, exist_ok=True)
    for number, request in enumerate(requests):
        (scratch / f"{number:04}.http").write_bytes(request)
    # One thread is enough: it idles most of the time even at the fastest server's rate.
    command = [wrk, "-t", "1", "-c", str(clients), "-d", f"{max(1, round(seconds))}s", "--timeout", f"{TIMEOUT}s"]
    command += ["-s", str(SCRIPT), f"http://127.0.0.1:{port}/", "--", str(scratch), str(len(requests))]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=seconds + 60)
    if done.returncode:
        raise BenchmarkError(f"wrk: {(done.stderr or done.stdout).strip()}")
    return Load(**json.loads(done.stdout.splitlines()[-1]))


def run_load_in_python(port: int, requests: Sequence[bytes], *, clients: int, seconds: float) -> Load:
    """`run_load` without wrk."""
    return asyncio.run(_run_clients(port, requests, clients, seconds))


async def _run_clients(port: int, requests: Sequence[bytes], clients: int, seconds: float) -> Load:
    turn = cycle(requests)
    times: list[float] = []
    errors = 0
    start = time.perf_counter()

    async def client() -> None:
        nonlocal errors
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while (sent := time.perf_counter()) < start + seconds:
                writer.write(next(turn))
                status = await asyncio.wait_for(_read_answer(reader), TIMEOUT)
                times.append(time.perf_counter() - sent)
                errors += not 200 <= status < 300
        finally:
            writer.close()

    ends = await asyncio.gather(*(client() for _ in range(clients)), return_exceptions=True)
    errors += sum(isinstance(end, Exception) for end in ends)
    took = time.perf_counter() - start
    p50, p99 = np.percentile(times, [50, 99]) * 1000 if times else (float("nan"), float("nan"))
    return Load(len(times), errors, took, float(p50), float(p99))


async def _read_answer(reader: asyncio.StreamReader) -> int:
    """Read one whole answer; returns its status."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = head.partition(b"content-length:")[2].partition(b"\r\n")[0].strip()
    if length:
        await reader.readexactly(int(length))
    else:  # chunked
        while (size := int(await reader.readline(), 16)) > 0:
            await reader.readexactly(size + 2)
        await reader.readline()
    return int(head.split(maxsplit=2)[1])
