"""A disk that is full: while a catalogue is indexed, and under a service.

The disk is a small tmpfs, mounted for the purpose. Where this process may not mount one, a limit to the size of files
(RLIMIT_FSIZE) stands in for it: writes fail likewise, by EFBIG in place of ENOSPC.
"""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faults.asks import picture_asks
from benchmarks.faults.client import ask_all
from benchmarks.faults.ground import Ground
from benchmarks.faults.report import Trial
from benchmarks.faults.scale import Scale
from benchmarks.faults.service import run_service
from benchmarks.serving.load import BenchmarkError
from service.store.base import iterate_items
from service.store.embedded.store import EmbeddedStore

__all__ = ["try_disk"]

ROOT = Path(__file__).resolve().parents[2]
SIZES = tuple(number * 2**18 for number in (1, 2, 3, 4, 5))
SERVED_SIZE = 4 * 2**20


@dataclass(frozen=True)
class Disk:
    """A place where little can be written.

    Attributes:
        folder: of it.
        kind: what bounds it.
        size: bytes that it holds, or that a file may have.
        is_real: whether the disk itself is small.
    """

    folder: Path
    kind: str
    size: int
    is_real: bool

    def fill(self) -> Path:
        """Take all room that is left; returns the file that does."""
        path = self.folder / "filler"
        if self.is_real:
            with path.open("wb", buffering=0) as file:
                try:
                    while file.write(bytes(4096)):
                        pass
                except OSError:
                    return path
        return path

    def bound(self) -> None:
        """Bound what this process may write; for a child before it runs its program."""
        if not self.is_real:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.size))

    def enlarge(self) -> None:
        """Give it room."""
        if self.is_real:
            subprocess.run(["mount", "-o", "remount,size=64m", str(self.folder)], check=True)


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Disk]:
    """A tmpfs of so many bytes, or what stands in for it."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode:
        yield Disk(folder, "files that may not grow beyond a limit (no tmpfs may be mounted here)", size, is_real=False)
        return
    try:
        yield Disk(folder, "a tmpfs", size, is_real=True)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def try_disk(ground: Ground, scale: Scale) -> Iterator[Trial]:
    """Index onto disks that fill up sooner or later; make room and go on; serve from a full one."""
    pictures = _link_pictures(ground, scale.shoes)
    indexings = []
    for size in SIZES[:: 1 if scale.stops > 1 else len(SIZES)]:
        with small_disk(ground.scratch("disk"), size) as disk:
            indexings.append(_index(ground, pictures, disk, scale.shoes))
    held = [each for each in indexings if each.held]
    yield Trial(
        "full disk, index",
        f"`python -m service index` of {scale.shoes:,} shoes onto {disk.kind} of "
        f"{', '.join(f'{each.disk.size // 1024:,}' for each in indexings)} KiB",
        f"{len(held)} of {len(indexings)} ended with the status 1 and one line that says so; "
        f"{', '.join(f'{each.whole:,}' for each in indexings)} shoes were acknowledged, all of them whole; with room "
        f"again the same command ended with {', '.join(f'{each.after:,}' for each in indexings)}",
        len(held) == len(indexings),
        {"indexings": [vars(each) | {"disk": each.disk.size} for each in indexings]},
    )
    with small_disk(ground.scratch("disk"), SERVED_SIZE) as disk:
        yield _serve(ground, disk)


def _link_pictures(ground: Ground, shoes: int) -> Path:
    """A catalogue of so many shoes, of links to the pictures that there are."""
    folder = ground.scratch("many") / "shoes"
    folder.mkdir()
    files = sorted((ground.first.folder / "pictures").iterdir())
    for number in range(shoes):
        (folder / f"{number:05}.jpg").symlink_to(files[number % len(files)])
    return folder.parent


@dataclass(frozen=True)
class Indexing:
    """One that had too little room, and the next, which had enough.

    Attributes:
        disk: with too little room.
        shoes: to be indexed.
        status: of the first command.
        said: the end of its log.
        whole: shoes that can be read after it.
        again: the second command's status.
        after: shoes after it.
    """

    disk: Disk
    shoes: int
    status: int
    said: str
    whole: int
    again: int
    after: int

    @property
    def held(self) -> bool:
        """Whether the first one ended as it should, and the second one made it good."""
        last = self.said.splitlines()[-1] if self.said else ""
        told = self.status == 1 and last.startswith("error: ") and "Traceback" not in self.said
        return told and self.whole < self.shoes and (self.again, self.after) == (0, self.shoes)


def _index(ground: Ground, pictures: Path, disk: Disk, shoes: int) -> Indexing:
    out = disk.folder / "catalog"
    full = _run_index(ground, pictures, out, disk)
    whole = _count_whole(out)
    # Room again: what was acknowledged is there, and the rest follows.
    disk.enlarge()
    again = _run_index(ground, pictures, out, None)
    return Indexing(disk, shoes, full.returncode, full.stderr[-2000:], whole, again.returncode, _count_whole(out))


def _run_index(ground: Ground, pictures: Path, out: Path, disk: Disk | None) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "service", "index", "--catalog", str(pictures), "--out", str(out)]
    command += ["--checkpoint", str(ground.first.checkpoint), "--device", "cpu"]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        preexec_fn=disk.bound if disk is not None else None,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )


def _count_whole(folder: Path) -> int:
    """Shoes in a catalogue that passes its checks, each with its vector."""
    store = EmbeddedStore.open(folder)
    try:
        return sum(store.vector(item.id).size > 0 for item in iterate_items(store))
    finally:
        store.close()


def _serve(ground: Ground, disk: Disk) -> Trial:
    """Serve a catalogue without its derived index from a disk that fills up, temporary files on it too."""
    shutil.copytree(ground.first.catalog, disk.folder / "catalog")
    (disk.folder / "catalog" / "overall.faiss").unlink()
    (disk.folder / "tmp").mkdir()
    ground.link(ground.first.checkpoint, disk.folder / "catalog")
    asks = picture_asks(ground.first.pictures, ground.nearest())
    try:
        with run_service(ground, "full-disk", settings={"TMPDIR": str(disk.folder / "tmp")}) as service:
            disk.fill()
            before = service.workers()
            book = ask_all(service.port, asks)
            status, told = service.reload()
            after = service.workers()
            book = ask_all(service.port, asks, book)
            metrics = service.get_text("/metrics").count("\n")
            ready, said = service.get("/readyz")[0], service.said()
        happened = f"{book.spell_statuses()}, {len(book.wrong)} wrong, {len(book.failed)} without an answer; "
        happened += f"a reload: {status}; /readyz: {ready}; /metrics: {metrics} lines"
        held = book.clean and (status, ready) == (200, 200) and "Traceback" not in said and before == after
    except (BenchmarkError, OSError) as error:
        happened, held, told = f"{type(error).__name__}: {str(error).splitlines()[-1]}", False, {}
    finally:
        ground.reset()
    return Trial(
        "full disk, service",
        f"a catalogue, its derived index gone, and the temporary files on {disk.kind} that is filled to the last byte "
        "once the service answers",
        happened,
        held,
        {"reload": told},
    )
