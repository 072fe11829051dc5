"""``POST /v1/predict``: every kind of body, every error with its status and its field, and that nothing that is sent gets a 500."""

import asyncio
import base64
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from budgetnet.serve.settings import Settings
from tests.serve_demo import application, images_of, picture, run, served

SEVEN = images_of(7)[0]
ROWS = SEVEN.tolist()
RAW = {"content-type": "application/octet-stream"}


def posted(content=None, headers=None, path="/v1/predict", models=(), settings=Settings(), **more):  # noqa: B008
    async def test():
        async with application(*models, settings=settings) as (_, client):
            return await client.post(path, content=content, headers=headers, **more)

    return run(test())


def error_of(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"error"}
    assert set(answer.json()["error"]) == {"code", "field", "message"}
    return answer.json()["error"]


@pytest.mark.parametrize(
    "sent",
    [
        {"content": SEVEN.tobytes(), "headers": RAW},
        {"json": {"image": ROWS}},
        {"json": {"images": [ROWS]}},
        {"json": {"image": base64.b64encode(SEVEN.tobytes()).decode()}},
        {"json": {"image": (SEVEN / 255).tolist(), "scale": 1}},
    ],
)
def test_an_image_gets_its_digit(sent):
    answer = posted(**sent)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    said = answer.json()
    assert (said["model"], said["parameters"]) == ("demo", 1234)
    (prediction,) = said["predictions"]
    assert set(prediction) == {"digit", "probabilities"}
    assert prediction["digit"] == 7
    assert len(prediction["probabilities"]) == 10
    assert prediction["probabilities"] == [
        round(float(p), 6) for p in served().predictor.predict(SEVEN[None]).probabilities[0].astype(float)
    ]
    assert set(said["milliseconds"]) == {"model", "queue", "total"}
    assert said["milliseconds"]["total"] >= said["milliseconds"]["model"] > 0


def test_many_images_keep_their_order():
    digits = [place % 10 for place in range(256)]
    answer = posted(images_of(*digits).tobytes(), RAW)
    assert [prediction["digit"] for prediction in answer.json()["predictions"]] == digits


@pytest.mark.parametrize(
    "sent",
    [
        {"content": picture(), "headers": {"content-type": "image/png"}},
        {"content": picture(form="JPEG"), "headers": {"content-type": "image/jpeg"}},
        {"content": picture(form="WEBP"), "headers": {"content-type": "image/*"}},
        {"files": {"file": picture()}},
        {"json": {"image": base64.b64encode(picture()).decode()}},
    ],
)
def test_a_picture_is_brought_to_the_form_of_the_network(sent):
    answer = posted(path="/v1/predict?seen=true", **sent)
    assert answer.status_code == 200
    seen = np.frombuffer(base64.b64decode(answer.json()["predictions"][0]["seen"]), dtype=np.uint8).reshape(28, 28)
    assert seen.max() > 200
    assert seen[:3].max() == 0  # a digit in the middle, within 20×20


@pytest.mark.parametrize(
    ("path", "fields", "expected"),
    [
        ("/v1/predict", {}, False), ("/v1/predict?seen=true", {}, True), ("/v1/predict?seen=1", {}, True),
        ("/v1/predict", {"seen": True}, True),
        ("/v1/predict?seen=false", {"seen": True}, False), ("/v1/predict?seen=true", {"seen": False}, True),
    ],
)  # fmt: skip
def test_seen_is_what_was_asked_for(path, fields, expected):
    (prediction,) = posted(path=path, json={"image": ROWS} | fields).json()["predictions"]
    assert ("seen" in prediction) is expected
    if expected:
        assert base64.b64decode(prediction["seen"]) == SEVEN.tobytes()


def test_seen_of_floats_is_bytes():
    answer = posted(json={"image": (SEVEN / 255).tolist(), "scale": 1, "seen": True})
    assert base64.b64decode(answer.json()["predictions"][0]["seen"]) == SEVEN.tobytes()


def test_the_model_is_the_first_one_unless_another_is_asked_for():
    for path, fields, name in (
        ("/v1/predict", {}, "one"), ("/v1/predict?model=two", {}, "two"), ("/v1/predict", {"model": "two"}, "two"),
        ("/v1/predict?model=two", {"model": "two"}, "two"),
    ):  # fmt: skip
        answer = posted(path=path, models=(served("one"), served("two")), json={"image": ROWS} | fields)
        assert answer.json()["model"] == name


@pytest.mark.parametrize(
    ("path", "fields", "status", "field", "told"),
    [
        ("/v1/predict?model=three", {}, 404, "model", "there is no model 'three' here; there is one, two"),
        ("/v1/predict", {"model": "three"}, 404, "model", "'three'"),
        ("/v1/predict?model=", {}, 404, "model", "''"),
        ("/v1/predict?model=one", {"model": "two"}, 422, "model", "the query asks for the model 'one' and the body for 'two'"),
        ("/v1/predict?seen=maybe", {}, 422, "seen", "'maybe'; expected true or false"),
        ("/v1/predict?seen=true&seen=true", {}, 422, "seen", "twice"),
        ("/v1/predict?modle=two", {}, 422, "modle", "expected model or seen"),
        ("/v1/predict?%FF=%00", {}, 422, "\ufffd", "expected model or seen"),
    ],
)
def test_a_wrong_query_is_named(path, fields, status, field, told):
    error = error_of(posted(path=path, models=(served("one"), served("two")), json={"image": ROWS} | fields), status)
    assert error["field"] == field
    assert told in error["message"]


@pytest.mark.parametrize(
    ("headers", "field", "told"),
    [
        ({}, "Content-Type", "missing; expected application/json"),
        ({"content-type": "text/plain"}, "Content-Type", "'text/plain'"),
        ({"content-type": "application/x-www-form-urlencoded"}, "Content-Type", "urlencoded"),
        ({"content-type": "application/json; charset=latin-1"}, "Content-Type", "expected UTF-8"),
        ({"content-type": "application/jsonx"}, "Content-Type", "jsonx"),
        ({"content-type": "application/json", "content-encoding": "gzip"}, "Content-Encoding", "'gzip'; expected none"),
    ],
)
def test_another_type_is_415(headers, field, told):
    error = error_of(posted(b"{}", headers), 415)
    assert (error["code"], error["field"]) == ("unsupported_type", field)
    assert told in error["message"]


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", "application/json;charset=UTF-8"])
def test_json_may_be_written_in_many_ways(content_type):
    assert posted(json.dumps({"image": ROWS}).encode(), {"content-type": content_type}).status_code == 200


@pytest.mark.parametrize("size", [0, 1, 783, 785, 784 * 2 - 1, 784 * 257])
def test_bytes_that_are_no_images_are_422(size):
    assert error_of(posted(bytes(size), RAW), 422)["field"] == "body"


BLANK, SPECK, ONES = bytes(784), bytes([0] * 783 + [255]), (SEVEN > 127).astype(np.uint8)


@pytest.mark.parametrize(
    ("sent", "field", "told"),
    [
        ({"content": BLANK, "headers": RAW}, "body", "body is blank: fewer than 6 pixels differ from the others by 12 of 255 levels"),
        ({"content": SEVEN.tobytes() + SPECK, "headers": RAW}, "body", "image 1 of the body is blank"),
        ({"json": {"image": [[255] * 28] * 28}}, "image", "image is blank"),
        ({"json": {"images": [ROWS, [[0] * 28] * 28]}}, "images[1]", "images[1] is blank"),
        ({"json": {"image": base64.b64encode(SPECK).decode()}}, "image", "image is blank"),
        ({"json": {"image": [[0.5] * 28] * 28, "scale": 1}}, "image", "image is blank"),
        ({"content": ONES.tobytes(), "headers": RAW}, "body", "no byte above 1; expected 0 to 255: multiply by 255 where 1 is white"),
        ({"json": {"image": base64.b64encode(ONES.tobytes()).decode()}}, "image", 'it is not said what white is; send "scale": 1'),
    ],
)
def test_a_blank_image_and_an_unknown_white_are_422(sent, field, told):
    error = error_of(posted(**sent), 422)
    assert error["field"] == field
    assert told in error["message"]


def test_zeros_and_ones_are_taken_where_the_scale_is_given():
    answers = [posted(json={"image": image, "scale": 1}) for image in (ONES.tolist(), base64.b64encode(ONES.tobytes()).decode())]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json()["predictions"] == answers[1].json()["predictions"]


def test_a_body_that_is_announced_or_found_to_be_too_large_is_413():
    async def chunks():
        for _ in range(20):
            yield bytes(784)

    few = Settings(max_body=10_000)
    announced = error_of(posted(bytes(784 * 20), RAW, settings=few), 413)
    found = error_of(posted(chunks(), RAW, settings=few), 413)
    assert announced["code"] == found["code"] == "too_large"
    assert "15,680 bytes; expected 10,000 at most" in announced["message"]
    assert "more than 10,000 bytes" in found["message"]
    assert posted(SEVEN.tobytes() * 12, RAW, settings=few).status_code == 200


def test_a_body_that_does_not_come_is_408():
    async def slow():
        yield bytes(100)
        await asyncio.sleep(60)
        yield bytes(684)

    async def test():
        async with application(settings=Settings(timeout=0.05)) as (_, client):
            return await client.post("/v1/predict", content=slow(), headers=RAW)

    error = error_of(run(test()), 408)
    assert (error["code"], error["field"]) == ("too_slow", "body")


def test_too_many_large_bodies_at_once_are_busy(monkeypatch):
    from budgetnet.serve import reading

    monkeypatch.setattr(reading, "BODIES", 1)

    async def test():
        started = asyncio.Event()

        async def half():
            yield bytes(784)
            started.set()
            await asyncio.sleep(60)

        async with application(settings=Settings(max_body=1000, timeout=5)) as (_, client):
            first = asyncio.create_task(client.post("/v1/predict", content=half(), headers=RAW))
            await started.wait()
            answer = await client.post("/v1/predict", content=SEVEN.tobytes(), headers=RAW)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            again = await client.post("/v1/predict", content=SEVEN.tobytes(), headers=RAW)
            return answer, again.status_code

    answer, again = run(test())
    assert error_of(answer, 503)["code"] == "busy"
    assert again == 200


def test_a_full_queue_is_503_with_retry_after():
    async def test():
        slow = served(seconds=0.2)
        async with application(slow, settings=Settings(queue=10)) as (_, client):
            sent = [client.post("/v1/predict", content=images_of(*[1] * 9).tobytes(), headers=RAW) for _ in range(6)]
            return await asyncio.gather(*sent)

    answers = run(test())
    assert {answer.status_code for answer in answers} == {200, 503}
    for answer in answers:
        if answer.status_code == 503:
            assert answer.headers["retry-after"] == "1"
            assert error_of(answer, 503)["code"] == "busy"


def test_too_many_pictures_at_once_are_503():
    async def test():
        async with application() as (app, client):
            app._predict._decoders._most = 1
            sent = [client.post("/v1/predict", content=picture(), headers={"content-type": "image/png"}) for _ in range(4)]
            return await asyncio.gather(*sent)

    statuses = [answer.status_code for answer in run(test())]
    assert sorted(statuses) == [200, 503, 503, 503]


def test_a_model_that_fails_is_503_and_the_server_lives(caplog):
    async def test():
        model = served()
        async with application(model) as (_, client):
            model.predictor._session.error = RuntimeError("secret of the backend")
            first = await client.post("/v1/predict", content=SEVEN.tobytes(), headers=RAW)
            model.predictor._session.error = None
            return first, await client.post("/v1/predict", content=SEVEN.tobytes(), headers=RAW)

    failed, works = run(test())
    error = error_of(failed, 503)
    assert error["code"] == "failed"
    assert "secret" not in error["message"]
    assert works.status_code == 200


def test_what_nobody_thought_of_is_503_and_logged(caplog, monkeypatch):
    from budgetnet.serve import prediction

    def broken(*_):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(prediction, "_written", broken)
    error = error_of(posted(SEVEN.tobytes(), RAW), 503)
    assert error["code"] == "failed"
    assert "secret" not in error["message"]
    assert "secret" in caplog.text


BODIES = st.one_of(
    st.binary(max_size=2000),
    st.binary(min_size=784, max_size=784),
    st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.dictionaries(
        st.sampled_from(["image", "images", "model", "seen", "scale", "x"]),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
            lambda inner: st.lists(inner, max_size=30),
        ),
    ).map(lambda data: json.dumps(data).encode("utf-8", "surrogatepass")),
    st.sampled_from([picture(), picture()[:150], picture(form="GIF"), json.dumps({"image": ROWS}).encode()]),
)
TYPES = st.one_of(
    st.sampled_from(
        ["application/json", "application/octet-stream", "image/png", "multipart/form-data; boundary=x", "multipart/form-data"]
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
)
QUERIES = st.one_of(
    st.just(""), st.sampled_from(["?seen=true", "?model=demo", "?model=x"]), st.from_regex(r"\?[a-z=&%0-9]{0,20}", fullmatch=True)
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(BODIES, TYPES, QUERIES), min_size=1, max_size=10))
def test_whatever_is_sent_is_answered_and_a_good_request_afterwards_works(requests):
    async def test():
        async with application() as (_, client):
            answers = [
                await client.post(f"/v1/predict{query}", content=body, headers={"content-type": content_type})
                for body, content_type, query in requests
            ]
            return answers, await client.post("/v1/predict", content=SEVEN.tobytes(), headers=RAW)

    answers, good = run(test())
    assert {answer.status_code for answer in answers} <= {200, 400, 404, 413, 415, 422}
    for answer in answers:
        assert answer.status_code == 200 or answer.json()["error"]["message"]
    assert good.json()["predictions"][0]["digit"] == 7
