"""Scores of the distances of a catalogue."""

from pathlib import Path

import numpy as np
import pytest

from model.nearness import Nearness
from service.errors import StoreUnavailable
from service.search.nearness import NearnessScale
from tests.service.store.naive import shoes
from tests.support.fakes import MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    """Forty random shoes."""
    store = MemoryStore(Path())
    store.upsert(shoes(40))
    return store


def test_calibration_comes_first(store: MemoryStore) -> None:
    """What the checkpoint says of a condition is what counts, also within weights."""
    known = {"category": Nearness(2.0, 3.0), "overall": Nearness(5.0, 2.0)}
    nearness = NearnessScale(store, known, [])
    assert nearness.of("overall") == known["overall"]
    assert nearness.of({"category": 1.0, "free": 0.0}) == known["category"]


@pytest.mark.parametrize(("condition", "least", "share"), [("overall", 0.2, 0.1), ("category", 0.25, 0.25)])
def test_measured_on_the_catalogue(store: MemoryStore, condition: str, least: float, share: float) -> None:
    """Without a calibration, scores follow the distances between the catalogue's own shoes."""
    nearness = NearnessScale(store, {}, ["category"]).of(condition)
    vectors = np.stack([record.vector for record in store.records.values()])
    found = store.search(vectors, 40, condition=condition)
    scores = [nearness.score(hit.distance) for hits in found for hit in hits if hit.distance > 0]
    assert np.mean(np.array(scores) >= least) == pytest.approx(share, abs=0.01)


def test_measured_again_when_twice_as_large(store: MemoryStore) -> None:
    """Scores stay the same while a catalogue changes a little, and follow it once it has doubled."""
    scale = NearnessScale(store, {}, ["category"])
    before = scale.of("overall")
    store.upsert(shoes(5, seed=1, prefix="more"))
    assert scale.of("overall") == before
    store.upsert(shoes(90, seed=2, prefix="many"))
    assert scale.of("overall") != before


def test_nothing_to_measure() -> None:
    """An empty catalogue and one of equal shoes have a scale too."""
    store = MemoryStore(Path())
    assert NearnessScale(store, {}, ["category"]).of("closure").scale == pytest.approx(1.0)
    store.upsert(shoes(1))
    assert NearnessScale(store, {}, ["category"]).of("overall").scale == pytest.approx(2.0)


def test_store_away(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that can't be asked just now costs an answer nothing but the measure, which is taken the next time."""
    scale = NearnessScale(store, {}, ["category"])
    with monkeypatch.context() as broken:
        broken.setattr(store, "sample", lambda _: (_ for _ in ()).throw(StoreUnavailable("away")))
        assumed = scale.of("overall")
    assert scale.of("overall") != assumed
