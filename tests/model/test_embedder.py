import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from model.embedder import Embedder
from model.errors import CorruptImage, QueryError
from model.inference import pick_device
from model.localizer import Localizer
from tests.model.networks import TINY, tiny_checkpoint, tiny_localizer

PIXELS = np.random.default_rng(0).integers(0, 256, (150, 3, 16, 16), dtype=np.uint8)


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(buffer, "PNG")
    return buffer.getvalue()


def test_embedding_is_the_mean() -> None:
    """The vector is the posterior's mean in eval mode, in float32, without a trace of sampling."""
    checkpoint = tiny_checkpoint()
    vectors = Embedder(checkpoint).embed_pixels(PIXELS[:5])
    expected = checkpoint.tvae.encode(torch.from_numpy(PIXELS[:5]).float() / 255).mean.detach().numpy()
    assert vectors.dtype == np.float32
    assert np.allclose(vectors, expected, atol=1e-6)


def test_the_batch_does_not_matter() -> None:
    """A picture has one vector, whatever batch it is in."""
    embedder = Embedder(tiny_checkpoint())
    together = embedder.embed_pixels(PIXELS)
    alone = np.concatenate([embedder.embed_pixels(PIXELS[index : index + 1]) for index in range(len(PIXELS))])
    assert np.abs(together - alone).max() < 1e-5


def test_bytes_and_pixels_agree() -> None:
    """Embedding a picture's file is decoding it and embedding its pixels."""
    embedder = Embedder(tiny_checkpoint())
    assert np.array_equal(embedder.embed([_png(PIXELS[0]), _png(PIXELS[1])]), embedder.embed_pixels(PIXELS[:2]))


def test_a_bad_picture_is_an_image_error() -> None:
    """One bad picture raises what is wrong with it."""
    with pytest.raises(CorruptImage):
        Embedder(tiny_checkpoint()).embed([_png(PIXELS[0]), b""])


def test_no_pictures() -> None:
    """No pictures have no vectors."""
    assert Embedder(tiny_checkpoint()).embed_pixels(PIXELS[:0]).shape == (0, TINY.latent_size)


def test_decode() -> None:
    """Vectors become pictures in [0, 1]."""
    pictures = Embedder(tiny_checkpoint()).decode(np.zeros((2, TINY.latent_size), dtype=np.float32))
    assert pictures.shape == (2, 3, 16, 16)
    assert pictures.min() >= 0
    assert pictures.max() <= 1


def test_many_threads() -> None:
    """Threads that share an embedder get the answers that one thread gets."""
    embedder = Embedder(tiny_checkpoint())
    expected = embedder.embed_pixels(PIXELS)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: embedder.embed_pixels(PIXELS[i : i + 10]), range(0, 100, 10)))
    assert np.allclose(np.concatenate(answers), expected[:100], atol=1e-5)


def test_unknown_device() -> None:
    """A device that is not there is named."""
    with pytest.raises(QueryError, match="'tpu9'"):
        pick_device("tpu9")
    assert pick_device("auto").type in {"cpu", "cuda"}


def test_slices_are_weighed() -> None:
    """A slice's numbers are multiplied by its factor, those of an unnamed one are not; drawing undoes it."""
    plain, weighed = Embedder(tiny_checkpoint()), Embedder(replace(tiny_checkpoint(), overall={"free": 0.25}))
    vectors, scaled = plain.embed_pixels(PIXELS[:5]), weighed.embed_pixels(PIXELS[:5])
    assert scaled.dtype == np.float32
    assert np.array_equal(scaled, vectors * np.array([1, 1, 1, 0.25, 0.25], dtype=np.float32))
    assert np.allclose(weighed.decode(scaled), plain.decode(vectors), atol=1e-6)


def test_the_localizer_sees_photos() -> None:
    """A checkpoint's localizer is what its pictures are framed with, in its form for inference."""
    checkpoint = tiny_checkpoint()
    assert Embedder(checkpoint).preprocessor.localizer is None
    framing = replace(checkpoint.preprocess, framing="subject")
    embedder = Embedder(replace(checkpoint, preprocess=framing, localizer=tiny_localizer()))
    assert isinstance(embedder.preprocessor.localizer, Localizer)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in embedder.preprocessor.localizer.modules())
    assert np.isfinite(embedder.embed([_png(PIXELS[0])])).all()
