"""What every store keeps to, whatever keeps its vectors."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from model.errors import QueryError
from service.errors import ItemExists, UnknownItem
from service.store.base import OVERALL, Filter, Item, Record, VectorStore, Weights
from service.store.filters import All, AnyOf, HasId, HasValue, Not
from tests.service.store.conftest import StoreFactory, require_conditions
from tests.service.store.naive import (
    CHECKPOINT,
    DIMENSION,
    ROOT,
    SLICES,
    VALUES,
    NaiveStore,
    ids,
    shoe,
    shoes,
)
from tests.support.filters import where

ZIP = frozenset({"Zipper"})
SOME = frozenset({"shoe-3", "shoe-7", "shoe-200", "shoe-201", "nobody"})
WOMEN = where({"Gender": frozenset({"Women"})})
FILTERS: tuple[Filter | None, ...] = (
    None,
    WOMEN,
    where({"Category": frozenset({"Boots", "Shoes"})}),
    where({"Category": frozenset({"Boots", "Shoes"}), "Gender": frozenset({"Men"}), "Closure": frozenset({"Zipper"})}),
    All((HasId(SOME), Not(WOMEN))),
)


WEIGHTS: tuple[Weights, ...] = (
    {"category": 1.0},
    {"category": 0.7, "closure": 0.3},
    {"category": 0.0, "closure": 2.5, "free": 1e-3},
)


@pytest.fixture(scope="module")
def naive() -> NaiveStore:
    """300 shoes."""
    filled = NaiveStore()
    filled.upsert(shoes(300))
    return filled


@pytest.fixture(scope="module")
def filled(
    make_store: StoreFactory, naive: NaiveStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VectorStore]:
    """The same 300 shoes, for tests that only read."""
    with closing(make_store(tmp_path_factory.mktemp("filled"))) as store:
        store.upsert(naive.records.values())
        yield store


def query(*values: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """One query, (1, DIMENSION)."""
    return shoe("query", values).vector[None]


def pages(store: VectorStore, limit: int, filter: Filter | None = None) -> Iterator[tuple[str, ...]]:
    """The ids of each page, one after another."""
    cursor = None
    while True:
        page = store.page(limit=limit, cursor=cursor, filter=filter)
        yield tuple(item.id for item in page.items)
        if page.next is None:
            return
        cursor = page.next


class TestItems:
    def test_an_empty_store_answers_everything_with_nothing(self, store: VectorStore) -> None:
        """An empty catalogue is no error: no hits, one empty page, no facets."""
        assert store.info().count == 0
        assert store.search(query(1.0), 5) == [[]]
        assert store.page(limit=10).items == ()
        assert store.page(limit=10).next is None
        assert store.facets() == {}

    def test_gives_back_what_was_put_in(self, store: VectorStore) -> None:
        """An item and its vector come back equal, with umlauts, several values and all."""
        record = shoe("Schuh:größe-42 #1", [0.1, -2.5], {"Closure": ("Lace up", "Zipper"), "Farbe": ("grün",)})
        assert store.upsert([record]) == 1
        assert store.get(record.item.id) == record.item
        np.testing.assert_array_equal(store.vector(record.item.id), record.vector)
        assert store.vector(record.item.id).dtype == np.float32
        found = store.record(record.item.id)
        assert found.item == record.item
        np.testing.assert_array_equal(found.vector, record.vector)

    def test_upsert_replaces_by_id(self, store: VectorStore) -> None:
        """A shoe put in again has only its new attributes and its new vector, and counts once."""
        store.upsert([shoe("a", [1.0], {"Gender": ("Men",)}), shoe("b", [2.0])])
        store.upsert([shoe("a", [5.0], {"Gender": ("Women",)})])
        assert store.info().count == 2
        assert store.facets() == {"Gender": {"Women": 1}}
        assert store.vector("a")[0] == 5.0
        assert ids(store.search(query(1.0), 2)[0]) == ["b", "a"]

    def test_of_one_id_twice_in_a_batch_the_last_stays(self, store: VectorStore) -> None:
        """A batch that names a shoe twice is not an error."""
        assert store.upsert([shoe("a", [1.0]), shoe("a", [2.0])]) == 2
        assert store.info().count == 1
        assert store.vector("a")[0] == 2.0

    def test_upsert_takes_a_generator_and_nothing(self, store: VectorStore) -> None:
        """Records may come lazily, and there may be none."""
        assert store.upsert(record for record in shoes(3)) == 3
        assert store.upsert([]) == 0

    def test_a_bad_record_leaves_the_whole_batch_out(self, store: VectorStore) -> None:
        """A vector that is too short or not finite is refused by name, and the records beside it are not stored."""
        short = Record(Item("short", "s.jpg", {}), np.zeros(DIMENSION - 1, dtype=np.float32))
        for bad in (short, shoe("bad", [np.nan]), shoe("bad", [np.inf])):
            with pytest.raises(QueryError, match=bad.item.id) as caught:
                store.upsert([shoe("good", [1.0]), bad])
            assert caught.value.field == "vector"
        assert store.info().count == 0

    def test_overwriting_can_be_refused(self, store: VectorStore) -> None:
        """Not to be overwritten, a shoe that is there refuses the whole batch, and only what is new is put in."""
        assert store.upsert([shoe("a", [1.0])], overwrite=False) == 1
        with pytest.raises(ItemExists, match="'a'") as caught:
            store.upsert([shoe("b", [2.0]), shoe("a", [3.0])], overwrite=False)
        assert caught.value.item_id == "a"
        assert store.info().count == 1
        assert store.vector("a")[0] == 1.0
        assert store.upsert([shoe("b", [4.0]), shoe("b", [5.0])], overwrite=False) == 2
        assert store.vector("b")[0] == 5.0

    def test_a_removed_shoe_may_come_back(self, store: VectorStore) -> None:
        """What was removed does not stand in the way of what is not to overwrite anything."""
        store.upsert([shoe("a", [1.0])])
        store.delete(["a"])
        assert store.upsert([shoe("a", [2.0])], overwrite=False) == 1
        assert store.vector("a")[0] == 2.0

    def test_patch_replaces_the_named_attributes(self, store: VectorStore) -> None:
        """What is named is replaced, added or, without values, removed; the rest stays, vector and place included."""
        before = shoe("a", [1.5], {"Gender": ("Men",), "Closure": ("Zipper",), "Category": ("Boots",)})
        store.upsert([before, shoe("b", [2.0])])
        fingerprint = store.info().fingerprint
        patched = store.patch("a", {"Gender": ("Women", "Girls"), "Closure": (), "Farbe": ("grün",)})
        expected = {"Category": ("Boots",), "Farbe": ("grün",), "Gender": ("Women", "Girls")}
        assert patched == store.get("a") == Item("a", before.item.image, expected)
        assert store.info().fingerprint != fingerprint
        assert store.facets()["Gender"] == {"Girls": 1, "Women": 1}
        assert "Closure" not in store.facets()
        np.testing.assert_array_equal(store.vector("a"), before.vector)
        assert ids(store.search(query(1.5), 1, filter=where({"Farbe": frozenset({"grün"})}))[0]) == ["a"]
        assert [item.id for item in store.page(limit=5).items] == ["a", "b"]

    def test_patch_with_nothing_to_do(self, store: VectorStore) -> None:
        """No attributes, or one removed that is not there, leave the shoe as it is."""
        store.upsert([shoe("a", [1.0], {"Gender": ("Men",)})])
        assert store.patch("a", {}) == store.patch("a", {"Closure": ()}) == store.get("a")
        assert store.get("a").attributes == {"Gender": ("Men",)}

    def test_patch_of_an_unknown_shoe(self, store: VectorStore) -> None:
        """There must be one, and none is made."""
        with pytest.raises(UnknownItem, match="'a'"):
            store.patch("a", {"Gender": ("Men",)})
        assert store.info().count == 0

    def test_an_error_while_records_come_stores_none(self, store: VectorStore) -> None:
        """All or nothing: what the generator gave before it failed is not stored."""

        def failing() -> Iterator[Record]:
            yield shoe("a", [1.0])
            raise RuntimeError("no more pictures")

        with pytest.raises(RuntimeError, match="no more pictures"):
            store.upsert(failing())
        assert store.info().count == 0

    def test_delete_removes_and_counts_those_that_were_there(self, store: VectorStore) -> None:
        """A removed shoe is nowhere any more; unknown ids and repetitions don't count."""
        store.upsert([shoe("a", [1.0], {"Gender": ("Men",)}), shoe("b", [2.0])])
        assert store.delete(["a", "nobody", "a"]) == 1
        assert store.delete([]) == 0
        assert store.info().count == 1
        assert store.facets() == {}
        assert ids(store.search(query(1.0), 5)[0]) == ["b"]
        with pytest.raises(UnknownItem):
            store.get("a")

    def test_unknown_items_are_named(self, store: VectorStore) -> None:
        """The error says which id was asked for."""
        with pytest.raises(UnknownItem, match="nobody"):
            store.get("nobody")
        with pytest.raises(UnknownItem, match="nobody"):
            store.vector("nobody")
        with pytest.raises(UnknownItem, match="nobody"):
            store.record("nobody")

    def test_a_vector_that_was_handed_out_is_the_callers_own(self, store: VectorStore) -> None:
        """Writing into an answer does not change the store."""
        store.upsert([shoe("a", [1.0])])
        store.vector("a")[:] = 9.0
        store.record("a").vector[:] = 9.0
        assert store.vector("a")[0] == 1.0


class TestInfo:
    def test_says_what_it_was_made_with(self, filled: VectorStore) -> None:
        """The facts of the catalogue come back."""
        info = filled.info()
        assert (info.count, info.dimension, info.checkpoint, info.root) == (300, DIMENSION, CHECKPOINT, ROOT)
        require_conditions(filled)
        assert info.slices == SLICES

    def test_the_fingerprint_changes_with_every_change_and_only_then(self, store: VectorStore) -> None:
        """Insert, replace and delete each give a new one; reading and deleting nobody do not."""
        seen = [store.info().fingerprint]
        store.upsert([shoe("a", [1.0])])
        seen.append(store.info().fingerprint)
        store.upsert([shoe("a", [2.0])])
        seen.append(store.info().fingerprint)
        store.delete(["a"])
        seen.append(store.info().fingerprint)
        assert len(set(seen)) == 4
        store.search(query(1.0), 1)
        store.delete(["nobody"])
        assert store.info().fingerprint == seen[-1]


class TestSearch:
    @pytest.mark.parametrize("filter", FILTERS)
    @pytest.mark.parametrize("condition", ["overall", *SLICES])
    @pytest.mark.parametrize("k", [1, 7, 1000])
    def test_agrees_with_a_loop(
        self, filled: VectorStore, naive: NaiveStore, condition: str, filter: Filter | None, k: int
    ) -> None:
        """Ids, order and distances are those of the plain definition, for whole vectors and for slices."""
        if condition != OVERALL:
            require_conditions(filled)
        queries = np.random.default_rng(1).normal(size=(3, DIMENSION)).astype(np.float32)
        answers = filled.search(queries, k, condition=condition, filter=filter)
        for one, hits in zip(queries, answers, strict=True):
            expected = naive.search(one, k, condition=condition, filter=filter)
            assert ids(hits) == ids(expected)
            assert [hit.distance for hit in hits] == pytest.approx([hit.distance for hit in expected], rel=1e-5)
            assert [hit.item for hit in hits] == [hit.item for hit in expected]

    def test_many_queries_at_once_get_the_same_answers(self, filled: VectorStore) -> None:
        """A batch is answered like each of its queries alone."""
        queries = np.random.default_rng(2).normal(size=(50, DIMENSION)).astype(np.float32)
        together = filled.search(queries, 5)
        assert together == [filled.search(one[None], 5)[0] for one in queries]

    def test_identical_vectors_are_at_distance_zero(self, store: VectorStore) -> None:
        """Also far from the origin, where |x|^2 + |y|^2 - 2xy would have no digit left."""
        far = np.random.default_rng(3).normal(loc=1000.0, size=(40, DIMENSION)).astype(np.float32)
        store.upsert(shoe(f"{row}", vector) for row, vector in enumerate(far))
        for row, hits in enumerate(store.search(far, 1)):
            assert ids(hits) == [f"{row}"]
            assert hits[0].distance == pytest.approx(0.0, abs=1e-5)

    def test_ties_come_in_the_order_of_insertion(self, store: VectorStore) -> None:
        """Among more equal distances than k, the first ones in the catalogue are the answer, each time."""
        store.upsert(shoe(f"{number}", [1.0]) for number in range(200))
        assert ids(store.search(query(), 5)[0]) == ["0", "1", "2", "3", "4"]
        store.delete(["1"])
        store.upsert([shoe("2", [1.0])])
        assert ids(store.search(query(), 3)[0]) == ["0", "2", "3"]

    def test_a_narrow_filter_still_finds_k(self, store: VectorStore) -> None:
        """The shoes that pass are found though all others are nearer."""
        rare = {"Gender": ("Women",)}
        store.upsert(shoe(f"near-{number}", [number / 1000], {"Gender": ("Men",)}) for number in range(500))
        store.upsert(shoe(f"rare-{number}", [100.0 + number], rare) for number in range(5))
        assert ids(store.search(query(), 5, filter=WOMEN)[0]) == [f"rare-{number}" for number in range(5)]
        assert len(store.search(query(), 50, filter=WOMEN)[0]) == 5

    def test_a_filter_that_nothing_passes_finds_nothing(self, store: VectorStore) -> None:
        """Known values that no shoe has together give an empty answer, not an error."""
        store.upsert([shoe("a", [1.0], {"Gender": ("Men",)}), shoe("b", [1.0], {"Category": ("Boots",)})])
        both = where({"Gender": frozenset({"Men"}), "Category": frozenset({"Boots"})})
        assert store.search(query(), 5, filter=both) == [[]]
        assert store.facets(both) == {}
        assert store.page(limit=5, filter=both).total == 0

    def test_no_queries_no_answers(self, filled: VectorStore) -> None:
        """A batch may be empty."""
        assert filled.search(np.empty((0, DIMENSION), dtype=np.float32), 5) == []

    def test_huge_values_are_no_reason_to_find_less(self, filled: VectorStore) -> None:
        """Distances whose squares overflow float32 are still distances."""
        hits = filled.search(query(1e30), 5)[0]
        assert len(hits) == 5
        assert hits[0].distance == pytest.approx(1e30)

    @pytest.mark.parametrize("k", [0, -1])
    def test_refuses_k_below_one(self, filled: VectorStore, k: int) -> None:
        """There is no answer with no hits."""
        with pytest.raises(QueryError, match="at least 1") as caught:
            filled.search(query(), k)
        assert caught.value.field == "k"

    def test_an_unknown_condition_lists_the_known_ones(self, filled: VectorStore) -> None:
        """The message says what could have been meant."""
        require_conditions(filled)
        with pytest.raises(QueryError, match=r"'colour'.*overall, category, closure, free") as caught:
            filled.search(query(), 5, condition="colour")
        assert caught.value.field == "condition"


class TestWeights:
    @pytest.mark.parametrize("filter", FILTERS)
    @pytest.mark.parametrize("weights", WEIGHTS)
    @pytest.mark.parametrize("k", [1, 7, 1000])
    def test_agrees_with_a_loop(
        self, filled: VectorStore, naive: NaiveStore, weights: Weights, filter: Filter | None, k: int
    ) -> None:
        """Ids, order and distances are those of the definition: the root of the weighted sum of squares."""
        require_conditions(filled)
        queries = np.random.default_rng(4).normal(size=(3, DIMENSION)).astype(np.float32)
        answers = filled.search(queries, k, condition=weights, filter=filter)
        for one, hits in zip(queries, answers, strict=True):
            expected = naive.search(one, k, condition=weights, filter=filter)
            assert ids(hits) == ids(expected)
            assert [hit.distance for hit in hits] == pytest.approx([hit.distance for hit in expected], rel=1e-5)

    def test_equal_weights_of_all_slices_are_overall(self, filled: VectorStore, naive: NaiveStore) -> None:
        """Slices that make up the whole vector, each with the weight 1, compare as the whole vector does."""
        require_conditions(filled)
        asked = naive.records["shoe-5"].vector[None]
        weighted = filled.search(asked, 20, condition=dict.fromkeys(SLICES, 1.0))[0]
        overall = filled.search(asked, 20)[0]
        assert ids(weighted) == ids(overall)
        assert [hit.distance for hit in weighted] == pytest.approx([hit.distance for hit in overall], rel=1e-5)

    @pytest.mark.parametrize(
        ("weights", "said"),
        [
            ({"colour": 1.0}, "'colour'.*category, closure, free"),
            ({OVERALL: 1.0}, "'overall'.*category, closure, free"),
            ({"category": -0.5}, "category is -0.5"),
            ({"category": 1.0, "free": float("nan")}, "free is nan"),
            ({"category": float("inf")}, "category is inf"),
            ({"category": 0.0}, "all weights are 0"),
            ({}, "all weights are 0"),
        ],
    )
    def test_refuses_weights_that_are_none(self, filled: VectorStore, weights: Weights, said: str) -> None:
        """An unknown slice, a weight below 0 or not finite, and weights that are all 0 are errors of the caller."""
        require_conditions(filled)
        with pytest.raises(QueryError, match=said) as caught:
            filled.search(query(), 5, condition=weights)
        assert caught.value.field == "condition"

    @pytest.mark.parametrize("condition", [OVERALL, "closure", {"category": 0.5, "free": 2.0}])
    def test_hits_carry_vectors_where_asked_for(
        self, filled: VectorStore, naive: NaiveStore, condition: str | Weights
    ) -> None:
        """With `vectors` each hit has its whole vector, whatever was compared; without, none has."""
        if condition != OVERALL:
            require_conditions(filled)
        asked = naive.records["shoe-5"].vector[None]
        hits = filled.search(asked, 12, condition=condition, vectors=True)[0]
        assert hits == filled.search(asked, 12, condition=condition)[0]
        for hit in hits:
            assert hit.vector is not None
            np.testing.assert_array_equal(hit.vector, naive.records[hit.item.id].vector)
        assert {hit.vector is None for hit in filled.search(asked, 12)[0]} == {True}


class TestFilters:
    def test_an_unknown_attribute_lists_the_known_ones(self, filled: VectorStore) -> None:
        """Wherever a filter is taken."""
        unknown = where({"Colour": frozenset({"Red"})})
        for ask in (
            lambda: filled.search(query(), 5, filter=unknown),
            lambda: filled.page(limit=5, filter=unknown),
            lambda: filled.facets(unknown),
        ):
            with pytest.raises(QueryError, match=r"'Colour'.*Category, Closure, Gender") as caught:
                ask()
            assert caught.value.field == "filter"

    def test_an_unknown_value_lists_the_known_ones(self, filled: VectorStore) -> None:
        """A value nobody has is a misspelling; the message has the right ones."""
        with pytest.raises(QueryError, match="'Womens' of 'Gender'") as caught:
            filled.facets(where({"Gender": frozenset({"Womens"})}))
        assert all(value in str(caught.value) for value in VALUES["Gender"])

    def test_a_long_list_of_known_values_is_cut(self, store: VectorStore) -> None:
        """Twenty values, and how many more there are."""
        store.upsert(shoe(f"{number}", [1.0], {"Brand": (f"Brand {number}",)}) for number in range(30))
        with pytest.raises(QueryError, match="and 10 more"):
            store.facets(where({"Brand": frozenset({"Nobody"})}))

    def test_a_value_is_unknown_once_its_last_shoe_is_gone(self, store: VectorStore) -> None:
        """What is known follows the catalogue."""
        store.upsert([shoe("a", [1.0], {"Gender": ("Men",)}), shoe("b", [1.0], {"Gender": ("Women",)})])
        assert store.facets(WOMEN) == {"Gender": {"Women": 1}}
        store.delete(["b"])
        with pytest.raises(QueryError, match="known values: Men"):
            store.facets(WOMEN)

    @pytest.mark.parametrize("filter", FILTERS)
    def test_facets_agree_with_a_loop(self, filled: VectorStore, naive: NaiveStore, filter: Filter | None) -> None:
        """Counts are among the shoes that pass."""
        assert filled.facets(filter) == naive.facets(filter)

    def test_facets_have_frequent_values_first(self, store: VectorStore) -> None:
        """And equally frequent ones by name."""
        store.upsert(shoe(f"{number}", [1.0], {"Gender": (value,)}) for number, value in enumerate("cbaab"))
        assert list(store.facets()["Gender"].items()) == [("a", 2), ("b", 2), ("c", 1)]

    @pytest.mark.parametrize(
        "filter",
        [
            Not(HasValue("Gender", frozenset({"Men", "Boys"}))),
            AnyOf((WOMEN, HasValue("Closure", frozenset({"Zipper"})))),
            All((Not(AnyOf((WOMEN, HasValue("Category", frozenset({"Boots"}))))), Not(Not(HasValue("Closure", ZIP))))),
            AnyOf((HasId(SOME), All((WOMEN, Not(HasId(SOME)), HasValue("Closure", ZIP))))),
        ],
    )
    def test_expressions_agree_with_a_loop(self, filled: VectorStore, naive: NaiveStore, filter: Filter) -> None:
        """Negations and alternatives across attributes, in any nesting."""
        assert filled.facets(filter) == naive.facets(filter)
        assert ids(filled.search(query(), 9, filter=filter)[0]) == ids(naive.search(query()[0], 9, filter=filter))

    def test_what_is_excluded_has_to_be_known_too(self, filled: VectorStore) -> None:
        """A misspelt exclusion must not let everything pass."""
        with pytest.raises(QueryError, match="'Womens' of 'Gender'"):
            filled.facets(Not(HasValue("Gender", frozenset({"Womens"}))))

    def test_ids_that_no_shoe_has_are_not_in_the_catalogue(self, store: VectorStore) -> None:
        """They are no error, and shoes that have gone or come since the start are as the catalogue has them."""
        asked = HasId(frozenset({"a", "c", "nobody"}))
        store.upsert([shoe("a", [1.0]), shoe("b", [2.0])])
        assert ids(store.search(query(), 5, filter=asked)[0]) == ["a"]
        store.delete(["a"])
        assert store.page(limit=5, filter=asked).total == 0
        store.upsert([shoe("c", [3.0], {"Gender": ("Women",)})])
        assert ids(store.search(query(), 5, filter=asked)[0]) == ["c"]
        assert [item.id for item in store.page(limit=5, filter=Not(asked)).items] == ["b"]
        assert store.facets(asked) == {"Gender": {"Women": 1}}

    def test_thousands_of_ids(self, filled: VectorStore, naive: NaiveStore) -> None:
        """Many ids, most of them of no shoe, are answered as few are."""
        # Not the most there may be: Milvus Lite compares each shoe with each id.
        asked = HasId(frozenset(f"shoe-{2 * number}" for number in range(2500)))
        assert filled.page(limit=5, filter=asked).total == 150
        assert ids(filled.search(query(), 9, filter=asked)[0]) == ids(naive.search(query()[0], 9, filter=asked))


class TestPages:
    # A shoe a page under the narrowest filter alone: a search in Milvus for each takes its time.
    @pytest.mark.parametrize(("limit", "filter"), [(1, FILTERS[-1]), *product((7, 300, 1000), FILTERS)])
    def test_together_are_the_catalogue_in_order(
        self, filled: VectorStore, naive: NaiveStore, limit: int, filter: Filter | None
    ) -> None:
        """Every shoe that passes is on exactly one page, in the order of insertion."""
        expected = [record.item.id for record in naive.passing(filter)]
        assert [item_id for page in pages(filled, limit, filter) for item_id in page] == expected
        assert filled.page(limit=limit, filter=filter).total == len(expected)

    def test_changes_in_between_neither_repeat_nor_skip(self, store: VectorStore) -> None:
        """A cursor holds its place though shoes before and after it come and go."""
        store.upsert(shoe(name, [1.0]) for name in "abcdef")
        first = store.page(limit=3)
        store.delete(["a", "c", "d"])
        store.upsert([shoe("b", [2.0]), shoe("g", [1.0])])
        rest = store.page(limit=10, cursor=first.next)
        assert [item.id for item in rest.items] == ["e", "f", "g"]

    @pytest.mark.parametrize(
        "cursor", ["", "x", "ä", "LTE", "MQ==", "MDE", "MTIz\n", "99999999999999999999999999999999"]
    )
    def test_refuse_a_cursor_that_no_page_gave(self, filled: VectorStore, cursor: str) -> None:
        """Malformed cursors are errors of the caller."""
        with pytest.raises(QueryError, match="no cursor") as caught:
            filled.page(limit=5, cursor=cursor)
        assert caught.value.field == "cursor"

    def test_refuse_a_limit_below_one(self, filled: VectorStore) -> None:
        """A page has at least one place."""
        with pytest.raises(QueryError) as caught:
            filled.page(limit=0)
        assert caught.value.field == "limit"


NAMES = st.sampled_from("abcdefghij")
# Few and whole numbers, so that ties and equal vectors are common.
VECTORS = st.lists(st.integers(-2, 2), min_size=DIMENSION, max_size=DIMENSION)
ATTRIBUTES = st.dictionaries(
    st.sampled_from(["Gender", "Closure"]), st.lists(st.sampled_from("xyz"), max_size=2).map(tuple), max_size=2
)
# Weights whose roots are whole, so that ties stay ties.
CONDITIONS: tuple[str | Weights, ...] = (OVERALL, *SLICES, {"category": 4.0, "free": 1.0}, {"closure": 16.0})
RECORDS = st.builds(shoe, NAMES, VECTORS, ATTRIBUTES)


class Machine(RuleBasedStateMachine):
    """Does the same to a real store and to the naive one, in any order, and compares what can be seen."""

    make_store: ClassVar[StoreFactory]

    def __init__(self) -> None:
        super().__init__()
        self.temporary = tempfile.TemporaryDirectory()
        self.naive = NaiveStore()
        self.store = type(self).make_store(Path(self.temporary.name) / "catalog")

    @rule(records=st.lists(RECORDS, max_size=6))
    def upsert(self, records: list[Record]) -> None:
        """Insert and replace."""
        self.naive.upsert(records)
        assert self.store.upsert(records) == len(records)

    @rule(records=st.lists(RECORDS, max_size=3))
    def insert(self, records: list[Record]) -> None:
        """Insert only."""
        if any(record.item.id in self.naive.records for record in records):
            with pytest.raises(ItemExists):
                self.store.upsert(records, overwrite=False)
        else:
            self.naive.upsert(records)
            assert self.store.upsert(records, overwrite=False) == len(records)

    @rule(name=NAMES, attributes=ATTRIBUTES)
    def patch(self, name: str, attributes: dict[str, tuple[str, ...]]) -> None:
        """Replace some attributes."""
        if name in self.naive.records:
            assert self.store.patch(name, attributes) == self.naive.patch(name, attributes)
        else:
            with pytest.raises(UnknownItem):
                self.store.patch(name, attributes)

    @rule(names=st.lists(NAMES, max_size=4))
    def delete(self, names: list[str]) -> None:
        """Remove, also what is not there."""
        assert self.store.delete(names) == self.naive.delete(names)

    @rule(vector=VECTORS, k=st.integers(1, 12), condition=st.sampled_from(CONDITIONS))
    def search(self, vector: list[int], k: int, condition: str | Weights) -> None:
        """Ask for neighbours."""
        if not self.store.info().slices:
            condition = OVERALL
        asked = shoe("query", vector).vector
        hits = self.store.search(asked[None], k, condition=condition)[0]
        expected = self.naive.search(asked, k, condition=condition)
        assert ids(hits) == ids(expected)
        assert [hit.distance for hit in hits] == pytest.approx([hit.distance for hit in expected])

    @rule(limit=st.integers(1, 4))
    def browse(self, limit: int) -> None:
        """Page through the catalogue, under each filter that lets something pass."""
        facets = self.naive.facets()
        assert self.store.facets() == facets
        assert self.store.info().count == len(self.naive.records)
        filters: list[Filter | None] = [None]
        filters += [where({name: {value}}) for name, values in facets.items() for value in values]
        for chosen in filters:
            browsed = [item_id for page in pages(self.store, limit, chosen) for item_id in page]
            assert browsed == [record.item.id for record in self.naive.passing(chosen)]

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.store.close()
        self.temporary.cleanup()


@pytest.mark.timeout(1800)  # a Milvus server takes a fifth of a second for each change
def test_any_sequence_of_changes_agrees_with_a_dict(make_store: StoreFactory) -> None:
    """Whatever is inserted, replaced and removed in whatever order, the answers are those of the naive store."""
    bound = type("BoundMachine", (Machine,), {"make_store": staticmethod(make_store)})
    run_state_machine_as_test(bound, settings=settings(max_examples=25, stateful_step_count=15))


def test_two_stores_share_nothing(make_store: StoreFactory, tmp_path: Path) -> None:
    """Each folder is a catalogue of its own, with its own fingerprint, though both hold the same shoes."""
    with closing(make_store(tmp_path / "a")) as one, closing(make_store(tmp_path / "b")) as other:
        one.upsert(shoes(3))
        assert other.info().count == 0
        other.upsert(shoes(3))
        assert one.info().fingerprint != other.info().fingerprint


def test_a_sample_is_of_shoes_all_over_the_catalogue(store: VectorStore) -> None:
    """At most as many as asked for, with their vectors, each once, and the same ones until the catalogue changes."""
    assert store.sample(5) == []
    records = {record.item.id: record for record in shoes(60)}
    store.upsert(records.values())
    store.delete(["shoe-7", "shoe-59"])
    for count in (0, 1, 20, 58, 1000):
        sample = store.sample(count)
        assert len({record.item.id for record in sample}) == len(sample) <= min(count, 58)
        for record in sample:
            assert record.item == records[record.item.id].item
            np.testing.assert_array_equal(record.vector, records[record.item.id].vector)
        assert [record.item.id for record in store.sample(count)] == [record.item.id for record in sample]
    assert len(store.sample(58)) == 58
    numbers = [int(record.item.id.removeprefix("shoe-")) for record in store.sample(30)]
    assert len(numbers) >= 10
    assert min(numbers) < 20
    assert max(numbers) > 40
