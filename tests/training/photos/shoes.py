"""Shoes drawn for tests, whose pixels are known, and a stage before the network that takes seconds."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from training.photos import stage
from training.photos.outlines import Outlined, outline_all
from training.photos.views import Views

SHAPE = ((10, 60), (12, 30), (24, 30), (40, 48), (68, 52), (70, 60))
"""Corners of a shoe whose shaft is at the left and whose toe is at the right."""


def draw_shot(
    colour: tuple[int, int, int] = (150, 40, 30), margin: int = 255
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A catalogue shot, (80, 80, 3), and where its shoe is, (80, 80)."""
    picture, mask = Image.new("RGB", (80, 80), (margin,) * 3), Image.new("L", (80, 80))
    ImageDraw.Draw(picture).polygon(SHAPE, fill=colour)
    ImageDraw.Draw(mask).polygon(SHAPE, fill=255)
    return np.asarray(picture), np.asarray(mask) > 0


def draw_outlined(count: int) -> list[Outlined]:
    """Shots of shoes of different colours, outlined."""
    shots = [draw_shot((150, 20 + 10 * index, 200 - 15 * index))[0] for index in range(count)]
    return [each for each in outline_all(shots) if each is not None]


def same_views(first: Views, second: Views) -> bool:
    """Are all pixels and flags the same?"""
    return all(np.array_equal(getattr(first, name), getattr(second, name), equal_nan=True) for name in Views._fields)


def shorten_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Teach the localizer on one batch of composites before a few backgrounds; what it finds is mostly wrong."""
    monkeypatch.setattr(stage, "FEWEST_SAMPLES", 32)
    monkeypatch.setattr(stage, "SAMPLES_PER_SHOE", 1)
    monkeypatch.setattr(stage, "FEWEST_BACKGROUNDS", 6)
