"""`search` on the command line, of a service that runs and of the index itself."""

import json
from pathlib import Path

import pytest
from PIL import Image

from service.cli.client import to_table
from tests.e2e.conftest import KEY
from tests.support.commands import Done, run_main
from tests.support.server import Artifacts
from tests.support.stack import draw_shoe


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Of a shoe of the catalogue, 1001.2."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(draw_shoe(3))
    return path


def search(artifacts: Artifacts, picture: Path, *options: str) -> Done:
    """By the index."""
    folders = ("--checkpoint", str(artifacts.checkpoint), "--index", str(artifacts.catalog))
    return run_main("search", str(picture), *folders, *options)


def test_service_and_index_answer_alike(artifacts: Artifacts, live_server: str, picture: Path) -> None:
    """The same shoes, told in the same way, whoever is asked."""
    options = ("-k", "3", "--filter", "Gender:Women", "--json")
    asked, looked_up = (
        run_main("search", str(picture), "--url", f"{live_server}/", *options),
        search(artifacts, picture, *options),
    )
    assert (asked.status, looked_up.status) == (0, 0), (asked.error, looked_up.error)
    one, other = json.loads(asked.output), json.loads(looked_up.output)
    assert [hit["id"] for hit in one["hits"]] == [hit["id"] for hit in other["hits"]]
    assert one.keys() == other.keys()
    assert len(one["hits"]) == 3


def test_table(artifacts: Artifacts, picture: Path) -> None:
    """A line for each shoe: its place, its score, its distance, its id, its attributes."""
    lines = search(artifacts, picture, "-k", "2").output.splitlines()
    assert lines[0].split() == ["score", "distance", "id", "attributes"]
    assert len(lines) == 3
    number, score, distance, item_id, attributes = lines[1].split(maxsplit=4)
    assert (number, item_id) == ("1", "1001.2")
    assert float(distance) < 0.01
    assert float(score) > 0.95
    assert "Gender: " in attributes


def test_table_is_only_text() -> None:
    """What an answer holds can't steer the terminal."""
    hits = [{"id": "a\x1b[2J", "distance": 1.5, "score": 0.5, "attributes": {"Colour": ["red", "w\nhite"]}}]
    assert to_table({"hits": hits}).splitlines()[1] == "1   0.50    1.5000  a?[2J  Colour: red, w?hite"


def test_refusals_are_one_line(artifacts: Artifacts, live_server: str, picture: Path, tmp_path: Path) -> None:
    """What can't be answered ends with the reason in one line, the service's own where there is one."""
    here = ("search", str(picture), "--url")
    wrong = ("--filter", "Colour:red")
    (tmp_path / "text.jpg").write_text("no picture")
    refused = {
        "no service": (run_main(*here, "http://127.0.0.1:9"), "http://127.0.0.1:9 does not answer"),
        "no address": (run_main(*here, "127.0.0.1:8000"), "expected such as http://127.0.0.1:8000"),
        "filter, asked": (run_main(*here, live_server, *wrong), "Colour"),
        "filter, looked up": (search(artifacts, picture, *wrong), "Colour"),
        "no picture": (search(artifacts, tmp_path / "text.jpg"), "not an image"),
        "no index": (search(artifacts, picture, "--index", str(tmp_path / "none")), "python -m service index"),
        "too many": (search(artifacts, picture, "-k", "100000"), "100"),
    }
    for name, (done, words) in refused.items():
        assert done.status == 1, name
        assert done.output == "", name
        assert "Traceback" not in done.error, name
        (error,) = (
            line for line in done.error.splitlines() if line.startswith("error: ")
        )  # the service logs there too
        assert words in error, name
    assert search(artifacts, tmp_path / "nothing.jpg").status == 2


def test_key(keyed_server: str, picture: Path) -> None:
    """A service that asks for a key is given the one from the environment."""
    arguments = ("search", str(picture), "--url", keyed_server)
    assert "answers 401" in run_main(*arguments).error
    assert run_main(*arguments, SOLEMATE_SEARCH_KEY=KEY).status == 0


def test_sheet(artifacts: Artifacts, live_server: str, picture: Path, tmp_path: Path) -> None:
    """--sheet writes the same picture of an answer, whoever is asked: the photo, then the shoes that were found."""
    one, other = tmp_path / "a.png", tmp_path / "new" / "b.png"
    asked = run_main("search", str(picture), "--url", live_server, "-k", "7", "--sheet", str(one))
    looked_up = search(artifacts, picture, "-k", "7", "--sheet", str(other))
    assert (asked.status, looked_up.status) == (0, 0), (asked.error, looked_up.error)
    assert one.read_bytes() == other.read_bytes()
    with Image.open(one) as sheet:
        assert sheet.size == (16 + 6 * 216 + 16, 16 + 2 * 256)
