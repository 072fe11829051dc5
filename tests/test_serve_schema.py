"""What the server says of itself in OpenAPI, held against what it does: requests made from its schema, good and bad ones."""

import pytest

pytest.importorskip("fastapi", reason="fastapi is not installed: pip install 'budgetnet[serve]'")
pytest.importorskip("schemathesis", reason="schemathesis is not installed: pip install 'budgetnet[dev]'")
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from budgetnet.serve.settings import Settings
from tests.serve_demo import server

GOOD, BAD = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
OPERATIONS = [  # with how many examples of which kind; where nothing varies, there is nothing to do badly
    ("GET", "/healthz", GOOD, 3), ("GET", "/metrics", GOOD, 3), ("GET", "/readyz", GOOD, 3), ("GET", "/v1/models", GOOD, 3),
    ("GET", "/v1/gallery", GOOD, 30), ("GET", "/v1/gallery", BAD, 30), ("POST", "/v1/predict", GOOD, 200),
    ("POST", "/v1/predict", BAD, 300),
]  # fmt: skip
# A schema can say that a text is base64, but not that it is of 784 bytes or of a picture with a digit: such a one may be refused.
NOT_SAID = [positive_data_acceptance]


@pytest.fixture(scope="module")
def api():
    """The schema of a server that runs, with its address."""
    with server(settings=Settings(timeout=2.0)) as (host, port, _):
        yield schemathesis.openapi.from_url(f"http://{host}:{port}/openapi.json")


def test_these_are_all_operations(api):
    known = {(method, path) for method, path, _, _ in OPERATIONS}
    assert {(one.ok().method.upper(), one.ok().path) for one in api.get_all_operations()} == known


@pytest.mark.parametrize(("method", "path", "mode", "examples"), OPERATIONS)
def test_an_operation_does_what_it_says(api, method, path, mode, examples):
    """No 500, and no 503 either, which is how the server tells a failure inside; only documented statuses, content types and schemas."""

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck), database=None)
    @given(api[path][method].as_strategy(generation_mode=mode))
    def check(case):
        answer = case.call()
        assert answer.status_code < 500, answer.text
        case.validate_response(answer, excluded_checks=NOT_SAID)

    check()
