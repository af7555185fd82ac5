import csv
import logging
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from model.catalog import BadRow, Shoe, check_bad_rows, decode_shoes
from model.catalog.pictures import CHUNK, CHUNKS_AHEAD
from model.errors import ArtifactError, CatalogError, CorruptImage
from model.preprocess import PreprocessConfig, Preprocessor


class NumberDecoder:
    """Takes a file's name for its only pixel; what it is told to raise, it raises."""

    def __init__(self, errors: dict[str, Exception] | None = None) -> None:
        self.errors = errors or {}
        self.names: list[str] = []

    def decode_file(self, path: Path) -> NDArray[np.uint8]:
        """One pixel, sooner or later."""
        self.names.append(path.stem)
        time.sleep(0.001 if int(path.stem) % 3 else 0.003)
        if path.stem in self.errors:
            raise self.errors[path.stem]
        return np.full((1, 1, 1), int(path.stem) % 256, dtype=np.uint8)


def make_shoes(count: int) -> list[Shoe]:
    """Shoes whose pictures are numbered."""
    return [Shoe(str(number), Path(f"/nowhere/{number}.jpg"), {}) for number in range(count)]


@pytest.mark.parametrize("workers", [1, 2, 7, None])
def test_order(workers: int | None) -> None:
    """Each shoe comes once, in order, with its own picture, whichever thread is first."""
    shoes = make_shoes(100)
    decoded = list(decode_shoes(shoes, NumberDecoder(), workers=workers))
    assert [shoe for shoe, _ in decoded] == shoes
    for number, (_, pixels) in enumerate(decoded):
        assert not isinstance(pixels, BadRow)
        assert pixels.item() == number


def test_bad_pictures() -> None:
    """A picture that is broken or can't be read becomes a bad row in its place."""
    errors = {"1": CorruptImage("the JPEG is broken"), "2": FileNotFoundError(2, "No such file or directory")}
    results = [result for _, result in decode_shoes(make_shoes(4), NumberDecoder(errors))]
    assert results[1] == BadRow("1", "the JPEG is broken")
    assert results[2] == BadRow("2", "can't read /nowhere/2.jpg: No such file or directory")
    assert not isinstance(results[0], BadRow)
    assert not isinstance(results[3], BadRow)


def test_other_errors_are_not_swallowed() -> None:
    """An error that is not the picture's fault stops the reading."""
    with pytest.raises(ZeroDivisionError):
        list(decode_shoes(make_shoes(50), NumberDecoder({"3": ZeroDivisionError()})))


def test_look_ahead_is_bounded_and_stops_with_the_caller() -> None:
    """Only some pictures are decoded ahead, and none any more once the caller has stopped; the threads end."""
    taken = []

    def give() -> Iterator[Shoe]:
        for shoe in make_shoes(10_000):
            taken.append(shoe)
            yield shoe

    threads = threading.active_count()
    stream = decode_shoes(give(), NumberDecoder(), workers=2)
    assert taken == []
    next(stream)
    time.sleep(0.05)
    assert len(taken) == CHUNK * (2 * CHUNKS_AHEAD + 1)
    assert isinstance(stream, Generator)
    stream.close()
    assert threading.active_count() == threads


def test_no_shoes_and_no_workers() -> None:
    """Nothing gives nothing; no workers at all is a mistake, told before the first picture."""
    assert list(decode_shoes([], NumberDecoder())) == []
    with pytest.raises(ValueError, match="at least 1, not 0"):
        decode_shoes([], NumberDecoder(), workers=0)


def test_with_the_preprocessor(tmp_path: Path) -> None:
    """Files are decoded by the preprocessor, and what it refuses is reported with its reason."""
    Image.new("RGB", (13, 9), (255, 0, 0)).save(tmp_path / "good.png")
    (tmp_path / "bad.jpg").write_bytes(b"not a picture")
    shoes = [Shoe(name, tmp_path / name, {}) for name in ("good.png", "bad.jpg", "missing.jpg")]
    results = [result for _, result in decode_shoes(shoes, Preprocessor(PreprocessConfig(size=8)))]
    assert not isinstance(results[0], BadRow)
    assert results[0].shape == (3, 8, 8)
    assert isinstance(results[1], BadRow)
    assert "not an image" in results[1].reason
    assert isinstance(results[2], BadRow)
    assert "No such file" in results[2].reason


def test_report(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Bad rows are written to a CSV file and told in one line that names it."""
    report = tmp_path / "bad-rows.csv"
    bad_rows = [BadRow("line 3", 'a "quote", a comma'), BadRow("7.jpg", "zwei\nZeilen é")]
    with caplog.at_level(logging.WARNING):
        check_bad_rows(100, bad_rows, report=report)
    with report.open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["row", "reason"], *([bad.row, bad.reason] for bad in bad_rows)]
    assert [record.getMessage() for record in caplog.records] == [
        f"left out 2 of 100 rows of the catalogue (2.0 %); all are listed in {report}"
    ]


def test_stale_report(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without bad rows there is no report, also none of an earlier run, and nothing is said."""
    report = tmp_path / "bad-rows.csv"
    report.write_text("row,reason\nline 3,it was bad\n")
    check_bad_rows(100, [], report=report)
    assert not report.exists()
    check_bad_rows(0, [], report=report)
    check_bad_rows(0, [])
    assert caplog.records == []


def test_a_report_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """A first run's report makes its folder; a file in that folder's place is named, with or without bad rows."""
    report = tmp_path / "out/bad-rows.csv"
    check_bad_rows(100, [BadRow("line 3", "its picture is missing")], report=report)
    assert "line 3" in report.read_text()
    (tmp_path / "file").touch()
    for bad_rows in ([BadRow("line 3", "bad")], []):
        with pytest.raises(ArtifactError, match=r"file/bad-rows\.csv: "):
            check_bad_rows(100, bad_rows, report=tmp_path / "file/bad-rows.csv")


def test_too_many_bad_rows(tmp_path: Path) -> None:
    """A share above the limit is an error that gives the first reasons, the report and the option."""
    report = tmp_path / "bad-rows.csv"
    bad_rows = [BadRow(f"line {line}", "its picture is missing") for line in range(2, 7)]
    with pytest.raises(CatalogError, match=r"5 of 100 .*5\.0%.*2\.0%.*--max-bad-share.*line 2: its picture") as caught:
        check_bad_rows(100, bad_rows, report=report)
    assert "line 4" in str(caught.value)
    assert "line 5" not in str(caught.value)
    assert str(report) in str(caught.value)
    assert len(report.read_text().splitlines()) == 6


@pytest.mark.parametrize(
    ("size", "max_share", "passes"), [(50, 0.1, True), (49, 0.1, False), (5, 1.0, True), (5, 0.0, False)]
)
def test_the_limit_itself_passes(size: int, max_share: float, passes: bool) -> None:
    """The share may be as large as the limit, and not larger."""
    bad_rows = [BadRow(str(number), "bad") for number in range(5)]
    if passes:
        check_bad_rows(size, bad_rows, max_share=max_share)
    else:
        with pytest.raises(CatalogError, match="no report is written"):
            check_bad_rows(size, bad_rows, max_share=max_share)
