"""The command line `python -m training`: data, training, evaluation, reproductions, export."""

import logging
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from model.command import run_command

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Train and evaluate a TVAE."
)
reproduce = typer.Typer(
    no_args_is_help=True, help="Repeat the paper's experiments, as its authors ran them and as we would."
)
app.add_typer(reproduce, name="reproduce")

# The groups that `--help` shows options in.
_data = partial(typer.Option, rich_help_panel="Data")
_network = partial(typer.Option, rich_help_panel="Network")
_objective = partial(typer.Option, rich_help_panel="Objective")
_optimisation = partial(typer.Option, rich_help_panel="Optimisation")
_run = partial(typer.Option, rich_help_panel="Run")

CATALOG_HELP = "A UT-Zap50K folder, a folder of folders, or csv:FILE?id=..&image=..&attributes=.."
CatalogOption = Annotated[str, _data("--catalog", help=CATALOG_HELP, show_default=False)]
DeviceOption = Annotated[str, _run(help="auto, cpu or cuda. auto takes the GPU where there is one.")]
SeedsOption = Annotated[int, typer.Option(min=1, help="How many, from 0 on; each trains all four networks.")]
PicturesOption = Annotated[bool, _run(help="Draw them, or only measure.")]

CONFIGURED: Any = None
"""The default of an option whose value goes into `TrainConfig`: see `TrainCommand`."""

PRESET_REASON = "solemate.preset"
"""Key of the context's `meta`: why a preset was chosen that nobody named."""


@app.callback()
def begin(_context: typer.Context) -> None:
    """Set up the log before any of the commands."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)


@app.command("demo-catalog")
def demo_catalog(
    out: Annotated[Path, typer.Option(help="The folder to make, in UT-Zap50K's layout.")] = Path("artifacts/demo"),
    count: Annotated[int, typer.Option(min=1, help="How many shoes to draw.")] = 2000,
    seed: Annotated[int, typer.Option(help="The same seed draws the same shoes.")] = 0,
) -> None:
    """Draw a catalogue of shoes to try everything on."""
    from model.progress import progress
    from training.demo_catalog import draw_demo_catalog

    with progress(desc="draw", unit="shoes", total=count) as shown:
        draw_demo_catalog(out, count=count, seed=seed, on_progress=shown.update)
    typer.echo(f"drew {count:,} shoes in {out}")


@app.command()
def download(
    out: Annotated[Path, typer.Option(help="The folder to make, a catalogue.")] = Path("artifacts/ut-zap50k"),
    base_url: Annotated[
        str | None, typer.Option(help="Where the archives are, if not at their authors'.", show_default=False)
    ] = None,
    square: Annotated[bool, typer.Option("--square", help="The square pictures, not the original ones.")] = False,
) -> None:
    """Download UT-Zap50K: for academic, non-commercial use only."""
    from training.data.download import BASE_URL
    from training.data.download import download as run_download

    catalog = run_download(out, base_url=base_url or BASE_URL, square=square)
    typer.echo(f"{len(catalog.shoes):,} shoes are in {out}; {len(catalog.bad_rows)} rows are left out")


@app.command("csn-triplets")
def csn_triplets(
    catalog: CatalogOption,
    lists: Annotated[Path, _data(help="The folder with filenames.json and the triplet lists.")],
    out: Annotated[Path, _data(help="The folder for what `evaluate` takes.")] = Path("artifacts/triplets"),
    split: Annotated[str, _data(help="train, val or test.")] = "test",
    limit: Annotated[
        int | None, _data(min=1, help="Lines of each list; else as many as is usual.", show_default=False)
    ] = None,
) -> None:
    """Turn the triplet lists of Conditional Similarity Networks, for UT-Zap50K, into files to evaluate on."""
    from model.catalog import read_catalog
    from training.config import one_of
    from training.evaluation.csn import SPLITS, write_csn

    ids = [shoe.id for shoe in read_catalog(catalog).shoes]
    written = write_csn(lists, ids, one_of("split", split, tuple(SPLITS)), out, limit=limit)
    named = " ".join(f"--triplets {each.condition}={out / f'{split}-{each.condition}.csv'}" for each in written)
    typer.echo(f"evaluate on them with: --ids {out / f'{split}-ids.txt'} {named}")


@app.command("draw-csn-lists")
def draw_csn_lists(
    catalog: CatalogOption,
    out: Annotated[Path, _data(help="The folder for filenames.json and the lists.")] = Path("artifacts/csn-lists"),
    seed: Annotated[int, _run(help="Of the split into train, val and test, and of the triplets.")] = 0,
) -> None:
    """Draw lists of the form of those, to try things on: from the labels of a catalogue in UT-Zap50K's layout."""
    from model.catalog import read_catalog
    from training.evaluation.csn_draw import draw_csn_lists as run_drawing

    drawn = run_drawing(read_catalog(catalog), out, seed=seed)
    shoes = ", ".join(f"{count:,} shoes in {split}" for split, count in drawn.items())
    typer.echo(f"drew triplet lists in {out}: {shoes}; no product is in two of them")


class TrainCommand(TyperCommand):
    """The command whose options have the defaults of `TrainConfig`, read only now, since that loads torch."""

    def make_context(self, *arguments: Any, **extra: Any) -> Any:  # noqa: ANN401 - as in click
        """Set the defaults, then parse the arguments."""
        from training.config import default_options

        defaults = default_options()
        for parameter in self.params:
            parameter.default = defaults.get(parameter.name or "", parameter.default)
        return super().make_context(*arguments, **extra)


def _take_config(context: typer.Context, path: Path | None) -> Path | None:
    """Let the file's values be the defaults of the options that are read after it, before a preset's."""
    from training.config import read_options

    if path is not None and not context.resilient_parsing:
        known = {parameter.name for parameter in context.command.params if parameter.name} - {"config"}
        context.default_map = {**(context.default_map or {}), **read_options(path, known)}
    return path


def _take_preset(context: typer.Context, name: str | None) -> str | None:
    """Let the preset's values be the defaults of the options that are read after it; choose one where none is named."""
    from model.catalog import read_catalog
    from model.errors import CatalogError
    from training.config import one_of
    from training.presets import PRESETS, choose_preset

    if context.resilient_parsing:  # for shell completion
        return name
    catalog = context.params.get("catalog")
    if name is None and isinstance(catalog, str):
        try:
            choice = choose_preset(read_catalog(catalog))
        except CatalogError:  # the command reads it again, after it has looked at its other arguments
            return None
        name = choice.preset
        context.meta[PRESET_REASON] = choice.reason
    if name is not None:
        context.default_map = {**PRESETS[one_of("preset", name, tuple(PRESETS))], **(context.default_map or {})}
    return name


def _check_run(context: typer.Context, out: Path, network: str, *, again: bool) -> None:
    """Say which preset was chosen, and refuse what can't be done before the minutes that decoding takes."""
    from model.errors import TrainingError
    from model.tvae import NETWORK_PRESETS
    from training.checkpointing import refuse_finished
    from training.distributed import count_processes

    if not again:  # the trainer asks again
        refuse_finished(out)
    if PRESET_REASON in context.meta:
        typer.echo(f"preset {context.params['preset']}: {context.meta[PRESET_REASON]}", err=True)
    if not context.params["photo_views"]:
        return
    if network in NETWORK_PRESETS and not NETWORK_PRESETS[network].separate:  # an unknown one is refused by its name
        raise TrainingError(
            f"learning from photos needs --network shoes-large; for --network {network} choose --preset catalog"
        )
    if count_processes() > 1:
        raise TrainingError("several processes can't learn from photos together; start one, or --preset catalog")


@app.command(cls=TrainCommand)
def train(
    context: typer.Context,
    catalog: Annotated[str, typer.Option("--catalog", help=CATALOG_HELP, show_default=False, is_eager=True)],
    preset: Annotated[
        str | None,
        typer.Option(
            is_eager=True,
            callback=_take_preset,
            show_default=False,
            help="Other defaults for the options below: catalog; photos, which also finds shoes in photos; demo, a "
            "short training; mnist. Left out: photos, if the catalogue's pictures allow that, else catalog.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            is_eager=True,
            callback=_take_config,
            show_default=False,
            help="A TOML file of defaults for all options, such as `batch_size = 128`; before a preset's.",
        ),
    ] = None,
    out: Annotated[Path, _data(help="The checkpoint's folder.")] = Path("artifacts/checkpoint"),
    condition: Annotated[
        list[str] | None,
        _data(
            help="What a slice of the vector is to order, as [NAME=]ATTRIBUTE[+ATTRIBUTE][:SIZE]; repeatable. "
            "Left out: UT-Zap50K's four, or else the first four attributes that can order shoes; never numbers, "
            "text or links.",
            show_default=False,
        ),
    ] = None,
    exclude_ids: Annotated[
        Path | None, _data(help="A file of shoe ids, one a line, to keep out of training.", show_default=False)
    ] = None,
    validation_share: Annotated[float, _data(min=0, max=0.9, help="Share of products held out.")] = CONFIGURED,
    balance: Annotated[float, _data(min=0, max=1, help="1 shows rare values as often as common ones.")] = CONFIGURED,
    reframe: Annotated[
        float, _data(min=0, max=4, help="Shift, scale and turn pictures: 1 for a little, 0 for catalogue shots.")
    ] = CONFIGURED,
    brighten: Annotated[
        float, _data(min=0, max=0.9, help="Make pictures darker and lighter by up to this share.")
    ] = CONFIGURED,
    erase: Annotated[
        float, _data(min=0, max=1, help="The chance to hide a square of a picture from the encoder; 0.5 on few shoes.")
    ] = CONFIGURED,
    flip: Annotated[float, _data(min=0, max=1, help="The chance of a mirror image.")] = CONFIGURED,
    photo_views: Annotated[
        int, _data(min=0, max=32, help="Photos to make of each shoe and learn from, with a localizer; 0: none.")
    ] = CONFIGURED,
    max_bad_share: Annotated[float, _data(min=0, max=1, help="Stop if more rows than this are bad.")] = 0.02,
    latent_size: Annotated[int, _network(min=1, help="Numbers in the vector.")] = CONFIGURED,
    network: Annotated[
        str, _network(help="shoes; shoes-large: more accurate, and about four times the work; or mnist.")
    ] = CONFIGURED,
    image_size: Annotated[
        int | None,
        _network(help="Pixels a side; twice or four times the network's usual 64 (mnist: 28).", show_default=False),
    ] = None,
    likelihood: Annotated[str, _objective(help="gaussian or bernoulli.")] = CONFIGURED,
    observation_std: Annotated[
        float, _objective(min=0.001, help="Of the Gaussian likelihood; smaller draws sharper and compresses less.")
    ] = CONFIGURED,
    triplet_weight: Annotated[float, _objective(min=0, help="In nats; 0 trains the plain VAE.")] = CONFIGURED,
    label_weight: Annotated[
        float, _objective(min=0, help="Of classifiers that tell each condition's values from its slice, in nats.")
    ] = CONFIGURED,
    margin: Annotated[float, _objective(min=0, help="In units of the mean vector.")] = CONFIGURED,
    miner: Annotated[str, _objective(help="Which triplets of a batch count.")] = CONFIGURED,
    smooth: Annotated[bool, _objective(help="A softplus in the triplet term, or a hinge.")] = CONFIGURED,
    perceptual_weight: Annotated[
        float, _objective(min=0, help="Of the difference of VGG19's features, in nats; 0: none.")
    ] = CONFIGURED,
    perceptual_layer: Annotated[list[str], _objective(help="Of VGG19; repeatable.")] = CONFIGURED,
    vgg_weights: Annotated[
        Path | None, _objective(help="torchvision's VGG19 weights; else those in torch's cache.", show_default=False)
    ] = None,
    epochs: Annotated[int, _optimisation(min=1)] = CONFIGURED,
    instance_weight: Annotated[
        float, _objective(min=0, help="Of photos finding the catalogue picture of their own shoe, in nats.")
    ] = CONFIGURED,
    batch_size: Annotated[int, _optimisation(min=2, help="Shoes in a step, over all processes.")] = CONFIGURED,
    learning_rate: Annotated[float, _optimisation(help="The peak of the schedule.")] = CONFIGURED,
    ema_decay: Annotated[
        float, _optimisation(min=0, max=0.99999, help="Of an average of the weights, such as 0.999; 0: no average.")
    ] = CONFIGURED,
    validate_every: Annotated[int, _optimisation(min=1, help="Epochs between two measurements.")] = CONFIGURED,
    patience: Annotated[
        int, _optimisation(min=0, help="Measurements without a better one to stop after, with the best; 0: never.")
    ] = CONFIGURED,
    precision: Annotated[
        str, _optimisation(help="bf16 or float32; auto times a few steps of each and takes the faster one.")
    ] = CONFIGURED,
    threads: Annotated[
        str, _optimisation(help="Of torch: a number; auto times a few steps and takes the fastest, on a CPU.")
    ] = CONFIGURED,
    seed: Annotated[int, _optimisation(help="Of everything random.")] = CONFIGURED,
    device: DeviceOption = "auto",
    resume: Annotated[bool, _run("--resume", help="Go on where a stopped run was.")] = False,
    overwrite: Annotated[
        bool, _run("--overwrite", help="Replace a finished checkpoint; it stays until the new one is finished.")
    ] = False,
    save_every: Annotated[float, _run(min=0, help="Seconds between two saves of the state.")] = 10.0,
    tensorboard: Annotated[bool, _run("--tensorboard", help="Write event files into OUT/tensorboard.")] = False,
    onnx: Annotated[
        bool, _run("--onnx/--no-onnx", help="Leave ONNX files too, by which the service does without torch.")
    ] = True,
) -> None:
    """Train a network on a catalogue; leaves a checkpoint.

    Several processes, each with a GPU of its own, share each batch:
    torchrun --nproc-per-node 2 -m training train ...
    """
    from model.catalog import read_catalog
    from model.inference import pick_device
    from training.checkpointing import is_finished
    from training.conditions import choose_conditions, cut_latent
    from training.config import make_config
    from training.data.images import read_ids
    from training.distributed import join_process_group
    from training.perceptual import PerceptualLoss
    from training.photos.stage import INSTANCE_SIZE, prepare_images
    from training.photos.state import forget_stage
    from training.plan import make_plan
    from training.train import train as run_training

    # All that can be wrong with the options is said before the minutes that decoding and learning from photos take.
    _check_run(context, out, network, again=resume or overwrite)
    if triplet_weight == 0 and (condition or label_weight):
        typer.echo("warning: --triplet-weight 0 leaves out --condition and --label-weight", err=True)
    options = make_config(context.params)
    if perceptual_weight > 0:
        PerceptualLoss(options.objective.perceptual_layers, vgg_weights)
    excluded = frozenset[str]() if exclude_ids is None else read_ids(exclude_ids)
    with join_process_group(pick_device(device)) as process_group:
        with process_group.silence_others():
            source = read_catalog(catalog)
            known = {shoe.id: shoe.attributes for shoe in source.shoes if shoe.id not in excluded}
            chosen = choose_conditions(condition, list(known.values()), triplet_weight)
            shape, conditions = cut_latent(options.network, latent_size, chosen, INSTANCE_SIZE if photo_views else 0)
            settings = replace(options, network=shape, conditions=conditions)
            if resume and is_finished(out, settings.fingerprint(list(known))):
                typer.echo(f"the training in {out} is already finished", err=True)
                return
            prepared = prepare_images(
                source,
                settings,
                excluded=excluded,
                process_group=process_group,
                max_bad_share=max_bad_share,
                report=out / "bad-rows.csv" if process_group.is_leader else None,
                folder=out,
                resume=resume,
            )
        images, decoded = prepared.images, prepared.decoded
        if photo_views and images.views is None:
            shape, conditions = cut_latent(options.network, latent_size, chosen)
            settings = replace(options, network=shape, conditions=conditions)
        if process_group.is_leader:
            plan = make_plan(
                images,
                settings,
                network=network,
                named=condition is not None,
                left_out={"see bad-rows.csv": source.size - decoded, "--exclude-ids": decoded - len(images)},
                device=process_group.device,
                processes=process_group.world_size,
            )
            typer.echo(plan.to_text())
        run_training(
            images,
            settings,
            out,
            device=process_group.device,
            source=catalog,
            resume=resume,
            overwrite=overwrite,
            save_every=save_every,
            excluded=excluded,
            vgg_weights=vgg_weights,
            localizer=prepared.localizer,
            scenes=prepared.scenes,
            tensorboard=tensorboard,
            process_group=process_group,
        )
    if process_group.is_leader:
        forget_stage(out)
        if onnx:
            _leave_onnx(out)
        typer.echo(f"the checkpoint is in {out}")


def _leave_onnx(checkpoint: Path) -> None:
    """Export the checkpoint for the service, which runs it by torch where that fails."""
    try:
        from training.onnx_export import export_onnx as run_export

        run_export(checkpoint)
    except Exception as error:  # noqa: BLE001 - whatever the exporter says, the training has succeeded
        logging.getLogger(__name__).warning(
            "no ONNX files (%s); the service runs the checkpoint by torch. To try again: "
            "python -m training export-onnx --checkpoint %s",
            error,
            checkpoint,
        )


@app.command()
def evaluate(
    catalog: CatalogOption,
    checkpoint: Annotated[Path, _data(help="The checkpoint to evaluate.")] = Path("artifacts/checkpoint"),
    compare: Annotated[
        list[Path] | None, _data(help="A checkpoint to compare it with; repeatable.", show_default=False)
    ] = None,
    ids: Annotated[
        Path | None,
        _data(help="A file of the shoes to evaluate, one id a line; else those held out.", show_default=False),
    ] = None,
    triplets: Annotated[
        list[str] | None,
        _data(
            metavar="ATTRIBUTE=FILE",
            help="A fixed list of triplets: .npy, .csv or .txt; repeatable. Else they are drawn.",
            show_default=False,
        ),
    ] = None,
    attribute: Annotated[
        list[str] | None, _data(help="An attribute to measure beside the conditions'; repeatable.", show_default=False)
    ] = None,
    out: Annotated[Path, _run(help="The folder for the figures and pictures.")] = Path("artifacts/evaluation"),
    device: DeviceOption = "auto",
    seed: Annotated[int, _run(help="Of drawn triplets and of the shoes in the pictures.")] = 0,
    pictures: PicturesOption = True,
) -> None:
    """Measure a checkpoint on shoes it has not seen: triplets, retrieval, reconstruction; figures and pictures."""
    from model.text import nfc
    from training.evaluation.evaluate import evaluate as run_evaluation
    from training.evaluation.evaluate import parse_lists

    others = [folder for folder in compare or () if folder.resolve() != checkpoint.resolve()]
    summary = run_evaluation(
        [checkpoint, *dict.fromkeys(others)],
        catalog,
        out=out,
        ids=ids,
        triplets=parse_lists(triplets or ()),
        attributes=[nfc(name) for name in attribute or ()],
        device=device,
        seed=seed,
        pictures=pictures,
    )
    typer.echo(f"{summary.to_text()}\n\nreport and pictures: {out / 'report.md'}")


@app.command("make-photos")
def make_photos(
    catalog: CatalogOption,
    backgrounds: Annotated[Path, _data(help="A folder of pictures without shoes, to put the shoes on pieces of.")],
    out: Annotated[Path, _data(help="The folder for the photos, ID.jpg each.")] = Path("artifacts/photos"),
    ids: Annotated[
        Path | None, _data(help="A file of the shoes to photograph, one id a line; else all.", show_default=False)
    ] = None,
    seed: Annotated[int, _run(min=0, help="The same seed makes the same photos.")] = 0,
) -> None:
    """Photograph each shoe of a catalogue before other pictures, as people would: to measure on, not to train on."""
    from training.photos.make import make_photos as run_making

    made = run_making(catalog, backgrounds, out, ids=ids, seed=seed)
    typer.echo(f"{made.to_text()}; they are in {out}")


@app.command("evaluate-photos")
def evaluate_photos(
    catalog: CatalogOption,
    photos: Annotated[Path, _data(help="The folder of photos, ID.jpg each.")] = Path("artifacts/photos"),
    checkpoint: Annotated[Path, _data(help="The checkpoint to evaluate.")] = Path("artifacts/checkpoint"),
    ids: Annotated[
        Path | None,
        _data(help="A file of the shoes to search and to ask for, one id a line; else all.", show_default=False),
    ] = None,
    attribute: Annotated[
        str | None, _data(help="That the nearest shoe is to share; else the first condition's.", show_default=False)
    ] = None,
    out: Annotated[Path, _run(help="The folder for the figures and the contact sheet.")] = Path(
        "artifacts/photo-evaluation"
    ),
    device: DeviceOption = "auto",
) -> None:
    """Measure whether photos find the catalogue pictures of their own shoes; figures and a contact sheet."""
    from model.text import nfc
    from training.photos.measure import evaluate_photos as run_measurement

    chosen = None if attribute is None else nfc(attribute)
    summary = run_measurement(catalog, photos, checkpoint, out=out, ids=ids, attribute=chosen, device=device)
    typer.echo(f"{summary.to_text()}\n\ncontact sheet: {out / 'photos.png'}")


@reproduce.command("mnist")
def mnist(
    data: Annotated[Path, typer.Option(help="The folder with MNIST's four files.")] = Path("artifacts/mnist"),
    out: Annotated[Path, typer.Option(help="The folder for networks, figures and pictures.")] = Path(
        "artifacts/reproduce-mnist"
    ),
    download: Annotated[
        bool, typer.Option("--download", help="Fetch MNIST into that folder first, through torchvision.")
    ] = False,
    triplets: Annotated[
        Path | None,
        typer.Option(help="A fixed list: .npy, (M, 3) indices into the test pictures. Else drawn.", show_default=False),
    ] = None,
    seeds: SeedsOption = 1,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Of our recipe; theirs takes 10.", show_default=False)
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few pictures, two epochs: to see that it works.")] = False,
    pictures: PicturesOption = True,
    device: DeviceOption = "auto",
) -> None:
    """Train the paper's VAE and TVAE on MNIST, and ours; measure all four on the held-out pictures."""
    from training.reproduce.mnist.experiment import QUICK, Plan, reproduce_mnist

    base = QUICK if quick else Plan()
    plan = replace(base, seeds=tuple(range(seeds)), epochs=epochs or base.epochs, pictures=pictures)
    report = reproduce_mnist(data, out, plan, triplets=triplets, download=download, device=device)
    typer.echo(f"{report.to_text()}\n\nreport and pictures: {out / 'report.md'}")


@reproduce.command("zappos")
def zappos(
    lists: Annotated[
        Path, typer.Option(help="The folder with filenames.json and CSN's triplet lists.", show_default=False)
    ],
    catalog: Annotated[
        str, typer.Option(help="UT-Zap50K, as `download` leaves it, or a catalogue in its layout.")
    ] = "artifacts/ut-zap50k",
    out: Annotated[Path, typer.Option(help="The folder for networks, figures and pictures.")] = Path(
        "artifacts/reproduce-zappos"
    ),
    seeds: SeedsOption = 1,
    epochs: Annotated[int | None, typer.Option(min=1, help="Of each network; else 30.", show_default=False)] = None,
    network: Annotated[
        str, typer.Option(help="shoes, or shoes-large: more accurate, and two to three times the work.")
    ] = "shoes",
    quick: Annotated[
        bool, typer.Option("--quick", help="Few shoes and triplets, two epochs: to see that it works.")
    ] = False,
    pictures: PicturesOption = True,
    device: DeviceOption = "auto",
) -> None:
    """Train a VAE, a triplet network and TVAEs on shoes; measure them on the triplets of CSN's test lists."""
    from training.reproduce.zappos.experiment import QUICK, Plan, reproduce_zappos

    base = QUICK if quick else Plan()
    plan = replace(base, seeds=tuple(range(seeds)), epochs=epochs or base.epochs, network=network, pictures=pictures)
    report = reproduce_zappos(catalog, lists, out, plan, device=device)
    typer.echo(f"{report.to_text()}\n\nreport and pictures: {out / 'report.md'}")


@app.command("export-onnx")
def export_onnx(
    checkpoint: Annotated[Path, _data(help="The checkpoint to export.")] = Path("artifacts/checkpoint"),
    out: Annotated[
        Path | None, _data(help="The folder for the files.", show_default="CHECKPOINT/onnx, for the service")
    ] = None,
) -> None:
    """Write a checkpoint's networks as ONNX files, checked against torch, as `train` does; see docs/export.md."""
    from training.onnx_export import export_onnx as run_export

    for name, difference in run_export(checkpoint, out).items():
        typer.echo(f"{name}: differs from torch by at most {difference:.1g}")


def main() -> None:
    """Run the command line."""
    run_command(app)
