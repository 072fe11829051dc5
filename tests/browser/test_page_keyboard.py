"""The page without a mouse, and for those who listen to it."""

import re

import pytest

from tests.browser.hand import ink, panel, said, settle

FOCUSED = """() => {
  const { activeElement: element } = document;
  const shown = element.matches("#themes input") ? element.nextElementSibling : element;
  const style = getComputedStyle(shown);
  const box = shown.getBoundingClientRect();
  return {
    name: element.id || element.tagName.toLowerCase(),
    outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    visible: box.width > 1 && box.height > 1 && box.left >= 0 && box.right <= innerWidth,
  };
}"""


def tabbed(page, name):
    """Tabs on until ``name`` has the focus; what had it on the way."""
    passed = []
    for _ in range(60):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUSED)
        passed.append(focus)
        if focus["name"] == name:
            return passed
    raise AssertionError(f"{name} is not reached: {[focus['name'] for focus in passed]}")


def drawn_one(page):
    tabbed(page, "ink")
    page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("Space")
    for _ in range(16):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")


def test_everything_is_reached_by_tab_with_a_visible_focus(page):
    drawn_one(page)  # so that there is something to undo and to clear
    settle(page)
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    page.mouse.click(5, 5)
    passed = tabbed(page, "ink") + tabbed(page, "compare")
    assert [focus["name"] for focus in passed] == ["a", "input", "ink", "undo", "clear", "open", "compare"]
    passed += tabbed(page, "select")
    assert all(focus["outlined"] and focus["visible"] for focus in passed), passed


def test_the_skip_link_leads_to_the_drawing_area(page):
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "ink"


def test_a_one_is_drawn_by_keys_and_cleared(page):
    drawn_one(page)
    assert said(page).digit == "1"
    assert ink(page) > 0
    page.keyboard.press("Delete")
    assert said(page).digit == ""
    assert ink(page) == 0
    page.keyboard.press("Control+z")
    assert said(page).digit == "1"
    page.keyboard.press("Escape")
    assert ink(page) == 0


def test_the_lifted_pen_draws_nothing_and_shows_where_it_is(page):
    tabbed(page, "ink")
    cursor = page.locator("#cursor")
    assert cursor.is_visible()
    before = cursor.bounding_box()
    page.keyboard.press("ArrowRight")
    after = cursor.bounding_box()
    side = page.locator("#ink").bounding_box()["width"]
    assert after["x"] - before["x"] == pytest.approx(side / 28, abs=1)
    assert after["y"] == pytest.approx(before["y"], abs=0.1)
    assert ink(page) == 0
    for _ in range(40):
        page.keyboard.press("ArrowRight")
    assert cursor.bounding_box()["x"] < page.locator("#ink").bounding_box()["x"] + side
    page.keyboard.press("Tab")
    assert cursor.is_hidden()


def test_arrows_held_together_draw_diagonally(page):
    tabbed(page, "ink")
    before = page.locator("#cursor").bounding_box()
    page.keyboard.down("ArrowDown")
    page.keyboard.down("ArrowLeft")
    page.keyboard.up("ArrowLeft")
    page.keyboard.up("ArrowDown")
    after = page.locator("#cursor").bounding_box()
    side = page.locator("#ink").bounding_box()["width"]
    assert before["x"] - after["x"] == pytest.approx(side / 28, abs=1)
    assert after["y"] - before["y"] == pytest.approx(2 * side / 28, abs=1)


def test_the_pen_is_lifted_when_the_drawing_area_is_left(page):
    tabbed(page, "ink")
    page.keyboard.press("Space")
    for _ in range(10):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    drawn = ink(page)
    page.locator("#ink").focus()
    page.keyboard.press("ArrowLeft")
    assert ink(page) == drawn


def test_the_model_is_switched_and_compared_by_keys(page):
    tabbed(page, "compare")
    page.keyboard.press("Enter")
    assert page.locator(".reading").count() == 2
    page.keyboard.press("Space")
    assert page.locator(".reading").count() == 1
    tabbed(page, "select")
    page.keyboard.press("ArrowDown")
    assert panel(page).get_attribute("aria-label") == "step-09"


def test_what_is_read_is_announced_once_it_has_settled(page):
    page.evaluate(
        """() => {
          window.announced = [];
          const region = document.getElementById("said");
          const changes = { childList: true, characterData: true, subtree: true };
          new MutationObserver(() => announced.push(region.textContent)).observe(region, changes);
        }"""
    )
    page.clock.install(time=0)
    page.clock.pause_at(1000)
    drawn_one(page)
    for _ in range(3):  # as many requests as there can be: the first point, the whole stroke
        page.clock.run_for(50)
        settle(page)
    assert page.evaluate("announced") == []
    page.clock.run_for(1000)
    [announced] = page.evaluate("announced")
    assert announced.startswith("step-13 reads 1, ")
    assert page.locator("#said").get_attribute("role") == "status"  # a polite live region


def test_the_pen_tells_where_it_is(page):
    tabbed(page, "ink")
    page.keyboard.press("Space")
    page.get_by_text("Pen down at column 14, row 14 of 28").wait_for(state="attached")
    page.keyboard.press("ArrowDown")
    page.get_by_text("Drawn to column 14, row 15 of 28").wait_for(state="attached")
    page.keyboard.press("Space")
    page.get_by_text("Pen up at column 14, row 15 of 28").wait_for(state="attached")


def test_headings_and_labels_make_an_outline(page):
    headings = page.get_by_role("heading").all_inner_texts()
    assert headings[1:] == ["Your drawing", "What it says", "What the network sees", "Where it is wrong", "Without a mouse"]
    area = page.get_by_role("application", name="Draw a digit here")
    assert area.count() == 1
    assert "Arrow keys" in page.locator(f"#{area.get_attribute('aria-describedby')}").text_content()
    assert page.locator("html").get_attribute("lang") == "en"


@pytest.mark.parametrize("width", [375, 1280])
def test_every_control_has_a_name(visit, width):
    page = visit(viewport={"width": width, "height": 800}).page
    page.click("#compare")
    controls = page.locator("button, select, input:not([aria-hidden])").filter(visible=True).all()
    assert len(controls) >= 9
    nameless = [control.evaluate("(it) => it.outerHTML") for control in controls if not re.match(r"- '?\w+ \"", control.aria_snapshot())]
    assert nameless == []
    assert page.get_by_role("combobox", name="Model").count() == 2
