"""`python -m training reproduce zappos`: four networks, measured on CSN's triplets of four conditions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from model.catalog import Catalog, check_bad_rows, read_catalog
from model.embedder import Embedder
from model.errors import CatalogError
from model.inference import pick_device
from model.preprocess import Preprocessor
from training.config import TrainConfig
from training.data.images import ImageSet, load_images, take_shoes
from training.data.labels import encode_labels
from training.evaluation.csn import ATTRIBUTES, CONDITIONS
from training.evaluation.csn_draw import are_drawn
from training.evaluation.embeddings import OVERALL, Embedding, embed_pixels, embed_shoes
from training.evaluation.gallery import draw_gallery
from training.evaluation.metrics import measure_triplets
from training.evaluation.tasks import make_tasks
from training.reproduce.common.report import draw_learning_curves, write_report
from training.reproduce.common.runs import Trained, train_or_resume
from training.reproduce.zappos.recipes import OUR_EPOCHS, RECIPES, ShoeRecipe, shoe_config
from training.reproduce.zappos.report import SLICES, Errors, MeasuredShoes, Report
from training.reproduce.zappos.split import Choice, HeldOut, choose_shoes, load_held_out

PREPROCESS = TrainConfig().preprocess
"""Preprocessing of every network."""


@dataclass(frozen=True)
class Plan:
    """How much to do.

    Attributes:
        seeds: each trains all four networks.
        epochs: of each network.
        network: `shoes` or `shoes-large`.
        training_shoes: how many are trained on, spread over the catalogue; None is all.
        triplets: lines of each test list, from its start; None takes the usual 40,000.
        pictures: draw them.
    """

    seeds: tuple[int, ...] = (0,)
    epochs: int = OUR_EPOCHS
    network: str = "shoes"
    training_shoes: int | None = None
    triplets: int | None = None
    pictures: bool = True


QUICK = Plan(epochs=2, training_shoes=1_000, triplets=1_000)
"""A minute or two on two cores: to see that everything works. Its figures mean nothing."""


@dataclass(frozen=True)
class _Network:
    """A network, and the test shoes as its vectors."""

    recipe: ShoeRecipe
    trained: Trained
    embedding: Embedding


def reproduce_zappos(catalog: str, lists: Path, out: Path, plan: Plan | None = None, *, device: str = "auto") -> Report:
    """Train all networks, measure them on the test triplets, and write `report.md`, `report.json` and PNGs.

    Networks lie in `out`/runs; those that are there from the same settings are not trained again, so a run that was
    stopped goes on where it was.

    Args:
        catalog: UT-Zap50K, or a catalogue in its layout, as `read_catalog` takes it.
        lists: the folder of CSN's triplet lists, as `training.evaluation.csn.read_csn` takes it.
        out: a folder; made if it is not there.
        plan: how much to do.
        device: "auto", "cpu" or "cuda".

    Raises:
        CatalogError: the catalogue or the lists can't be read, or leave nothing to train on or to measure.
        QueryError: no such device.
        TrainingError: the training shoes lack a condition's attribute, or a training went astray.
        OSError: `out` can't be written.
    """
    plan = plan or Plan()
    used = pick_device(device)
    configs = [
        (recipe, shoe_config(recipe, network=plan.network, epochs=plan.epochs, seed=seed))
        for seed in plan.seeds
        for recipe in RECIPES
    ]
    read = _read(catalog)
    choice = choose_shoes(read, lists, limit=plan.triplets)
    training, test = _load(read, choice, lists, plan)
    networks = []
    for recipe, config in configs:
        folder = out / "runs" / f"{recipe.key}-seed{config.seed}"
        trained = train_or_resume(
            recipe, training, config, folder, device=used, source=catalog, excluded=choice.excluded(read)
        )
        networks.append(_Network(recipe, trained, _embed(recipe, trained, test.images, device=used)))
    report = Report(
        catalog=catalog,
        lists=str(lists),
        drawn=are_drawn(lists),
        shoes=len(read.shoes),
        choice=choice,
        training_shoes=len(training),
        test=test,
        network=plan.network,
        pixels=measure_overall(embed_pixels(test.images), test),
        runs=tuple(_measure(network, test) for network in networks),
    )
    write_report(out, report, _draw(networks[: len(RECIPES)], test.images) if plan.pictures else ())
    return report


def _read(spec: str) -> Catalog:
    try:
        catalog = read_catalog(spec)
    except CatalogError as error:
        raise CatalogError(
            f"{error}. Expected UT-Zap50K, which `python -m training download` fetches, or a catalogue in its layout, "
            f"which `python -m training demo-catalog` draws"
        ) from error
    if not catalog.source.startswith("zappos:"):
        raise CatalogError(
            f"{spec} is not in UT-Zap50K's layout: no folder ut-zap50k-images in it. Its shoes are split by product, "
            f"which the names of its pictures tell"
        )
    check_bad_rows(catalog.size, catalog.bad_rows)
    return catalog


def _load(catalog: Catalog, choice: Choice, lists: Path, plan: Plan) -> tuple[ImageSet, HeldOut]:
    """Decode what is trained on and what is measured."""
    training = choice.training
    if plan.training_shoes is not None and plan.training_shoes < len(training):
        # Spread: neighbours in the catalogue are of one kind.
        training = training[np.linspace(0, len(training) - 1, plan.training_shoes).astype(np.intp)]
    attributes = [catalog.shoes[index].attributes for index in training]
    for attribute in ATTRIBUTES.values():
        # Asked here, since the first network does without labels and takes its time.
        encode_labels(attributes, attribute)
    preprocessor = Preprocessor(PREPROCESS)
    images = load_images(take_shoes(catalog, training), preprocessor)
    return images, load_held_out(catalog, choice, lists, preprocessor, limit=plan.triplets)


def _embed(recipe: ShoeRecipe, trained: Trained, images: ImageSet, *, device: torch.device) -> Embedding:
    embedding = embed_shoes(recipe.title, trained.checkpoint, images, Embedder(trained.checkpoint, device=device))
    # What a decoder gives that was never trained is nothing to measure or to show.
    return embedding if recipe.decodes else replace(embedding, reconstruction=None, decode=None)


def _measure(network: _Network, test: HeldOut) -> MeasuredShoes:
    parts = {OVERALL: measure_overall(network.embedding, test)}
    if network.recipe.triplets == "slices":
        parts = {SLICES: _measure_slices(network.embedding, test), **parts}
    return MeasuredShoes(network.trained, parts, network.embedding.reconstruction)


def measure_overall(embedding: Embedding, test: HeldOut) -> Errors:
    """The share of wrong triplets of each condition, by the whole vector."""
    return Errors({name: 1 - measure_triplets(embedding.vectors, test.lists[name].triplets) for name in CONDITIONS})


def _measure_slices(embedding: Embedding, test: HeldOut) -> Errors:
    parts = embedding.parts()
    return Errors({name: 1 - measure_triplets(parts[name], test.lists[name].triplets) for name in CONDITIONS})


def _draw(networks: Sequence[_Network], images: ImageSet) -> Iterator[tuple[str, str, bytes]]:
    """Heading, file name and PNG: of one seed's networks, the last of which has its neighbours and maps drawn."""
    curves = draw_learning_curves(
        [each.trained for each in networks],
        "triplet term, mean of the conditions",
        unbounded=[each.recipe for each in networks if not each.recipe.decodes],
    )
    yield "Loss curves", "curves.png", curves
    tasks, _ = make_tasks(list(ATTRIBUTES.values()), images, {}, seed=0)
    yield from draw_gallery([each.embedding for each in networks[::-1]], images, tasks, seed=0)
