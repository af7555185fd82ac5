"""Maps of a catalogue, and their files."""

from pathlib import Path

import numpy as np
import pytest

from model.errors import QueryError
from service.catalog.maintenance import map as catalog_map
from service.catalog.maintenance.map import draw_map, lay_out, parse_method
from service.catalog.map_files import read_map, read_map_file
from service.errors import MapMissing
from tests.service.store.naive import shoe, shoes
from tests.support.fakes import MemoryStore


def test_principal_components() -> None:
    """Without t-SNE, places keep the distances along the two directions in which vectors differ most."""
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(50, 2)) * [5, 2]
    turned = (plane @ np.linalg.qr(rng.normal(size=(6, 6)))[0][:2]).astype(np.float32)
    method, places = lay_out(turned, "pca")
    assert method == "pca"
    apart = np.linalg.norm(plane[:, None] - plane[None], axis=2)
    np.testing.assert_allclose(np.linalg.norm(places[:, None] - places[None], axis=2), apart, atol=1e-4)
    np.testing.assert_array_equal(places, lay_out(turned, "pca")[1])


def test_neighbours_stay_neighbours() -> None:
    """t-SNE keeps groups of shoes apart from one another."""
    pytest.importorskip("openTSNE")
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(4), 40)
    vectors = (rng.normal(size=(160, 8)) + 12 * np.eye(8)[groups]).astype(np.float32)
    method, places = lay_out(vectors)
    assert method == "opentsne"
    apart = np.linalg.norm(places[:, None] - places[None], axis=2) + np.diag(np.full(160, np.inf))
    assert (groups[apart.argmin(axis=1)] == groups).mean() > 0.95


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_shoes(tmp_path: Path, count: int) -> None:
    """However few shoes there are, and though their pictures can't be read, they have a map."""
    store = MemoryStore(tmp_path)
    store.upsert(shoes(count))
    assert draw_map(tmp_path, store).items == count
    store.upsert([shoe("alike", [1.0]), shoe("alike too", [1.0])])
    draw_map(tmp_path, store)


def test_a_shoe_that_is_deleted_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not on the map, and the others are where they would be without it."""
    store = MemoryStore(tmp_path)
    store.upsert(shoes(5))
    page = store.page(limit=5)
    store.delete([page.items[2].id])
    facts = draw_map(tmp_path, store)
    expected = read_map_file(tmp_path, facts, "tile", 0)
    monkeypatch.setattr(store, "page", lambda **_: page)
    facts = draw_map(tmp_path, store)
    assert facts.items == 4
    assert read_map_file(tmp_path, facts, "tile", 0) == expected


def test_a_new_map_takes_the_old_ones_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A map is divided into tiles; the one before is gone, and who still asks for it is told so."""
    monkeypatch.setattr(catalog_map, "TILE", 5)
    store = MemoryStore(tmp_path)
    store.upsert(shoes(12))
    old = draw_map(tmp_path, store)
    new = draw_map(tmp_path, store)
    assert new.tiles == 3
    assert read_map(tmp_path) == new
    assert read_map_file(tmp_path, new, "tile", 2)
    with pytest.raises(MapMissing):
        read_map_file(tmp_path, old, "tile", 0)
    assert len(list((tmp_path / "map").iterdir())) == 7


def test_no_map(tmp_path: Path) -> None:
    """An empty catalogue has none, and a damaged one counts as none."""
    with pytest.raises(QueryError, match="no shoes"):
        draw_map(tmp_path, MemoryStore(tmp_path))
    (tmp_path / "map").mkdir()
    (tmp_path / "map" / "map.json").write_text("{")
    with pytest.raises(MapMissing, match="service map"):
        read_map(tmp_path)
    with pytest.raises(QueryError, match="auto, opentsne, pca"):
        parse_method("umap")
