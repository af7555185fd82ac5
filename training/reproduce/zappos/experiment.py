"""`python -m training reproduce zappos`: four networks, measured on CSN's triplets of four conditions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from model.catalog import Catalog, check_bad_rows, read_catalog
from model.embedder import Embedder, pick_device
from model.errors import CatalogError
from model.files import write_atomic, write_json
from model.preprocess import Preprocessor
from training.config import TrainConfig
from training.data.images import ImageSet, load_images
from training.data.labels import encode_labels
from training.evaluation.csn import ATTRIBUTES, CONDITIONS
from training.evaluation.csn_draw import are_drawn
from training.evaluation.embeddings import OVERALL, Embedding, embed_pixels, embed_shoes
from training.evaluation.gallery import draw_gallery
from training.evaluation.metrics import measure_triplets
from training.evaluation.tasks import make_tasks
from training.reproduce.common.learning_curves import draw_learning_curves
from training.reproduce.common.runs import Trained
from training.reproduce.zappos.recipes import OUR_EPOCHS, RECIPES, Recipe, shoe_config, train_shoes
from training.reproduce.zappos.report import SLICES, Errors, Measured, Report
from training.reproduce.zappos.split import HeldOut, choose_shoes, load_held_out, take

__all__ = ["QUICK", "Plan", "measure_overall", "reproduce_zappos"]

PREPROCESS = TrainConfig().preprocess
"""Of all networks."""


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
class _Shoes:
    """What is trained on and what is measured. `excluded`: ids of the shoes that are kept out of training."""

    training: ImageSet
    test: HeldOut
    excluded: frozenset[str]
    listed: int
    variants: int


@dataclass(frozen=True)
class _Network:
    """A network, and the test shoes as its vectors."""

    recipe: Recipe
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
    shoes = _load(read, lists, plan)
    networks = [_train(recipe, config, shoes, out, catalog, device=used) for recipe, config in configs]
    report = Report(
        catalog=catalog,
        lists=str(lists),
        drawn=are_drawn(lists),
        shoes=len(read.shoes),
        listed=shoes.listed,
        variants=shoes.variants,
        training_shoes=len(shoes.training),
        test_shoes=len(shoes.test.images),
        network=plan.network,
        image_size=PREPROCESS.size,
        triplets=shoes.test.lists,
        pixels=measure_overall(embed_pixels(shoes.test.images), shoes.test),
        runs=tuple(_measure(network, shoes.test) for network in networks),
    )
    pictures = []
    if plan.pictures:
        for heading, name, png in _draw(networks[: len(RECIPES)], shoes.test.images):
            write_atomic(out / name, png)
            pictures.append((heading, name))
    write_atomic(out / "report.md", report.to_markdown(pictures).encode())
    write_json(out / "report.json", report.to_json())
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


def _load(catalog: Catalog, lists: Path, plan: Plan) -> _Shoes:
    """Split the catalogue, and decode the part of it that is used."""
    choice = choose_shoes(catalog, lists, limit=plan.triplets)
    training = choice.training
    if plan.training_shoes is not None and plan.training_shoes < len(training):
        # Spread: neighbours in the catalogue are of one kind.
        training = training[np.linspace(0, len(training) - 1, plan.training_shoes).astype(np.intp)]
    attributes = [catalog.shoes[index].attributes for index in training]
    for attribute in ATTRIBUTES.values():
        # Asked here, since the first network does without labels and takes its time.
        encode_labels(attributes, attribute)
    preprocessor = Preprocessor(PREPROCESS)
    return _Shoes(
        training=load_images(take(catalog, training), preprocessor),
        test=load_held_out(catalog, choice, lists, preprocessor, limit=plan.triplets),
        excluded=frozenset(catalog.shoes[index].id for index in (*choice.listed, *choice.variants)),
        listed=len(choice.listed),
        variants=len(choice.variants),
    )


def _train(
    recipe: Recipe, config: TrainConfig, shoes: _Shoes, out: Path, source: str, *, device: torch.device
) -> _Network:
    folder = out / "runs" / f"{recipe.key}-seed{config.seed}"
    trained = train_shoes(recipe, shoes.training, config, folder, device=device, source=source, excluded=shoes.excluded)
    embedding = embed_shoes(recipe.title, Embedder(trained.checkpoint, device=device), shoes.test.images)
    if not recipe.decodes:
        # What a decoder gives that was never trained is nothing to measure or to show.
        embedding = replace(embedding, reconstruction=None, decode=None)
    return _Network(recipe, trained, embedding)


def _measure(network: _Network, test: HeldOut) -> Measured:
    recipe, trained, embedding = network.recipe, network.trained, network.embedding
    parts = {OVERALL: measure_overall(embedding, test)}
    if recipe.triplets == "slices":
        parts = {SLICES: _measure_slices(embedding, test), **parts}
    return Measured(
        recipe=recipe,
        seed=trained.seed,
        epochs=len(trained.history),
        seconds=trained.seconds,
        images_per_second=trained.images_per_second,
        digest=embedding.digest,
        parts=parts,
        reconstruction=embedding.reconstruction,
    )


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
        triplet_title="triplet term, mean of the conditions",
        unbounded=[each.recipe.title for each in networks if not each.recipe.decodes],
    )
    yield "Loss curves", "curves.png", curves
    tasks, _ = make_tasks(list(ATTRIBUTES.values()), images, {}, seed=0)
    yield from draw_gallery([each.embedding for each in networks[::-1]], images, tasks, seed=0)
