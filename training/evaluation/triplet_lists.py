"""Fixed triplet lists: read from disk, drawn by a seed, and written for the next evaluation."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import CatalogError
from model.files import write_atomic
from model.text import nfc
from training.data.labels import Labels

EXPECTED = "expected M x 3 ids: anchor, positive, negative"
HEADER = ["anchor", "positive", "negative"]


def read_triplets(path: Path, ids: Sequence[str]) -> NDArray[np.intp]:
    """Read a triplet list and find its shoes among the evaluated ones.

    Args:
        path: `.npy` with an (M, 3) array of integers or text; or text with three ids a line, separated by commas
            (`.csv`) or by tabs or blanks (any other suffix). A number names the shoe whose id is that number's text.
            A first line `anchor, positive, negative` is skipped.
        ids: of the N evaluated shoes.

    Returns:
        (M, 3) indices into `ids`: anchor, positive, negative.
    """
    names = _read_array(path) if path.suffix == ".npy" else _read_text(path)
    if names.ndim != 2 or names.shape[1] != 3 or not len(names):
        raise CatalogError(f"{path}: a list of shape {names.shape}; {EXPECTED}")
    unique, inverse = np.unique(names, return_inverse=True)
    index = {shoe: position for position, shoe in enumerate(ids)}
    positions = np.array([index.get(nfc(str(name)), -1) for name in unique.tolist()], dtype=np.intp)
    if (positions < 0).any():
        unknown = [str(name) for name in unique[positions < 0].tolist()]
        few = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        raise CatalogError(f"{path}: {len(unknown)} of its {len(unique)} ids are not among the evaluated shoes: {few}")
    triplets: NDArray[np.intp] = positions[inverse.reshape(names.shape)]
    anchor, positive, negative = triplets.T
    twice = np.flatnonzero((anchor == positive) | (anchor == negative) | (positive == negative))
    if len(twice):
        raise CatalogError(f"{path}: {len(twice)} triplets name one shoe twice, such as number {twice[0] + 1}")
    return triplets


def write_triplets(path: Path, triplets: NDArray[np.intp], ids: Sequence[str]) -> None:
    """Write a list as CSV, atomically, so that `read_triplets` gives the same. Raises OSError."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows([ids[shoe] for shoe in triplet] for triplet in triplets.tolist())
    write_atomic(path, buffer.getvalue().encode())


def draw_triplets(labels: Labels, count: int, seed: int) -> NDArray[np.intp]:
    """Draw triplets by labels: each anchor that has a choice is equally likely, then each positive, then each negative.

    Args:
        labels: of N shoes.
        count: M.
        seed: the same seed draws the same list.

    Returns:
        (M, 3) indices of shoes: the positive shares a value with the anchor and is another shoe; the negative has
        values and shares none. (0, 3) where the labels allow no triplet.
    """
    rng = np.random.default_rng(seed)
    # Shoes with equal values have equal choices: one pass for each combination of values instead of one for each shoe.
    combinations, combination_of = np.unique(labels.table, axis=0, return_inverse=True)
    combination_of = combination_of.reshape(-1)
    members = np.bincount(combination_of, minlength=len(combinations))
    counts = combinations.astype(np.int64)
    shares = counts @ counts.T > 0
    alike = shares @ members - 1
    different = (~shares & combinations.any(axis=1)) @ members
    usable = np.flatnonzero(((alike > 0) & (different > 0) & combinations.any(axis=1))[combination_of])
    triplets = np.empty((count if len(usable) else 0, 3), dtype=np.intp)
    if not len(usable):
        return triplets
    triplets[:, 0] = rng.choice(usable, count)
    drawn = combination_of[triplets[:, 0]]
    for combination in np.unique(drawn):
        rows = np.flatnonzero(drawn == combination)
        is_alike = shares[combination][combination_of]
        triplets[rows, 1] = _draw_others(np.flatnonzero(is_alike), triplets[rows, 0], rng)
        negatives = np.flatnonzero(~is_alike & labels.known)
        triplets[rows, 2] = rng.choice(negatives, len(rows))
    return triplets


def _draw_others(candidates: NDArray[np.intp], without: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """For each of `without`, one of the sorted candidates that is not it; it is one of them."""
    places = rng.integers(0, len(candidates) - 1, len(without))
    places += places >= np.searchsorted(candidates, without)
    others: NDArray[np.intp] = candidates[places]
    return others


def _read_array(path: Path) -> NDArray[Any]:
    try:
        names = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise CatalogError(f"can't read triplets from {path}: {error}") from error
    if not isinstance(names, np.ndarray) or names.dtype.kind not in "iuU":
        raise CatalogError(f"{path}: an array of {getattr(names, 'dtype', 'several parts')}; {EXPECTED}")
    return names


def _read_text(path: Path) -> NDArray[np.str_]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(f"can't read triplets from {path}: {error}") from error
    if path.suffix == ".csv":
        lines = list(csv.reader(io.StringIO(text)))
    else:
        lines = [line.split("\t" if "\t" in line else None) for line in text.splitlines()]
    rows = [(number, [cell.strip() for cell in line]) for number, line in enumerate(lines, 1) if any(line)]
    if rows and [cell.lower() for cell in rows[0][1]] == HEADER:
        rows = rows[1:]
    for number, row in rows:
        if len(row) != 3 or not all(row):
            raise CatalogError(f"{path}, line {number}: {len(row)} ids; {EXPECTED}, three a line")
    return np.array([row for _, row in rows], dtype=np.str_)
