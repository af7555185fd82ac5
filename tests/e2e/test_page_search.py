"""What the page offers around a search: more of it, near-duplicates as one, likes and dislikes, ranges."""

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
from tests.support.server import Artifacts, serve_in_thread

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
    with serve_in_thread(replace(artifacts, catalog=catalog), SOLEMATE_DUPLICATE_DISTANCE="0.000001") as url:
        yield url


OPEN = f"/#item={ASKED}&group=none"


def similar(visit: Visit, query: str = "k=24") -> list[Any]:
    """What the service itself finds like ASKED."""
    hits: list[Any] = visit.get(f"/v1/items/{ASKED}/similar?{query}")["hits"]
    return hits


def test_near_duplicates_become_one(visit: Visit) -> None:
    """Copies are one shoe that unfolds to show them; cleared, the box shows each; the address keeps that."""
    visit.open(f"/#item={ASKED}")
    folded = [hit["id"] for hit in similar(visit, "k=24&group=duplicates")]
    assert visit.ids() == folded
    assert not set(COPIES) & set(folded)
    entry = visit.page.locator("#grid > li").first
    entry.get_by_role("button", name="2 more like this").click()
    sync_api.expect(entry.locator(".copies a")).to_have_count(2)
    visit.page.get_by_label("Fold near-duplicates").uncheck()
    sync_api.expect(visit.page.locator("#grid .card").nth(1)).to_have_attribute("data-id", COPIES[0])
    visit.settle()
    assert visit.ids()[:3] == [folded[0], *COPIES]
    visit.page.reload()
    visit.settle()
    sync_api.expect(visit.page.get_by_label("Fold near-duplicates")).not_to_be_checked()
    assert visit.ids()[:3] == [folded[0], *COPIES]


def recommended(visit: Visit, positive: list[Any], negative: list[str]) -> list[str]:
    """What the service itself finds for likes and dislikes."""
    question = {"positive": positive, "negative": negative, "exclude": negative, "k": 24}
    answer = visit.page.request.post(f"{visit.base}/v1/recommendations", data=question)
    assert answer.ok, answer.text()
    return [hit["id"] for hit in answer.json()["hits"]]


def test_likes_and_dislikes_refine_at_once(visit: Visit) -> None:
    """A dislike and a like search anew, by keyboard too; both are shown beside the query and can be taken back."""
    visit.open(OPEN)
    before = visit.ids()
    button = visit.page.locator("#grid > li").nth(3).get_by_role("button", name="Less like this")
    button.focus()
    button.press("Enter")
    sync_api.expect(visit.page.locator("#examples li")).to_have_count(1)
    visit.settle()
    refined = recommended(visit, [ASKED], [before[3]])
    assert visit.ids() == refined
    sync_api.expect(visit.page.locator("#grid .card").nth(3)).to_be_focused()
    visit.page.locator("#grid > li").nth(5).get_by_role("button", name="More like this").click()
    sync_api.expect(visit.page.locator("#examples li")).to_have_count(2)
    visit.settle()
    assert visit.ids() == recommended(visit, [ASKED, refined[5]], [before[3]])
    visit.page.reload()
    visit.settle()
    visit.page.get_by_role("button", name="Disliked shoe").click()
    sync_api.expect(visit.page.locator("#examples li")).to_have_count(1)
    visit.settle()
    assert visit.ids() == recommended(visit, [ASKED, refined[5]], [])
    for _ in range(3):
        visit.page.go_back()
        visit.settle()
    assert visit.ids() == before


def test_a_photo_is_refined(visit: Visit, photo: Upload) -> None:
    """A photo with a dislike is asked by its vector, without being sent again."""
    visit.open()
    visit.search(photo)
    disliked = visit.ids()[0]
    with visit.page.expect_request("**/v1/recommendations") as asked:
        visit.page.get_by_role("button", name="Less like this").first.click()
    visit.settle()
    assert disliked not in visit.ids()
    question = asked.value.post_data_json
    assert question["negative"] == [disliked]
    assert all(isinstance(number, float | int) for number in question["positive"][0])


def test_a_like_starts_a_search(visit: Visit) -> None:
    """In the catalogue there is nothing to dislike; a like there finds shoes like it."""
    visit.open("/#group=none")
    sync_api.expect(visit.page.get_by_label("Fold near-duplicates")).to_be_hidden()
    assert visit.page.get_by_role("button", name="Less like this").count() == 0
    liked = visit.ids()[2]
    visit.page.get_by_role("button", name="More like this").nth(2).click()
    sync_api.expect(visit.page.locator("#query-caption")).to_have_text("From your likes")
    visit.settle()
    assert visit.ids() == recommended(visit, [liked], [])


def test_shared_search(visit: Visit) -> None:
    """The shared link opens the same search elsewhere."""
    visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.open(f"{OPEN}&condition=closure&filter=Gender%3AWomen")
    visit.page.get_by_role("button", name="Share").click()
    sync_api.expect(visit.page.locator("#toast")).to_contain_text("Copied")
    ids, address = visit.ids(), visit.page.evaluate("navigator.clipboard.readText()")
    visit.open(address.removeprefix(visit.base))
    assert visit.ids() == ids
    sync_api.expect(visit.page.locator("#chips")).to_contain_text("Women")


@pytest.mark.parametrize("way", ["item", "photo"])
def test_more_follows_by_pages(visit: Visit, photo: Upload, way: str) -> None:
    """Scrolling brings the next page behind the first, up to the last shoe, whatever is searched with."""
    if way == "item":
        visit.open(OPEN)
    else:
        visit.open("/#group=none")
        visit.search(photo)
    first = visit.ids()
    total = visit.get("/v1/items?limit=1")["total"] - (way == "item")
    visit.page.locator("#more").scroll_into_view_if_needed()
    sync_api.expect(visit.page.locator("#grid .card")).to_have_count(total)
    visit.settle()
    assert visit.ids()[: len(first)] == first
    assert len(set(visit.ids())) == total
    sync_api.expect(visit.page.get_by_role("button", name="Show more")).to_be_hidden()
    sync_api.expect(visit.page.locator("#end")).to_contain_text("That is all")
    scores = [float(each.get_attribute("data-score")) for each in visit.page.locator("#grid .nearness").all()]
    assert scores == sorted(scores, reverse=True)


def test_more_after_the_catalogue_changed(visit: Visit, catalog: Path) -> None:
    """If a shoe comes in between, the next page shows what there is now, with more of it, and no error."""
    visit.open(OPEN)
    with closing(EmbeddedStore.open(catalog)) as store:
        add_copies(store, nearest(store), ("copy-3",))
    visit.page.locator("#more").scroll_into_view_if_needed()
    sync_api.expect(visit.page.locator('#grid [data-id="copy-3"]')).to_be_visible()
    visit.settle()
    assert visit.ids() == [hit["id"] for hit in similar(visit, "k=48")]
    sync_api.expect(visit.page.get_by_role("alert")).to_be_empty()
    conflict = [error for error in visit.errors if re.match(r"Failed to load resource.*409", error)]
    assert conflict
    visit.errors[:] = [error for error in visit.errors if error not in conflict]


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_nothing_sticks_out(visit: Visit, width: int) -> None:
    """On every width the examples, the weights, the chip and the shoes fit beside each other."""
    visit.page.set_viewport_size({"width": width, "height": 860})
    visit.open(f"/#item={ASKED}&like=1003.1&dislike=1005.1&condition=closure%3A1%2Ccategory%3A0.5&exclude=1001.1")
    sync_api.expect(visit.page.locator("#examples")).to_be_visible()
    sync_api.expect(visit.page.locator("#chips")).to_contain_text("1 shoe hidden")
    assert visit.page.evaluate("document.documentElement.scrollWidth") == width
