"""Triplet lists: reading every spelling, refusing what is wrong, and drawing by labels."""

from pathlib import Path

import numpy as np
import pytest

from model.errors import CatalogError
from training.data.labels import Labels, encode_labels
from training.evaluation.triplet_lists import draw_triplets, read_triplets, write_triplets

IDS = ["7", "b c", "100.2", "42"]


def make_labels(values: list[tuple[str, ...]]) -> Labels:
    """Labels of shoes with these values."""
    return encode_labels([{"kind": each} if each else {} for each in values], "kind")


@pytest.mark.parametrize("dtype", [np.int64, np.uint16, np.int32])
def test_reads_integers_as_the_ids_they_spell(tmp_path: Path, dtype: type) -> None:
    """A number in an array names the shoe whose id is its text, whatever the width of the integers."""
    np.save(tmp_path / "a.npy", np.array([[7, 42, 9], [42, 7, 9]], dtype=dtype))
    assert read_triplets(tmp_path / "a.npy", ["9", "42", "7"]).tolist() == [[2, 1, 0], [1, 2, 0]]


def test_reads_text_arrays(tmp_path: Path) -> None:
    """An array of text holds the ids themselves."""
    np.save(tmp_path / "a.npy", np.array([["b c", "7", "100.2"]]))
    assert read_triplets(tmp_path / "a.npy", IDS).tolist() == [[1, 0, 2]]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "anchor,positive,negative\n7,b c,100.2\n\n42, 7 ,b c\n"),
        ("b.csv", '"7","b c","100.2"\r\n42,7,b c\r\n'),
        ("c.txt", "7\tb c\t100.2\n42\t7\tb c\n"),
    ],
)
def test_reads_text_files(tmp_path: Path, name: str, text: str) -> None:
    """Commas and tabs may stand around ids with blanks; a heading and empty lines are skipped."""
    (tmp_path / name).write_text(text)
    assert read_triplets(tmp_path / name, IDS).tolist() == [[0, 1, 2], [3, 0, 1]]


def test_reads_blanks_between_ids(tmp_path: Path) -> None:
    """A text file without tabs may use blanks."""
    (tmp_path / "a.txt").write_text("7 42   100.2\n")
    assert read_triplets(tmp_path / "a.txt", IDS).tolist() == [[0, 3, 2]]


def test_written_lists_read_the_same(tmp_path: Path) -> None:
    """What is written reads back, with ids that hold commas and quotes."""
    ids = ['a,"b"', "c", " d"[1:], "e"]
    triplets = np.array([[0, 1, 2], [3, 2, 0]])
    write_triplets(tmp_path / "a.csv", triplets, ids)
    assert read_triplets(tmp_path / "a.csv", ids).tolist() == triplets.tolist()


def test_unknown_ids_are_counted_and_named(tmp_path: Path) -> None:
    """The error for ids outside the evaluated shoes says how many there are and the first few."""
    np.save(tmp_path / "a.npy", np.arange(30).reshape(10, 3))
    with pytest.raises(CatalogError, match=r"28 of its 30 ids .*: 0, 1, 2, 3, 4, \.\.\."):
        read_triplets(tmp_path / "a.npy", ["7", "8"])


@pytest.mark.parametrize("array", [np.zeros((4, 2), int), np.zeros(3, int), np.zeros((0, 3), int), np.zeros((2, 3))])
def test_refuses_other_shapes_and_types(tmp_path: Path, array: np.ndarray) -> None:
    """Anything but M x 3 integers or text is refused, and so is an empty list."""
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(CatalogError, match="expected M x 3 ids"):
        read_triplets(tmp_path / "a.npy", ["0"])


@pytest.mark.parametrize(("name", "content"), [("a.npy", b"\x93NUMPY"), ("a.csv", b"\xff\xfe\x00"), ("a.npy", b"")])
def test_refuses_damaged_files(tmp_path: Path, name: str, content: bytes) -> None:
    """A truncated array, text that is not UTF-8, code in an array and a missing file are errors of the catalogue."""
    (tmp_path / name).write_bytes(content)
    np.save(tmp_path / "code.npy", np.array([["7", 42, "x"]], dtype=object), allow_pickle=True)
    for path in (tmp_path / name, tmp_path / "code.npy", tmp_path / f"gone-{name}"):
        with pytest.raises(CatalogError, match=rf"can't read triplets from .*{path.name}"):
            read_triplets(path, IDS)


def test_a_line_of_other_length_is_named(tmp_path: Path) -> None:
    """The line's number helps to find it."""
    (tmp_path / "a.csv").write_text("7,42,100.2\n7,42\n")
    with pytest.raises(CatalogError, match="line 2: 2 ids"):
        read_triplets(tmp_path / "a.csv", IDS)


def test_refuses_a_shoe_twice_in_one_triplet(tmp_path: Path) -> None:
    """An anchor that is its own positive would be right for free."""
    (tmp_path / "a.csv").write_text("7,42,100.2\n7,7,42\n")
    with pytest.raises(CatalogError, match="1 triplets name one shoe twice, such as number 2"):
        read_triplets(tmp_path / "a.csv", IDS)


@pytest.mark.parametrize("multi", [False, True])
def test_drawn_triplets_obey_the_labels(multi: bool) -> None:
    """Positives are other shoes that share a value; negatives have values and share none."""
    rng = np.random.default_rng(1)
    values: list[tuple[str, ...]] = [
        tuple(sorted({"abcdef"[i] for i in rng.integers(0, 6, rng.integers(0, 3 if multi else 2))})) for _ in range(80)
    ]
    triplets = draw_triplets(make_labels(values), 3000, seed=0)
    assert triplets.shape == (3000, 3)
    for anchor, positive, negative in triplets.tolist():
        assert anchor != positive
        assert set(values[anchor]) & set(values[positive])
        assert values[negative]
        assert not set(values[anchor]) & set(values[negative])


def test_drawing_is_even() -> None:
    """Each possible anchor, positive and negative comes up equally often."""
    triplets = draw_triplets(make_labels([("a",)] * 3 + [("b",)] * 2 + [("c",), ()]), 30_000, seed=3)
    anchors = np.bincount(triplets[:, 0], minlength=7)
    assert anchors[5:].tolist() == [0, 0]
    np.testing.assert_allclose(anchors[:5] / 30_000, 0.2, atol=0.01)
    of_first = triplets[triplets[:, 0] == 0]
    np.testing.assert_allclose(
        np.bincount(of_first[:, 1], minlength=7) / len(of_first), [0, 0.5, 0.5, 0, 0, 0, 0], atol=0.03
    )
    np.testing.assert_allclose(np.bincount(of_first[:, 2], minlength=7)[3:6] / len(of_first), 1 / 3, atol=0.03)


def test_the_seed_fixes_the_list() -> None:
    """The same seed draws the same triplets, another seed others."""
    labels = make_labels([("a",), ("a",), ("b",), ("b",), ("c",)])
    first = draw_triplets(labels, 50, seed=5)
    assert (first == draw_triplets(labels, 50, seed=5)).all()
    assert (first != draw_triplets(labels, 50, seed=6)).any()


def test_no_triplet_where_none_is_possible() -> None:
    """Where no two shoes are alike there is nothing to draw."""
    assert draw_triplets(make_labels([("a",), ("b",), ("c",)]), 10, seed=0).shape == (0, 3)
