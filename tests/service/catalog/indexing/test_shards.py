from pathlib import Path

import pytest

from model.catalog import BadRow, Catalog, Shoe
from model.errors import QueryError
from service.catalog.indexing.ledger import WHOLE, Shard

IDS = [f"{number}.{colour}" for number in range(1000, 1400) for colour in (1, 2)]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_each_shoe_is_in_one_part(count: int) -> None:
    """The parts overlap nowhere, leave nothing out, and are of about one size."""
    parts = [Shard(number, count) for number in range(1, count + 1)]
    assert all(sum(part.holds(item_id) for part in parts) == 1 for item_id in IDS)
    sizes = [sum(map(part.holds, IDS)) for part in parts]
    assert max(sizes) < 1.5 * len(IDS) / count


def test_a_shoe_stays_in_its_part() -> None:
    """On every machine and in every process: these were worked out once, and must never change."""
    names = ("1000.1", "A-7", "Größe 42")
    assert [next(n for n in range(1, 5) if Shard(n, 4).holds(name)) for name in names] == [3, 1, 3]


def test_parts_of_a_catalogue() -> None:
    """Shoes stay in their order, and each bad row is reported by one part."""
    shoes = tuple(Shoe(item_id, Path(f"/shoes/{item_id}.jpg"), {}) for item_id in IDS)
    bad = tuple(BadRow(f"row {number}", "no picture") for number in range(50))
    catalog = Catalog("here", Path("/shoes"), shoes, bad)
    parts = [Shard(number, 3).take(catalog) for number in (1, 2, 3)]
    assert sum(part.size for part in parts) == catalog.size
    assert {row for part in parts for row in part.bad_rows} == set(bad)
    for part in parts:
        assert part.shoes == tuple(shoe for shoe in shoes if shoe in part.shoes)
    assert WHOLE.take(catalog) is catalog


@pytest.mark.parametrize("text", ["", "1", "0/4", "5/4", "1/0", "-1/4", "a/b", "1/2/3", "1.0/2", " 1/2"])
def test_what_is_no_part(text: str) -> None:
    """The error repeats what was given, and says what is expected."""
    with pytest.raises(QueryError, match="expected i/n") as caught:
        Shard.parse(text)
    assert repr(text) in str(caught.value)


def test_spelling() -> None:
    """A part is read as it is written."""
    assert Shard.parse("2/4") == Shard(2, 4)
    assert str(Shard(2, 4)) == "2/4"
    assert Shard.parse("1/1") == WHOLE
