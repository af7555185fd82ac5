"""Artifacts that are damaged on disk, offered to a start and to a running service."""

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx2

from tests.support.commands import run_main
from tests.support.scale import long_only
from tests.system.conftest import HEADERS, Crew

FILES = ("checkpoint/weights.safetensors", "checkpoint/config.json", "catalog/catalog.sqlite", "catalog/vectors.bin")
DERIVED = FILES[3]
"""Is made anew where it is damaged."""
DIGESTED = FILES[0]
"""Is refused whatever is damaged. The others have white space, notes and free pages, which nothing reads."""

Damage = tuple[str, Callable[[Path, Path], object]]
"""A file, and what is done to it, given its counterpart of another network."""


def cut(path: Path, other: Path, *, keep: float) -> None:
    """Keep a part of the file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])


def flip(path: Path, other: Path, *, place: float, bit: int) -> None:
    """Flip one bit."""
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 1 << bit
    path.write_bytes(data)


def damages(flips: int) -> Iterator[Damage]:
    """Each file gone, empty, halved, a byte short, another network's, not what it was, and with single bits flipped."""
    rng = random.Random(0)
    for file in FILES:
        yield file, lambda path, _: path.unlink()
        yield from ((file, partial(cut, keep=keep)) for keep in (0, 0.5, 0.999999))
        yield file, lambda path, other: shutil.copy(other, path)
        yield file, lambda path, _: path.write_bytes(b"not what you expect\n" * 100)
        for _ in range(flips):
            yield file, partial(flip, place=rng.random(), bit=rng.randrange(8))


@long_only
def test_damaged_artifacts_are_refused_or_harmless(crew: Crew, tmp_path: Path) -> None:
    """At a reload under load each damage is refused, or changes no answer; `verify` and the service agree on it."""
    links = crew.artifacts
    sound = replace(links, checkpoint=links.checkpoint.resolve(), catalog=links.catalog.resolve())
    other = crew.make_newer(seed=1)
    with closing(sqlite3.connect(sound.catalog / "catalog.sqlite")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with crew.load() as load:
        for number, (file, damage) in enumerate(damages(flips=60)):
            folder = tmp_path / str(number)
            shutil.copytree(sound.checkpoint, folder / "checkpoint")
            shutil.copytree(sound.catalog, folder / "catalog", ignore=shutil.ignore_patterns("*-wal", "*-shm"))
            of_the_other = {"checkpoint": other.checkpoint, "catalog": other.catalog}[file.partition("/")[0]]
            damage(folder / file, of_the_other / file.partition("/")[2])
            crew.turn(folder / "checkpoint", folder / "catalog")
            response = httpx2.post(f"{crew.server.url}/v1/admin/reload", headers=HEADERS, timeout=120)
            assert response.status_code in {200, 409}, response.text
            if response.status_code == 200:
                assert file != DIGESTED
                load.wait_for(16)
            else:
                assert file != DERIVED
                arguments = ("--checkpoint", str(folder / "checkpoint"), "--index", str(folder / "catalog"))
                done = run_main("verify", *arguments, "--device", "cpu")
                assert done.status != 0
                assert "Traceback" not in done.error
            crew.turn(sound.checkpoint, sound.catalog)
    assert not load.failed, load.failed[:3]
    assert load.statuses == {200}
