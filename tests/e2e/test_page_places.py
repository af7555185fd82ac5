"""The page on a phone, under a path of a proxy, with a service that goes away."""

import http.client
import re
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from tests.support.browser import Upload, Visit, sync_api
from tests.support.server import Artifacts, serve_in_thread

pytestmark = pytest.mark.slow

MISNAMED = """() => Array.from(document.querySelectorAll("a[aria-label], button[aria-label]"))
  .filter((element) => {
    const copy = element.cloneNode(true);
    for (const silent of copy.querySelectorAll("[aria-hidden=true]")) silent.remove();
    return !element.getAttribute("aria-label").includes(copy.textContent.trim());
  })
  .map((element) => element.outerHTML)"""


@contextmanager
def proxy(target: str, prefix: str, *, strip: bool) -> Iterator[str]:
    """A proxy that serves `target` under a path, which it may take off, and nothing beside it; gives its address."""
    host = urlsplit(target).netloc

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith(prefix):
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            path = self.path[len(prefix) - 1 :] if strip else self.path
            with closing(http.client.HTTPConnection(host, timeout=60)) as connection:
                connection.request(self.command, path, body, dict(self.headers))
                answer = connection.getresponse()
                content = answer.read()
            with suppress(ConnectionError):  # the page was left while this was on its way
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                        self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *values: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{prefix.rstrip('/')}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def forgive_failures(visit: Visit) -> None:
    """Browsers report each request that failed; nothing else may have gone wrong."""
    visit.errors[:] = [error for error in visit.errors if not error.startswith("Failed to load resource")]


def check_under_a_path(there: Visit, photo: Upload) -> None:
    """Search with a photo and with a shoe, and reload: files, service and pictures are all found below the base."""
    there.open()
    there.search(photo)
    there.page.locator("#drawing summary").click()
    for picture in ("#query-picture img", "#query-reconstruction img", "#grid img >> nth=0"):
        sync_api.expect(there.page.locator(picture)).not_to_have_js_property("naturalWidth", 0)
    there.page.get_by_role("button", name="Search with this shoe").nth(1).click()
    sync_api.expect(there.page.locator("#query-caption")).to_have_text("From the catalogue")
    there.settle()
    sync_api.expect(there.page.locator("#query-reconstruction img")).not_to_have_js_property("naturalWidth", 0)
    assert there.page.url.startswith(f"{there.base}/#item=")
    there.page.reload()
    there.settle()
    there.page.locator("#grid .card").first.click()
    sync_api.expect(there.page.locator(".row .card").first).to_be_visible()
    there.page.wait_for_load_state("networkidle")
    there.page.goto("about:blank")


def test_under_a_path_that_the_proxy_takes_off(visit: Visit, photo: Upload) -> None:
    """Behind a proxy that takes its path off, the page works without any setting."""
    with proxy(visit.base, "/shoes/", strip=True) as base:
        check_under_a_path(Visit(visit.page, base, visit.errors), photo)


def test_under_a_path_that_the_proxy_passes_on(visit: Visit, photo: Upload, artifacts: Artifacts) -> None:
    """Behind a proxy that passes its path on, the page works as the root path's setting says."""
    with serve_in_thread(artifacts, SOLEMATE_ROOT_PATH="/shoes") as url, proxy(url, "/shoes/", strip=False) as base:
        check_under_a_path(Visit(visit.page, base, visit.errors), photo)


def test_results_are_in_view_on_a_phone(visit: Visit, photo: Upload) -> None:
    """At 360 by 780 a search shows shoes at once, and the query stays in sight as a strip while they are scrolled."""
    visit.page.set_viewport_size({"width": 360, "height": 780})
    visit.open()
    visit.search(photo)
    card = visit.page.locator("#grid .card").nth(1).bounding_box()
    assert card["y"] + card["height"] <= 780
    visit.page.mouse.wheel(0, 900)
    sync_api.expect(visit.page.locator("#grid .card").first).not_to_be_in_viewport()
    box = visit.page.locator("#query").bounding_box()
    header = visit.page.locator(".site").bounding_box()
    assert box["y"] == pytest.approx(header["height"], abs=1)
    assert header["height"] + box["height"] <= 144


@pytest.mark.parametrize("step", ["condition", "filter", "shoe", "photo"])
def test_results_stay_when_the_service_is_away(visit: Visit, photo: Upload, step: str) -> None:
    """If the service can't be reached, what was shown stays under a notice, and trying again goes on."""
    visit.open()
    visit.search(photo)
    before = visit.ids()
    visit.page.route("**/v1/**", lambda route: route.abort())
    if step == "condition":
        visit.page.locator(".segment").nth(1).click()
    elif step == "filter":
        visit.page.locator("#filter-groups input").first.click()
    elif step == "shoe":
        visit.page.get_by_role("button", name="Search with this shoe").nth(1).click()
    else:
        visit.page.locator("#file").set_input_files(Upload("other.jpg", photo.mime, photo.content).payload())
    alert = visit.page.get_by_role("alert")
    sync_api.expect(alert).to_contain_text("No connection")
    visit.settle()
    assert visit.ids() == before
    sync_api.expect(visit.page.locator("#query-caption")).to_have_text("Your photo")
    sync_api.expect(visit.page.locator(".segment").first).to_have_attribute("aria-pressed", "true")
    sync_api.expect(visit.page.locator("#filter-groups input").first).not_to_be_checked()
    visit.page.unroute_all()
    alert.get_by_role("button", name="Try again").click()
    sync_api.expect(alert).to_be_empty()
    visit.settle()
    if step == "condition":
        sync_api.expect(visit.page.locator(".segment").nth(1)).to_have_attribute("aria-pressed", "true")
    elif step == "filter":
        sync_api.expect(visit.page.locator("#filter-groups input").first).to_be_checked()
    elif step == "shoe":
        sync_api.expect(visit.page.locator("#query-caption")).to_have_text("From the catalogue")
    else:
        sync_api.expect(visit.page.locator("#query-title")).to_contain_text("other")
    forgive_failures(visit)


def test_paging_ends_with_all_shoes(visit: Visit) -> None:
    """Where scrolling has brought the last shoe, the page says so."""
    visit.open()
    visit.page.locator("#more").scroll_into_view_if_needed()
    sync_api.expect(visit.page.locator("#end")).to_have_text("That is all: 40 shoes.")


def test_paging_ends_where_a_search_ends(visit: Visit, artifacts: Artifacts) -> None:
    """Where a search goes no deeper, scrolling brings all that it may show, and the page says why it ends."""
    with serve_in_thread(artifacts, SOLEMATE_MAX_DEPTH="30", SOLEMATE_MAX_K="24") as url:
        there = Visit(visit.page, url, visit.errors)
        item = there.get("/v1/items?limit=1")["items"][0]
        there.open(f"/#item={item['id']}&group=none")
        there.page.locator("#more").scroll_into_view_if_needed()
        sync_api.expect(there.page.locator("#grid .card")).to_have_count(30)
        sync_api.expect(there.page.locator("#end")).to_contain_text("30 nearest of 40 shoes: a search goes no deeper")
        sync_api.expect(there.page.get_by_role("button", name="Show more")).to_be_hidden()
        there.settle()


def test_names_hold_what_is_seen(visit: Visit, photo: Upload) -> None:
    """What a link or button shows is in its name, so that whoever speaks to the page can say what they see."""
    visit.open()
    visit.search(photo)
    visit.page.get_by_role("button", name="Less like this").first.click()
    visit.settle()
    visit.page.locator("#filter-groups input").first.check()
    sync_api.expect(visit.page.get_by_role("button", name="Remove filter")).to_be_visible()
    visit.settle()
    assert visit.page.evaluate(MISNAMED) == []
    card = visit.page.locator("#grid .card").first
    spoken = re.sub(r"\s+", " ", card.inner_text()).strip()
    sync_api.expect(card).to_have_accessible_name(re.compile(re.escape(spoken)))
