"""Logging: one line an event, as text or JSON, with the id of the request that it belongs to."""

import json
import logging
import re
import sys
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from service.telemetry.request_timing import current_stages

if TYPE_CHECKING:
    from service.settings import LogFormat  # the settings need pydantic, which is of the extra `service`

TEXT = "%(asctime)s %(levelname)s [%(process)d] %(name)s: %(message)s"

LOUD = {
    "faiss": logging.WARNING,  # it logs at length which variant of itself it loads
    "openTSNE": logging.WARNING,  # it logs each choice of its defaults
}
"""Loggers of libraries -> the least level that is logged of them."""

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

FIELDS = "fields"

encode = json.JSONEncoder(separators=(",", ":"), default=str).encode


def set_up(level: str = "INFO", form: "LogFormat" = "text") -> None:
    """Write what is logged from `level` up to the standard error stream, in place of what was set up before."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        if type(old) is logging.StreamHandler:  # an earlier one; those of whoever runs this as a part stay
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    warnings.showwarning = log_warning
    for name, least in LOUD.items():
        logging.getLogger(name).setLevel(least)


def log_warning(  # noqa: PLR0917 - as `warnings.showwarning`
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Log a warning of Python's as one line, in place of `warnings.showwarning`, which prints two."""
    del file, line
    logging.getLogger("py.warnings").warning("%s: %s (%s:%d)", category.__name__, message, filename, lineno)


def fields(**values: object) -> dict[str, dict[str, object]]:
    """Facts for the `extra` of a logging call, which a program will want to read without taking the text apart."""
    return {FIELDS: values}


class TextFormatter(logging.Formatter):
    """A line of text: time, level, process, logger, message, then the fields as name=value."""

    def __init__(self) -> None:
        super().__init__(TEXT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """The line itself; what a client may have put into it can neither end it nor begin another."""
        text = "".join(f" {name}={serialize(value)}" for name, value in fields_of(record).items())
        line = super().formatMessage(record) + text
        return CONTROL.sub(lambda found: ascii(found.group())[1:-1], line)


class JsonFormatter(logging.Formatter):
    """An object on a line of its own: time (UTC), level, process, logger, message, request, the fields, error."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "process": record.process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update(fields_of(record))
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return encode(line)


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """What the logging call gave as `fields`, and the id of the request that it was made for."""
    stages = current_stages()
    request = {"request": stages.request} if stages is not None and stages.request else {}
    return {**request, **getattr(record, FIELDS, {})}


def serialize(value: object) -> str:
    """A field's value as text: a mapping as name:value,name:value."""
    return ",".join(f"{name}:{each}" for name, each in value.items()) if isinstance(value, Mapping) else str(value)
