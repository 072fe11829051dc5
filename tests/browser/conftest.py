"""The server and the browser, once; a window for each test.

They are the package's, not the session's: Playwright's event loop runs in this thread as long as it lives, and other tests have
loops of their own.
"""

from __future__ import annotations

import json
import shutil
import time
import urllib.request

import pytest

from tests.browser.hand import settle
from tests.browser.serving import PATIENCE, served
from tests.browser.visits import Visit

# Debian's, and what other systems call it
NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="package")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'budgetnet[dev]'")
    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    if chromium is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=list(ARGUMENTS), timeout=1000 * PATIENCE)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def server(browser, tmp_path_factory):
    """The address; asks for the browser first, so that nothing is started where there is none."""
    with served(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture
def visit(browser, server):
    """Opens windows on the page: ``visit(viewport=…, color_scheme=…)``. What went wrong in them is checked after the test.

    Motion is reduced unless a test asks for it: nothing is measured in the middle of a transition or of a smooth scroll.

    ``routes`` holds what answers instead of the server by the pattern of addresses; ``wait`` is for the models to be there.
    """
    visits = []

    def opened(*, address=server, routes=None, wait=True, **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"} | options)
        context.set_default_timeout(1000 * PATIENCE)
        one = Visit(context.new_page(), address)
        visits.append(one)
        for pattern, handler in (routes or {}).items():
            one.page.route(pattern, handler)
        one.page.goto(address)
        if wait:
            settle(one.page)
        return one

    yield opened
    for one in visits:
        one.end()


@pytest.fixture
def page(visit):
    """The page in an ordinary window."""
    return visit().page


@pytest.fixture
def with_gallery(mnist, server):
    """For tests that look at the test set's errors; ``mnist`` skips them where it is not found.

    Waits until the server has computed them: the page itself stops asking after a minute.
    """
    until = time.monotonic() + PATIENCE
    for model in ("step-13", "step-09"):
        while _errors(server, model)["message"]:
            assert time.monotonic() < until, f"the server has not looked through the test set with {model} in {PATIENCE} seconds"
            time.sleep(0.2)


def _errors(server, model):
    with urllib.request.urlopen(f"{server}v1/gallery?model={model}", timeout=PATIENCE) as answer:
        return json.load(answer)
