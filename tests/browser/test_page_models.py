"""Models: what is told of them, switching, two side by side."""

import json
import urllib.request

import pytest

from tests.browser.hand import draw, panel, said, settle
from tests.browser.strokes import DIGITS


@pytest.fixture(scope="module")
def models(server):
    with urllib.request.urlopen(f"{server}v1/models") as answer:
        return {model["name"]: model for model in json.load(answer)["models"]}


def test_parameters_stand_against_the_budget_in_numbers_and_as_a_meter(page, models):
    step = models["step-13"]
    meter = panel(page).get_by_role("meter")
    numbers = f"{step['parameters']:,} of {step['budget']:,} parameters"
    assert panel(page).locator(".budget").inner_text() == numbers
    assert meter.get_attribute("aria-valuetext") == numbers
    assert meter.get_attribute("aria-valuemax") == str(step["budget"])
    filled = meter.locator("span").bounding_box()["width"] / meter.bounding_box()["width"]
    assert filled == pytest.approx(step["parameters"] / step["budget"], abs=0.01)
    assert f"{step['parameters']:,} parameters read it" in page.locator("h1").inner_text()


def test_accuracy_and_source_are_told(page, models):
    text = panel(page).inner_text()
    assert f"{models['step-13']['accuracy']:.2f}\u00a0% right on the test set" in text
    assert models["step-13"]["source"] in text
    assert "committed results" in text


def test_switching_the_model_reads_the_same_drawing_again(page, models):
    draw(page, DIGITS[6])
    settle(page)
    with page.expect_request(lambda request: "model=step-09" in request.url):
        page.get_by_label("Model").select_option("step-09")
    assert said(page).digit == "6"
    assert f"{models['step-09']['parameters']:,} of" in panel(page).inner_text()
    assert "7,836 parameters read it" in page.locator("h1").inner_text()
    assert panel(page).get_attribute("aria-label") == "step-09"


def test_two_models_side_by_side_read_one_drawing(page):
    page.get_by_role("button", name="Compare").click()
    draw(page, DIGITS[8])
    first, second = said(page, 0), said(page, 1)
    assert (first.digit, second.digit) == ("8", "8")
    boxes = [panel(page, place).bounding_box() for place in (0, 1)]
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
    assert boxes[0]["y"] == boxes[1]["y"]
    assert [panel(page, place).get_attribute("aria-label") for place in (0, 1)] == ["step-13", "step-09"]
    assert panel(page, 1).locator(".percent").count() == 10
    comparison = page.locator("#comparison").inner_text()
    assert comparison == "step-09 spends 1.3 times the parameters of step-13. Here they agree."


def test_choosing_the_other_ones_model_swaps_them_and_comparing_ends(page):
    compare = page.get_by_role("button", name="Compare")
    compare.click()
    assert compare.get_attribute("aria-pressed") == "true"
    draw(page, DIGITS[3])
    settle(page)
    panel(page, 0).locator("select").select_option("step-09")
    assert [said(page, place).digit for place in (0, 1)] == ["3", "3"]
    assert [panel(page, place).get_attribute("aria-label") for place in (0, 1)] == ["step-09", "step-13"]
    compare.click()
    assert compare.get_attribute("aria-pressed") == "false"
    assert page.locator(".reading").count() == 1
    assert page.locator("#comparison").is_hidden()
    assert said(page).digit == "3"


def test_a_single_model_offers_no_comparison(visit, models):
    served = {"models": [models["step-13"]], "default": "step-13"}
    one = visit(routes={"**/v1/models": lambda route: route.fulfill(json=served)})
    assert one.page.get_by_role("button", name="Compare").count() == 0


def test_a_model_without_budget_or_accuracy_is_not_given_one(visit, models):
    bare = models["step-13"] | {"name": "own", "title": "own", "budget": None, "budget_text": "", "accuracy": None}
    served = {"models": [bare], "default": "own"}
    faultless = {"model": "own", "images": [], "errors": 0, "message": None}
    routes = {
        "**/v1/models": lambda route: route.fulfill(json=served),
        "**/v1/gallery*": lambda route: route.fulfill(json=faultless),
    }
    one = visit(routes=routes)
    one.page.get_by_text("own makes no errors").wait_for()
    assert panel(one.page).get_by_role("meter").count() == 0
    assert panel(one.page).locator(".budget").inner_text() == "5,854 parameters, without a budget"
    assert "test set" not in panel(one.page).inner_text()
