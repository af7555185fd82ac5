"""`python -m training`: everything that happens before a service can start."""

import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from model.errors import SolemateError

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Train and evaluate a TVAE."
)

CatalogOption = Annotated[
    str,
    typer.Option(
        "--catalog",
        help="A UT-Zap50K folder, a folder of folders, or csv:FILE?id=..&image=..&attributes=..",
        show_default=False,
    ),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda. auto takes the GPU where there is one.")]


@app.command("demo-catalog")
def demo_catalog(
    out: Annotated[Path, typer.Option(help="The folder to make, in UT-Zap50K's layout.")] = Path("artifacts/demo"),
    count: Annotated[int, typer.Option(min=1, help="How many shoes to draw.")] = 2000,
    seed: Annotated[int, typer.Option(help="The same seed draws the same shoes.")] = 0,
) -> None:
    """Draw a catalogue of shoes to try everything on."""
    from model.progress import progress
    from training.data.demo import draw_demo_catalog

    with progress(desc="draw", unit="shoes", total=count) as shown:
        draw_demo_catalog(out, count=count, seed=seed, on_progress=shown.update)
    typer.echo(f"drew {count:,} shoes in {out}")


@app.command()
def train(
    catalog: CatalogOption,
    out: Annotated[Path, typer.Option(help="The checkpoint's folder.")] = Path("artifacts/checkpoint"),
    condition: Annotated[
        list[str] | None,
        typer.Option(
            help="What a slice of the vector is to order, as [NAME=]ATTRIBUTE[+ATTRIBUTE][:SIZE]; repeatable. "
            "Left out: UT-Zap50K's four, or else the first four attributes that can order shoes.",
            show_default=False,
        ),
    ] = None,
    exclude_ids: Annotated[
        Path | None, typer.Option(help="A file of shoe ids, one a line, to keep out of training.", show_default=False)
    ] = None,
    latent_size: Annotated[int, typer.Option(min=1, help="Numbers in the vector.")] = 64,
    epochs: Annotated[int, typer.Option(min=1)] = 30,
    batch_size: Annotated[int, typer.Option(min=2)] = 64,
    learning_rate: Annotated[float, typer.Option(help="The peak of the schedule.")] = 2e-3,
    triplet_weight: Annotated[float, typer.Option(min=0, help="In nats; 0 trains the plain VAE.")] = 3000.0,
    margin: Annotated[float, typer.Option(min=0, help="In units of the mean vector.")] = 0.0,
    miner: Annotated[str, typer.Option(help="Which triplets of a batch count.")] = "batch-all",
    smooth: Annotated[bool, typer.Option(help="A softplus in the triplet term, or a hinge.")] = True,
    blocks: Annotated[int, typer.Option(min=0, help="Residual blocks in each stage of the network.")] = 0,
    observation_std: Annotated[
        float, typer.Option(min=0.001, help="Of the Gaussian likelihood; smaller draws sharper and compresses less.")
    ] = 0.1,
    likelihood: Annotated[str, typer.Option(help="gaussian or bernoulli.")] = "gaussian",
    balance: Annotated[float, typer.Option(min=0, max=1, help="1 shows rare values as often as common ones.")] = 0.0,
    validation_share: Annotated[float, typer.Option(min=0, max=0.9, help="Share of products held out.")] = 0.1,
    max_bad_share: Annotated[float, typer.Option(min=0, max=1, help="Stop if more rows than this are bad.")] = 0.02,
    precision: Annotated[str, typer.Option(help="auto, bf16 or float32.")] = "auto",
    seed: Annotated[int, typer.Option()] = 0,
    device: DeviceOption = "auto",
    save_every: Annotated[float, typer.Option(min=0, help="Seconds between two saves of the state.")] = 10.0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a stopped run was.")] = False,
) -> None:
    """Train a network on a catalogue; leaves a checkpoint."""
    from model.catalog import read_catalog
    from model.embedder import pick_device
    from model.preprocess import Preprocessor
    from model.tvae import PRESETS
    from training.config import TrainConfig, choose_conditions, cut_latent, one_of
    from training.data.images import load_images, read_ids
    from training.objective import ObjectiveConfig
    from training.trainer import train as run_training
    from training.triplets import MINERS

    chosen = pick_device(device)
    base = TrainConfig()
    images = load_images(
        read_catalog(catalog),
        Preprocessor(base.preprocess),
        max_bad_share=max_bad_share,
        report=out / "bad-rows.csv",
    )
    if exclude_ids is not None:
        excluded = read_ids(exclude_ids)
        images = images.take(index for index, shoe_id in enumerate(images.ids) if shoe_id not in excluded)
    network, conditions = cut_latent(
        replace(PRESETS["shoes"], blocks=blocks),
        latent_size,
        choose_conditions(condition, images.attributes, triplet_weight),
    )
    config = replace(
        base,
        network=network,
        conditions=conditions,
        objective=ObjectiveConfig(
            likelihood=one_of("likelihood", likelihood, ("gaussian", "bernoulli")),
            observation_std=observation_std,
            triplet_weight=triplet_weight,
            margin=margin,
            smooth=smooth,
            miner=one_of("miner", miner, tuple(MINERS)),
        ),
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        balance=balance,
        validation_share=validation_share,
        precision=one_of("precision", precision, ("auto", "bf16", "float32")),
        seed=seed,
    )
    run_training(images, config, out, device=chosen, source=catalog, resume=resume, save_every=save_every)
    typer.echo(f"the checkpoint is in {out}")


@app.command()
def evaluate(
    catalog: CatalogOption,
    checkpoint: Annotated[Path, typer.Option(help="The checkpoint to evaluate.")] = Path("artifacts/checkpoint"),
    compare: Annotated[
        list[Path] | None, typer.Option(help="A checkpoint to compare it with; repeatable.", show_default=False)
    ] = None,
    ids: Annotated[
        Path | None,
        typer.Option(help="A file of the shoes to evaluate, one id a line; else those held out.", show_default=False),
    ] = None,
    triplets: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ATTRIBUTE=FILE",
            help="A fixed list of triplets: .npy, .csv or .txt; repeatable. Else they are drawn.",
            show_default=False,
        ),
    ] = None,
    attribute: Annotated[
        list[str] | None,
        typer.Option(help="An attribute to measure beside the conditions'; repeatable.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder for the figures and pictures.")] = Path("artifacts/evaluation"),
    device: DeviceOption = "auto",
    seed: Annotated[int, typer.Option(help="Of drawn triplets and of the shoes in the pictures.")] = 0,
    pictures: Annotated[bool, typer.Option(help="Draw them, or only measure.")] = True,
) -> None:
    """Measure a checkpoint on shoes it has not seen: triplets, retrieval, reconstruction; figures and pictures."""
    from training.evaluation import evaluate as run_evaluation
    from training.evaluation import parse_lists

    others = [folder for folder in compare or () if folder.resolve() != checkpoint.resolve()]
    summary = run_evaluation(
        [checkpoint, *dict.fromkeys(others)],
        catalog,
        out=out,
        ids=ids,
        triplets=parse_lists(triplets or ()),
        attributes=attribute or (),
        device=device,
        seed=seed,
        pictures=pictures,
    )
    typer.echo(summary.to_text())
    typer.echo(f"\nreport and pictures: {out / 'report.md'}")


def main() -> None:
    """Run the command line; an error that a person can mend is one line, and exit status 1."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        app()
    except SolemateError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
