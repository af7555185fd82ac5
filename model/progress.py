"""Progress that suits who is watching: a bar on a terminal, a line now and then in a log."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO, TypeVar

from tqdm import tqdm

T = TypeVar("T")

SECONDS_BETWEEN_LINES = 5.0


class Progress(Protocol):
    """What a long job tells of itself."""

    def update(self, n: int = 1) -> object:
        """`n` more units are done."""
        ...

    def note(self, text: str) -> None:
        """Facts shown beside the count, such as losses."""
        ...


class _Bar:
    def __init__(self, bar: Any) -> None:  # noqa: ANN401 - tqdm has no types
        self._bar = bar

    def update(self, n: int = 1) -> object:
        return self._bar.update(n)

    def note(self, text: str) -> None:
        self._bar.set_postfix_str(text, refresh=False)


class _Lines:
    """The same facts as whole lines, for logs and pipes, where a redrawn bar is unreadable."""

    def __init__(self, desc: str, total: int | None, unit: str, file: TextIO, initial: int) -> None:
        self._desc, self._total, self._unit, self._file = desc, total, unit, file
        self._initial, self._done, self._text = initial, initial, ""
        self._start = self._last = time.monotonic()

    def update(self, n: int = 1) -> None:
        self._done += n
        if time.monotonic() - self._last >= SECONDS_BETWEEN_LINES:
            self.line()

    def note(self, text: str) -> None:
        self._text = text

    def line(self) -> None:
        self._last = time.monotonic()
        seconds = self._last - self._start
        share = f"/{self._total} ({100 * self._done / max(1, self._total):.0f}%)" if self._total is not None else ""
        # What an earlier run did says nothing of how fast this one is.
        rate = (self._done - self._initial) / seconds if seconds > 0 else 0.0
        left = f", {_spell((self._total - self._done) / rate)} left" if self._total is not None and rate > 0 else ""
        text = f", {self._text}" if self._text else ""
        line = f"{self._desc}: {self._done}{share} {seconds:.0f}s, {rate:.1f} {self._unit}/s{left}{text}"
        print(line, file=self._file, flush=True)


def _spell(seconds: float) -> str:
    """A time that is not known to the second: 45s, 12min, 3.5h."""
    if seconds < 90:
        return f"{max(0.0, seconds):.0f}s"
    return f"{seconds / 60:.0f}min" if seconds < 5400 else f"{seconds / 3600:.1f}h"


@contextmanager
def progress(*, desc: str, unit: str, total: int | None = None, initial: int = 0) -> Iterator[Progress]:
    """Show the progress of the block on stderr.

    Args:
        desc: what is being done.
        unit: what is counted.
        total: how many there will be, where that is known.
        initial: how many were done before, in a resumed job.
    """
    if sys.stderr.isatty():
        with tqdm(desc=desc, total=total, unit=f" {unit}", initial=initial, dynamic_ncols=True, leave=True) as bar:
            yield _Bar(bar)
        return
    lines = _Lines(desc, total, unit, sys.stderr, initial)
    try:
        yield lines
    finally:
        lines.line()


def track(iterable: Iterable[T], *, desc: str, unit: str, total: int | None = None) -> Iterator[T]:
    """Iterate with progress shown on stderr."""
    with progress(desc=desc, unit=unit, total=total) as shown:
        for value in iterable:
            yield value
            shown.update()
