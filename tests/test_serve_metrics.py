"""What Prometheus is told."""

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.serve_demo import application, images_of, run, served, small_test_set

RAW = {"content-type": "application/octet-stream"}


def samples(text):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture(scope="module")
def found():
    """The metrics after three requests, one of them refused, and after the gallery."""

    async def test():
        async with application(served("one", tests=small_test_set), served("two")) as (_, client):
            while (await client.get("/v1/gallery")).json()["message"]:
                await asyncio.sleep(0.01)
            await client.post("/v1/predict", content=images_of(1, 2, 3).tobytes(), headers=RAW)
            await client.post("/v1/predict?model=two", content=images_of(1).tobytes(), headers=RAW)
            await client.post("/v1/predict", content=b"x", headers=RAW)
            await client.get("/nothing/here")
            answer = await client.get("/metrics")
            assert answer.headers["content-type"].startswith("text/plain; version=")
            return samples(answer.text)

    return run(test())


def value(found, name, **labels):
    return found[name, tuple(sorted(labels.items()))]


def test_requests_by_route_and_status(found):
    assert value(found, "budgetnet_http_seconds_count", route="/v1/predict", status="200") == 2
    assert value(found, "budgetnet_http_seconds_count", route="/v1/predict", status="422") == 1
    assert value(found, "budgetnet_http_seconds_count", route="other", status="404") == 1
    assert value(found, "budgetnet_http_seconds_sum", route="/v1/predict", status="200") > 0


def test_queue_model_and_batches_without_what_the_server_asked_itself(found):
    for model, images in (("one", 3), ("two", 1)):
        assert value(found, "budgetnet_queue_seconds_count", model=model) == 1
        assert value(found, "budgetnet_model_seconds_count", model=model) == 1
        assert value(found, "budgetnet_batch_images_sum", model=model) == images
    assert value(found, "budgetnet_queue_images") == 0


def test_what_is_served(found):
    assert value(found, "budgetnet_model_info", model="one", backend="torch", precision="fp32", parameters="1234") == 1


def test_no_path_of_a_client_becomes_a_label(found):
    routes = {dict(labels)["route"] for name, labels in found if name == "budgetnet_http_seconds_count"}
    assert routes <= {"/v1/predict", "/v1/gallery", "/metrics", "other"}
