"""The gate between a compiled network and an artifact: it lets rounding through, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from budgetnet.inference import parity
from budgetnet.inference.backends.torch_programs import BACKENDS
from budgetnet.inference.errors import ParityError
from budgetnet.inference.network import InferenceNetwork
from tests.inference_demo import CONTRACT, compiled, evidence, images, trained


@pytest.fixture(scope="module")
def own():
    return trained()


@pytest.fixture(scope="module")
def expected(own):
    return evidence(own).reference()


def said(expected, change=lambda logits: logits, max_batch=64):
    """A compiled network that says what the trained one does, changed on purpose; it notes the batches that it gets."""
    batches = []

    def run(pixels):
        start = sum(batches)
        batches.append(len(pixels))
        assert np.allclose(pixels, CONTRACT.pixels(expected.images[start : start + len(pixels)]))
        return change(expected.logits.copy())[start : start + len(pixels)]

    return parity.compare(run, CONTRACT, max_batch, expected), batches


def test_the_same_logits_pass_and_every_image_is_asked_for_once(expected):
    found, batches = said(expected)
    assert parity.verdict(found, "fp32") is None
    assert batches == [1, 2, 64, 3]
    assert (found.images, found.changed, found.accuracy, found.to_eager) == (70, 0, 100.0, 0.0)
    assert 0 < found.largest_difference == found.eager_difference < 1e-5


def test_batches_of_one(expected):
    assert said(expected, max_batch=1)[1] == [1] * 70


def test_reference_is_what_the_network_computes(own, expected):
    import torch

    pixels = torch.from_numpy(CONTRACT.pixels(expected.images))
    with torch.no_grad():
        logits = InferenceNetwork(own.model, CONTRACT)(pixels).numpy()
    assert np.abs(logits - expected.exact).max() < 1e-5
    assert expected.exact.dtype == np.float64


def test_a_difference_is_out_of_bounds(expected):
    def shifted(logits):
        logits[50, 3] += 1e-3
        return logits

    found, _ = said(expected, shifted)
    assert "a logit differs by 1.00e-03" in parity.verdict(found, "fp32")
    assert parity.verdict(found, "fp16") is None


def test_a_network_that_rounds_more_itself_may_differ_by_as_much_again():
    assert "2.00e-05" in parity.verdict(_parity(largest_difference=4e-5, eager_difference=1e-6, largest_logit=20.0), "fp32")
    assert parity.verdict(_parity(largest_difference=4e-5, eager_difference=2.1e-5, largest_logit=20.0), "fp32") is None
    assert "4.20e-05" in parity.verdict(_parity(largest_difference=5e-5, eager_difference=2.1e-5, largest_logit=20.0), "fp32")


def test_nan_is_out_of_bounds_for_every_precision(expected):
    def broken(logits):
        logits[50, 3] = np.nan
        return logits

    found, _ = said(expected, broken)
    assert all("a logit differs by inf" in parity.verdict(found, precision) for precision in parity.BOUNDS)


def _parity(**changes):
    same = parity.Parity(
        images=10_000, largest_difference=1e-7, mean_difference=1e-8, eager_difference=1e-7, to_eager=1e-7, largest_logit=30.0, changed=0,
        tied=0, accuracy=99.0, reference_accuracy=99.0,
    )  # fmt: skip
    return replace(same, **changes)


def test_changed_digits_are_out_of_bounds():
    assert parity.verdict(_parity(), "fp32") is None
    assert "1 of 10,000 digits changed" in parity.verdict(_parity(changed=1), "fp32")
    assert parity.verdict(_parity(changed=1, tied=1), "fp32") is None
    assert parity.verdict(_parity(changed=20), "fp16") is None
    assert "21 of 10,000 digits changed where fp16 may change 20" in parity.verdict(_parity(changed=21), "fp16")


def test_lost_accuracy_is_out_of_bounds():
    assert parity.verdict(_parity(accuracy=98.71), "int8") is None
    assert "falls by 0.31 points" in parity.verdict(_parity(accuracy=98.69), "int8")


def test_an_artifact_that_fails_is_not_written(tmp_path, monkeypatch):
    eager = BACKENDS["eager"]
    real = type(eager).load

    def wrong(self, folder, sidecar, threads):
        session = real(self, folder, sidecar, threads)
        return _Inverted(session)

    monkeypatch.setattr(type(eager), "load", wrong)
    with pytest.raises(ParityError, match=r"tiny compiled by torch, eager is not what was trained: a logit differs .*nothing was written"):
        compiled(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


class _Inverted:
    concurrent = True

    def __init__(self, session):
        self._session = session

    def __call__(self, pixels):
        return -self._session(pixels)

    def close(self):
        self._session.close()


def test_text_says_both_distances(expected):
    found, _ = said(expected)
    assert "(torch in float32:" in found.text
    assert "0 of 70 digits changed, accuracy 100.00 % (trained: 100.00 %)" in found.text


def test_images_are_cut_the_same_for_any_number():
    for number in (1, 2, 3, 4, 200):
        pieces = parity._cut(images(number), 64)
        assert sum(map(len, pieces)) == number
        assert max(map(len, pieces)) <= 64
        assert all(map(len, pieces))
