"""The page's files: nothing from elsewhere, nothing inline, nothing that a browser would refuse."""

import re
from pathlib import Path

import pytest

from budgetnet.inference import digit_form
from tests.browser.hand import draw, settle
from tests.browser.strokes import DIGITS
from tests.browser.visits import Visit

PAGE = Path(__file__).parents[2] / "budgetnet" / "serve" / "page"
FILES = sorted(PAGE.iterdir())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_names_no_other_site(path):
    addresses = re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"')]*", path.read_text())
    assert [address for address in addresses if "www.w3.org" not in address] == []


def test_nothing_is_inline():
    html = (PAGE / "index.html").read_text()
    assert "<style" not in html
    assert not re.search(r"\sstyle=|\son\w+=", html)
    assert re.findall(r"<script(?![^>]*\ssrc=)", html) == []


def test_every_module_is_imported_and_every_import_is_there():
    names = {path.name for path in FILES}
    imported = {name for path in FILES if path.suffix == ".js" for name in re.findall(r'from "\./([\w.-]+)"', path.read_text())}
    linked = set(re.findall(r'"static/([\w.-]+)"', (PAGE / "index.html").read_text()))
    assert imported | linked | {"index.html"} == names


def test_every_identifier_that_the_scripts_look_up_is_in_the_page():
    html = (PAGE / "index.html").read_text()
    looked_up = set(re.findall(r'element\("([\w-]+)"\)', (PAGE / "page.js").read_text()))
    assert looked_up <= set(re.findall(r'id="([\w-]+)"', html))


def strict(route):
    answer = route.fetch()
    policy = "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'"
    route.fulfill(response=answer, headers=answer.headers | {"content-security-policy": policy})


def test_the_page_and_the_server_refuse_digits_of_the_same_size():
    assert f"const SMALLEST = {digit_form.SMALLEST};" in (PAGE / "strokes.js").read_text()


def test_a_strict_policy_lets_the_page_work(visit, server):
    """Every test fails for a violation in its window."""
    one = visit(routes={server: strict})
    draw(one.page, DIGITS[2])
    settle(one.page)
    assert one.page.locator(".digit").inner_text() == "2"


def test_a_visit_ends_with_an_error_after_a_violation_of_the_policy(browser, server):
    one = Visit(browser.new_context().new_page(), server)
    one.page.route(server, strict)
    one.page.goto(server)
    one.page.evaluate(
        """() => new Promise((reported) => {
          addEventListener("securitypolicyviolation", reported);
          document.body.append(Object.assign(document.createElement("script"), { textContent: "1" }));
        })"""
    )
    with pytest.raises(AssertionError, match="script-src-elem: inline"):
        one.end()
