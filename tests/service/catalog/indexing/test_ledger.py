import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from model.errors import ArtifactError
from service.catalog.indexing.ledger import WHOLE, Ledger, Shard, begin, finish, is_complete


def ids_of(shard: Shard, count: int = 20) -> list[str]:
    """Ids that belong to a part."""
    return [name for name in map(str, range(1000)) if shard.holds(name)][:count]


class TestLedger:
    def test_the_last_line_counts(self, tmp_path: Path) -> None:
        """A shoe that was embedded again has its newer stamp, also for the next process."""
        ledger = Ledger(tmp_path)
        ledger.add({"a": (1, 10), "ü": (2, 20)})
        ledger.add({"a": (3, 30)})
        assert ledger.stamps == Ledger(tmp_path).stamps == {"a": (3, 30), "ü": (2, 20)}

    def test_a_forgotten_stamp_fits_no_file(self, tmp_path: Path) -> None:
        """The shoe is embedded again, until it has a stamp anew; others keep theirs."""
        ledger = Ledger(tmp_path)
        ledger.add({"a": (1, 10), "b": (2, 20)})
        ledger.forget(["a"])
        stamps = Ledger(tmp_path).stamps
        assert stamps["b"] == (2, 20)
        assert stamps["a"][0] < 0
        ledger.add({"a": (1, 10)})
        assert Ledger(tmp_path).stamps == {"a": (1, 10), "b": (2, 20)}

    @pytest.mark.parametrize("torn", [b'\n["c", 5', b"\n7\n", b'\n["c"]\n', b"\n\xff\n"])
    def test_a_torn_line_is_passed_over(self, tmp_path: Path, torn: bytes) -> None:
        """It costs no other line, neither one before it nor one after it."""
        ledger = Ledger(tmp_path)
        ledger.add({"a": (1, 10)})
        with (tmp_path / "pictures.jsonl").open("ab") as file:
            file.write(torn)
        ledger.add({"b": (2, 20)})
        assert Ledger(tmp_path).stamps == {"a": (1, 10), "b": (2, 20)}

    def test_processes_share_it(self, tmp_path: Path) -> None:
        """What several add at once is all there, and compacting one's part takes nothing from the others."""
        shards = [Shard(number, 3) for number in (1, 2, 3)]
        first, *others = [Ledger(tmp_path) for _ in shards]

        def add(place: int) -> None:
            for name in ids_of(shards[place]):
                (first, *others)[place].add({name: (place, 1)})

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(add, range(3)))
        first.compact(ids_of(shards[0], 5), shards[0])
        expected = ids_of(shards[0], 5) + ids_of(shards[1]) + ids_of(shards[2])
        assert sorted(Ledger(tmp_path).stamps) == sorted(expected)

    def test_a_disk_that_refuses_is_said(self, tmp_path: Path) -> None:
        """The error names the file, and is one that a person is meant to see."""
        ledger = Ledger(tmp_path)
        (tmp_path / "pictures.jsonl").mkdir()
        with pytest.raises(ArtifactError, match=r"pictures\.jsonl"):
            ledger.add({"a": (1, 1)})


class TestCompleteness:
    def test_all_parts_make_it_complete(self, tmp_path: Path) -> None:
        """Until the last part is done, in whatever order, the catalogue is not."""
        assert is_complete(tmp_path)
        for number in (3, 1, 2):
            assert is_complete(tmp_path) == (number == 3)
            begin(tmp_path, Shard(number, 3))
            assert not is_complete(tmp_path)
            finish(tmp_path, Shard(number, 3))
        assert is_complete(tmp_path)

    def test_a_part_that_is_done_again_is_unfinished_meanwhile(self, tmp_path: Path) -> None:
        """A part that was interrupted the second time does not count as done by the first."""
        begin(tmp_path, Shard(1, 2))
        finish(tmp_path, Shard(1, 2))
        begin(tmp_path, Shard(1, 2))
        begin(tmp_path, Shard(2, 2))
        finish(tmp_path, Shard(2, 2))
        assert not is_complete(tmp_path)

    def test_another_division_begins_anew(self, tmp_path: Path) -> None:
        """The whole catalogue done at once makes it complete, and an old part that ends later changes nothing."""
        begin(tmp_path, Shard(1, 2))
        begin(tmp_path, WHOLE)
        finish(tmp_path, Shard(1, 2))
        assert not is_complete(tmp_path)
        finish(tmp_path, WHOLE)
        assert is_complete(tmp_path)

    @pytest.mark.parametrize("content", ["", "{", "[]", json.dumps({"parts": 2})])
    def test_a_mark_that_can_not_be_read(self, tmp_path: Path, content: str) -> None:
        """It says that the catalogue is unfinished, and no more than that."""
        (tmp_path / "indexing-unfinished").write_text(content)
        assert not is_complete(tmp_path)
        begin(tmp_path, Shard(2, 2))
        finish(tmp_path, Shard(2, 2))
        assert not is_complete(tmp_path)
        begin(tmp_path, Shard(1, 2))
        finish(tmp_path, Shard(1, 2))
        assert is_complete(tmp_path)
