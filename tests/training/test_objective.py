import math
from dataclasses import replace

import pytest
import torch

from model.tvae import Posterior
from training.config import ObjectiveConfig
from training.distributed import ProcessGroup
from training.losses import instance_loss
from training.miners import MINERS, MinerName
from training.objective import ConditionLabels, Objective, Terms

CONFIG = ObjectiveConfig(kl_weight=2.0, kl_warmup=0.5, triplet_weight=10.0, perceptual_weight=7.0, label_weight=3.0)
LABELS = [ConditionLabels("kind", "Kind", 0, 2, torch.eye(2).repeat(4, 1))]
ROWS = torch.tensor([0, 1, 2, 5, 6])


def _terms(
    config: ObjectiveConfig = CONFIG, *, progress: float = 1.0, process_group: ProcessGroup | None = None
) -> Terms:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(5, 3, 4, 4, generator=generator)
    logits = torch.randn(5, 3, 4, 4, generator=generator)
    posterior = Posterior(torch.randn(5, 4, generator=generator), torch.randn(5, 4, generator=generator))
    features = torch.rand(5, generator=generator)
    class_logits = [torch.randn(5, 2, generator=generator)] if config.label_weight else []
    return Objective(config, LABELS, process_group)(
        images,
        logits,
        posterior,
        ROWS,
        progress=progress,
        generator=generator,
        perceptual=features,
        class_logits=class_logits,
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
    """Without their class_logits there is no label term."""
    assert _terms(replace(CONFIG, label_weight=0.0)).label == {}


# Photos of five shoes, with vectors of a condition's 2 numbers, an instance's 3 and a free one, and their catalogue
# pictures, without the free one. The last shoe has no label.
DRAWS = torch.Generator().manual_seed(1)
PHOTOS = torch.randn(5, 6, generator=DRAWS)
REFERENCES = torch.randn(5, 5, generator=DRAWS)
KINDS = [0, 1, 0, 1, None]
KIND_LABELS = ConditionLabels(
    "kind", "kind", 0, 2, torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
)


def _photo_terms(config: ObjectiveConfig, photos: torch.Tensor, references: torch.Tensor | None) -> Terms:
    images, class_logits = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(0)), torch.arange(20.0)
    return Objective(config, [KIND_LABELS], None, slice(2, 5))(
        images,
        torch.zeros_like(images),
        Posterior(photos, torch.zeros_like(photos)),
        torch.arange(5),
        progress=1.0,
        generator=torch.Generator().manual_seed(0),
        class_logits=[(class_logits.reshape(10, 2) % 3.0)[: 5 if references is None else 10]],
        references=references,
    )


PHOTO_CONFIG = ObjectiveConfig(
    triplet_weight=10.0, label_weight=3.0, instance_weight=7.0, instance_temperature=0.5, margin=0.3, smooth=False
)


def test_triplets_of_photos_against_a_loop() -> None:
    """Anchors are photos and catalogue pictures; positives and negatives of each are others' catalogue pictures."""
    terms = _photo_terms(replace(PHOTO_CONFIG, miner="batch-all"), PHOTOS, REFERENCES)
    expected = []
    for vectors in (PHOTOS, REFERENCES):
        for anchor, kind in enumerate(KINDS[:4]):
            apart = [math.dist(vectors[anchor, :2].tolist(), REFERENCES[each, :2].tolist()) for each in range(4)]
            (positive,) = (apart[each] for each in range(4) if KINDS[each] == kind and each != anchor)
            negatives = [apart[each] for each in range(4) if KINDS[each] != kind]
            expected += [max(0.0, positive - negative + 0.3) for negative in negatives]
    assert len(expected) == 16
    assert sum(expected) > 0
    assert terms.triplet["kind"].item() == pytest.approx(sum(expected) / 16, rel=1e-5)


@pytest.mark.parametrize("miner", MINERS)
def test_every_miner_takes_photos(miner: MinerName) -> None:
    """The term's gradient reaches the condition's numbers of labelled shoes, of photos and of catalogue pictures."""
    photos, references = PHOTOS.clone().requires_grad_(), REFERENCES.clone().requires_grad_()
    terms = _photo_terms(replace(PHOTO_CONFIG, miner=miner, smooth=True), photos, references)
    terms.triplet["kind"].backward()  # type: ignore[no-untyped-call]
    for each in (photos, references):
        assert each.grad is not None
        assert torch.isfinite(each.grad).all()
        assert (each.grad[:4, :2].abs().sum(dim=1) > 0).all()
        assert each.grad[4].abs().max() == 0
        assert each.grad[:, 2:].abs().max() == 0


def test_labels_of_photos_against_a_loop() -> None:
    """The label term is the mean over what was shown and over the catalogue pictures, each with its shoe's values."""
    expected = []
    for row, scores in enumerate((torch.arange(20.0).reshape(10, 2) % 3.0).tolist()):
        kind = KINDS[row % 5]
        share = 1.0 if kind is None else math.exp(scores[kind]) / sum(math.exp(score) for score in scores)
        expected.append(-math.log(share))
    terms = _photo_terms(PHOTO_CONFIG, PHOTOS, REFERENCES)
    assert terms.label["kind"].item() == pytest.approx(sum(expected) / 10, rel=1e-5)


def test_total_with_photos() -> None:
    """The instance term is of its own slice, and counts in the total by its weight; without photos there is none."""
    terms = _photo_terms(PHOTO_CONFIG, PHOTOS, REFERENCES)
    assert terms.instance is not None
    assert terms.instance.item() == pytest.approx(instance_loss(PHOTOS[:, 2:5], REFERENCES[:, 2:5], 0.5).item())
    figures = terms.named()
    expected = figures["reconstruction"] + figures["kl"] + 7.0 * figures["instance"]
    expected += 10.0 * figures["triplet/kind"] + 3.0 * figures["label/kind"]
    assert figures["loss"] * 48 == pytest.approx(expected, rel=1e-5)
    assert "instance" not in _photo_terms(PHOTO_CONFIG, PHOTOS, None).named()


def test_drawings_weigh_in_their_mean() -> None:
    """Each picture's reconstruction counts by its weight, whatever the scale of the weights."""
    images = torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    posterior = Posterior(torch.zeros(3, 2), torch.zeros(3, 2))

    def reconstruct(which: list[int], weights: list[float] | None) -> float:
        terms = Objective(ObjectiveConfig(triplet_weight=0.0), [])(
            images[which],
            torch.zeros(len(which), 3, 4, 4),
            Posterior(posterior.mean[which], posterior.log_variance[which]),
            torch.tensor(which),
            progress=1.0,
            generator=torch.Generator().manual_seed(0),
            drawing_weights=None if weights is None else torch.tensor(weights),
        )
        return terms.reconstruction.item()

    alone = [reconstruct([index], None) for index in range(3)]
    assert reconstruct([0, 1, 2], [2.0, 0.0, 1.0]) == pytest.approx((2 * alone[0] + alone[2]) / 3, rel=1e-5)
    assert reconstruct([0, 1, 2], [0.5, 0.5, 0.5]) == pytest.approx(sum(alone) / 3, rel=1e-5)
