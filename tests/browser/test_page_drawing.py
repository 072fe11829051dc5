"""Drawing with mouse, pen and finger, and the prediction that follows."""

import pytest

from tests.browser.hand import PREDICT, Held, draw, in_window, ink, panel, said, seen, settle
from tests.browser.strokes import DIGITS, straight


def test_at_least_nine_of_the_ten_digits_are_recognised_at_the_first_try(page):
    read = {}
    for digit, strokes in DIGITS.items():
        draw(page, strokes)
        read[digit] = said(page).digit
        page.click("#clear")
        settle(page)
    assert sum(str(digit) == answer for digit, answer in read.items()) >= 9, read


@pytest.mark.parametrize(("scale", "at"), [(0.3, (0.02, 0.68)), (1.25, (-0.125, -0.125))], ids=["small in a corner", "large"])
def test_size_and_place_do_not_matter(page, scale, at):
    draw(page, DIGITS[2], scale, at)
    assert said(page).digit == "2"


def test_the_panel_says_everything_in_words(page):
    draw(page, DIGITS[3])
    answer = said(page)
    percentages = [float(text.strip("<>\u00a0 %")) for text in answer.bars]
    assert answer.digit == "3"
    assert answer.winner == ["3"]
    assert answer.confidence == answer.bars[3]
    assert len(percentages) == 10
    assert sum(percentages) == pytest.approx(100, abs=0.6)
    assert max(percentages) == percentages[3]
    rows = panel(page).get_by_role("list", name="Probabilities, step-13").get_by_role("listitem")
    assert rows.count() == 10
    assert "predicted" in rows.nth(3).inner_text()
    times = panel(page).locator(".times dd").all_inner_texts()
    model, server, trip = (float(text.removesuffix("\u00a0ms")) for text in times)
    assert 0 < model <= server <= trip


def test_the_prediction_follows_the_stroke_before_the_pen_is_lifted(page):
    first, *others = in_window(page, straight((0.53, 0.2), (0.48, 0.8)))
    page.mouse.move(*first)
    page.mouse.down()
    for place in others:
        page.mouse.move(*place)
    assert said(page).digit == "1"
    page.mouse.up()


def test_one_request_at_a_time_and_the_last_state_is_predicted(page):
    requests = asked(page)
    held = Held(page)
    draw(page, DIGITS[5][:1])
    held.wait()
    draw(page, DIGITS[5][1:])
    assert len(held.routes) == 1
    held.release()
    settle(page)
    before = seen(page)
    assert len(requests) == 2
    assert max(request.sizes()["requestBodySize"] for request in requests) < 20_000  # bytes
    # what is shown is what the finished drawing is read as when it is asked for again
    page.locator("select").select_option("step-09")
    settle(page)
    assert seen(page) == before


def test_what_the_network_sees_has_mnists_form(page):
    draw(page, DIGITS[0], 0.5, (0.4, 0.1))
    settle(page)
    pixels = seen(page)
    rows = [at for at in range(28) if any(pixels[28 * at : 28 * at + 28])]
    weight = sum(pixels)
    assert len(pixels) == 784
    assert max(pixels) == 255
    assert 19 <= rows[-1] - rows[0] + 1 <= 21
    assert sum(value * (at % 28) for at, value in enumerate(pixels)) / weight == pytest.approx(14, abs=0.6)
    assert sum(value * (at // 28) for at, value in enumerate(pixels)) / weight == pytest.approx(14, abs=0.6)


def test_undo_takes_back_strokes_and_also_a_clear(page):
    draw(page, [DIGITS[4][0]])
    one = ink(page)
    draw(page, [DIGITS[4][1]])
    both = ink(page)
    assert both > one > 0
    assert said(page).digit == "4"
    page.click("#clear")
    assert ink(page) == 0
    assert said(page).digit == ""
    assert page.locator(".placeholder").is_visible()
    assert page.locator("#clear").is_disabled()
    page.click("#undo")
    assert ink(page) == both
    assert said(page).digit == "4"
    page.keyboard.press("Control+z")
    assert ink(page) == one
    page.click("#undo")
    assert ink(page) == 0
    assert page.locator("#undo").is_disabled()


def test_an_answer_to_a_drawing_that_was_cleared_is_not_shown(page):
    held = Held(page)
    draw(page, [straight((0.5, 0.2), (0.5, 0.25))])
    held.wait()
    page.click("#clear")
    with page.expect_response(PREDICT) as response:
        held.release()
    response.value.finished()
    assert ink(page) == 0
    assert said(page).digit == ""
    draw(page, DIGITS[7])
    assert said(page).digit == "7"


def test_a_finger_draws_and_does_not_scroll(visit):
    page = visit(viewport={"width": 375, "height": 812}, has_touch=True, is_mobile=True, device_scale_factor=3).page
    touch = page.context.new_cdp_session(page)

    def finger(kind, *places):
        points = [{"x": x, "y": y, "id": 1} for x, y in places]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    for stroke in DIGITS[7]:
        first, *others = in_window(page, stroke)
        finger("touchStart", first)
        for place in others:
            finger("touchMove", place)
        finger("touchEnd")
    assert said(page).digit == "7"
    assert page.evaluate("scrollY") == 0


def test_a_pen_that_is_pressed_harder_draws_wider(page):
    device = page.context.new_cdp_session(page)

    def pen(force):
        places = in_window(page, straight((0.3, 0.5), (0.7, 0.5)))
        kinds = ["mousePressed", *["mouseMoved"] * (len(places) - 2), "mouseReleased"]
        for kind, (x, y) in zip(kinds, places, strict=True):
            event = {"type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1, "pointerType": "pen", "force": force}
            device.send("Input.dispatchMouseEvent", event)
        drawn = ink(page)
        page.click("#clear")
        return drawn

    light, hard = pen(0.2), pen(1.0)
    assert 0 < light < hard


def test_the_right_button_and_other_fingers_draw_nothing(page):
    [(x, y)] = in_window(page, [(0.5, 0.5)])
    page.mouse.move(x, y)
    page.mouse.down(button="right")
    page.mouse.move(x + 50, y + 50)
    page.mouse.up(button="right")
    assert ink(page) == 0


def test_a_dot_is_shown_and_not_sent_and_the_hint_goes_with_the_next_stroke(page):
    requests = asked(page)
    draw(page, [[(0.5, 0.5)]])
    hint(page).wait_for()
    assert ink(page) > 0
    assert said(page).digit == ""
    assert requests == []
    page.click("#clear")
    assert hint(page).is_hidden()
    draw(page, [[(0.5, 0.25)], *DIGITS[1]])
    assert said(page).digit == "1"
    assert hint(page).is_hidden()


def test_too_little_ink_is_no_matter_while_the_pen_is_down(page):
    [(x, y)] = in_window(page, [(0.5, 0.5)])
    page.mouse.move(x, y)
    page.mouse.down()
    settle(page)
    assert hint(page).is_hidden()
    page.mouse.up()
    hint(page).wait_for()


def test_a_dot_by_keys_in_a_corner_is_not_sent(page):
    requests = asked(page)
    page.locator("#ink").focus()
    for _ in range(8):
        page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowLeft")  # the pen is at the edge
    page.keyboard.press("Space")
    hint(page).wait_for()
    assert ink(page) > 0
    assert requests == []


def test_a_canvas_that_stays_blank_is_not_sent(page):
    """Whatever a browser does not draw."""
    page.evaluate("Object.assign(CanvasRenderingContext2D.prototype, { stroke() {}, fill() {} })")
    requests = asked(page)
    draw(page, DIGITS[3])
    hint(page).wait_for()
    assert requests == []


@pytest.mark.parametrize(
    "corners", [((0, 0), (0, 1)), ((0, 0), (1, 0.4)), ((0, 0), (1, 0), (1, 1), (0, 1), (0, 0))], ids=["1", "slash", "0"]
)
def test_the_server_refuses_no_drawing_that_is_sent(page, corners):
    """A refusal fails the test; drawings of all sizes, from a dot to a digit."""
    answered = []
    for size in (0.002, 0.005, 0.01, 0.02, 0.03, 0.034, 0.04, 0.05, 0.1, 0.4):
        draw(page, [[(0.3 + size * x, 0.3 + size * y) for x, y in corners]])
        answer = said(page)
        assert (answer.digit == "") == hint(page).is_visible(), size
        answered.append(answer.digit != "")
        page.click("#clear")
    assert answered == sorted(answered)
    assert not answered[0]
    assert answered[-1]


def hint(page):
    return page.get_by_role("alert").get_by_text("There is too little ink to read a digit")


def asked(page):
    """The requests for predictions from now on."""
    requests = []
    page.on("request", lambda request: requests.append(request) if "/v1/predict" in request.url else None)
    return requests
