"""What a person does on the page, and what they read there."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.browser.serving import PATIENCE
from tests.browser.strokes import Points

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page, Route

PREDICT = "**/v1/predict*"
SETTLED = """() => {
  const readings = [...document.querySelectorAll(".reading")];
  return readings.length > 0 && readings.every((reading) => reading.getAttribute("aria-busy") === "false");
}"""


class Held:
    """Holds every request for a prediction until ``release``, so that a test decides what happens before its answer."""

    def __init__(self, page: Page) -> None:
        self.routes: list[Route] = []
        self._page = page
        self._released = False
        page.route(PREDICT, self._handle)

    def _handle(self, route: Route) -> None:
        self.routes.append(route)
        if self._released:
            route.continue_()

    def wait(self) -> None:
        """Wait until at least one request is held."""
        wait_until(self._page, lambda: bool(self.routes))

    def release(self) -> None:
        """Let the server answer what is held and what follows."""
        self._released = True
        for route in self.routes:
            route.continue_()


@dataclass(frozen=True)
class Said:
    """What a model's panel shows: ``bars`` are the percentages as texts, ``winner`` the rows that are marked."""

    digit: str
    confidence: str
    bars: list[str]
    winner: list[str]


def settle(page: Page) -> None:
    """Waits until everything that was asked is answered."""
    page.wait_for_function(SETTLED)


def wait_until(page: Page, holds: Callable[[], bool]) -> None:
    """Wait for a condition of the test's own; the page's events are handled meanwhile."""
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until, f"the condition does not hold after {PATIENCE} seconds"
        page.wait_for_timeout(20)


def panel(page: Page, place: int = 0) -> Locator:
    return page.locator(".reading").nth(place)


def said(page: Page, place: int = 0) -> Said:
    settle(page)
    one = panel(page, place)
    return Said(
        one.locator(".digit").inner_text(),
        one.locator(".confidence strong").inner_text(),
        one.locator(".percent").all_inner_texts(),
        one.locator(".winner .class").all_inner_texts(),
    )


def in_window(page: Page, points: Points) -> Points:
    """Points of the drawing area, from 0 to 1, in pixels of the window."""
    box = page.locator("#ink").bounding_box()
    assert box is not None
    return [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]


def draw(page: Page, strokes: list[Points], scale: float = 1, at: tuple[float, float] = (0, 0)) -> None:
    """With the mouse: ``strokes`` made smaller by ``scale`` and moved to ``at``."""
    for stroke in strokes:
        first, *others = in_window(page, [(at[0] + scale * x, at[1] + scale * y) for x, y in stroke])
        page.mouse.move(*first)
        page.mouse.down()
        for place in others:
            page.mouse.move(*place)
        page.mouse.up()


def ink(page: Page) -> int:
    """How many pixels of the drawing area are not blank."""
    return sum(opacity > 0 for opacity in pixels(page, "ink")[3::4])


def seen(page: Page) -> list[int]:
    """The 784 values that the page shows as what the network sees."""
    return list(pixels(page, "seen")[::4])


def pixels(page: Page, canvas: str) -> bytes:
    """What a canvas shows after the next frame: red, green, blue and opacity of each pixel."""
    return base64.b64decode(
        page.evaluate(
            """async (id) => {
              await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
              const shown = document.getElementById(id);
              const copy = new OffscreenCanvas(shown.width, shown.height).getContext("2d", { willReadFrequently: true });
              copy.drawImage(shown, 0, 0);
              const { data } = copy.getImageData(0, 0, shown.width, shown.height);
              return btoa(data.reduce((text, value) => text + String.fromCharCode(value), ""));
            }""",
            canvas,
        )
    )
