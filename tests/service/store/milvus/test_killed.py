"""A real Milvus is killed with SIGKILL while two replicas of the service answer, and somebody writes.

It needs the server of the package `milvus` (2.3), best in an environment of its own, whose command `milvus-server` is
named by SOLEMATE_TEST_MILVUS_SERVER or found on PATH; and a network namespace, as it listens on all interfaces.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pymilvus")

SERVER = os.environ.get("SOLEMATE_TEST_MILVUS_SERVER") or shutil.which("milvus-server")

ALONE = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
"""Runs a command where there is no network but the loopback."""


def can_be_alone() -> bool:
    """Whether that is allowed here."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return False
    return subprocess.run([*ALONE, "true"], check=False, capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(SERVER is None, reason="needs the package milvus: SOLEMATE_TEST_MILVUS_SERVER=.../milvus-server")
def test_a_kill_loses_nothing_and_is_recovered_from(tmp_path: Path) -> None:
    """Nothing acknowledged is lost, answers are right or 503 with Retry-After, and replicas recover by themselves."""
    if not can_be_alone():
        pytest.skip("needs the right to make a network namespace, and the commands unshare and ip")
    command = [sys.executable, "-m", "benchmarks.milvus", "faults", "--server", str(SERVER), "--data", str(tmp_path)]
    root = Path(__file__).parents[4]
    # One kill; the benchmark exits with 1 if any answer was wrong, or anything acknowledged is not there in the end.
    ended = subprocess.run(
        [*ALONE, *command, "--kills", "1", "--calm", "5"], cwd=root, check=False, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr[-3000:]
    assert "wrong answers, lost writes, phantoms, differences: 0" in ended.stdout
    assert "503 without Retry-After: 0" in ended.stdout
