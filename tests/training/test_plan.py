"""What is said of a training before it starts."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from training.conditions import choose_conditions, cut_latent
from training.config import TrainConfig
from training.data.images import ImageSet
from training.plan import Plan, make_plan

CPU = torch.device("cpu")


def _images(count: int) -> ImageSet:
    return ImageSet(
        ids=tuple(map(str, range(count))),
        groups=tuple(map(str, range(count))),
        pixels=np.zeros((count, 3, 64, 64), np.uint8),
        attributes=tuple(
            {"Type": ("Boot" if n % 2 else "Derby",), "Price": (f"{n} €",), "Title": (f"Derby {n}",)}
            for n in range(count)
        ),
    )


def _config(images: ImageSet, texts: list[str] | None = None, weight: float = 3000.0) -> TrainConfig:
    usual = TrainConfig()
    network, conditions = cut_latent(usual.network, 64, choose_conditions(texts, images.attributes, weight))
    return replace(
        usual,
        network=network,
        conditions=conditions,
        batch_size=4,
        objective=replace(usual.objective, triplet_weight=weight),
    )


def _plan(texts: list[str] | None = None, weight: float = 3000.0) -> Plan:
    images = _images(40)
    plan = make_plan(
        images,
        _config(images, texts, weight),
        network="shoes",
        named=texts is not None,
        left_out={"see bad-rows.csv": 3, "--exclude-ids": 0},
        device=CPU,
    )
    assert plan.images_per_second > 0
    return replace(plan, images_per_second=10.0)


def test_a_plan_says_all() -> None:
    """Shoes, conditions, what is left out and why, the network and the time are told, each on lines of its own."""
    plan = _plan()
    assert plan.shoes + plan.held_out == 40
    lines = plan.to_text().splitlines()
    assert lines[0] == "The plan:"
    assert [line.strip() for line in lines[1:5]] == [
        f"shoes       {plan.shoes} to train on, {plan.held_out} held out to measure on; 3 left out (see bad-rows.csv)",
        "conditions  Type, from 'Type': 2 values on 40 shoes",
        "left out    Price: numbers, prices or dates",
        "Title: nearly every shoe has a value of its own",
    ]
    assert lines[5].startswith("  network     shoes, ")
    assert lines[5].endswith("million parameters; 64 numbers: Type 32, the rest 32")
    seconds = 30 * plan.shoes / 10
    assert lines[6] == (
        f"  time        30 epochs on cpu: about {seconds:.0f} seconds (10 images a second in a short trial)"
    )


@pytest.mark.parametrize(("images", "time"), [(10.0, "seconds"), (0.5, "minutes"), (0.01, "hours")])
def test_times_are_round(images: float, time: str) -> None:
    """The time is told in the unit that suits it."""
    assert f" {time} (" in replace(_plan(), images_per_second=images).to_text()


def test_conditions_that_were_asked_for() -> None:
    """Conditions that were named are told as such, and the others as not asked for, as all are of a plain VAE."""
    text = _plan(["Price"]).to_text()
    assert "Price, from 'Price': 40 values on 40 shoes (as asked for)" in text
    assert "Type: not asked for" in text
    text = _plan(weight=0.0).to_text()
    assert "conditions  none: the vectors order shoes by nothing but how their pictures look" in text
    assert "Type: not asked for" in text


def test_a_plan_changes_no_randomness() -> None:
    """A training draws the same numbers whether its plan was made or not."""
    before = torch.get_rng_state()
    _plan()
    assert torch.equal(before, torch.get_rng_state())
