import io

import numpy as np
from PIL import Image

from model.embedder import Embedder
from tests.model.networks import tiny_checkpoint

GOLDEN = [0.32636314630508423, -0.2515066862106323, 0.43316134810447693, 0.19122445583343506, -0.8433778285980225]


def test_golden_vector() -> None:
    """A fixed picture through fixed weights has the vector it always had.

    If this fails, vectors that are already in stores no longer compare with new ones: a change of preprocessing or
    of the network's arithmetic needs a new checkpoint format version, not a new number here.
    """
    y, x = np.mgrid[0:24, 0:40]
    buffer = io.BytesIO()
    Image.fromarray(np.stack([x * 6, y * 10, (x + y) * 4], axis=2).astype(np.uint8)).save(buffer, "PNG")
    vector = Embedder(tiny_checkpoint()).embed([buffer.getvalue()])[0]
    assert np.abs(vector - np.array(GOLDEN, dtype=np.float32)).max() < 1e-5
