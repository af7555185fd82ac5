"""The demo catalogue on disk, in the layout of UT-Zap50K.

    <folder>/ut-zap50k-images/<Category>/<SubCategory>/<Brand>/<ProductID>.<ColorID>.jpg
    <folder>/ut-zap50k-data/meta-data.csv
    <folder>/demo-catalog.json      says that this folder may be drawn anew

All of it is drawn in a folder beside the target, which takes its name only when it is complete.
"""

import csv
import json
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from model.errors import CatalogError
from training.demo_catalog.attributes import COLUMNS, ShoeFacts, plan_shoes
from training.demo_catalog.shoe import draw_shoe

IMAGE_FOLDER = "ut-zap50k-images"
DATA_FOLDER = "ut-zap50k-data"

_MARKER = "demo-catalog.json"
_FORMAT = "solemate demo catalogue"
_QUALITY = 90
_BATCH = 50  # shoes for a worker at a time
_WORTH_WORKERS = 400  # fewer shoes than this are drawn faster than workers start


def draw_demo_catalog(
    folder: Path,
    *,
    count: int = 2000,
    seed: int = 0,
    workers: int | None = None,
    on_progress: Callable[[int], object] | None = None,
) -> None:
    """Draw a catalogue of `count` shoes into `folder`, which is made, or replaced if it is an older demo catalogue.

    The same seed gives the same bytes whatever the number of workers, and a catalogue of another count has the same
    shoes as far as it goes.

    Args:
        folder: where the catalogue goes; its parents are made.
        count: how many shoes, 1 or more.
        seed: another seed draws other shoes; 0 or more.
        workers: processes that draw; by default one for each core, or none beside this one for a small catalogue.
        on_progress: called with the number of shoes that were drawn since its last call.

    Raises:
        CatalogError: `count`, `seed` or `workers` is out of range, or the folder holds something else.
    """
    for name, value, least in (
        ("count", count, 1),
        ("seed", seed, 0),
        ("workers", 1 if workers is None else workers, 1),
    ):
        if value < least:
            raise CatalogError(f"{name} of the demo catalogue is {value}; it must be {least} or more")
    _check_target(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _drawing_folder(folder) as drawing:
        shoes = list(plan_shoes(count, seed))
        for path in sorted({shoe.path.rpartition("/")[0] for shoe in shoes}):
            (drawing / IMAGE_FOLDER / path).mkdir(parents=True)
        for done in _draw_all(drawing / IMAGE_FOLDER, shoes, workers):
            if on_progress is not None:
                on_progress(done)
        _write_table(drawing / DATA_FOLDER, shoes)
        marker = {"format": _FORMAT, "version": 1, "count": count, "seed": seed}
        (drawing / _MARKER).write_text(json.dumps(marker, indent=2) + "\n", encoding="utf-8")
        _put_in_place(drawing, folder)


def _check_target(folder: Path) -> None:
    """Raise CatalogError unless `folder` is missing, empty, or a demo catalogue."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise CatalogError(f"{folder} is a file; the demo catalogue needs a folder")
    if any(folder.iterdir()) and not _is_own(folder):
        raise CatalogError(f"{folder} holds something that isn't a demo catalogue; name a new or an empty folder")


def _is_own(folder: Path) -> bool:
    try:
        marker = json.loads((folder / _MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(marker, dict) and marker.get("format") == _FORMAT


@contextmanager
def _drawing_folder(folder: Path) -> Iterator[Path]:
    """Give a new folder beside `folder`, on the same disk, that is gone at the end whatever happens."""
    drawing = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".drawing", dir=folder.parent))
    try:
        drawing.chmod(0o755)
        yield drawing
    finally:
        shutil.rmtree(drawing, ignore_errors=True)


def _put_in_place(drawing: Path, folder: Path) -> None:
    """Give `drawing` the name of `folder`; an older catalogue steps aside first, and back if that fails."""
    if not folder.exists():
        drawing.rename(folder)
        return
    _check_target(folder)
    aside = drawing.with_suffix(".old")
    folder.rename(aside)
    try:
        drawing.rename(folder)
    except OSError:
        aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _draw_all(images: Path, shoes: Sequence[ShoeFacts], workers: int | None) -> Iterator[int]:
    """Draw the shoes, and yield after each batch how many it held."""
    if workers is None:
        workers = 1 if len(shoes) < _WORTH_WORKERS else os.cpu_count() or 1
    batches = [shoes[start : start + _BATCH] for start in range(0, len(shoes), _BATCH)]
    jobs = [(images, batch) for batch in batches]
    if workers == 1 or len(jobs) == 1:
        yield from map(_draw_batch, jobs)
        return
    # "spawn", as a fork would copy the locks of whatever threads the caller has. Where a process can't start, as from a
    # script on standard input, this pool raises BrokenProcessPool; multiprocessing's own would try for ever.
    with ProcessPoolExecutor(min(workers, len(jobs)), multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_draw_batch, jobs)


def _draw_batch(job: tuple[Path, Sequence[ShoeFacts]]) -> int:
    images, shoes = job
    for shoe in shoes:
        picture, _ = draw_shoe(shoe)
        picture.save(images / shoe.path, "JPEG", quality=_QUALITY)
    return len(shoes)


def _write_table(data: Path, shoes: Sequence[ShoeFacts]) -> None:
    data.mkdir()
    with (data / "meta-data.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(shoe.attributes for shoe in shoes)
