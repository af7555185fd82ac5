"""How many processors this process may really use."""

import os
from pathlib import Path

__all__ = ["count_cpus"]

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Where Linux tells a container its share: `QUOTA PERIOD` in microseconds, or `max PERIOD` (cgroup v2)."""


def count_cpus(quota: Path = QUOTA) -> int:
    """At least 1: what the scheduler may give us, or less where a container's quota says so.

    Args:
        quota: the file that tells the quota; one that is not there, or can't be understood, tells none.
    """
    # Not os.cpu_count(): that is the machine's, also where this process is held to a few of them.
    affinity = getattr(os, "sched_getaffinity", None)
    available = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        share, period = quota.read_text(encoding="ascii").split()
        # Rounded up: a quota of one and a half keeps two workers busy most of the time.
        available = min(available, -(-int(share) // int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        pass
    return max(1, available)
