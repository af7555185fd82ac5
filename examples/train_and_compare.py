"""Train a network on a catalogue from Python, and find the neighbours of a shoe without a service.

python examples/train_and_compare.py artifacts/demo [EPOCHS]
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from model.catalog import read_catalog
from model.checkpoint import load_checkpoint
from model.embedder import Embedder
from model.preprocess import Preprocessor
from model.tvae import NETWORK_PRESETS
from training.conditions import choose_conditions, cut_latent
from training.config import TrainConfig
from training.data.images import load_images
from training.train import train


def main(source: str, epochs: str = "5") -> None:
    """Train, embed all shoes, and print the nearest ones of the first by each condition."""
    catalog = read_catalog(source)
    # An attribute that can order shoes gets a slice of the vector; what is left of it is free.
    chosen = choose_conditions(None, [shoe.attributes for shoe in catalog.shoes], triplet_weight=1.0)
    network, conditions = cut_latent(NETWORK_PRESETS["shoes"], 64, chosen)
    config = TrainConfig(network=network, conditions=conditions, epochs=int(epochs))
    images = load_images(catalog, Preprocessor(config.preprocess))
    with tempfile.TemporaryDirectory() as folder:
        train(images, config, Path(folder), device=torch.device("cpu"), source=source)
        embedder = Embedder(load_checkpoint(Path(folder)))
    vectors = embedder.embed_pixels(images.pixels)
    for condition, (start, stop) in embedder.slices.items():
        distances = np.linalg.norm(vectors[:, start:stop] - vectors[0, start:stop], axis=1)
        nearest = [images.ids[index] for index in np.argsort(distances)[1:4]]
        print(f"{condition}: {images.ids[0]} is most like {', '.join(nearest)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
