"""`python -m service items | verify | export | import | backup`: looking after a catalogue, served or not."""

import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from model.text import nfc

if TYPE_CHECKING:
    from model.embedder import Embedder
    from service.catalog.images import Uploads
    from service.settings import Settings
    from service.store.embedded.store import EmbeddedStore

# Not at the top, in all of this: --help and a wrong option are answered without loading torch.

items = typer.Typer(no_args_is_help=True, help="List, add and delete shoes, in the store itself.")

CheckpointOption = Annotated[Path, typer.Option(envvar="SOLEMATE_CHECKPOINT", help="The checkpoint's folder.")]
IndexOption = Annotated[Path, typer.Option(envvar="SOLEMATE_INDEX", help="The indexed catalogue's folder.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda. auto takes the GPU where there is one.")]

CHECKPOINT = Path("artifacts/checkpoint")
INDEX = Path("artifacts/catalog")

HOUR = 3600.0


def install(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.add_typer(items, name="items")
    app.command("verify")(verify)
    app.command("export")(export)
    app.command("import")(import_)
    app.command("backup")(backup)


@items.command("list")
def list_items(
    *,
    filter: Annotated[
        list[str], typer.Option("--filter", help="Attribute:Value, repeated as in the interface's searches.")
    ] = [],  # noqa: B006
    index: IndexOption = INDEX,
) -> None:
    """Print every shoe as a line of JSON: id, picture, attributes."""
    from service.store.base import iterate_items
    from service.store.filters import parse_filter

    passing = parse_filter(filter)
    with open_catalog(index) as (store, _):
        for item in iterate_items(store, filter=passing):
            shown = {"id": item.id, "image": item.image, "attributes": dict(item.attributes)}
            typer.echo(json.dumps(shown, ensure_ascii=False))


@items.command("add")
def add_item(
    *,
    item_id: Annotated[str, typer.Argument(metavar="ID", help="The shoe's id.")],
    image: Annotated[Path, typer.Argument(help="A picture of it.")],
    attribute: Annotated[list[str], typer.Option("--attribute", "-a", help="Name:Value, repeated.")] = [],  # noqa: B006
    overwrite: Annotated[bool, typer.Option(help="Replace the shoe of that id, if there is one.")] = True,
    checkpoint: CheckpointOption = CHECKPOINT,
    index: IndexOption = INDEX,
    device: DeviceOption = "auto",
) -> None:
    """Put a shoe into the catalogue, as `PUT /v1/items/{id}` does; a service sees it in its next answer."""
    from model.files import explain_failure
    from service.catalog.attributes import check_attributes, check_id
    from service.catalog.images import clean_picture
    from service.catalog.writer import Add, CatalogWriter, Changed

    attributes: dict[str, list[str]] = {}
    for text in attribute:
        name, colon, value = text.partition(":")
        if not colon:
            raise typer.BadParameter(f"{text!r} is not Name:Value", param_hint="--attribute")
        attributes.setdefault(name, []).append(value)
    checked = check_attributes(attributes)
    embedder = load_embedder(checkpoint, device)
    try:
        picture = clean_picture(embedder.preprocessor, image.read_bytes())
    except OSError as error:
        raise explain_failure(image, error) from error
    with open_catalog(index) as (store, uploads):
        require_checkpoint(store, embedder.checkpoint.digest)
        (vector,) = embedder.embed([picture.content])
        add = Add(check_id(item_id), checked, picture, vector, overwrite=overwrite)
        (outcome,) = CatalogWriter(store, uploads).run([add])
    if not isinstance(outcome, Changed):
        raise outcome
    typer.echo(f"{'added' if outcome.created else 'replaced'} {item_id}")


@items.command("delete")
def delete_items(
    *,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="The shoes' ids.")],
    index: IndexOption = INDEX,
) -> None:
    """Take shoes out of the catalogue, each with its picture if that was uploaded."""
    from service.catalog.writer import CatalogWriter, Changed, Remove

    with open_catalog(index) as (store, uploads):
        outcomes = CatalogWriter(store, uploads).run([Remove(nfc(item_id)) for item_id in ids])
    for outcome in outcomes:
        if isinstance(outcome, Changed):
            typer.echo(f"deleted {outcome.item.id}")
        else:
            typer.echo(f"error: {outcome}", err=True)
    if not all(isinstance(outcome, Changed) for outcome in outcomes):
        raise typer.Exit(1)


def verify(
    *,
    sample: Annotated[int, typer.Option(min=0, help="Shoes whose vectors are made again and compared.")] = 200,
    remove_orphans: Annotated[
        bool, typer.Option("--remove-orphans", help="Delete uploaded pictures that no shoe has.")
    ] = False,
    orphan_seconds: Annotated[
        float, typer.Option(min=0, help="Younger ones are left alone: a change may be about to need them.")
    ] = HOUR,
    checkpoint: CheckpointOption = CHECKPOINT,
    index: IndexOption = INDEX,
    device: DeviceOption = "auto",
) -> None:
    """Check everything: digests, the database, each vector, each picture, and some vectors against their pictures.

    The catalogue may be served meanwhile. The status is 0 if all is well, and else 1.
    """
    from service.catalog.images import Uploads
    from service.catalog.maintenance.verify import verify_catalog

    # torch, for that reads and checks the checkpoint's weights.
    report = verify_catalog(
        index, lambda: load_embedder(checkpoint, device, "torch"), sample=sample, orphan_seconds=orphan_seconds
    )
    wrong = report.wrong
    if remove_orphans:
        Uploads(index).sweep(report.orphans)
    else:
        wrong += [f"uploaded picture {name}: no shoe has it; --remove-orphans deletes it" for name in report.orphans]
    for problem in wrong:
        typer.echo(problem)
    removed = f", {len(report.orphans):,} pictures without a shoe removed" if remove_orphans else ""
    found = f"{len(wrong):,} problem{'s' * (len(wrong) > 1)}" if wrong else "all is well"
    typer.echo(f"{report.shoes:,} shoes, {report.compared:,} vectors made again{removed}: {found}")
    if wrong:
        raise typer.Exit(1)


def export(
    *,
    to: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write, such as shoes.zip.")],
    index: IndexOption = INDEX,
) -> None:
    """Write shoes, vectors and uploaded pictures into one file, which `import` takes into any store."""
    from service.catalog.maintenance.archive import export_catalog

    with open_catalog(index) as (store, uploads):
        manifest = export_catalog(store, uploads, to)
    typer.echo(f"{manifest.count:,} shoes are in {to}")


def import_(
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `export` wrote.")],
    index: IndexOption = INDEX,
    root: Annotated[
        Path | None,
        typer.Option(help="Where the indexed pictures lie; only for a new catalogue.", show_default="as exported"),
    ] = None,
) -> None:
    """Take an exported file's shoes into a catalogue, in the places of those of their ids; makes one if need be.

    Vectors of another checkpoint than the catalogue's are refused. The next `index` embeds the imported shoes that are
    in its source.
    """
    from service.catalog.images import Uploads
    from service.catalog.indexing.ledger import Ledger
    from service.catalog.maintenance.archive import Archive, import_catalog
    from service.store.base import StoreSpec
    from service.store.embedded.store import DATABASE, EmbeddedStore

    with Archive(file) as archive:
        made = archive.manifest
        if not (index / DATABASE).exists():
            lies_in = made.root if root is None else root.absolute()
            spec = StoreSpec.of(made.dimension, made.slices, made.checkpoint, lies_in)
            EmbeddedStore.create(index, spec).close()
        with closing(EmbeddedStore.open(index)) as store:
            report = import_catalog(archive, store, Uploads(index), Ledger(index))
            count = store.info().count
    typer.echo(
        f"{count:,} shoes are in {index}: {report.created:,} added, {report.replaced:,} replaced, "
        f"{report.pictures:,} with their pictures"
    )


def backup(
    *,
    to: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder that does not exist yet.")],
    index: IndexOption = INDEX,
) -> None:
    """Copy the catalogue as it is at one moment, with its uploaded pictures, while it is served and changed."""
    from service.catalog.maintenance.backup import back_up

    report = back_up(index, to)
    for item_id in report.missing:
        typer.echo(f"shoe {item_id!r}: its uploaded picture was gone already", err=True)
    typer.echo(f"{report.shoes:,} shoes and {report.pictures:,} uploaded pictures are in {to}")
    if report.missing:
        raise typer.Exit(1)


@contextmanager
def open_catalog(index: Path) -> "Iterator[tuple[EmbeddedStore, Uploads]]":
    """The catalogue in a folder, and its uploaded pictures."""
    from service.catalog.images import Uploads
    from service.store.embedded.store import EmbeddedStore

    with closing(EmbeddedStore.open(index)) as store:
        yield store, Uploads(index)


def load_embedder(checkpoint: Path, device: str, runtime: Literal["torch"] | None = None) -> "Embedder":
    """The embedder of a checkpoint, run by `runtime` or what the environment says. Raises ArtifactError."""
    from model.runtime import open_embedder

    return open_embedder(checkpoint, runtime=runtime or read_settings().runtime, device=device)


def read_settings(**options: str | int | Path | None) -> "Settings":
    """The environment's settings, with the options that were given; a wrong one ends the program, named."""
    import pydantic

    from service.settings import Settings

    try:
        return Settings.model_validate({name: value for name, value in options.items() if value is not None})
    except pydantic.ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"])
            typer.echo(f"error: setting SOLEMATE_{name.upper()} is {problem['input']!r}: {problem['msg']}", err=True)
        sys.exit(2)


def require_checkpoint(store: "EmbeddedStore", digest: str) -> None:
    """Raise ArtifactMismatch unless that checkpoint made the store's vectors."""
    from model.errors import ArtifactMismatch

    made_by = store.info().checkpoint
    if made_by != digest:
        raise ArtifactMismatch(f"the catalogue's vectors were made by the checkpoint {made_by[:16]}, not {digest[:16]}")
