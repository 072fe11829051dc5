"""Pictures that are given to the page: opened, dropped, pasted, refused."""

import base64
import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.browser.hand import draw, ink, said, seen, settle
from tests.browser.strokes import DIGITS

GIVE = """([kind, name, type, content]) => {
  const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
  const files = new DataTransfer();
  files.items.add(new File([bytes], name, { type }));
  const event = kind === "paste"
    ? new ClipboardEvent("paste", { clipboardData: files, bubbles: true })
    : new DragEvent(kind, { dataTransfer: files, bubbles: true, cancelable: true });
  document.getElementById("frame").dispatchEvent(event);
}"""


def written(digit, side=240, paper="#f3efe2", pen="#27356b"):
    """A picture of a digit in ink on paper."""
    picture = Image.new("RGB", (side, side), paper)
    for stroke in DIGITS[digit]:
        ImageDraw.Draw(picture).line([(x * side, y * side) for x, y in stroke], fill=pen, width=side // 14, joint="curve")
    return picture


def encoded(picture, kind="PNG"):
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


def given(page, kind, name, mime, content):
    page.evaluate(GIVE, [kind, name, mime, base64.b64encode(content).decode()])


def chosen(page, name, mime, content):
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Open a picture…").click()
    chooser.value.set_files({"name": name, "mimeType": mime, "buffer": content})


def test_a_picture_that_is_opened_is_shown_and_read(page):
    chosen(page, "five.png", "image/png", encoded(written(5)))
    page.wait_for_selector("#subject:not([hidden])")
    assert said(page).digit == "5"
    assert page.locator("#subject").inner_text() == "five.png"
    assert ink(page) > 10_000  # the paper is shown too
    assert max(seen(page)) == 255


def test_a_picture_with_several_digits_is_warned_of(page):
    two = Image.new("RGB", (480, 240), "#f3efe2")
    for place, digit in enumerate((5, 3)):
        two.paste(written(digit), (240 * place, 0))
    chosen(page, "two.png", "image/png", encoded(two))
    page.wait_for_selector("#subject:not([hidden])")
    assert said(page).digit in ("5", "3")
    assert "several digits" in page.locator(".doubt").inner_text()
    chosen(page, "five.png", "image/png", encoded(written(5)))
    page.wait_for_selector(".doubt", state="hidden")


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_picture_that_is_dropped_or_pasted_is_read(page, kind):
    if kind == "drop":
        given(page, "dragover", "two.jpg", "image/jpeg", b"")
        assert page.locator(".drop").is_visible()
    given(page, kind, "two.jpg", "image/jpeg", encoded(written(2), "JPEG"))
    page.wait_for_selector("#subject:not([hidden])")
    assert said(page).digit == "2"
    assert page.locator(".drop").is_hidden()


def test_what_is_no_picture_is_told_in_a_sentence_and_the_drawing_stays(visit):
    one = visit()
    one.refusals_expected = True
    draw(one.page, DIGITS[1])
    settle(one.page)
    before = ink(one.page)
    chosen(one.page, "notes.txt", "text/plain", b"There is no picture in here.")
    alert = one.page.get_by_role("alert").locator("p")
    alert.wait_for()
    assert alert.inner_text().startswith("notes.txt: ")
    assert "no picture that can be read" in alert.inner_text()
    assert said(one.page).digit == "1"
    assert ink(one.page) == before
    assert alert.is_visible()
    one.page.click("#undo")  # what is done next takes the sentence away
    assert alert.is_hidden()


def test_an_empty_sheet_is_told_in_a_sentence(visit):
    one = visit()
    one.refusals_expected = True
    chosen(one.page, "blank.png", "image/png", encoded(Image.new("RGB", (200, 200), "white")))
    alert = one.page.get_by_role("alert").locator("p")
    alert.wait_for()
    assert "blank.png: " in alert.inner_text()
    assert "nothing on the picture" in alert.inner_text()
    assert said(one.page).digit == ""


def test_a_format_that_only_the_server_knows_is_read(page):
    chosen(page, "nine.tif", "image/tiff", encoded(written(9), "TIFF"))
    page.wait_for_selector("#subject:not([hidden])")
    assert said(page).digit == "9"
    assert "this browser cannot show it" in page.locator("#subject").inner_text()


def test_a_large_photograph_is_reduced_before_it_is_sent(page):
    noise = np.random.default_rng(0).integers(-12, 13, (2400, 2400, 1))
    photograph = np.clip(np.asarray(written(3, 2400)).astype(int) + noise, 0, 255).astype(np.uint8)
    content = encoded(Image.fromarray(photograph), "JPEG")
    assert len(content) > 600_000
    with page.expect_request("**/v1/predict*") as request:
        chosen(page, "photo.jpg", "image/jpeg", content)
    assert said(page).digit == "3"
    assert request.value.sizes()["requestBodySize"] < 500_000


def test_drawing_after_a_picture_begins_anew_and_undo_brings_it_back(page):
    chosen(page, "five.png", "image/png", encoded(written(5)))
    page.wait_for_selector("#subject:not([hidden])")
    settle(page)
    draw(page, DIGITS[1])
    assert said(page).digit == "1"
    assert page.locator("#subject").is_hidden()
    page.click("#undo")
    assert said(page).digit == "5"
    assert page.locator("#subject").is_visible()
