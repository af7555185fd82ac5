"""Artifacts that are damaged, cut off, mixed up or gone, at a start and at a reload."""

import asyncio
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faults.asks import picture_asks
from benchmarks.faults.client import Book, ask_all
from benchmarks.faults.ground import Ground
from benchmarks.faults.kills import under_load
from benchmarks.faults.report import Trial
from benchmarks.faults.scale import Scale
from benchmarks.faults.service import NotStarted, Service, run_service

__all__ = ["DERIVED", "FILES", "Damage", "damages", "try_artifacts"]

FILES = ("checkpoint/weights.safetensors", "checkpoint/config.json", "catalog/catalog.sqlite", "catalog/overall.faiss")
DERIVED = "catalog/overall.faiss"
"""Is made anew where it is damaged."""
DIGESTED = FILES[:1]
"""Are refused whatever is damaged. The others have white space, notes and free pages, which nothing reads."""


CHECKED = 16
"""Searches whose answers are looked at where a damaged file was taken."""


@dataclass(frozen=True)
class Damage:
    """Something done to one file.

    Attributes:
        file: which.
        what: was done to it.
        do: does it, given the copy that is damaged and the file's counterpart of another network.
    """

    file: str
    what: str
    do: Callable[[Path, Path], object]


def damages(sizes: dict[str, int], flips: int, seed: int = 0) -> Iterator[Damage]:
    """Each file gone, empty, halved, a byte short, another network's, not what it was, and with single bits flipped."""
    rng = random.Random(seed)
    for file in FILES:
        yield Damage(file, "gone", lambda path, _: path.unlink())
        yield Damage(file, "empty", lambda path, _: path.write_bytes(b""))
        yield Damage(file, "halved", lambda path, _: _cut(path, path.stat().st_size // 2))
        yield Damage(file, "a byte short", lambda path, _: _cut(path, path.stat().st_size - 1))
        yield Damage(file, "another network's", lambda path, other: shutil.copy(other, path))
        yield Damage(file, "text", lambda path, _: path.write_bytes(b"not what you expect\n" * 100))
        for _ in range(flips):
            place, bit = rng.randrange(sizes[file]), rng.randrange(8)
            yield Damage(file, f"bit {bit} of byte {place} flipped", _Flip(place, bit))


@dataclass(frozen=True)
class _Flip:
    place: int
    bit: int

    def __call__(self, path: Path, _other: Path) -> None:
        with path.open("r+b") as file:
            file.seek(self.place)
            byte = file.read(1)[0]
            file.seek(self.place)
            file.write(bytes([byte ^ 1 << self.bit]))


def _cut(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)


def try_artifacts(ground: Ground, scale: Scale) -> Iterator[Trial]:
    """Damage copies of what is served, one file at a time, and offer them to a start and to a running service."""
    sizes = {file: (ground.first.folder / file).stat().st_size for file in FILES}
    starts = [each for each in damages(sizes, 1) if scale.damages > 3 or each.what in {"empty", "halved"}]
    try:
        yield _start(ground, starts)
        with run_service(ground, "damaged-reloads") as service:
            yield _reload(ground, service, list(damages(sizes, scale.damages)), scale)
    finally:
        ground.reset()


def _damage(ground: Ground, damage: Damage) -> None:
    """Let the links lead to a damaged copy of the first workload's artifacts."""
    folder = ground.scratch("damaged")
    for name in ("checkpoint", "catalog"):
        shutil.copytree(ground.first.folder / name, folder / name)
    with closing(sqlite3.connect(folder / "catalog" / "catalog.sqlite")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for left in ("-wal", "-shm"):
        (folder / "catalog" / f"catalog.sqlite{left}").unlink(missing_ok=True)
    damage.do(folder / damage.file, ground.second.folder / damage.file)
    ground.link(folder / "checkpoint", folder / "catalog")


def _start(ground: Ground, tried: list[Damage]) -> Trial:
    counts = {"refused": 0, "served": 0}
    wrong = []
    asks = picture_asks(ground.first.pictures[:CHECKED], ground.nearest())
    log = ground.folder / "logs" / "damaged-start.log"
    for damage in tried:
        _damage(ground, damage)
        try:
            with run_service(ground, "damaged-start", workers=1) as service:
                book = ask_all(service.port, asks)
            counts["served"] += 1
            if not book.clean or damage.file in DIGESTED:
                wrong.append(f"{damage.file}, {damage.what}: it serves; {book}")
        except NotStarted as end:
            counts["refused"] += 1
            said = log.read_text("utf-8", "replace")
            told = said.splitlines()[-1].startswith("error: ") and "Traceback" not in said
            if end.status != 1 or not told or damage.file == DERIVED:
                wrong.append(f"{damage.file}, {damage.what}: status {end.status}: {said[-500:]}")
    return Trial(
        "damaged artifacts, start",
        f"{len(tried)} starts with one file of four gone, empty, halved, a byte short, another network's, text, or "
        "with a bit flipped",
        f"{counts['refused']} refused with the status 1 and one line that says why; {counts['served']} served rightly, "
        f"as nothing that is read was damaged or it was made anew; {len(wrong)} otherwise",
        not wrong,
        {"counts": counts, "not_as_expected": wrong},
    )


def _reload(ground: Ground, service: Service, tried: list[Damage], scale: Scale) -> Trial:
    counts = {"refused": 0, "taken": 0}
    wrong: list[str] = []

    async def story(book: Book) -> None:
        for damage in tried:
            await asyncio.to_thread(_damage, ground, damage)
            status, told = await asyncio.to_thread(service.reload)
            if status == 409:
                counts["refused"] += 1
                if damage.file == DERIVED:
                    wrong.append(f"{damage.file}, {damage.what}: refused: {told}")
            elif status == 200:
                # A bit that nothing reads changes nothing; then the answers must be right.
                counts["taken"] += 1
                if damage.file in DIGESTED:
                    wrong.append(f"{damage.file}, {damage.what}: taken")
                before = book.statuses[200]
                while book.statuses[200] < before + CHECKED:
                    await asyncio.sleep(0.005)
            else:
                wrong.append(f"{damage.file}, {damage.what}: status {status}: {told}")

    book = asyncio.run(under_load(ground, service, scale.clients, story))
    said = service.said()
    return Trial(
        "damaged artifacts, reload",
        f"{len(tried)} reloads onto such artifacts, {scale.damages} flipped bits of each file among them, "
        f"{scale.clients} clients searching",
        f"{counts['refused']} refused with 409, {counts['taken']} taken, as nothing that is read was damaged or it was "
        f"made anew, {len(wrong)} otherwise; searches meanwhile: {book}",
        not wrong and book.clean and set(book.statuses) == {200} and "Traceback" not in said,
        {"counts": counts, "not_as_expected": wrong[:20], **book.figures()},
    )
