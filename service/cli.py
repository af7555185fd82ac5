"""`python -m service`: index a catalogue, and serve it."""

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import pydantic
import typer

from model.errors import SolemateError
from service.settings import Settings

__all__ = ["app", "main"]

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Index a catalogue, and serve it."
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
    are embedded, vanished shoes removed.
    """
    # Not at the top: --help and a wrong option are answered without loading torch.
    from model.catalog import read_catalog
    from model.checkpoint import load_checkpoint
    from model.embedder import Embedder, pick_device
    from service.ingest import Ledger, index_catalog
    from service.store.embedded import EmbeddedStore

    loaded = load_checkpoint(checkpoint)
    embedder = Embedder(loaded, device=pick_device(device))
    shoes = read_catalog(catalog)
    if rebuild:
        EmbeddedStore.remove(out)
        Ledger.remove(out)
    store = EmbeddedStore.create(
        out, dimension=embedder.dimension, slices=embedder.slices, checkpoint=loaded.digest, root=shoes.root
    )
    try:
        report = index_catalog(shoes, embedder, store, out, batch_size=batch_size, max_bad_share=max_bad_share)
        count = store.info().count
    finally:
        store.close()
    typer.echo(
        f"{count:,} shoes are in {out}: {report.embedded:,} embedded, {report.kept:,} were there, "
        f"{report.removed:,} removed, {report.left_out:,} rows left out"
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
) -> None:
    """Serve the page and the HTTP interface. Every other setting is an environment variable, SOLEMATE_<NAME>."""
    settings = _read_settings(host=host, port=port, checkpoint=checkpoint, catalog=catalog)
    logging.getLogger().setLevel(settings.log_level)
    logging.getLogger("service").info("settings: %s", settings.describe())
    # OpenMP reads it once, when torch and FAISS are loaded.
    os.environ.setdefault("OMP_NUM_THREADS", str(settings.threads))
    from service.server import bind, run

    with bind(settings.host, settings.port) as listener:  # before the seconds that loading takes
        run(settings, listener)


def main() -> None:
    """Run the command line; an error that a person can mend is one line, and exit status 1."""
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr)
    logging.getLogger("faiss").setLevel(logging.WARNING)  # it tells at length which variant of itself it loads
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of each form that a client got wrong
    try:
        app()
    except SolemateError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _read_settings(**options: str | int | Path | None) -> Settings:
    """The environment's settings, with the options that were given; a wrong one ends the program, named."""
    try:
        return Settings.model_validate({name: value for name, value in options.items() if value is not None})
    except pydantic.ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"])
            typer.echo(f"error: setting SOLEMATE_{name.upper()} is {problem['input']!r}: {problem['msg']}", err=True)
        sys.exit(2)
