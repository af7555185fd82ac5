"""The program `solemate`: the commands of `python -m service` and of `python -m training` as one program.

The two packages never import each other. Nothing imports this one, so it may import both. Neither loads torch,
or what its extra installs, before one of its commands runs.
"""

import sys
from copy import copy
from typing import Annotated

try:
    import typer
except ModuleNotFoundError:
    sys.exit("error: the commands are not installed, only the client: pip install 'solemate[service,training]'")
from typer.main import get_group

import service.cli.main
import training.cli
from model.command import run_command
from model.version import find_version

PARTS = {"Training": training.cli, "Serving": service.cli.main}

OWNERS = {name: part for part in PARTS.values() for name in get_group(part.app).commands}
"""Command -> the module that it is from."""


def show_version(asked: bool) -> None:  # noqa: FBT001 - as typer calls it
    """Print the version and end, if that is what was asked for."""
    if asked:
        typer.echo(f"solemate {find_version()}")
        raise typer.Exit


def make_app() -> typer.Typer:
    """All commands, grouped in `--help` by the package that they are from."""
    app = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        help="Find the shoes of a catalogue that look like the one in a photo: train a network, index, serve, search.",
    )
    for title, part in PARTS.items():
        commands = [copy(command) for command in part.app.registered_commands]
        groups = [copy(group) for group in part.app.registered_groups]
        for info in (*commands, *groups):
            info.rich_help_panel = title
        app.registered_commands += commands
        app.registered_groups += groups

    @app.callback()
    def begin(
        context: typer.Context,
        *,
        version: Annotated[
            bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version.")
        ] = False,
    ) -> None:
        del version
        OWNERS[context.invoked_subcommand or ""].begin(context)

    return app


app = make_app()


def main() -> None:
    """Run the command line."""
    run_command(app)
