"""How many processors there are for us."""

import os
from pathlib import Path

import pytest

from service.settings import Settings, count_cpus


def allow(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Let the scheduler give this process so many."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(count)), raising=False)


@pytest.mark.parametrize(
    ("quota", "count"),
    [
        ("max 100000", 6),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("50000 100000", 1),
        ("900000 100000", 6),
        ("what is this", 6),
        ("1 0", 6),
        ("", 6),
    ],
)
def test_quota_of_a_container(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quota: str, count: int) -> None:
    """A container's quota lowers the number, rounded up; one that can't be understood does not."""
    allow(monkeypatch, 6)
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    assert count_cpus(file) == count


def test_without_quota_or_affinity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the system tells neither a quota nor an affinity, it is the machine's number; at least 1."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert count_cpus(tmp_path / "none") == 3
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert count_cpus(tmp_path / "none") == 1


def test_workers_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless told otherwise there is a worker for each processor, up to a number that a small memory bears."""
    monkeypatch.setattr("service.settings.count_cpus", lambda: 3)
    assert Settings().workers == 3
    monkeypatch.setattr("service.settings.count_cpus", lambda: 64)
    assert Settings().workers == 8
    monkeypatch.setenv("SOLEMATE_WORKERS", "12")
    assert Settings().workers == 12
