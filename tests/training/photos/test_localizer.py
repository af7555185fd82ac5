"""Teaching the localizer."""

import math

import pytest
import torch

from model.tvae import to_float
from tests.training.photos.shoes import draw_outlined
from training.photos import localizer as module
from training.photos.localizer import LocalizerTraining, draw_backgrounds, localizer_loss, train_localizer

SHOES = draw_outlined(6)
BANK = draw_backgrounds(SHOES, 0, 4)
CPU = torch.device("cpu")


def _composites(training: LocalizerTraining) -> list[tuple[torch.Tensor, torch.Tensor]]:
    made = module._Composites(SHOES, BANK, training, 96)
    return [made[index] for index in range(len(made))]


def test_loss_against_a_loop() -> None:
    """Cross-entropy of each pixel, and half of what the soft Dice of each picture lacks to 1."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, 5, generator=generator)
    targets = torch.rand(3, 4, 5, generator=generator)
    entropies, lacking = [], []
    for scores, wanted in zip(logits.flatten(1).tolist(), targets.flatten(1).tolist(), strict=True):
        shares = [1 / (1 + math.exp(-score)) for score in scores]
        pairs = list(zip(shares, wanted, strict=True))
        entropies += [-want * math.log(share) - (1 - want) * math.log(1 - share) for share, want in pairs]
        overlap = sum(share * want for share, want in pairs)
        lacking.append(1 - (2 * overlap + 1) / (sum(shares) + sum(wanted) + 1))
    expected = sum(entropies) / len(entropies) + 0.5 * sum(lacking) / 3
    assert localizer_loss(logits, targets).item() == pytest.approx(expected, rel=1e-5)


def test_composites_by_their_number() -> None:
    """Each composite is drawn by the seed and its own number: the same again, and each another."""
    training = LocalizerTraining(samples=12)
    first, again = _composites(training), _composites(training)
    other = _composites(LocalizerTraining(samples=12, seed=1))
    for (image, mask), (image_again, mask_again), (image_other, _) in zip(first, again, other, strict=True):
        assert torch.equal(image, image_again)
        assert torch.equal(mask, mask_again)
        assert not torch.equal(image, image_other)
    assert len({image.numpy().tobytes() for image, _ in first}) == 12


@pytest.mark.parametrize(("share", "empty"), [(0.0, 0), (1.0, 12)])
def test_pictures_without_a_shoe(share: float, empty: int) -> None:
    """The share of pictures without any shoe is the one that is asked for; their mask is empty."""
    made = _composites(LocalizerTraining(samples=12, empty_share=share))
    assert sum(float(mask.max()) == 0.0 for _, mask in made) == empty
    assert all(image.shape == (3, 96, 96) and mask.shape == (96, 96) for image, mask in made)


def test_teaching() -> None:
    """A few steps bring the loss on other composites down; the same seed gives the same localizer, to the bit."""
    training = LocalizerTraining(samples=96, batch_size=8)
    taught = train_localizer(SHOES, BANK, training, CPU)
    little = LocalizerTraining(samples=8, batch_size=8)
    few = [train_localizer(SHOES, BANK, little, CPU) for _ in range(2)]
    for name, value in few[0].state_dict().items():
        assert torch.equal(value, few[1].state_dict()[name])
    unseen = _composites(LocalizerTraining(samples=8, seed=5))
    images, masks = (torch.stack(part) for part in zip(*unseen, strict=True))
    untaught, learned = (localizer_loss(each(to_float(images)), masks).item() for each in (few[0], taught))
    assert learned < untaught - 0.1
    assert not taught.training
    assert not any(each.requires_grad for each in taught.parameters())
