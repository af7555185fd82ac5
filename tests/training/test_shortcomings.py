"""A training that can't do what it is asked to says so."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.errors import TrainingError
from model.tvae import Slice
from tests.training.images import coloured_squares
from tests.training.runs import CONFIG, CPU
from training.config import TrainConfig
from training.data.images import ImageSet
from training.distributed import ProcessGroup
from training.plan import FEW_SHOES, find_shortcomings
from training.train import prepare_run, train

MANY = coloured_squares(400)
UNORDERED = replace(CONFIG, network=replace(CONFIG.network, slices=(Slice("free", 8),)), conditions=())


def _label(values: list[str], name: str = "Colour") -> ImageSet:
    """As many squares as values; an empty one is none."""
    attributes = tuple({name: (each,)} if each else {} for each in values)
    return replace(coloured_squares(len(values)), attributes=attributes)


def _find(images: ImageSet, config: TrainConfig) -> list[str]:
    run = prepare_run(images, config, CPU, ProcessGroup(), None)
    return find_shortcomings(images, config, run.objective.conditions)


def test_enough() -> None:
    """Several hundred shoes with a shared attribute give no warning."""
    assert _find(MANY, CONFIG) == []


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([""] * 400, "No shoe has an attribute"),
        (["boots"] * 400, "'Colour': all shoes have the same value"),
        ([f"name {number}" for number in range(400)], "'Colour': nearly every shoe has a value of its own"),
        ([str(number) for number in range(400)], "'Colour': numbers, prices or dates"),
        (["new", "old"] * 20 + [""] * 360, "'Colour': most shoes have no value that another shoe has"),
    ],
    ids=["a flat folder", "one class", "unique labels", "numbers", "rare labels"],
)
def test_a_plain_vae_that_nobody_asked_for(values: list[str], reason: str) -> None:
    """Where nothing can be ordered, the warning says what is trained instead, why, and what would help."""
    (warning,) = _find(_label(values), UNORDERED)
    assert "this trains a plain VAE" in warning
    assert reason in warning
    assert "a folder for each kind of shoe" in warning
    assert "a CSV file with columns" in warning


def test_a_plain_vae_on_purpose() -> None:
    """Without a triplet term nothing is amiss."""
    objective = replace(CONFIG.objective, triplet_weight=0.0)
    assert _find(_label([""] * 400), replace(UNORDERED, objective=objective)) == []


def test_many_attributes_are_summed_up() -> None:
    """A table of many useless columns is described by a few of them."""
    images = replace(MANY, attributes=({f"c{number}": ("x",) for number in range(9)},) * 400)
    (warning,) = _find(images, UNORDERED)
    assert "'c3'" in warning
    assert "and 5 more" in warning
    assert "'c4'" not in warning


@pytest.mark.parametrize("count", [3, FEW_SHOES - 1])
def test_few_shoes(count: int) -> None:
    """A training on a handful of shoes says that it will not carry over to others."""
    warnings = _find(_label((["a", "a", "b"] * count)[:count]), replace(CONFIG, validation_share=0.0))
    assert f"{count} shoes are few to train on" in warnings[0]


def test_nothing_to_measure_on() -> None:
    """Where chance holds out less than two shoes, no figure will tell how good the network is."""
    warnings = _find(MANY, replace(CONFIG, validation_share=1e-6))
    assert ["0 shoes are held out, too few to measure on" in each for each in warnings] == [True]


def test_a_condition_that_batches_hardly_meet() -> None:
    """An attribute whose values two shoes share is no error, but rarely makes a triplet in a batch."""
    values = [str(number // 2) for number in range(4000)]
    images = ImageSet(
        ids=tuple(map(str, range(4000))),
        groups=tuple(map(str, range(4000))),
        pixels=np.zeros((4000, 3, 16, 16), dtype=np.uint8),
        attributes=tuple({"Colour": (each,)} for each in values),
    )
    (warning,) = _find(images, replace(CONFIG, validation_share=0.0))
    assert "the attribute 'Colour' hardly trains" in warning
    assert "in about one batch of 8." in warning


@pytest.mark.parametrize("values", [[str(number) for number in range(50)], ["a", "a", *[""] * 48, "a"]])
def test_a_named_condition_that_orders_nothing_is_an_error(values: list[str]) -> None:
    """Who names a condition gets it, or an error that names the attribute."""
    with pytest.raises(TrainingError, match=r"attribute 'Colour'.*(order nothing|no two apart)"):
        prepare_run(_label(values), CONFIG, CPU, ProcessGroup(), None)


def test_the_warning_is_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A training logs its shortcomings before it starts."""
    config = replace(UNORDERED, epochs=1, conditions=())
    train(_label([""] * 40), config, tmp_path, device=CPU, source="squares")
    warnings = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert [each.partition(":")[0] for each in warnings] == ["warning", "warning"]
    assert "plain VAE" in warnings[0]
    assert "few to train on" in warnings[1]
