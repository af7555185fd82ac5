"""The lines of the log."""

import json
import logging
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from service.telemetry import logging as logs
from service.telemetry.request_timing import Stages, watch


@pytest.fixture(autouse=True)
def root() -> Iterator[logging.Logger]:
    """The root logger, as it was before afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    for handler in root.handlers[:]:
        if handler not in handlers:
            root.removeHandler(handler)
    root.setLevel(level)


def make_record(message: str = "hello", *args: object, **values: object) -> logging.LogRecord:
    """A record as a logging call makes it."""
    logger = logging.getLogger("service.x")
    return logger.makeRecord("service.x", logging.INFO, "x.py", 1, message, args, None, extra=logs.fields(**values))


def to_json(record: logging.LogRecord) -> dict[str, Any]:
    """The record as a program reads it."""
    text = logs.JsonFormatter().format(record)
    assert "\n" not in text
    line: dict[str, Any] = json.loads(text)
    return line


def test_json_line() -> None:
    """A JSON line has the time in UTC, level, process, logger, message and the fields as they are."""
    record = make_record("%d shoes", 3, ms=1.5, stages={"decode": 0.5})
    line = to_json(record)
    time = datetime.fromisoformat(line.pop("time"))
    assert time.tzinfo == UTC
    assert abs(time.timestamp() - record.created) < 0.002
    assert line == {
        "level": "INFO",
        "process": record.process,
        "logger": "service.x",
        "message": "3 shoes",
        "ms": 1.5,
        "stages": {"decode": 0.5},
    }


def test_text_line() -> None:
    """A text line ends with the fields, name=value."""
    text = logs.TextFormatter().format(make_record("%d shoes", 3, status=200, stages={"decode": 0.5, "encode": 2}))
    assert text.endswith("service.x: 3 shoes status=200 stages=decode:0.5,encode:2")


@pytest.mark.parametrize("formatter", [logs.TextFormatter(), logs.JsonFormatter()])
@pytest.mark.parametrize("control", ["\n", "\r", "\x1b[31m", "\u2028", "\x00", "\x85"])
def test_lines_can_not_be_forged(formatter: logging.Formatter, control: str) -> None:
    """What a client sends can neither end a line nor steer a terminal."""
    text = formatter.format(make_record("no shoe %s", f"a{control}2026 ERROR forged", path=f"x{control}y"))
    assert control[0] not in text
    assert len(text.splitlines()) == 1


def test_error_is_told() -> None:
    """An exception's trace is part of the JSON line, and follows the line of text."""
    record = make_record("it failed")
    error = ValueError("the cause")
    record.exc_info = (ValueError, error, None)
    assert "ValueError: the cause" in to_json(record)["error"]
    assert logs.TextFormatter().format(record).endswith("ValueError: the cause")


def test_lines_name_their_request() -> None:
    """Whatever is logged for a request carries its id; what is logged for none has none."""
    with watch(Stages("abc")):
        assert to_json(make_record())["request"] == "abc"
        assert logs.TextFormatter().format(make_record()).endswith("hello request=abc")
    assert "request" not in to_json(make_record())


def test_values_of_any_kind() -> None:
    """A field that JSON does not know is written as text, so that logging never fails."""
    assert to_json(make_record(kind=ValueError))["kind"] == str(ValueError)


def test_set_up_replaces_what_was_set_up(root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    """The last format and level count, and a line is written once."""
    logs.set_up()
    logs.set_up("WARNING", "json")
    logger = logging.getLogger("service.x")
    logger.info("not this")
    logger.warning("this")
    lines = capsys.readouterr().err.splitlines()
    assert [json.loads(line)["message"] for line in lines] == ["this"]


def test_warnings_are_logged(capsys: pytest.CaptureFixture[str]) -> None:
    """A warning of Python's, as libraries give them, is a line of the log like any other."""
    logs.set_up(form="json")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("odd\nthing", RuntimeWarning, stacklevel=1)
    (line,) = capsys.readouterr().err.splitlines()
    record = json.loads(line)
    assert (record["level"], record["logger"]) == ("WARNING", "py.warnings")
    assert record["message"].startswith("RuntimeWarning: odd\nthing (")


def test_set_up_leaves_other_handlers(root: logging.Logger) -> None:
    """Handlers of whoever runs the service as a part of something stay."""
    other = logging.NullHandler()
    root.addHandler(other)
    logs.set_up()
    assert other in root.handlers
    root.removeHandler(other)
