"""How the page looks: widths, light and dark, contrast, motion."""

import pytest

from tests.browser.hand import draw, ink, pixels, settle
from tests.browser.strokes import DIGITS

PHONE = {"width": 375, "height": 812}

# Of every visible text: its colour against the ground that is behind it. Canvas pixels turn any CSS colour into numbers.
CONTRASTS = """() => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colours) => {
    context.clearRect(0, 0, 1, 1);
    for (const colour of colours) { context.fillStyle = colour; context.fillRect(0, 0, 1, 1); }
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const grounds = (element) => {
    const found = [];
    for (let at = element; at; at = at.parentElement) found.unshift(getComputedStyle(at).backgroundColor);
    return found;
  };
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.checkVisibility({ visibilityProperty: true })) continue;
    if (element.closest(".unseen, template, :disabled")) continue;
    const behind = grounds(element);
    const text = getComputedStyle(element).color;
    texts.push([contrast(rgb([...behind, text]), rgb(behind)), element.className || element.tagName, text]);
  }
  const edges = [...document.querySelectorAll("button:enabled:not(#gallery button), select, #ink")].map((element) => {
    const behind = grounds(element.parentElement);
    return [contrast(rgb([...behind, getComputedStyle(element).borderTopColor]), rgb(behind)), element.id || element.tagName, ""];
  });
  return { texts, edges };
}"""


@pytest.mark.parametrize("compared", [False, True], ids=["one model", "two models"])
@pytest.mark.parametrize("width", [320, 375, 768, 1280, 1920])
def test_nothing_is_wider_than_the_window(visit, width, compared):
    page = visit(viewport={"width": width, "height": 800}).page
    if compared:
        page.click("#compare")
    draw(page, DIGITS[2])
    settle(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    outside = page.evaluate(
        "[...document.querySelectorAll('main *:not(.unseen)')].filter((it) => it.getBoundingClientRect().right > innerWidth + 1)"
        ".map((it) => it.className || it.tagName)"
    )
    assert outside == []


def test_on_a_phone_drawing_and_answer_are_on_one_screen(visit):
    page = visit(viewport=PHONE, has_touch=True, is_mobile=True).page
    draw(page, DIGITS[2])
    settle(page)
    assert page.evaluate("scrollY") == 0
    for part in ("#ink", ".digit", ".winner"):
        box = page.locator(part).bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= PHONE["height"], part


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", ["drawn", "refused"])
def test_contrast_suffices(visit, scheme, state):
    one = visit(color_scheme=scheme)
    one.page.click("#compare")
    draw(one.page, DIGITS[8])
    settle(one.page)
    if state == "refused":
        one.refusals_expected = True
        one.page.set_input_files("#file", {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"none"})
        one.page.get_by_role("alert").locator("p").wait_for()
        settle(one.page)
    found = one.page.evaluate(CONTRASTS)
    assert len(found["texts"]) > 50
    assert min(found["texts"])[0] >= 4.5, min(found["texts"])
    assert min(found["edges"])[0] >= 3, min(found["edges"])


def colours(page):
    return page.evaluate(
        "[getComputedStyle(document.documentElement).backgroundColor, getComputedStyle(document.getElementById('ink')).color]"
    )


def test_light_and_dark_follow_the_system(visit):
    light, dark = (visit(color_scheme=scheme).page for scheme in ("light", "dark"))
    assert colours(light)[0] != colours(dark)[0]
    assert colours(light)[1] != colours(dark)[1]


def test_a_chosen_colour_is_remembered_and_redraws_the_ink(visit):
    page = visit(color_scheme="light").page
    light = colours(page)
    draw(page, DIGITS[1])
    drawn = ink(page)
    page.get_by_label("Dark").check(force=True)
    dark = colours(page)
    assert dark[0] != light[0]
    assert ink(page) == pytest.approx(drawn, rel=0.01)
    shown = pixels(page, "ink")
    reds = [red for red, opacity in zip(shown[::4], shown[3::4], strict=True) if opacity == 255]
    assert min(reds) > 200  # light ink on a dark sheet
    page.reload()
    settle(page)
    assert colours(page) == dark
    assert page.get_by_label("Dark").is_checked()
    page.get_by_label("Auto").check(force=True)
    assert colours(page) == light


def test_bars_move_only_for_those_who_like_it(visit):
    still, moving = (visit(reduced_motion=motion).page for motion in ("reduce", "no-preference"))
    durations = [page.locator(".fill").first.evaluate("(fill) => getComputedStyle(fill).transitionDuration") for page in (still, moving)]
    assert durations[0] == "0s"
    assert durations[1] != "0s"


def test_the_winner_is_told_by_more_than_colour(page):
    draw(page, DIGITS[3])
    settle(page)
    weights = [row.evaluate("(row) => getComputedStyle(row).fontWeight") for row in page.locator(".bars li").all()]
    assert [weight for weight in weights if int(weight) >= 600] == [weights[3]]


@pytest.mark.parametrize("ratio", [1, 2, 3])
def test_the_drawing_is_as_sharp_as_the_screen(visit, ratio):
    page = visit(device_scale_factor=ratio).page
    draw(page, DIGITS[0])
    assert ink(page) > 0
    width, shown = page.evaluate("(() => { const { width, clientWidth } = document.getElementById('ink'); return [width, clientWidth] })()")
    assert width == pytest.approx(ratio * shown, abs=1)
