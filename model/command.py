"""How the command lines end."""

import errno
import sys

import typer

from model.errors import SolemateError

__all__ = ["run_command"]

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}
"""What an operating system says of a disk that takes no more, whoever writes to it."""


def run_command(app: typer.Typer) -> None:
    """Run a command line to its end.

    Raises:
        SystemExit: with the status 0 after a command that did its work; 1 after an error that a person can mend, which
            is one line on stderr; 2 after a wrong option; 130 after Ctrl-C.
    """
    try:
        app()
    except SolemateError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        if error.errno not in FULL:
            raise
        typer.echo(f"error: {error.filename or 'a file'} can't be written: {error.strerror}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
