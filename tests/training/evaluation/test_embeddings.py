"""The evaluated shoes as vectors, and how well they are drawn."""

from dataclasses import replace

import numpy as np
import pytest

from model.embedder import Embedder
from model.preprocess import Framing
from tests.model.networks import tiny_checkpoint
from training.data.images import ImageSet
from training.evaluation.embeddings import embed_shoes


@pytest.mark.parametrize("framing", ["pad", "subject"])
def test_reconstruction_does_not_count_the_scale_mark(framing: Framing) -> None:
    """Drawings have no scale mark, so pictures that have one are compared as if they had none."""
    checkpoint = tiny_checkpoint()
    checkpoint = replace(checkpoint, preprocess=replace(checkpoint.preprocess, framing=framing))
    config = checkpoint.preprocess
    pixels = np.random.default_rng(0).integers(0, 256, (5, config.channels, config.size, config.size), dtype=np.uint8)
    names = tuple(str(index) for index in range(5))
    embedder = Embedder(checkpoint)
    embedded = embed_shoes("tiny", checkpoint, ImageSet(names, names, pixels, ({},) * 5), embedder)
    drawn = embedder.decode(embedder.embed_pixels(pixels))
    expected = pixels.copy()
    if framing == "subject":
        expected[:, :, config.size - max(1, config.size // 32) :] = 255
    assert embedded.reconstruction is not None
    assert embedded.reconstruction.mse == pytest.approx(np.square(drawn - expected / 255).mean(), rel=1e-5)
