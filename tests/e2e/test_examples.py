"""The examples do what they say, with a service that runs."""

import csv
import json
import subprocess
import sys
from pathlib import Path

from solemate.client import Client
from tests.conftest import COUNT
from tests.e2e.conftest import ADMIN_KEY
from tests.support.server import ROOT, Artifacts, environment
from tests.support.stack import draw_shoe


def run(script: str | Path, *arguments: str | Path, status: int = 0, **settings: str) -> str:
    """What an example prints."""
    command = [sys.executable, ROOT / "examples" / script, *arguments]
    done = subprocess.run(
        command, env=environment(**settings), capture_output=True, text=True, check=False, timeout=250
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_find_alike(live_server: str, tmp_path: Path) -> None:
    """The photo's own shoe comes first, and something is said of what it shares with the next."""
    (tmp_path / "photo.jpg").write_bytes(draw_shoe(3))
    lines = run("find_alike.py", live_server, tmp_path / "photo.jpg").splitlines()
    assert lines[0].split()[1] == "1001.2"
    assert any(line.startswith("1001.2 and ") for line in lines)
    (tmp_path / "photo.jpg").write_bytes(b"no picture")
    assert run("find_alike.py", live_server, tmp_path / "photo.jpg", status=1).startswith("the service refuses: ")


def test_sync_catalogue(changing: str, tmp_path: Path) -> None:
    """The catalogue becomes the file; again nothing is sent; a bad picture is named, and the others arrive.

    The ids are in Unicode's form D; the service has them in form C.
    """
    table = tmp_path / "export.csv"

    def write(*numbers: int) -> None:
        with table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "image", "Colour"])
            writer.writerows([f"s\u0301{number}", f"{number}.jpg", "Red;Blue"] for number in numbers)

    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(draw_shoe(100 + number))
    write(0, 1)
    expected = f"2 sent, {COUNT} removed, 0 as they were, 0 refused"
    assert run("sync_catalogue.py", changing, table, SOLEMATE_KEY=ADMIN_KEY).strip() == expected
    (tmp_path / "2.jpg").write_bytes(b"no picture")
    (tmp_path / "1.jpg").write_bytes(draw_shoe(200))
    write(0, 1, 2)
    printed = run("sync_catalogue.py", changing, table, status=1, SOLEMATE_KEY=ADMIN_KEY)
    assert "ś2: " in printed
    assert "1 sent, 0 removed, 1 as they were, 1 refused" in printed
    with Client(changing, api_key=ADMIN_KEY) as client:
        assert [item.id for item in client.iterate_items()] == ["ś0", "ś1"]
        assert client.item("ś0").attributes["Colour"] == ["Red", "Blue"]


def test_train_and_compare(artifacts: Artifacts) -> None:
    """A training from Python gives a line of neighbours for each slice of the vector."""
    printed = run("train_and_compare.py", artifacts.demo, "1")
    assert "category: 1000.1 is most like " in printed


def test_notebook(live_server: str, tmp_path: Path) -> None:
    """Every cell of the notebook runs, in order."""
    notebook = json.loads((ROOT / "examples" / "explore.ipynb").read_text(encoding="utf-8"))
    code = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(not cell.get("outputs") for cell in notebook["cells"])
    (tmp_path / "cells.py").write_text("\n\n".join(code), encoding="utf-8")
    assert f"{COUNT} shoes" in run(tmp_path / "cells.py", SOLEMATE_URL=live_server)


def test_examples_are_listed() -> None:
    """The README of the examples lists each of them."""
    listed = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    names = [path.name for path in (ROOT / "examples").iterdir() if path.suffix in {".py", ".ipynb"}]
    assert [name for name in names if f"]({name})" not in listed] == []
