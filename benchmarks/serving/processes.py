"""A server's processes, looked at from outside, by Linux's /proc: processor time, memory, and their end."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")
STOP_SECONDS = 5.0


def family(root: int) -> set[int]:
    """A process and all that descend from it."""
    parents = {pid: int(fields[1]) for pid, fields in _stats()}
    members = {root} & parents.keys()
    while True:
        more = {pid for pid, parent in parents.items() if parent in members} - members
        if not more:
            return members
        members |= more


def cpu_seconds(members: Collection[int]) -> float:
    """Processor time that they have used so far, in user and in kernel mode."""
    return sum(int(fields[11]) + int(fields[12]) for pid, fields in _stats() if pid in members) / TICKS


def reset_peaks(members: Collection[int]) -> None:
    """Let the kernel count their peaks of memory from now on."""
    for pid in members:
        with suppress(OSError):
            (PROC / str(pid) / "clear_refs").write_text("5")


def peak_mib(members: Collection[int]) -> float:
    """The sum of each one's largest resident memory, in MiB; pages that they share count for each."""
    return _sum_mib(members, "VmHWM:")


def resident_mib(members: Collection[int]) -> float:
    """The sum of each one's resident memory now, in MiB; pages that they share count for each."""
    return _sum_mib(members, "VmRSS:")


def _sum_mib(members: Collection[int], name: str) -> float:
    total = 0
    for pid in members:
        with suppress(OSError):
            for line in (PROC / str(pid) / "status").read_text().splitlines():
                if line.startswith(name):
                    total += int(line.split()[1])
    return total / 1024


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a server and all of its processes: by SIGTERM, and those that are left after a while by SIGKILL."""
    members = family(process.pid)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    # Those whose parent went without them are no family any more, but still the same processes.
    _wait_for(lambda: not _alive(members), STOP_SECONDS / 2)
    for pid in _alive(members):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    _wait_for(lambda: not _alive(members), STOP_SECONDS)


def _alive(members: Collection[int]) -> list[int]:
    return [pid for pid, fields in _stats() if pid in members and fields[0] != "Z"]


def _wait_for(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)


def _stats() -> Iterator[tuple[int, list[str]]]:
    """Each process's id and the fields of its `stat` from the third one on: state, parent, ..."""
    for entry in PROC.iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):  # it has ended since
                text = (entry / "stat").read_text()
                yield int(entry.name), text.rpartition(")")[2].split()
