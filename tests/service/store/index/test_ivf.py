"""The inverted index alone: candidates, and its form on disk."""

import threading

import numpy as np
import pytest

from service.store.index.exact import ExactIndex, faiss
from service.store.index.ivf import InvertedIndex, Stopped, count_lists
from tests.service.store.clusters import clusters

VECTORS = clusters(3000)


def test_looking_into_all_lists_finds_every_row() -> None:
    """Every vector is in one list; what is asked for beyond them is -1."""
    index = InvertedIndex.build(VECTORS)
    rows = index.candidates(VECTORS[:3], 3010, probes=index.lists)
    assert rows.shape == (3, 3010)
    for found in rows:
        assert sorted(found[:3000].tolist()) == list(range(3000))
        assert (found[3000:] == -1).all()


def test_the_nearest_come_first() -> None:
    """Codes are coarse, and still nearly always among a few hundred candidates are the nearest ones."""
    index = InvertedIndex.build(VECTORS)
    exact = ExactIndex(VECTORS).search(VECTORS[:50], 10)
    rows = index.candidates(VECTORS[:50], 100, probes=index.lists)
    found = [len(set(near.rows.tolist()) & set(some.tolist())) for near, some in zip(exact, rows, strict=True)]
    assert np.mean(found) > 9.5


def test_a_slice_is_read_where_it_is() -> None:
    """The index of a slice of wider vectors is that of a copy of the slice."""
    wide = clusters(2000, dimension=20)
    slices = InvertedIndex.build(wide[:, 4:11]), InvertedIndex.build(np.ascontiguousarray(wide[:, 4:11]))
    queries = np.ascontiguousarray(wide[:20, 4:11])
    one, other = (index.candidates(queries, 50, probes=4) for index in slices)
    np.testing.assert_array_equal(one, other)
    assert slices[0].dimension == 7


@pytest.mark.parametrize("count", [1, 2, 17, 100])
def test_a_few_vectors_are_enough(count: int, capfd: pytest.CaptureFixture[str]) -> None:
    """Also fewer than lists or codes would like to be learned from, and without a word from FAISS."""
    index = InvertedIndex.build(VECTORS[:count])
    assert set(index.candidates(VECTORS[:1], count, probes=index.lists)[0].tolist()) == set(range(count))
    assert capfd.readouterr() == ("", "")


def test_comes_back_from_bytes() -> None:
    """And gives the same candidates."""
    index = InvertedIndex.build(VECTORS)
    again = InvertedIndex.from_bytes(index.to_bytes())
    assert (again.size, again.dimension, again.lists) == (3000, 8, index.lists)
    expected = index.candidates(VECTORS[:20], 30, probes=5)
    np.testing.assert_array_equal(again.candidates(VECTORS[:20], 30, probes=5), expected)


def test_another_kind_of_index_is_refused() -> None:
    """Its name is in the message."""
    flat = faiss.IndexFlatL2(8)
    with pytest.raises(ValueError, match="IndexFlatL2"):
        InvertedIndex.from_bytes(memoryview(faiss.serialize_index(flat)))


def test_a_build_can_be_stopped() -> None:
    """It gives up when it next asks."""
    with pytest.raises(Stopped):
        InvertedIndex.build(VECTORS, stop=lambda: True)


def test_searches_share_no_parameters() -> None:
    """Many threads that look into different numbers of lists get what each would get alone."""
    index = InvertedIndex.build(VECTORS)
    efforts = (1, 2, 3, 5, 8, index.lists)
    alone = {probes: index.candidates(VECTORS[:40], 60, probes=probes) for probes in efforts}
    differences: list[int] = []

    def search(probes: int) -> None:
        for _ in range(20):
            rows = index.candidates(VECTORS[:40], 60, probes=probes)
            differences.append(int((rows != alone[probes]).sum()))

    threads = [threading.Thread(target=search, args=(probes,)) for probes in efforts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert differences == [0] * (20 * len(efforts))


def test_lists_grow_with_the_root_of_the_vectors() -> None:
    """A hundred times as many vectors have about ten times as many lists, within bounds."""
    assert [count_lists(count) for count in (1, 100, 10_000, 1_000_000, 5_000_000)] == [2, 16, 128, 2048, 4096]
    assert count_lists(10**12) == 2**14
