"""The ways in which somebody visits the page: with a mouse, with a finger on a phone, with a keyboard."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tests.support.browser import Visit
from tests.support.waiting import wait_until

WAYS = ("mouse", "touch", "keyboard")

MOST_TABS = 400
"""Presses of the Tab key after which something counts as out of reach."""


class Hand(NamedTuple):
    """A visit in one of the WAYS."""

    visit: Visit
    way: str

    def use(self, target: Any) -> None:
        """Press a button, a link or a box."""
        if self.way == "mouse":
            target.click()
        elif self.way == "touch":
            target.tap()
        else:
            self.reach(target)
            self.visit.page.keyboard.press("Space" if target.get_attribute("type") == "checkbox" else "Enter")

    def reach(self, target: Any) -> None:
        """Go there with the Tab key, which has to come by."""
        for _ in range(MOST_TABS):
            if target.evaluate("each => each === document.activeElement"):
                return
            self.visit.page.keyboard.press("Tab")
        pytest.fail("the Tab key does not come there")

    def slide(self, slider: Any) -> float:
        """Move a slider to the right, and return what it says then."""
        if self.way == "keyboard":
            self.reach(slider)
            self.visit.page.keyboard.press("ArrowRight")
        else:
            box = slider.bounding_box()
            place = {"x": box["width"] * 0.8, "y": box["height"] / 2}
            (slider.click if self.way == "mouse" else slider.tap)(position=place)
        return float(slider.input_value())

    def drag(self, *path: tuple[float, float]) -> None:
        """Go along places of the screen with the mouse's button or a finger down."""
        if self.way == "touch":
            self.visit.swipe(*path)
            return
        mouse = self.visit.page.mouse
        mouse.move(*path[0])
        mouse.down()
        for place in path[1:]:
            mouse.move(*place, steps=5)
        mouse.up()

    def scroll_until(self, reached: Callable[[], bool]) -> None:
        """Scroll down again and again until something has come."""
        page = self.visit.page

        def scroll() -> bool:
            if self.way == "mouse":
                page.mouse.move(600, 500)
                page.mouse.wheel(0, 5_000)
            elif self.way == "keyboard":
                page.keyboard.press("End")
            else:
                self.visit.swipe(*((180, y) for y in range(600, 0, -100)))
            return reached()

        wait_until(scroll, every=0.1)
