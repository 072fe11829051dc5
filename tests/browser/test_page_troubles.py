"""A server that is away, busy, or wants a key: said calmly, tried again, the drawing kept."""

import pytest

from tests.browser.hand import PREDICT, draw, ink, said, settle
from tests.browser.serving import served
from tests.browser.strokes import DIGITS


class Trouble:
    """Every request for a prediction is answered by ``answer`` until ``end``, then by the server; ``asked`` are those requests.

    It ends when the test has seen what the page says of it, not after a number of requests: those come while it is still drawn.
    """

    def __init__(self, page, answer):
        self.asked = []
        self._answer = answer
        page.route(PREDICT, self._handle)

    def _handle(self, route):
        self.asked.append(route)
        (self._answer or (lambda one: one.continue_()))(route)

    def end(self):
        self._answer = None


def busy(route):
    error = {"code": "busy", "field": None, "message": "the queue is full; try again"}
    route.fulfill(status=503, headers={"Retry-After": "1"}, json={"error": error})


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [(lambda route: route.abort(), "The server does not answer."), (busy, "The server is busy or starting.")],
    ids=["away", "busy"],
)
def test_a_server_that_does_not_answer_is_asked_again_and_the_drawing_is_kept(visit, answer, sentence):
    one = visit()
    one.refusals_expected = True
    trouble = Trouble(one.page, answer)
    draw(one.page, DIGITS[4])
    drawn = ink(one.page)
    told = one.page.get_by_text(f"{sentence} Your drawing is kept; trying again.")
    told.wait_for()
    assert one.page.get_by_role("alert").locator("p").is_hidden()
    refused = len(trouble.asked)
    trouble.end()
    assert said(one.page).digit == "4"  # once it answers
    assert told.is_hidden()
    assert ink(one.page) == drawn
    assert len(trouble.asked) > refused


def test_an_old_answer_does_not_stand_beside_a_new_drawing(visit):
    one = visit()
    one.refusals_expected = True
    draw(one.page, DIGITS[7])
    assert said(one.page).digit == "7"
    trouble = Trouble(one.page, lambda route: route.abort())
    one.page.click("#clear")
    draw(one.page, DIGITS[1])
    one.page.get_by_text("waiting for the server").wait_for()
    assert one.page.locator(".digit").inner_text() == ""
    trouble.end()
    assert said(one.page).digit == "1"


def test_an_old_answer_goes_when_the_drawing_is_gone_on_with(visit):
    one = visit()
    one.refusals_expected = True
    draw(one.page, [DIGITS[4][1]])
    assert said(one.page).digit != ""
    trouble = Trouble(one.page, lambda route: route.abort())
    draw(one.page, [DIGITS[4][0]])
    one.page.get_by_text("waiting for the server").wait_for()
    assert set(one.page.locator(".percent").all_inner_texts()) == {"–"}
    trouble.end()
    assert said(one.page).digit == "4"


def test_the_newest_drawing_is_what_is_asked_again(visit):
    one = visit()
    one.refusals_expected = True
    trouble = Trouble(one.page, busy)
    draw(one.page, [DIGITS[4][0]])
    one.page.get_by_text("The server is busy").wait_for()
    draw(one.page, [DIGITS[4][1]])
    trouble.end()
    assert said(one.page).digit == "4"


def test_a_page_that_is_opened_while_the_server_starts_waits_for_it(visit):
    waiting = [True]
    one = visit(routes={"**/v1/models": lambda route: busy(route) if waiting else route.continue_()}, wait=False)
    one.refusals_expected = True
    one.page.get_by_text("The server is busy or starting").wait_for()
    draw(one.page, DIGITS[3])
    waiting.clear()
    assert said(one.page).digit == "3"


def test_a_refused_drawing_is_told_until_the_next_one_is_read(visit):
    one = visit()
    one.refusals_expected = True
    error = {"error": {"code": "invalid", "field": None, "message": "there is nothing but noise on the picture"}}
    trouble = Trouble(one.page, lambda route: route.fulfill(status=422, json=error))
    draw(one.page, [DIGITS[4][0]])
    one.page.get_by_role("alert").get_by_text("nothing but noise").wait_for()
    trouble.end()
    draw(one.page, [DIGITS[4][1]])
    assert said(one.page).digit == "4"
    assert one.page.get_by_role("alert").locator("p").is_hidden()


def test_a_server_with_a_key_asks_for_it(visit, tmp_path):
    (tmp_path / "key.txt").write_text("correct-horse-battery\n")
    with served(tmp_path, "--api-key-file", str(tmp_path / "key.txt")) as address:
        one = visit(address=address, wait=False)
        one.refusals_expected = True
        page = one.page
        key = page.get_by_label("This server asks for an API key.")
        key.wait_for()
        draw(page, DIGITS[7])
        key.fill("wrong")
        page.get_by_role("button", name="Use this key").click()
        page.get_by_text("does not take the key").wait_for()
        key.fill("correct-horse-battery")
        key.press("Enter")
        assert said(page).digit == "7"
        assert key.is_hidden()
        page.reload()  # kept for the tab
        settle(page)
        assert key.is_hidden()
        one.end()
