"""`python -m service`: index a catalogue, serve it, and look after it."""

import logging
import os
import socket
import sys
import tempfile
from collections.abc import MutableSequence, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated

import pydantic
import typer

from model.command import run_command
from service import administration, logs
from service.keys import read_keys
from service.settings import Settings, settings_table

__all__ = ["app", "main", "work"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Index a catalogue, serve it, and look after it.",
)

CheckpointOption = Annotated[Path, typer.Option(envvar="SOLEMATE_CHECKPOINT", help="The checkpoint's folder.")]


@app.command()
def index(
    *,
    catalog: Annotated[
        str,
        typer.Option(
            help="A UT-Zap50K folder, a folder of folders, or csv:FILE?id=..&image=..&attributes=..",
            show_default=False,
        ),
    ],
    checkpoint: CheckpointOption = Path("artifacts/checkpoint"),
    out: Annotated[Path, typer.Option(envvar="SOLEMATE_CATALOG", help="The indexed catalogue's folder.")] = Path(
        "artifacts/catalog"
    ),
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Start afresh instead of bringing it up to date.")] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Shoes embedded and stored at once.")] = 256,
    max_bad_share: Annotated[float, typer.Option(min=0, max=1, help="Stop if more rows than this are bad.")] = 0.02,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda. auto takes the GPU where there is one.")] = "auto",
) -> None:
    """Embed a catalogue's pictures into the store.

    An interrupted run goes on where it stopped; a finished one is brought up to date: new shoes and changed pictures
    are embedded, vanished shoes removed. Shoes that were added to the store itself stay, also with --rebuild, unless
    the catalogue has one of the same id.
    """
    # Not at the top: --help and a wrong option are answered without loading torch.
    from model.catalog import read_catalog
    from model.checkpoint import load_checkpoint
    from model.embedder import Embedder, pick_device
    from service.ingest import Ledger, index_catalog
    from service.rescue import restore_uploads, save_uploads
    from service.store.embedded import EmbeddedStore

    loaded = load_checkpoint(checkpoint)
    embedder = Embedder(loaded, device=pick_device(device))
    shoes = read_catalog(catalog)
    if rebuild:
        save_uploads(out)
        EmbeddedStore.remove(out)
        Ledger.remove(out)
    store = EmbeddedStore.create(
        out, dimension=embedder.dimension, slices=embedder.slices, checkpoint=loaded.digest, root=shoes.root
    )
    try:
        report = index_catalog(shoes, embedder, store, out, batch_size=batch_size, max_bad_share=max_bad_share)
        restored = restore_uploads(out, store, embedder)
        count = store.info().count
    finally:
        store.close()
    typer.echo(
        f"{count:,} shoes are in {out}: {report.embedded:,} embedded, {report.kept:,} were there, "
        f"{report.removed:,} removed, {report.left_out:,} rows left out"
        + (f", {restored:,} uploaded shoes embedded anew" if restored else "")
    )


@app.command()
def serve(
    *,
    host: Annotated[str | None, typer.Option(help="The address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="The port; 0 takes any that is free.", show_default="8000")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="The checkpoint's folder.", show_default="artifacts/checkpoint")
    ] = None,
    catalog: Annotated[
        Path | None, typer.Option(help="The indexed catalogue's folder.", show_default="artifacts/catalog")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that serve.", show_default="one for each processor, at most 8")
    ] = None,
) -> None:
    """Serve the page and the HTTP interface. Every other setting is an environment variable, SOLEMATE_<NAME>."""
    settings = _read_settings(host=host, port=port, checkpoint=checkpoint, catalog=catalog, workers=workers)
    logs.set_up(settings.log_level, settings.log_format)
    logging.getLogger("service").info("settings: %s", settings.describe())
    read_keys(settings)  # a mistake in them is told before the seconds that loading takes
    # OpenMP reads it once, when torch and FAISS are loaded.
    os.environ.setdefault("OMP_NUM_THREADS", str(settings.threads))
    from service.sockets import bind

    with bind(settings.host, settings.port) as listener:  # before the seconds that loading takes
        if settings.workers > 1:
            _serve_with_workers(settings, listener)
        else:
            from service.server import run

            run(settings, listener, _announce)


administration.install(app)


@app.command("settings")
def show_settings() -> None:
    """Print every setting of `serve` as a Markdown table, with its default."""
    typer.echo(settings_table())


def _serve_with_workers(settings: Settings, listener: socket.socket) -> None:
    with tempfile.TemporaryDirectory(prefix="solemate-metrics-") as folder:
        # The workers' metrics are gathered through files. The library looks here when it is imported.
        os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", folder)
        from service.workers import Supervisor

        Supervisor(settings, listener, work, _announce).run()


def work(
    settings: Settings, listener: socket.socket, pipe: Connection, counts: MutableSequence[int], index: int
) -> None:
    """What a worker process runs. See `service.server.work`, which loads what the supervisor does without."""
    logs.set_up(settings.log_level, settings.log_format)
    from service.server import work as serve_as_worker

    serve_as_worker(settings, listener, pipe, counts, index)


def _announce(lines: Sequence[str]) -> None:
    typer.echo("\n".join(lines))


def main() -> None:
    """Run the command line."""
    logs.set_up()
    run_command(app)


def _read_settings(**options: str | int | Path | None) -> Settings:
    """The environment's settings, with the options that were given; a wrong one ends the program, named."""
    try:
        return Settings.model_validate({name: value for name, value in options.items() if value is not None})
    except pydantic.ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"])
            typer.echo(f"error: setting SOLEMATE_{name.upper()} is {problem['input']!r}: {problem['msg']}", err=True)
        sys.exit(2)
