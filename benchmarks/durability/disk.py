"""A disk that is full, and one that is read-only: what is said, what is left, and what works again afterwards.

    python -m benchmarks.durability.disk FOLDER

prints one line of JSON a step, and ends with the status 1 if something was wrong. FOLDER is to be a small file system
of its own; `run_in_small_disk` gives it one that is gone with the process.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.durability.operations import make_operation, make_store
from benchmarks.durability.truth import Truth, find_difference, find_wrong_answer
from model.errors import ArtifactError, SolemateError
from service.catalog.indexing.ledger import Ledger, begin
from service.catalog.indexing.shards import WHOLE
from service.store.embedded.store import EmbeddedStore

__all__ = ["Step", "can_mount", "run_in_small_disk", "run_steps"]

ROOT = Path(__file__).parents[2]
DISK_KIB = 8 * 1024
SEED = 7
OPERATIONS = 10
MOST_OPERATIONS = 20_000


@dataclass(frozen=True)
class Step:
    """What was tried, what was said, and what was wrong with that; empty if nothing was."""

    name: str
    said: str
    problem: str


def can_mount() -> bool:
    """Whether this process may give a child a file system of its own."""
    command = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /mnt"]
    try:
        return subprocess.run(command, check=False, capture_output=True, timeout=30).returncode == 0
    except OSError:
        return False


def run_in_small_disk(folder: Path) -> list[Step]:
    """Run the steps in a process of its own, on a disk of a few megabytes that only that one sees."""
    script = 'mount -t tmpfs -o size="$1"k tmpfs "$2" && exec "$3" -m benchmarks.durability.disk "$2"'
    command = ["unshare", "--mount", "sh", "-c", script, "sh", str(DISK_KIB), str(folder), sys.executable]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300, cwd=ROOT)
    if done.returncode not in {0, 1} or not done.stdout:
        raise RuntimeError(f"the steps on a small disk ended with the status {done.returncode}:\n{done.stderr}")
    return [Step(**json.loads(line)) for line in done.stdout.splitlines()]


def run_steps(disk: Path) -> Iterator[Step]:
    """All of them, in their order. `disk` is small, empty, and may be mounted anew."""
    folder = disk / "catalog"
    truth = Truth()
    with closing(make_store(folder)) as store:
        for number in range(OPERATIONS):
            operation = make_operation(SEED, number)
            operation.run(store)
            truth = truth.after(operation)
        yield _check("a disk with room", "", store, truth)
        ballast = disk / "ballast"
        _fill(ballast)
        said, truth = _write_until_full(store, truth)
        yield _check("writing to a full disk", said, store, truth, expected="disk is full")
        for name, attempt in _others(folder):
            yield Step(name, *_refused(attempt, "disk is full"))
        yield _check("searching on a full disk", "", store, truth)
    yield _check_opened("starting on a full disk", folder, truth)
    ballast.unlink()
    yield _check_opened("starting once there is room", folder, truth)
    with closing(EmbeddedStore.open(folder)) as store:
        operation = make_operation(SEED, MOST_OPERATIONS + 1)
        operation.run(store)
        truth = truth.after(operation)
        yield _check("writing once there is room", "", store, truth)
    yield from _run_read_only(disk, folder, truth)


def _run_read_only(disk: Path, folder: Path, truth: Truth) -> Iterator[Step]:
    _remount(disk, "ro")
    try:
        yield _check_opened("starting on a read-only disk", folder, truth)
        with closing(EmbeddedStore.open(folder)) as store:
            operation = make_operation(SEED, 0)
            said, problem = _refused(lambda: operation.run(store), "read-only")
            yield Step("writing to a read-only disk", said, problem or find_difference(store, truth) or "")
        for name, attempt in _others(folder):
            yield Step(name.replace("full", "read-only"), *_refused(attempt, "read-only"))
    finally:
        _remount(disk, "rw")
    with closing(EmbeddedStore.open(folder)) as store:
        operation.run(store)
        yield _check("writing once it is writable again", "", store, truth.after(operation))


def _others(folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """What else an indexing writes."""
    yield "noting pictures in the ledger on a full disk", lambda: Ledger(folder).add({"x" * 5000: (1, 1)})
    yield "beginning an indexing on a full disk", lambda: begin(folder, WHOLE)
    yield "making a catalogue on a full disk", lambda: make_store(folder.with_name("another")).close()


def _write_until_full(store: EmbeddedStore, truth: Truth) -> tuple[str, Truth]:
    """Operations until one is refused: removing ones may still fit for a while."""
    for number in range(OPERATIONS, MOST_OPERATIONS):
        operation = make_operation(SEED, number)
        try:
            operation.run(store)
        except ArtifactError as error:
            return str(error), truth
        truth = truth.after(operation)
    return "", truth


def _refused(attempt: Callable[[], object], expected: str) -> tuple[str, str]:
    """What was said, and what is wrong with it."""
    try:
        attempt()
    except SolemateError as error:
        return str(error), "" if expected in str(error) else f"does not say {expected!r}"
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return repr(error), "not an error that a person is meant to see"
    return "", "was not refused"


def _check_opened(name: str, folder: Path, truth: Truth) -> Step:
    try:
        with closing(EmbeddedStore.open(folder)) as store:
            return _check(name, "", store, truth)
    except SolemateError as error:
        return Step(name, str(error), "could not be opened")


def _check(name: str, said: str, store: EmbeddedStore, truth: Truth, expected: str = "") -> Step:
    problem = find_difference(store, truth) or find_wrong_answer(store, truth, np.random.default_rng(0)) or ""
    if expected not in said:
        problem = problem or f"does not say {expected!r}"
    return Step(name, said, problem)


def _fill(path: Path) -> None:
    """Take all the room there is."""
    with path.open("wb", buffering=0) as file:
        size = 64 * 1024
        while size:
            try:
                file.write(b"\0" * size)
            except OSError:
                size //= 2


def _remount(disk: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", str(disk)], check=True)


def main(disk: Path) -> int:
    """Print the steps; returns the status."""
    status = 0
    for step in run_steps(disk):
        print(json.dumps(asdict(step)), flush=True)
        status |= bool(step.problem)
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
