"""The confidence that a vector is of a shoe."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.checkpoint import load_checkpoint, save_checkpoint
from model.confidence import ConfidenceModel
from model.embedder import Embedder
from model.errors import ArtifactCorrupt
from tests.model.networks import tiny_checkpoint


def test_against_a_loop() -> None:
    """The estimate is logistic: in the vector on a plain margin, else in the localizer's odds and the length."""
    random = np.random.default_rng(0)
    vectors = random.normal(size=(5, 3)).astype(np.float32)
    model = ConfidenceModel(0.3, tuple(random.normal(size=9)))
    found = [0.0, 0.3, 0.9, 1.0, 0.999]
    rated = [math.log(0.01 / 0.99), math.log(0.3 / 0.7), math.log(0.9 / 0.1), None, math.log(0.99 / 0.01)]
    for vector, rate, estimate in zip(vectors, rated, model.estimate(vectors, found), strict=True):
        values = [float(each) for each in vector]
        if rate is None:
            score = 0.3 + model.weights[6]
            score += sum(model.weights[i] * value + model.weights[3 + i] * value**2 for i, value in enumerate(values))
        else:
            score = 0.3 + model.weights[7] * rate + model.weights[8] * sum(value**2 for value in values) / 3
        assert estimate == pytest.approx(1 / (1 + math.exp(-score)))


def test_extreme_vectors() -> None:
    """Vectors of any length give probabilities, without a warning."""
    model = ConfidenceModel(0.0, (0.0, 0.0, 0.0, 0.0, 1.0))
    assert model.estimate(np.array([[1e18], [0.0]], dtype=np.float32), [0.0, 0.0]).tolist() == pytest.approx([1.0, 0.5])


def test_it_travels_in_the_checkpoint(tmp_path: Path) -> None:
    """A checkpoint keeps it to the bit and counts it in its digest; one without it can't tell."""
    plain = tiny_checkpoint()
    dimension = plain.tvae.config.latent_size
    model = ConfidenceModel(0.1, tuple(np.random.default_rng(1).normal(size=2 * dimension + 3).tolist()))
    first = save_checkpoint(tmp_path / "plain", plain)
    second = save_checkpoint(tmp_path / "sure", replace(plain, confidence=model))
    assert first != second
    assert load_checkpoint(tmp_path / "sure").confidence == model
    vectors = np.ones((2, dimension), dtype=np.float32)
    assert Embedder(load_checkpoint(tmp_path / "plain")).estimate_confidence(vectors, [None, None]) is None
    assert Embedder(load_checkpoint(tmp_path / "sure")).estimate_confidence(vectors, [None, None]) == pytest.approx(
        model.estimate(vectors, [0.0, 0.0])
    )


def test_it_has_to_fit(tmp_path: Path) -> None:
    """One that was made for vectors of another size is refused when the checkpoint is loaded."""
    save_checkpoint(tmp_path, replace(tiny_checkpoint(), confidence=ConfidenceModel(0.0, (1.0, 2.0))))
    assert len(json.loads((tmp_path / "config.json").read_text())["confidence"]["weights"]) == 2
    with pytest.raises(ArtifactCorrupt, match="confidence has 2 weights"):
        load_checkpoint(tmp_path)


def test_older_ones_are_left_out(tmp_path: Path) -> None:
    """A checkpoint whose confidence has the features of an older release loads, and can't tell."""
    plain = tiny_checkpoint()
    older = ConfidenceModel(0.0, (0.5,) * (2 * plain.tvae.config.latent_size + 2))
    save_checkpoint(tmp_path, replace(plain, confidence=older))
    assert load_checkpoint(tmp_path).confidence is None
