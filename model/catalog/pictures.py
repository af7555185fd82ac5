"""The pictures of a catalogue, decoded in threads; and what to do about those that can't be."""

import csv
import io
import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model.catalog.base import BadRow, Shoe
from model.errors import CatalogError, ImageError
from model.files import explained, write_atomic

logger = logging.getLogger(__name__)

MAX_WORKERS = 8
CHUNK = 8
CHUNKS_AHEAD = 3
"""Chunks of pictures in flight for each worker: enough to keep it busy while the caller works on a batch."""

Pixels = NDArray[np.uint8]


class PictureDecoder(Protocol):
    """What `decode_shoes` asks of a preprocessor; `model.preprocess.Preprocessor` is one."""

    def decode_file(self, path: Path, /) -> Pixels:
        """The file's picture, (C, H, W) uint8. Raises ImageError or OSError."""
        ...


def decode_shoes(
    shoes: Iterable[Shoe], preprocessor: PictureDecoder, *, workers: int | None = None
) -> Iterator[tuple[Shoe, Pixels | BadRow]]:
    """Decode the shoes' pictures, in the shoes' order.

    Pillow decodes without the interpreter's lock, so threads gain with photos and with slow disks; thumbnails on a
    fast disk take what a loop takes. Only a bounded number of pictures is decoded ahead of the caller, so a catalogue
    of any size takes the same memory.

    Args:
        shoes: taken one by one, as they are needed.
        preprocessor: decodes one file.
        workers: threads, at least 1. Default: the processors this process may use, at most 8.

    Yields:
        Each shoe with its picture, (C, H, W) uint8, or with the reason why it has none.
    """
    workers = min(MAX_WORKERS, _count_processors()) if workers is None else workers
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    return _decode_shoes(shoes, preprocessor, workers)


def _decode_shoes(
    shoes: Iterable[Shoe], preprocessor: PictureDecoder, workers: int
) -> Iterator[tuple[Shoe, Pixels | BadRow]]:
    source = iter(shoes)
    executor = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    pending: deque[Future[list[tuple[Shoe, Pixels | BadRow]]]] = deque()

    def submit() -> None:
        # Several pictures a task: a small one takes no longer to decode than a task takes to hand over.
        chunk = list(islice(source, CHUNK))
        if chunk:
            pending.append(executor.submit(_decode_chunk, chunk, preprocessor))

    try:
        for _ in range(workers * CHUNKS_AHEAD):
            submit()
        while pending:
            decoded = pending.popleft().result()
            submit()
            yield from decoded
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _decode_chunk(shoes: Sequence[Shoe], preprocessor: PictureDecoder) -> list[tuple[Shoe, Pixels | BadRow]]:
    return [(shoe, _decode_shoe(shoe, preprocessor)) for shoe in shoes]


def _decode_shoe(shoe: Shoe, preprocessor: PictureDecoder) -> Pixels | BadRow:
    picture = decode_picture(shoe.image, preprocessor)
    return BadRow(shoe.id, picture) if isinstance(picture, str) else picture


def decode_picture(path: Path, preprocessor: PictureDecoder) -> Pixels | str:
    """One file's picture, (C, H, W) uint8, or the reason why there is none, in words for a report."""
    try:
        return preprocessor.decode_file(path)
    except ImageError as error:
        return str(error)
    except OSError as error:
        return f"can't read {path}: {error.strerror or error}"


def _count_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_bad_rows(
    size: int, bad_rows: Sequence[BadRow], *, max_share: float = 0.02, report: Path | None = None
) -> None:
    """Report what was left out of a catalogue, and refuse a catalogue of which too much was.

    Args:
        size: rows that were met, good and bad.
        bad_rows: those that were left out.
        max_share: the largest share of bad rows, in [0, 1], that is let pass.
        report: a CSV file (row, reason) to write when there are any; one of an earlier run is removed when there
            are none.

    Raises:
        CatalogError: the share is larger; the message gives the first reasons and the option that allows more.
        ArtifactError: the report can't be written.
    """
    if report is not None:
        with explained(report):
            if bad_rows:
                write_atomic(report, _format_report(bad_rows))
            else:
                report.unlink(missing_ok=True)
    if not bad_rows:
        return
    listing = f"all are listed in {report}" if report is not None else "no report is written"
    share = len(bad_rows) / max(size, len(bad_rows))
    if share > max_share:
        reasons = "; ".join(f"{bad.row}: {bad.reason}" for bad in bad_rows[:3])
        raise CatalogError(
            f"{len(bad_rows)} of {size} rows of the catalogue can't be used: {share:.1%}, while {max_share:.1%} are "
            f"allowed (--max-bad-share). The first: {reasons}; {listing}"
        )
    logger.warning("left out %d of %d rows of the catalogue (%.1f %%); %s", len(bad_rows), size, 100 * share, listing)


def _format_report(bad_rows: Iterable[BadRow]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "reason"])
    writer.writerows([bad.row, bad.reason] for bad in bad_rows)
    return text.getvalue().encode("utf-8", "backslashreplace")
