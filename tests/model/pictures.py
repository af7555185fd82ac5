"""Pictures made for tests, and files made of them."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.preprocess import ImageLimits, PreprocessConfig, Preprocessor

Pixels = NDArray[np.uint8]

NOISE: Pixels = np.random.default_rng(0).integers(0, 256, (29, 41, 3), dtype=np.uint8)


def encode(image: Image.Image | Pixels, format: str = "PNG", **options: Any) -> bytes:
    """A picture, or an (H, W, C) array, as a file's bytes."""
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def decode(data: bytes, size: int = 8, channels: int = 3, **limits: Any) -> Pixels:
    """Decode to (H, W, C), which reads better in a test."""
    preprocessor = Preprocessor(PreprocessConfig(size=size, channels=channels), ImageLimits(**limits))
    return preprocessor.decode(data).transpose(1, 2, 0)
