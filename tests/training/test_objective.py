from dataclasses import replace

import pytest
import torch

from model.tvae import Posterior
from training.distributed import Team
from training.objective import ConditionLabels, Objective, ObjectiveConfig, Terms

CONFIG = ObjectiveConfig(kl_weight=2.0, kl_warmup=0.5, triplet_weight=10.0, perceptual_weight=7.0, label_weight=3.0)
LABELS = [ConditionLabels("kind", "Kind", 0, 2, torch.eye(2).repeat(4, 1))]
ROWS = torch.tensor([0, 1, 2, 5, 6])


def _terms(config: ObjectiveConfig = CONFIG, *, progress: float = 1.0, team: Team | None = None) -> Terms:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(5, 3, 4, 4, generator=generator)
    logits = torch.randn(5, 3, 4, 4, generator=generator)
    posterior = Posterior(torch.randn(5, 4, generator=generator), torch.randn(5, 4, generator=generator))
    features = torch.rand(5, generator=generator)
    guesses = [torch.randn(5, 2, generator=generator)] if config.label_weight else []
    return Objective(config, LABELS, team)(
        images, logits, posterior, ROWS, progress=progress, generator=generator, perceptual=features, guesses=guesses
    )


def test_total_against_its_terms() -> None:
    """The total is the weighed sum of the terms, per pixel."""
    figures = _terms().named()
    expected = figures["reconstruction"] + 2.0 * figures["kl"] + 7.0 * figures["perceptual"]
    expected += 10.0 * figures["triplet/kind/Kind"] + 3.0 * figures["label/kind/Kind"]
    assert figures["loss"] * 48 == pytest.approx(expected, rel=1e-5)


def test_warm_up() -> None:
    """The KL term's weight grows in proportion to the progress, from 0."""
    start, half, whole = (_terms(progress=progress).total for progress in (0.0, 0.25, 0.5))
    assert whole > half > start
    assert (half - start).item() == pytest.approx((whole - half).item(), rel=1e-4)


def test_no_triplets_without_weight() -> None:
    """A triplet weight of 0 leaves the ELBO alone."""
    assert _terms(replace(CONFIG, triplet_weight=0.0)).triplet == {}


def test_no_label_term_without_classifiers() -> None:
    """Without their guesses there is no label term."""
    assert _terms(replace(CONFIG, label_weight=0.0)).label == {}
