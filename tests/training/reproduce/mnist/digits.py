"""A stand-in for MNIST, made for tests: ten shapes in MNIST's own file format."""

import gzip
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def write_idx(path: Path, values: NDArray[np.uint8]) -> None:
    """Write an IDX file, gzipped where the name says so."""
    data = b"\x00\x00\x08" + bytes([values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def write_mnist(folder: Path, training: int, test: int, suffix: str = ".gz") -> None:
    """Write MNIST's four files, each picture a bar whose angle is its digit, on black, with some noise."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(3)
    for part, count in (("train", training), ("t10k", test)):
        labels = (np.arange(count) % 10).astype(np.uint8)
        y, x = np.mgrid[-13.5:14:1, -13.5:14:1]
        angles = labels * (np.pi / 10)
        offset = np.abs(x * np.sin(angles)[:, None, None] - y * np.cos(angles)[:, None, None])
        ink = 255 * (offset < 2.5) * (np.hypot(x, y) < 10)
        pixels = np.clip(ink - random.integers(0, 40, ink.shape), 0, 255).astype(np.uint8)
        write_idx(folder / f"{part}-images-idx3-ubyte{suffix}", pixels)
        write_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", labels)
