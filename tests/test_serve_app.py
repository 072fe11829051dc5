"""The other routes, and what stands around all of them: models, gallery, probes, pages, keys, origins, headers, errors."""

import asyncio
import base64
import io
import json
import threading

import numpy as np
import pytest
from PIL import Image

from budgetnet.serve.models import Served
from budgetnet.serve.settings import Settings
from tests.photographs import drawn
from tests.serve_demo import application, images_of, offer, run, served, small_test_set

RAW = {"content-type": "application/octet-stream"}
IMAGE = images_of(7).tobytes()


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def got(*paths, models=(), settings=Settings(), headers=None, method="GET"):  # noqa: B008
    async def test():
        async with application(*models, settings=settings) as (_, client):
            return [await client.request(method, path, headers=headers) for path in paths]

    answers = run(test())
    return answers if len(answers) > 1 else answers[0]


def test_models_are_told_with_their_facts():
    said = got("/v1/models", models=(served("one"), served("two"))).json()
    assert said["default"] == "one"
    assert [one["name"] for one in said["models"]] == ["one", "two"]
    assert said["models"][0] == {
        "name": "one", "title": "one for tests", "parameters": 1234, "budget": 2000, "budget_text": "1,234 of at most 2,000 parameters",
        "accuracy": 99.5, "seed": 0, "source": "weights of nowhere", "own": False, "backend": "torch", "precision": "fp32",
        "image_shape": [1, 28, 28], "classes": [str(digit) for digit in range(10)],
    }  # fmt: skip


def test_the_gallery_shows_the_surest_errors():
    async def test():
        async with application(served(tests=small_test_set)) as (_, client):
            while (found := (await client.get("/v1/gallery")).json())["message"]:
                assert "being looked through" in found["message"]
                await asyncio.sleep(0.01)
            return found

    found = run(test())
    images, labels = small_test_set()
    assert (found["model"], found["errors"], len(found["images"])) == ("demo", 10, 10)
    for error in found["images"]:
        assert error["digit"] == error["index"] % 10
        assert error["label"] == labels[error["index"]] != error["digit"]
        assert base64.b64decode(error["pixels"]) == images[error["index"]].tobytes()
    sure = [error["probability"] for error in found["images"]]
    assert sure == sorted(sure, reverse=True)


def test_no_test_set_is_a_message():
    async def test():
        async with application(served("one"), served("two")) as (_, client):
            while "being" in (found := (await client.get("/v1/gallery?model=two")).json())["message"]:
                await asyncio.sleep(0.01)
            return found

    assert run(test()) == {"model": "two", "images": [], "errors": 0, "message": "there is no test set here"}


def test_a_gallery_of_no_model_is_404():
    answer = got("/v1/gallery?model=x")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_model")
    assert got("/v1/gallery?model=demo&model=demo").status_code == 422


def test_probes():
    health, ready = got("/healthz", "/readyz")
    assert (health.status_code, health.json()) == (200, {"status": "ok"})
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})


def test_not_ready_while_warming_up_and_while_shutting_down():
    entered, opened = threading.Event(), threading.Event()
    model = served()
    inner = model.predictor.predict

    def predict(images):
        entered.set()
        assert opened.wait(20)
        return inner(images)

    model.predictor.predict = predict

    async def test():
        import httpx

        from budgetnet.serve.app import Application
        from budgetnet.serve.logs import Log
        from budgetnet.serve.models import Models
        from tests.serve_demo import Written

        app = Application(Models([model]), Settings(), Log("json", Written()))
        async with app.running(), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            await asyncio.to_thread(entered.wait, 20)
            warming = await client.get("/readyz")
            healthy = await client.get("/healthz")
            opened.set()
            while app.state.name == "warming_up":
                await asyncio.sleep(0.005)
            ready = await client.get("/readyz")
            app.state.drain()
            return warming, healthy, ready, await client.get("/readyz")

    warming, healthy, ready, ending = run(test())
    assert (warming.status_code, warming.json()["error"]["code"], warming.headers["retry-after"]) == (503, "warming_up", "1")
    assert (healthy.status_code, ready.status_code) == (200, 200)
    assert (ending.status_code, ending.json()["error"]["code"]) == (503, "shutting_down")


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "allow"),
    [
        ("GET", "/nothing", 404, "not_found", None),
        ("GET", "/v1/nothing", 404, "not_found", None),
        ("GET", "/static/nothing.js", 404, "not_found", None),
        ("GET", "/static/..%2f..%2fapp.py", 404, "not_found", None),
        ("GET", "/static/../app.py", 404, "not_found", None),
        ("GET", "/v1/predict", 405, "wrong_method", "POST"),
        ("DELETE", "/v1/predict", 405, "wrong_method", "POST"),
        ("POST", "/v1/models", 405, "wrong_method", "GET"),
        ("POST", "/", 405, "wrong_method", "GET"),
    ],
)
def test_other_paths_and_methods_are_errors_of_the_same_form(method, path, status, code, allow):
    answer = got(path, method=method)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code
    if allow:
        assert set(answer.headers["allow"].split(", ")) == set(allow.split(", "))


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/metrics", "/v1/models", "/static/page.js"])
def test_head_is_answered_like_get(path):
    found, asked = got(path, method="HEAD"), got(path)
    assert (found.status_code, found.headers["content-type"]) == (200, asked.headers["content-type"])


@pytest.mark.parametrize(
    ("host", "status"), [("localhost:8000", 200), ("[::1]:8000", 200), ("127.0.0.1", 200), ("evil.example", 421), ("", 421)]
)
def test_a_foreign_host_header_is_refused(host, status):
    async def test():
        async with application(settings=Settings(allowed_hosts=("127.0.0.1", "localhost", "[::1]"))) as (_, client):
            octets = {"Content-Type": "application/octet-stream", "Host": host}
            said = await client.post("/v1/predict", content=images_of(3).tobytes(), headers=octets)
            return said, await client.get("/v1/models", headers={"Host": host})

    for answer in run(test()):
        assert answer.status_code == status
        assert status == 200 or answer.json()["error"]["code"] == "wrong_host"


def test_prediction_through_the_router_is_the_same():
    """Reached with an allowed origin set, since then middleware stands before it."""

    async def test(settings):
        async with application(settings=settings) as (_, client):
            right = await client.post("/v1/predict", content=IMAGE, headers=RAW)
            wrong = await client.post("/v1/predict", content=b"x", headers=RAW)
            return right, wrong

    quick, around = run(test(Settings())), run(test(Settings(cors_origins=("https://a.example",))))
    for one, other in zip(quick, around, strict=True):
        assert one.status_code == other.status_code
        if one.status_code == 200:
            assert one.json()["predictions"] == other.json()["predictions"]
        else:
            assert one.json() == other.json()
        assert dict(one.headers).items() - dict(other.headers).items() <= {("content-length", one.headers["content-length"])}


# --- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401), ({"authorization": "Bearer secret"}, 200), ({"authorization": "bearer  secret"}, 200), ({"x-api-key": "secret"}, 200),
        ({"authorization": "Bearer Secret"}, 401), ({"authorization": "Bearer secre"}, 401), ({"authorization": "secret"}, 401),
        ({"x-api-key": ""}, 401), ({"authorization": "Basic secret"}, 401), ({"x-api-key": b"\xff"}, 401),
    ],
)  # fmt: skip
def test_a_key_is_wanted_under_v1_and_nowhere_else(headers, status):
    async def test():
        async with application(settings=Settings(api_key=b"secret")) as (_, client):
            guarded = [
                await client.post("/v1/predict", content=IMAGE, headers=RAW | headers),
                await client.get("/v1/models", headers=headers),
                await client.get("/v1/gallery", headers=headers),
            ]
            return guarded, [await client.get(path) for path in ("/healthz", "/readyz", "/metrics", "/docs", "/openapi.json")]

    guarded, free = run(test())
    assert {answer.status_code for answer in guarded} == {status}
    assert {answer.status_code for answer in free} == {200}
    if status == 401:
        for answer in guarded:
            assert answer.json()["error"]["code"] == "unauthorized"
            assert answer.headers["www-authenticate"] == "Bearer"


def test_without_the_key_the_body_is_not_read():
    async def never():
        raise AssertionError("it was read")
        yield b""

    async def test():
        async with application(settings=Settings(api_key=b"secret")) as (app, _):
            sent = []

            async def send(message):
                sent.append(message)

            async def receive():
                raise AssertionError("it was read")

            scope = {"type": "http", "method": "POST", "path": "/v1/predict", "query_string": b"", "headers": [], "client": None}
            await app(scope, receive, send)
            return sent[0]["status"]

    assert run(test()) == 401


# --- origins and headers ----------------------------------------------------------------------------------------------


def test_no_origin_is_allowed_by_default():
    answer = got("/v1/models", headers={"origin": "https://a.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_named_origin_is_allowed_and_others_are_not():
    allowed = Settings(cors_origins=("https://a.example",), api_key=b"secret")
    question = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
    for origin, expected in (("https://a.example", "https://a.example"), ("https://b.example", None)):
        asked = got("/v1/predict", settings=allowed, method="OPTIONS", headers={"origin": origin} | question)
        assert asked.headers.get("access-control-allow-origin") == expected
        answer = got("/v1/models", settings=allowed, headers={"origin": origin, "x-api-key": "secret"})
        assert answer.headers.get("access-control-allow-origin") == expected


@pytest.mark.parametrize("path", ["/", "/docs", "/healthz", "/nothing", "/metrics", "/openapi.json"])
def test_browsers_are_told_what_not_to_do(path):
    headers = got(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers.get_list("content-security-policy", split_commas=False) == [headers["content-security-policy"]]


@pytest.mark.parametrize("path", ["/v1/models", "/v1/gallery", "/v1/nothing"])
def test_answers_for_programs_are_not_stored(path):
    headers = got(path).headers
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


# --- pages and documentation ------------------------------------------------------------------------------------------


def test_the_page_and_its_files_are_served_and_known_again():
    index, script = got("/", "/static/page.js")
    assert (index.status_code, index.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert (script.status_code, script.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    again = got("/static/page.js", headers={"if-none-match": script.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    changed = got("/static/page.js", headers={"if-none-match": '"other"'})
    assert changed.content == script.content
    assert got("/", method="HEAD").content == b""


def test_the_documentation_needs_nothing_from_elsewhere():
    page = got("/docs")
    assert page.status_code == 200
    assert "<script" not in page.text
    assert "http://" not in page.text.replace("http://test/", "")
    assert "https://" not in page.text
    for path in ("/v1/predict", "/v1/models", "/v1/gallery", "/healthz", "/readyz", "/metrics"):
        assert path in page.text


def test_the_documentations_style_is_the_one_that_its_policy_allows():
    import hashlib

    page = got("/docs")
    style = page.text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in page.headers["content-security-policy"]


def test_openapi_has_every_route_its_bodies_and_its_errors():
    document = got("/openapi.json").json()
    assert set(document["paths"]) == {"/v1/predict", "/v1/models", "/v1/gallery", "/healthz", "/readyz", "/metrics"}
    predict = document["paths"]["/v1/predict"]["post"]
    assert set(predict["requestBody"]["content"]) == {
        "application/json", "multipart/form-data", "image/png", "image/jpeg", "application/octet-stream",
    }  # fmt: skip
    assert {"200", "400", "404", "408", "413", "415", "422", "503"} == set(predict["responses"])
    assert [parameter["name"] for parameter in predict["parameters"]] == ["model", "seen"]
    schema = document["components"]["schemas"]
    assert set(schema["Error"]["properties"]) == {"error"}
    assert set(schema["Predictions"]["required"]) == {"model", "parameters", "predictions", "milliseconds"}


def test_openapi_says_that_a_key_is_wanted_where_one_is():
    without, with_key = got("/openapi.json").json(), got("/openapi.json", settings=Settings(api_key=b"secret")).json()
    assert "securitySchemes" not in without["components"]
    assert set(with_key["components"]["securitySchemes"]) == {"bearer", "key"}
    assert with_key["paths"]["/v1/predict"]["post"]["security"] == [{"bearer": []}, {"key": []}]
    assert with_key["paths"]["/healthz"]["get"]["security"] == []
    assert "401" in with_key["paths"]["/v1/models"]["get"]["responses"]


def test_a_network_for_other_images_is_not_served():
    from dataclasses import replace

    from budgetnet.inference.errors import InferenceError
    from budgetnet.inference.predictor import Predictor
    from tests.serve_demo import CONTRACT, Session

    with pytest.raises(InferenceError, match="demo takes images of 3 × 32 × 32; the server serves networks of 1 × 28 × 28"):
        Served(offer(load=lambda: Predictor(Session(), replace(CONTRACT, image_shape=(3, 32, 32)), 8)))


def test_answers_to_programs_have_what_the_schemas_promise():
    from budgetnet.serve import schemas

    async def test():
        async with application(served(tests=small_test_set)) as (_, client):
            while (gallery := (await client.get("/v1/gallery")).json())["message"]:
                await asyncio.sleep(0.01)
            predicted = await client.post("/v1/predict?seen=1", content=IMAGE, headers=RAW)
            refused = await client.post("/v1/predict", content=b"", headers=RAW)
            return predicted.json(), (await client.get("/v1/models")).json(), gallery, refused.json()

    kinds = (schemas.Predictions, schemas.ModelList, schemas.GalleryAnswer, schemas.Error)
    for kind, said in zip(kinds, run(test()), strict=True):
        assert json.loads(kind.model_validate(said).model_dump_json(exclude_unset=True)) == said
    assert np.frombuffer(IMAGE, np.uint8).size == 784


def test_a_picture_that_is_in_doubt_has_a_warning_and_pixels_have_none():
    """The demo network is sure of pixels by their first row, which is paper on any picture: all classes are alike."""
    several = np.hstack([drawn(5, 12), drawn(3, 12)])

    async def test():
        async with application(served()) as (_, client):
            body = {"images": [base64.b64encode(content).decode() for content in (png(several), IMAGE)]}
            found = (await client.post("/v1/predict", json=body)).json()["predictions"]
            form = await client.post("/v1/predict", files=[("file", ("five.png", png(drawn(5, 12)), "image/png"))])
            return [*found, *form.json()["predictions"]]

    picture, pixels, alone = run(test())
    assert "several digits" in picture["warning"]
    assert "the digit is uncertain: 0 with 10.0 %" in picture["warning"]
    assert "warning" not in pixels
    assert alone["warning"].startswith("the digit is uncertain")


def test_a_network_that_cannot_predict_is_not_served():
    from budgetnet.inference.errors import InferenceError
    from budgetnet.inference.predictor import Predictor
    from tests.serve_demo import CONTRACT, Session

    def broken():
        session = Session()
        session.error = RuntimeError("no kernel")
        return Predictor(session, CONTRACT, 8)

    with pytest.raises(InferenceError, match=r"demo can be loaded and cannot predict \(RuntimeError: no kernel"):
        Served(offer(load=broken))


@pytest.mark.parametrize("host", ["a/b", "a b", "<script>", "x" * 300, ""])
def test_no_host_gets_into_the_documentation_that_is_none(host):
    page = got("/docs", headers={"host": host})
    assert page.status_code == 200
    assert "http://SERVER/v1/predict" in page.text
    assert "<script" not in page.text
