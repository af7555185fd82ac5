"""`python -m training reproduce mnist`: the paper's experiment by its authors' recipe and by ours."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model.embedder import Embedder
from model.inference import pick_device
from training.data.images import ImageSet
from training.data.labels import encode_labels
from training.data.mnist import DIGIT, download_mnist, read_mnist
from training.evaluation.elbo import Observation, measure_bounds
from training.evaluation.triplet_lists import draw_triplets, read_triplets
from training.reproduce.common.report import write_report
from training.reproduce.common.runs import Trained
from training.reproduce.mnist.authors import AuthorsConfig
from training.reproduce.mnist.measures import hard_triplets, measure_order
from training.reproduce.mnist.pictures import draw_pictures
from training.reproduce.mnist.recipes import OUR_EPOCHS, RECIPES, train_recipe
from training.reproduce.mnist.report import MeasuredDigits, Report

TRIPLETS = 100_000
"""Test triplets that are drawn where no list is given."""


@dataclass(frozen=True)
class Plan:
    """How much to do.

    Attributes:
        seeds: each trains all four networks.
        epochs: of our recipe.
        authors: the settings of the authors' recipe.
        training_images: the first so many are trained on; None is all.
        pictures: draw them.
    """

    seeds: tuple[int, ...] = (0,)
    epochs: int = OUR_EPOCHS
    authors: AuthorsConfig = field(default_factory=AuthorsConfig)
    training_images: int | None = None
    pictures: bool = True


QUICK = Plan(epochs=2, authors=AuthorsConfig(epochs=2, triplets=4_000), training_images=6_000)
"""Some two minutes on two cores: to see that everything works. Its figures mean nothing."""


def reproduce_mnist(
    data: Path,
    out: Path,
    plan: Plan | None = None,
    *,
    triplets: Path | None = None,
    download: bool = False,
    device: str = "auto",
) -> Report:
    """Train all networks, measure them on the held-out pictures, and write `report.md`, `report.json` and PNGs.

    Networks lie in `out`/runs; those that are there from the same settings are not trained again, so a run that was
    stopped goes on where it was.

    Args:
        data: MNIST's folder.
        out: a folder; made if it is not there.
        plan: how much to do.
        triplets: a list of (M, 3) indices into the test pictures; without it 100,000 are drawn by seed 0.
        download: fetch MNIST into `data` first, where it is not.
        device: "auto", "cpu" or "cuda".

    Raises:
        CatalogError: the pictures or the triplets can't be read.
        QueryError: no such device.
        TrainingError: a training went astray.
        OSError: `out` can't be written.
    """
    plan = plan or Plan()
    used = pick_device(device)
    if download:
        download_mnist(data)
    training, test = read_mnist(data)
    if plan.training_images is not None:
        training = training.take(range(min(plan.training_images, len(training))))
    chosen, triplet_source = _choose_triplets(test, triplets)
    networks = [
        train_recipe(
            recipe,
            training,
            out / "runs" / f"{recipe.key}-seed{seed}",
            seed=seed,
            epochs=plan.epochs,
            authors=plan.authors,
            device=used,
            source="MNIST",
        )
        for seed in plan.seeds
        for recipe in RECIPES
    ]
    hard = hard_triplets(test)
    report = Report(
        source="MNIST",
        training_images=len(training),
        test_images=len(test),
        triplets=len(chosen),
        triplet_source=triplet_source,
        runs=tuple(_measure(network, training, test, (chosen, hard), device=used) for network in networks),
    )
    pictures = draw_pictures(networks[: len(RECIPES)], test, seed=0, device=used) if plan.pictures else ()
    write_report(out, report, pictures)
    return report


def _choose_triplets(test: ImageSet, path: Path | None) -> tuple[NDArray[np.intp], str]:
    if path is None:
        return draw_triplets(encode_labels(test.attributes, DIGIT), TRIPLETS, 0), "drawn by seed 0"
    return read_triplets(path, [str(index) for index in range(len(test))]), path.name


def _measure(
    network: Trained,
    training: ImageSet,
    test: ImageSet,
    lists: tuple[NDArray[np.intp], NDArray[np.intp]],
    *,
    device: torch.device,
) -> MeasuredDigits:
    embedder = Embedder(network.checkpoint, device=device)
    return MeasuredDigits(
        network,
        bounds=measure_bounds(network.checkpoint.tvae, test.pixels, Observation("bernoulli"), device=device),
        order=measure_order(embedder, training, test, *lists),
    )
