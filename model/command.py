"""How the command lines end."""

import errno
import sys
from traceback import walk_tb

import typer

from model.errors import SolemateError, TrainingInterrupted

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}
"""What an operating system says of a disk that takes no more, whoever writes to it."""


EXTRAS = ("service", "training")
"""The packages that need more than `model` does; what they need is the extra of the same name."""

SPECIAL = {"pyarrow": "parquet", "onnxruntime": "onnx", "onnxscript": "onnx"}
"""What only one command needs -> the extra that brings it."""


def run_command(app: typer.Typer) -> None:
    """Run a command line to its end.

    Raises:
        SystemExit: with the status 0 after a command that did its work; 1 after an error that a person can mend, which
            is one line on stderr; 2 after a wrong option; 130 after Ctrl-C.
    """
    try:
        app()
    except TrainingInterrupted as error:
        typer.echo(str(error), err=True)
        sys.exit(130)
    except SolemateError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)
    except ModuleNotFoundError as error:
        missing, extra = (error.name or "").partition(".")[0], _find_extra(error)
        if not extra:
            raise
        typer.echo(f"error: this needs {missing}, which is not installed: pip install 'solemate[{extra}]'", err=True)
        sys.exit(1)
    except OSError as error:
        if error.errno not in FULL:
            raise
        typer.echo(f"error: {error.filename or 'a file'} can't be written: {error.strerror}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _find_extra(error: ModuleNotFoundError) -> str:
    """The extra that brings a missing module; "" if none does: then it is one of ours, and a fault."""
    if (error.name or "").partition(".")[0] in {"model", "solemate", *EXTRAS}:
        return ""
    if (special := SPECIAL.get((error.name or "").partition(".")[0])) is not None:
        return special
    importers = [str(frame.f_globals.get("__name__")).partition(".")[0] for frame, _ in walk_tb(error.__traceback__)]
    return next((name for name in reversed(importers) if name in EXTRAS), "")
