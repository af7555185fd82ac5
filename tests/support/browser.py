"""What the tests of the page do with a browser: Chromium, driven by Playwright.

SOLEMATE_CHROMIUM names a Chromium elsewhere than at /usr/bin/chromium. The fixtures are in `tests/e2e/conftest.py`.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

sync_api: Any = import_module("playwright.sync_api") if find_spec("playwright") else None
"""None where Playwright is not installed: the fixture `browser` skips the test."""

CHROMIUM = Path(os.environ.get("SOLEMATE_CHROMIUM", "/usr/bin/chromium"))
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]

# Runs before the page's own scripts and reports what the policy blocked, which the console alone may not show.
WATCH_POLICY = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy violation: ${event.violatedDirective} ${event.blockedURI}`);
});
"""


class Upload(NamedTuple):
    """A file to hand to the page."""

    name: str
    mime: str
    content: bytes

    def payload(self) -> dict[str, Any]:
        """The file as Playwright wants it."""
        return {"name": self.name, "mimeType": self.mime, "buffer": self.content}


class Visit(NamedTuple):
    """An open page, the service's address, and the errors the browser has complained of so far."""

    page: Any
    base: str
    errors: list[str]

    def open(self, address: str = "/") -> None:
        """Load an address from the start and wait until its shoes are there."""
        self.page.goto("about:blank")
        self.page.goto(self.base + address)
        self.settle()

    def settle(self) -> None:
        """Wait until shoes are shown and nothing is being loaded any more."""
        sync_api.expect(self.page.locator("#grid .card").first).to_be_visible()
        sync_api.expect(self.page.locator("#grid")).not_to_have_attribute("aria-busy", "true")
        self.page.wait_for_load_state("networkidle")

    def search(self, upload: Upload) -> None:
        """Choose a file as a person does, and wait for the answer."""
        with self.page.expect_file_chooser() as chooser:
            self.page.get_by_role("button", name=re.compile("Choose a photo|Another photo")).press("Enter")
        chooser.value.set_files(upload.payload())
        sync_api.expect(self.page.locator("#query-caption")).to_have_text("Your photo")
        self.settle()

    def swipe(self, *path: tuple[float, float]) -> None:
        """Draw a finger over places of the screen, and lift it while it moves."""
        devtools = self.page.context.new_cdp_session(self.page)
        for kind, (x, y) in zip(["touchStart", *["touchMove"] * (len(path) - 1)], path, strict=True):
            devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
        devtools.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    def ids(self) -> list[str]:
        """The ids of the shoes in the grid, in order."""
        return [card.get_attribute("data-id") for card in self.page.locator("#grid .card").all()]

    def get(self, path: str) -> Any:
        """Ask the service itself."""
        return self.page.request.get(self.base + path).json()


@contextmanager
def start_chromium() -> Iterator[Any]:
    """A Chromium without a window; the test is skipped where there is none."""
    if sync_api is None:
        pytest.skip("needs Playwright (pip install playwright)")
    if not CHROMIUM.exists():
        pytest.skip(f"needs Chromium at {CHROMIUM}; SOLEMATE_CHROMIUM names another place")
    sync_api.expect.set_options(timeout=20_000)  # a busy machine is slow, and nothing here is timed
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=QUIET)
        yield chromium
        chromium.close()


def _is_complaint(message: Any) -> bool:
    """Whether the browser complains of the page, and not of a machine that has no graphics card."""
    return message.type in {"error", "warning"} and "GL Driver Message" not in message.text


@contextmanager
def open_visit(browser: Any, base: str, **device: Any) -> Iterator[Visit]:
    """A fresh visit, on a laptop's screen or another device, which fails on any error the browser complains of."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 860}, "reduced_motion": "reduce", **device})
    context.add_init_script(WATCH_POLICY)
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if _is_complaint(message) else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield Visit(page, base, errors)
    context.close()
    assert errors == []
