"""`python -m service`: index a catalogue, serve and search it, and look after it."""

import json
import logging
import os
import socket
import sys
from collections.abc import MutableSequence, Sequence
from contextlib import closing
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.command import run_command
from model.errors import QueryError
from service.cli.catalog import (
    CHECKPOINT,
    INDEX,
    CheckpointOption,
    DeviceOption,
    IndexOption,
    install,
    load_embedder,
    open_catalog,
    read_settings,
    require_checkpoint,
)
from service.telemetry import logging as logs

if TYPE_CHECKING:
    from model.embedder import Embedder
    from service.catalog.indexing.embed_pool import PoolFactory
    from service.settings import Settings
    from service.store.base import VectorStore

# Not at the top, in all of this: --help and a wrong option are answered without loading torch, and where the extra
# `service` is not installed.

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Index a catalogue, serve and search it, and look after it.",
)

REBUILD_OF_A_PART = (
    "--rebuild would take from the other parts' processes what they have stored, so it does not go with --shard; "
    "remove the folder first, or choose another --out"
)

WorkersOption = Annotated[
    int | None, typer.Option(min=1, help="Pictures embedded at once.", show_default="one for each processor")
]

ServedCheckpoint = Annotated[
    Path | None, typer.Option(help="The checkpoint's folder.", show_default="artifacts/checkpoint")
]
ServedIndex = Annotated[
    Path | None, typer.Option(help="The indexed catalogue's folder.", show_default="artifacts/catalog")
]


@app.callback()
def begin(context: typer.Context) -> None:
    """Set up the log before any of the commands."""
    logs.set_up()
    if context.invoked_subcommand != "serve":  # it first reads how it is to log
        _warn_of_environment()


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
    checkpoint: CheckpointOption = CHECKPOINT,
    out: IndexOption = INDEX,
    address: Annotated[
        str,
        typer.Option(
            "--store",
            envvar="SOLEMATE_STORE",
            help="milvus://host:port/collection: put the shoes there; the folder keeps what an interrupted run needs.",
            show_default=False,
        ),
    ] = "",
    types: Annotated[
        list[str],
        typer.Option(
            "--type",
            help="ATTRIBUTE=TYPE, repeatable: text, number, date, flag, display (only shown) or auto, as it looks.",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Start afresh instead of bringing it up to date.")] = False,
    shard: Annotated[
        str, typer.Option(help="i/n: only the i-th of n parts, so that n processes can index at once.")
    ] = "1/1",
    batch_size: Annotated[int, typer.Option(min=1, help="Shoes stored at once.")] = 256,
    workers: WorkersOption = None,
    draws_map: Annotated[bool, typer.Option("--map/--no-map", help="Draw the catalogue's map at the end.")] = True,
    max_bad_share: Annotated[float, typer.Option(min=0, max=1, help="Stop if more rows than this are bad.")] = 0.02,
    device: DeviceOption = "auto",
) -> None:
    """Embed a catalogue's pictures into the store.

    An interrupted run goes on where it stopped; a finished one is brought up to date: new shoes and changed pictures
    are embedded, vanished shoes removed. Shoes that were added to the store itself stay, also with --rebuild, unless
    the catalogue has one of the same id.
    """
    from model.catalog import read_catalog
    from model.stopping import stop_on_signals
    from service.catalog.attributes import declare_types, parse_types
    from service.catalog.images import Uploads
    from service.catalog.indexing.index import IndexingStopped, index_catalog
    from service.catalog.indexing.ledger import WHOLE, Ledger, Shard
    from service.catalog.maintenance.duplicates import MEASURE, measure_duplicates, write_measure
    from service.catalog.maintenance.reembed import restore_uploads, save_uploads
    from service.store.base import StoreSpec
    from service.store.embedded.store import EmbeddedStore
    from service.store.factory import create_store, remove_store

    part = Shard.parse(shard)
    if rebuild and part != WHOLE:
        raise QueryError("rebuild", REBUILD_OF_A_PART)
    token = read_settings(store=address).store_token.get_secret_value()
    embedder = load_embedder(checkpoint, device)
    shoes = read_catalog(catalog)
    if rebuild:
        save_uploads(out, address, token=token)
        remove_store(out, address, token=token)
        Ledger.remove(out)
    declare_types(out, parse_types(types))
    spec = StoreSpec.of(embedder.dimension, embedder.slices, embedder.checkpoint.digest, shoes.root)
    store = create_store(out, spec, address, token=token)
    make_pool = _choose_pool(checkpoint, embedder, workers)
    with closing(store), stop_on_signals() as stop:
        try:
            report = index_catalog(
                shoes,
                embedder,
                store,
                out,
                batch_size=batch_size,
                max_bad_share=max_bad_share,
                shard=part,
                make_pool=make_pool,
                stop=stop,
            )
        except IndexingStopped as stopped:
            command = "the same command without --rebuild" if rebuild else "the same command"
            typer.echo(f"stopped: {stopped}; {command} goes on from here", err=True)
            sys.exit(128 + (stop.signal or 0))
        restored = restore_uploads(out, store, embedder) if part == WHOLE else 0
        count = store.info().count
        if isinstance(store, EmbeddedStore):
            store.build_indexes()
        measure = measure_duplicates(embedder, store, Uploads(out))
        if measure is None:
            (out / MEASURE).unlink(missing_ok=True)
        else:
            write_measure(out, measure)
        if draws_map and count and not address and part == WHOLE:
            _draw_map(out, store, "auto")
    of_part = "" if part == WHOLE else f"; part {part} of the catalogue"
    typer.echo(
        f"{count:,} shoes are in {address or out}{of_part}: {report.embedded:,} embedded, {report.kept:,} were there, "
        f"{report.removed:,} removed, {report.left_out:,} rows left out"
        + (f", {restored:,} uploaded shoes embedded anew" if restored else "")
    )
    if measure is not None:
        typer.echo(measure.describe())


@app.command()
def serve(
    *,
    host: Annotated[str | None, typer.Option(help="The address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="The port; 0 takes any that is free.", show_default="8000")] = None,
    checkpoint: ServedCheckpoint = None,
    index: ServedIndex = None,
    store: Annotated[
        str | None, typer.Option(help="milvus://host:port/collection, in place of that folder.", show_default="none")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that serve.", show_default="one for each processor, at most 8")
    ] = None,
) -> None:
    """Serve the page and the HTTP interface. Every other setting is an environment variable, SOLEMATE_<NAME>."""
    from service.http.middleware.auth import read_keys
    from service.server.listener import bind

    settings = read_settings(host=host, port=port, checkpoint=checkpoint, index=index, store=store, workers=workers)
    logs.set_up(settings.log_level, settings.log_format)
    _warn_of_environment()
    logging.getLogger("service").info("settings: %s", settings.describe())
    read_keys(settings)  # a mistake in them is reported before the seconds that loading takes
    # OpenMP reads it once, when torch and FAISS are loaded.
    os.environ.setdefault("OMP_NUM_THREADS", str(settings.threads))
    with bind(settings.host, settings.port) as listener:  # before the seconds that loading takes
        _require_artifacts(settings)
        if settings.workers > 1:
            from service.telemetry.metrics_files import share_metrics

            with share_metrics():  # before the metrics' library is loaded, which looks for them then
                from service.server.supervisor import Supervisor

                Supervisor(settings, listener, work, _announce).run()
        else:
            from service.server.run import run

            run(settings, listener, _announce)


@app.command()
def search(
    *,
    picture: Annotated[Path, typer.Argument(help="A photo of a shoe.", exists=True, dir_okay=False)],
    url: Annotated[
        str | None,
        typer.Option(help="Ask the service at this address, such as http://127.0.0.1:8000.", show_default="the index"),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many shoes.")] = 10,
    condition: Annotated[
        str, typer.Option(help="What to compare by: a condition, or several by weight, such as heel:0.7,category:0.3.")
    ] = "overall",
    filter: Annotated[list[str], typer.Option("--filter", help="Attribute:Value; repeatable.")] = [],  # noqa: B006
    key: Annotated[
        str,
        typer.Option(envvar="SOLEMATE_SEARCH_KEY", help="An API key, if the service asks for one.", show_default=False),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole answer, as /v1/search gives it.")] = False,
    sheet: Annotated[
        Path | None, typer.Option(help="Write the pictures of the shoes into this PNG.", show_default=False)
    ] = None,
    checkpoint: ServedCheckpoint = None,
    index: ServedIndex = None,
) -> None:
    """Find the shoes most like the one in a picture: by the index on this machine, or by a service that runs."""
    from model.files import explained, write_atomic
    from service.cli.client import ask_index, ask_service, to_sheet, to_table

    if url is None:
        ask = partial(ask_index, read_settings(checkpoint=checkpoint, index=index))
    else:
        ask = partial(ask_service, url, key=key)
    found = ask(picture, k=k, condition=condition, filters=filter, with_pictures=sheet is not None)
    typer.echo(json.dumps(found.answer, ensure_ascii=False) if as_json else to_table(found.answer))
    if sheet is not None:
        with explained(sheet):
            write_atomic(sheet, to_sheet(picture, found))


@app.command()
def embed(
    *,
    pictures: Annotated[str, typer.Argument(help="A folder of pictures, or any other catalogue, as `index` takes it.")],
    out: Annotated[Path, typer.Option(help="The file: .parquet or .npz.")],
    checkpoint: CheckpointOption = CHECKPOINT,
    workers: WorkersOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Write the vectors of pictures into a file, for other programs."""
    from model.catalog import read_catalog
    from service.cli.embed import choose_writer, embed_pictures

    choose_writer(out)  # a wrong name is told before the minutes that embedding takes
    embedder = load_embedder(checkpoint, device)
    make_pool, facts = _choose_pool(checkpoint, embedder, workers), {"checkpoint": embedder.checkpoint.digest}
    written, bad = embed_pictures(read_catalog(pictures), make_pool, out, facts)
    for row in bad:
        typer.echo(f"left out: {row.row}: {row.reason}", err=True)
    typer.echo(f"{written:,} vectors of {embedder.dimension} numbers are in {out}; {len(bad):,} pictures left out")


@app.command()
def duplicates(
    *,
    checkpoint: CheckpointOption = CHECKPOINT,
    index: IndexOption = INDEX,
    device: DeviceOption = "auto",
) -> None:
    """Measure how far apart near-duplicates are, which `index` does as well, and keep it with the catalogue."""
    from service.catalog.maintenance.duplicates import MIN_SHOES, measure_duplicates, write_measure

    embedder = load_embedder(checkpoint, device)
    with open_catalog(index) as (store, uploads):
        require_checkpoint(store, embedder.checkpoint.digest)
        measure = measure_duplicates(embedder, store, uploads)
    if measure is None:
        typer.echo(f"the catalogue has fewer than {MIN_SHOES} shoes whose pictures can be read: nothing is measured")
        raise typer.Exit(1)
    write_measure(index, measure)
    typer.echo(measure.describe())


@app.command("map")
def draw_catalog_map(
    *,
    index: IndexOption = INDEX,
    method: Annotated[
        str, typer.Option(help="opentsne (t-SNE), pca (principal components), or auto: t-SNE where it is installed.")
    ] = "auto",
) -> None:
    """Draw the map of a catalogue anew, which `index` does as well: each shoe on a plane, near those like it."""
    with open_catalog(index) as (store, _):
        typer.echo(_draw_map(index, store, method))


def _draw_map(folder: Path, store: "VectorStore", method: str) -> str:
    """Draw the map; what to tell of it."""
    from service.catalog.images import Uploads
    from service.catalog.maintenance.map import draw_map, parse_method

    facts = draw_map(folder, store, method=parse_method(method), uploads=Uploads(folder))
    return f"the map has {facts.items:,} shoes in {facts.tiles} tiles, laid out by {facts.method}"


def _choose_pool(checkpoint: Path, embedder: "Embedder", workers: int | None) -> "PoolFactory":
    from service.catalog.indexing.embed_pool import EmbedderRecipe, choose_pool
    from service.settings import count_cpus

    recipe = EmbedderRecipe(checkpoint, embedder.checkpoint.digest, embedder.device, embedder.networks.runtime)
    return partial(choose_pool, embedder=embedder, recipe=recipe, workers=workers or count_cpus())


install(app)


@app.command("settings")
def show_settings() -> None:
    """Print every setting of `serve` as a Markdown table, with its default."""
    from service.settings import settings_table

    typer.echo(settings_table())


def _require_artifacts(settings: "Settings") -> None:
    """Raise ArtifactMissing for what is not there: no process has to be started to find that out, or torch loaded."""
    if not (settings.checkpoint / "config.json").is_file():
        from model.base_checkpoint import read_config

        read_config(settings.checkpoint)
    if not (settings.store or (settings.index / "catalog.sqlite").is_file()):
        from service.store.embedded.store import EmbeddedStore

        EmbeddedStore.open(settings.index).close()


def work(
    settings: "Settings", listener: socket.socket, pipe: Connection, counts: MutableSequence[int], index: int
) -> None:
    """What a worker process runs. See `service.server.run.work`, which loads what the supervisor does without."""
    from service.telemetry.metrics_files import reserve

    logs.set_up(settings.log_level, settings.log_format)
    reserve()
    from service.server.run import work as serve_as_worker

    serve_as_worker(settings, listener, pipe, counts, index)


def _announce(lines: Sequence[str]) -> None:
    typer.echo("\n".join(lines))


def main() -> None:
    """Run the command line."""
    run_command(app)


def _warn_of_environment() -> None:
    from service.settings import Settings, check_environment

    for warning in check_environment(os.environ, Settings.model_fields):
        logging.getLogger("service").warning("%s", warning)
