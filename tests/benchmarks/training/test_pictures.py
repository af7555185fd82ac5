from pathlib import Path

import torch
from PIL import Image

from benchmarks.training.pictures import Pictures


def test_a_picture(tmp_path: Path) -> None:
    """A picture is resized as a whole, on white, into [0, 1], and comes with its labels."""
    path = tmp_path / "wide.png"
    Image.new("RGB", (40, 20), (0, 255, 0)).save(path)
    picture, labels = Pictures([str(path)], torch.tensor([[3, -1]]), size=8, mirror=True)[0]
    assert picture.shape == (3, 8, 8)
    assert (picture[:, 0] == 1.0).all()
    assert (picture[:, 4] == torch.tensor([0.0, 1.0, 0.0])[:, None]).all()
    assert labels.tolist() == [3, -1]
