"""What the page offers around a search: more, near-duplicates as one, shoes hidden."""

import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.store.base import Record
from service.store.embedded.store import EmbeddedStore
from tests.support.browser import Upload, Visit, sync_api
from tests.support.fakes import leave_out
from tests.support.server import Artifacts, Server

pytestmark = pytest.mark.slow

ASKED = "1000.1"
COPIES = ("copy-1", "copy-2")


@pytest.fixture(scope="module")
def catalog(artifacts: Artifacts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The catalogue with two copies of the shoe that is most like ASKED."""
    folder = tmp_path_factory.mktemp("copies") / "catalog"
    shutil.copytree(artifacts.catalog, folder)
    with closing(EmbeddedStore.open(folder)) as store:
        add_copies(store, nearest(store), COPIES)
    return folder


def nearest(store: EmbeddedStore) -> str:
    """The shoe most like ASKED."""
    return leave_out(ASKED, store.search(store.vector(ASKED)[None], 2)[0])[0].item.id


def add_copies(store: EmbeddedStore, item_id: str, names: tuple[str, ...]) -> None:
    """Shoes that differ from one by their ids only."""
    item, vector = store.get(item_id), store.vector(item_id)
    store.upsert([Record(replace(item, id=name), vector) for name in names])


@pytest.fixture(scope="module")
def live_server(artifacts: Artifacts, catalog: Path) -> Iterator[str]:
    """The address of a service of that catalogue which knows how far apart near-duplicates are."""
    server = Server(replace(artifacts, catalog=catalog), SOLEMATE_DUPLICATE_DISTANCE="0.000001")
    yield server.url
    server.stop()


def similar(visit: Visit, query: str = "k=24") -> list[Any]:
    """What the service itself finds like ASKED."""
    hits: list[Any] = visit.get(f"/v1/items/{ASKED}/similar?{query}")["hits"]
    return hits


def test_near_duplicates_become_one(visit: Visit) -> None:
    """Ticked, the box shows copies as one shoe that says how many; the address keeps it."""
    visit.open(f"/#item={ASKED}")
    first = similar(visit)[0]["id"]
    assert visit.ids()[:3] == [first, *COPIES]
    visit.page.get_by_label("Fold near-duplicates").check()
    card = visit.page.locator("#grid .card").first
    sync_api.expect(card).to_contain_text("and 2 near-duplicates")
    visit.settle()
    folded = [hit["id"] for hit in similar(visit, "k=24&group=duplicates")]
    assert visit.ids() == folded
    assert not set(COPIES) & set(folded)
    visit.page.reload()
    visit.settle()
    sync_api.expect(visit.page.get_by_label("Fold near-duplicates")).to_be_checked()
    assert visit.ids() == folded
    visit.page.get_by_label("Fold near-duplicates").uncheck()
    sync_api.expect(visit.page.locator("#grid .card").nth(1)).to_have_attribute("data-id", COPIES[0])


def test_a_hidden_shoe_is_gone_until_it_is_shown_again(visit: Visit) -> None:
    """Hiding a shoe moves the others up, and the focus to the one in its place; a chip brings it back."""
    visit.open(f"/#item={ASKED}")
    before = visit.ids()
    entry = visit.page.locator("#grid > li").nth(1)
    entry.hover()
    entry.get_by_role("button", name="Hide this shoe").click()
    sync_api.expect(visit.page.locator("#chips")).to_contain_text("1 shoe hidden")
    visit.settle()
    after = visit.ids()
    assert after[:-1] == [item_id for item_id in before if item_id != before[1]]
    sync_api.expect(visit.page.locator("#grid .card").nth(1)).to_be_focused()
    visit.page.go_back()
    visit.settle()
    assert visit.ids() == before
    visit.page.go_forward()
    visit.settle()
    visit.page.get_by_role("button", name="1 shoe hidden").click()
    sync_api.expect(visit.page.locator("#chips")).to_be_hidden()
    visit.settle()
    assert visit.ids() == before


def test_the_start_has_neither(visit: Visit) -> None:
    """Where nothing is searched for, there is nothing to fold or to hide."""
    visit.open()
    sync_api.expect(visit.page.get_by_label("Fold near-duplicates")).to_be_hidden()
    assert visit.page.locator(".hide").count() == 0


@pytest.mark.parametrize("way", ["item", "photo"])
def test_more_follows_by_pages(visit: Visit, photo: Upload, way: str) -> None:
    """Show more brings the next page behind the first, up to the last shoe, whatever is searched with."""
    if way == "item":
        visit.open(f"/#item={ASKED}")
    else:
        visit.open()
        visit.search(photo)
    first = visit.ids()
    total = visit.get("/v1/items?limit=1")["total"] - (way == "item")
    visit.page.get_by_role("button", name="Show more").click()
    sync_api.expect(visit.page.locator("#grid .card")).to_have_count(total)
    visit.settle()
    assert visit.ids()[: len(first)] == first
    assert len(set(visit.ids())) == total
    sync_api.expect(visit.page.get_by_role("button", name="Show more")).to_be_hidden()
    shown = [float(text) for text in visit.page.locator(".distance b").all_inner_texts()]
    assert shown == sorted(shown)


def test_more_after_the_catalogue_changed(visit: Visit, catalog: Path) -> None:
    """If a shoe comes in between, Show more shows what there is now, with more of it, and no error."""
    visit.open(f"/#item={ASKED}")
    with closing(EmbeddedStore.open(catalog)) as store:
        add_copies(store, nearest(store), ("copy-3",))
    visit.page.get_by_role("button", name="Show more").click()
    sync_api.expect(visit.page.locator('#grid [data-id="copy-3"]')).to_be_visible()
    visit.settle()
    assert visit.ids() == [hit["id"] for hit in similar(visit, "k=48")]
    sync_api.expect(visit.page.get_by_role("alert")).to_be_empty()
    conflict = [error for error in visit.errors if re.match(r"Failed to load resource.*409", error)]
    assert conflict
    visit.errors[:] = [error for error in visit.errors if error not in conflict]


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_nothing_sticks_out(visit: Visit, width: int) -> None:
    """On every width the box, the chip and the shoes fit beside each other."""
    visit.page.set_viewport_size({"width": width, "height": 860})
    visit.open(f"/#item={ASKED}&group=duplicates&exclude=1001.1")
    sync_api.expect(visit.page.get_by_label("Fold near-duplicates")).to_be_visible()
    sync_api.expect(visit.page.locator("#chips")).to_contain_text("1 shoe hidden")
    assert visit.page.evaluate("document.documentElement.scrollWidth") == width
