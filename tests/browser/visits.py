"""One browser window on the page, and the record of what must not happen in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page, Response

# Dispatched by every browser, unlike the wording of what it writes to its console.
REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) => reportViolation(`${event.violatedDirective}: ${event.blockedURI}`));
"""
# The page gives up on a request after 15 seconds, which a loaded machine may need.
NO_TIME_LIMIT = "AbortSignal.timeout = () => new AbortController().signal;"
NETWORK = ("http:", "https:", "ws:", "wss:")


class Visit:
    """Records script errors, violations of the content security policy, refused requests, and requests to other origins.

    ``end`` closes the window and raises AssertionError for each of them that the test does not expect. The console is not read:
    what a browser writes there differs between browsers and versions.
    """

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.address = page, address
        self.refusals_expected = False
        self._complaints: list[str] = []
        self._refusals: list[str] = []
        self._strangers: list[str] = []
        page.on("pageerror", lambda error: self._complaints.append(str(error)))
        page.on("response", self._note)
        page.on("request", lambda request: self._look(request.url))
        page.expose_function("reportViolation", lambda violation: self._complaints.append(violation))
        page.add_init_script(REPORT_VIOLATIONS + NO_TIME_LIMIT)

    def _note(self, response: Response) -> None:
        if response.status >= 400:
            self._refusals.append(f"{response.status} {response.url}")

    def _look(self, url: str) -> None:
        if url.startswith(NETWORK) and not url.startswith(self.address):
            self._strangers.append(url)

    def end(self) -> None:
        self.page.context.close()
        assert not self._complaints, self._complaints
        assert self.refusals_expected or not self._refusals, self._refusals
        assert not self._strangers, self._strangers
