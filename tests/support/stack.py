"""A small real stack: drawn shoes in UT-Zap50K's layout, and a tiny network with random weights."""

import csv
import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from model.checkpoint import Checkpoint, Condition, load_checkpoint, save_checkpoint
from model.preprocess import PreprocessConfig
from model.tvae import TVAE, Slice, TVAEConfig

COLUMNS = ("CID", "Category", "SubCategory", "Closure", "Gender")

KINDS = (("Shoes", "Heels", "Slip-On"), ("Shoes", "Oxfords", "Lace up"), ("Boots", "Ankle", "Zipper"))
GENDERS = ("Women", "Men")


def draw_shoe(number: int, size: tuple[int, int] = (34, 26)) -> bytes:
    """A coloured shape on white that differs from every other number's, as a JPEG."""
    rng = np.random.default_rng(number)
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    colour = tuple(int(value) for value in rng.integers(0, 200, 3))
    left, top, right = (int(value) for value in rng.integers((2, 3, 22), (10, 14, 32)))
    draw.polygon([(left, top), (left + 6, top), (right, 18), (right, 22), (left, 22)], fill=colour)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def draw_catalog(folder: Path, count: int) -> Path:
    """Draw `count` shoes with Category, SubCategory, Closure, Gender and Brand; returns the folder."""
    table = folder / "ut-zap50k-data" / "meta-data.csv"
    table.parent.mkdir(parents=True)
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(count):
            category, kind, closure = KINDS[number % len(KINDS)]
            product, colour = 1000 + number // 2, number % 2 + 1
            gender = GENDERS[number // 3 % len(GENDERS)]
            writer.writerow([f"{product}-{colour}", category, kind, closure if number % 7 else "", gender])
            image = folder / "ut-zap50k-images" / category / kind / "Ana" / f"{product}.{colour}.jpg"
            image.parent.mkdir(parents=True, exist_ok=True)
            image.write_bytes(draw_shoe(number))
    return folder


def make_checkpoint(folder: Path, seed: int = 0) -> Checkpoint:
    """Save a tiny network with random weights; returns it as it is loaded again."""
    # Not the global seed, which other tests may count on.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        slices = (Slice("category", 3), Slice("closure", 2), Slice("free", 3))
        tvae = TVAE(TVAEConfig(image_size=16, widths=(4, 8), slices=slices)).eval()
    conditions = (Condition("category", ("Category",)), Condition("closure", ("Closure",)))
    save_checkpoint(
        folder,
        Checkpoint(
            tvae, preprocess=PreprocessConfig(size=16), conditions=conditions, training={"note": "random weights"}
        ),
    )
    return load_checkpoint(folder)
