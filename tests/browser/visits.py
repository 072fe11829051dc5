"""A look at the page: its browser window, and everything that must not happen in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

# The network's refusals are errors on the console, whatever a page does about them.
REFUSED = "Failed to load resource"


class Visit:
    """Notes what the console complains about and which requests leave the origin; ``end`` holds both against what is expected."""

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.address = page, address
        self.refusals_expected = False
        self._complaints: list[str] = []
        self._strangers: list[str] = []
        page.on("console", lambda message: message.type in ("error", "warning") and self._complaints.append(message.text))
        page.on("pageerror", lambda error: self._complaints.append(str(error)))
        page.on("request", lambda request: self._look(request.url))

    def _look(self, url: str) -> None:
        if not url.startswith((self.address, "blob:", "data:")):
            self._strangers.append(url)

    def end(self) -> None:
        self.page.context.close()
        complaints = [text for text in self._complaints if not (self.refusals_expected and text.startswith(REFUSED))]
        assert not complaints, complaints
        assert not self._strangers, self._strangers
