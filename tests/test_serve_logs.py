"""The log: its lines in both forms, what libraries log, and a reader that stalls or leaves."""

import logging
import threading
import time

from budgetnet.serve.logs import MOST, Handler, Log
from tests.serve_demo import Written

SCOPE = {"method": "POST", "path": "/v1/predict", "client": ("10.0.0.7", 1234), "served": ("step-13", 2)}


def written(form, tell):
    stream = Written()
    log = Log(form, stream)
    tell(log)
    log.close()
    return stream


def test_a_request_is_one_json_object():
    (line,) = written("json", lambda log: log.request(SCOPE, 200, 0.00123)).lines
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info", "event": "request", "method": "POST", "route": "/v1/predict", "status": 200, "ms": 1.23, "client": "10.0.0.7",
        "model": "step-13", "images": 2,
    }  # fmt: skip


def test_a_request_as_text_is_one_line():
    said = written("text", lambda log: log.request(SCOPE, 200, 0.00123)).getvalue()
    assert said.partition(" ")[2] == "info request POST /v1/predict 200 1.23 ms 10.0.0.7 step-13 2\n"


def test_nothing_in_a_path_makes_a_line_of_its_own():
    odd = SCOPE | {"path": '/a\nb\x1b[31m"\u2028' + "x" * 500, "client": None, "served": None}
    for form in ("json", "text"):
        said = written(form, lambda log: log.request(odd, 404, 0.1)).getvalue()
        assert said.count("\n") == 1
        assert "\x1b" not in said
        assert len(said) < 500


def test_events_keep_their_order_and_what_else_is_told():
    def tell(log):
        for number in range(5):
            log.event("info", f"event {number}", pid=number)

    assert [(line["event"], line["pid"]) for line in written("json", tell).lines] == [(f"event {number}", number) for number in range(5)]


def test_what_libraries_log_is_in_it_with_its_traceback():
    def tell(log):
        logger = logging.Logger("another_package")
        logger.addHandler(Handler(log))
        logger.info("%d things", 3)
        try:
            raise ValueError("odd")
        except ValueError:
            logger.exception("it failed")

    first, second = written("json", tell).lines
    assert (first["level"], first["event"]) == ("info", "3 things")
    assert (second["level"], second["event"]) == ("error", "it failed")
    assert "ValueError: odd" in second["error"]


def test_a_reader_that_stalls_costs_lines_and_not_time():
    opened = threading.Event()

    class Stalling(Written):
        def write(self, text):
            opened.wait(20)
            return super().write(text)

    stream = Stalling()
    log = Log("json", stream)
    log.event("info", "first")
    time.sleep(0.3)  # the thread is in its first write now
    for _ in range(MOST + 7):
        log.event("info", "next")
    opened.set()
    log.close()
    events = [line["event"] for line in stream.lines]
    assert events.count("next") == MOST
    assert [line["lines"] for line in stream.lines if line["event"] == "lines lost"] == [7]


def test_a_reader_that_is_gone_does_no_harm():
    class Gone(Written):
        def write(self, text):
            raise BrokenPipeError

    log = Log("json", Gone())
    log.event("info", "first")
    time.sleep(0.3)
    log.event("info", "second")
    log.close()
    assert not log._thread.is_alive()
