"""The test set's worst errors on the page."""

import pytest

from tests.browser.hand import draw, panel, said, seen, settle
from tests.browser.strokes import DIGITS

FIRST = "#gallery li:first-child button"

pytestmark = pytest.mark.usefixtures("with_gallery")


@pytest.fixture
def gallery(page):
    page.wait_for_selector(FIRST)
    return page.get_by_role("region", name="Where it is wrong")


def test_errors_are_shown_with_label_answer_and_probability(gallery):
    buttons = gallery.get_by_role("button")
    assert buttons.count() == 24
    assert "75 errors of step-13 on the test set: the 24 it was surest of" in gallery.inner_text()
    for button in buttons.all():
        label, answer = button.locator(".read").inner_text().split(" → ")
        sure = button.locator(".sure").inner_text()
        assert label != answer
        name = button.get_attribute("aria-label")
        assert f"labelled {label}, read as {answer} with {sure}" in name


def test_an_error_that_is_clicked_shows_label_and_prediction(page, gallery, mnist):
    button = gallery.get_by_role("button").first
    label, answer = button.locator(".read").inner_text().split(" → ")
    with page.expect_request("**/v1/predict*") as request:
        button.click()
    sent = request.value.post_data_buffer
    index = int(button.get_attribute("value"))
    assert sent == mnist.test_images[index].numpy().tobytes()
    assert str(int(mnist.test_labels[index])) == label
    assert said(page).digit == answer
    assert bytes(seen(page)) == sent
    assert panel(page).locator(".verdict").inner_text() == f"✗ labelled {label}"
    assert panel(page).locator(".label .class").inner_text() == label
    assert page.locator("#subject").inner_text() == f"Test image {index:,}, labelled {label}"
    assert button.get_attribute("aria-current") == "true"


def test_an_error_is_chosen_by_key_and_gone_on_from_by_drawing(page, gallery):
    button = gallery.get_by_role("button").nth(3)
    button.focus()
    page.keyboard.press("Enter")
    assert said(page).digit == button.locator(".read").inner_text()[-1]
    page.evaluate("scrollTo(0, 0)")
    draw(page, DIGITS[0])
    assert said(page).digit == "0"
    assert panel(page).locator(".verdict").is_hidden()
    assert button.get_attribute("aria-current") is None
    page.click("#undo")
    settle(page)
    assert button.get_attribute("aria-current") == "true"


def test_the_gallery_goes_with_the_first_model(page, gallery):
    before = page.locator(FIRST).get_attribute("aria-label")
    page.get_by_label("Model").select_option("step-09")
    page.wait_for_function("() => document.getElementById('gallery-about').textContent.includes('errors of step-09')")
    assert page.locator(FIRST).get_attribute("aria-label") != before
    page.get_by_role("button", name="Compare").click()
    assert "errors of step-09" in gallery.inner_text()


def test_errors_that_are_still_computed_are_waited_for(visit):
    waiting, asked = [True], []

    def not_yet(route):
        asked.append(route)
        if waiting:
            route.fulfill(json={"model": "step-13", "images": [], "errors": 0, "message": "the test set is still being looked through"})
        else:
            route.continue_()

    one = visit(routes={"**/v1/gallery*": not_yet})
    one.page.get_by_text("the test set is still being looked through").wait_for()
    refused = len(asked)
    waiting.clear()
    one.page.wait_for_selector(FIRST)
    assert len(asked) > refused
