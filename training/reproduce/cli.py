"""The command line `python -m training reproduce`: the published experiments."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from training.options import DeviceOption

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Repeat the paper's experiments, as its authors ran them and as we would.")


@app.command("mnist")
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
    seeds: Annotated[int, typer.Option(min=1, help="How many, from 0 on; each trains all four networks.")] = 1,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Of our recipe; theirs takes 10.", show_default=False)
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few pictures, two epochs: to see that it works.")] = False,
    pictures: Annotated[bool, typer.Option(help="Draw them, or only measure.")] = True,
    device: DeviceOption = "auto",
) -> None:
    """Train the paper's VAE and TVAE on MNIST, and ours; measure all four on the held-out pictures."""
    from training.reproduce.mnist.experiment import QUICK, Plan, reproduce_mnist

    base = QUICK if quick else Plan()
    plan = replace(base, seeds=tuple(range(seeds)), epochs=epochs or base.epochs, pictures=pictures)
    report = reproduce_mnist(data, out, plan, triplets=triplets, download=download, device=device)
    typer.echo(report.to_text())
    typer.echo(f"\nreport and pictures: {out / 'report.md'}")


@app.command("zappos")
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
    seeds: Annotated[int, typer.Option(min=1, help="How many, from 0 on; each trains all four networks.")] = 1,
    epochs: Annotated[int | None, typer.Option(min=1, help="Of each network; else 30.", show_default=False)] = None,
    network: Annotated[
        str, typer.Option(help="shoes, or shoes-large: more accurate, and two to three times the work.")
    ] = "shoes",
    quick: Annotated[
        bool, typer.Option("--quick", help="Few shoes and triplets, two epochs: to see that it works.")
    ] = False,
    pictures: Annotated[bool, typer.Option(help="Draw them, or only measure.")] = True,
    device: DeviceOption = "auto",
) -> None:
    """Train a VAE, a triplet network and TVAEs on shoes; measure them on the triplets of CSN's test lists."""
    from training.reproduce.zappos.experiment import QUICK, Plan, reproduce_zappos

    base = QUICK if quick else Plan()
    plan = replace(base, seeds=tuple(range(seeds)), epochs=epochs or base.epochs, network=network, pictures=pictures)
    report = reproduce_zappos(catalog, lists, out, plan, device=device)
    typer.echo(report.to_text())
    typer.echo(f"\nreport and pictures: {out / 'report.md'}")
