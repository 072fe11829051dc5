"""What the TensorRT backend decides before TensorRT is asked: which engines, what is remembered for them, and what is thrown away."""

import dataclasses

import pytest
from torch import nn

from budgetnet.inference.backends import backend
from budgetnet.inference.backends.tensorrt import building
from budgetnet.inference.backends.tensorrt.arguments import Batches, Caches
from budgetnet.inference.network import InferenceNetwork
from tests.tensorrt_requests import request_for

TENSORRT = backend("tensorrt")


@pytest.mark.parametrize(
    ("optimum", "fixed", "max_batch", "engines"),
    [(64, (1,), 256, (1,)), (64, (1, 8), 64, (1, 8)), (1, (), 256, (1,)), (8, (1,), 256, (1, 8)), (1, (), 1, ())],
)
def test_sizes_that_get_an_engine_of_their_own(optimum, fixed, max_batch, engines):
    assert building.fixed_sizes(request_for("step-13", optimum=optimum, fixed=fixed, max_batch=max_batch)) == engines


@pytest.mark.parametrize(
    ("optimum", "max_batch", "batches"), [(64, 256, (1, 64, 256)), (1, 256, (1, 16, 256)), (8, 8, (1, 8, 8)), (1, 1, (1, 1, 1))]
)
def test_the_profile_says_what_the_program_was_exported_with(optimum, max_batch, batches):
    request = request_for("mlp-2", optimum=optimum, fixed=(), max_batch=max_batch)
    plan = building.general_plan(request.network("fp32"), request)
    assert dataclasses.astuple(plan.batches) == batches
    assert len(plan.program.example_inputs[0][0]) == batches[1]
    assert [(r.lower, r.upper) for r in plan.program.range_constraints.values()] == ([(1, max_batch)] if max_batch > 1 else [])


class Padded(nn.Module):
    """Two of them differ in nothing that Torch-TensorRT's own key for cached engines holds."""

    def __init__(self, padding):
        super().__init__()
        self.conv = nn.Conv2d(1, 10, 3, padding=padding)

    def forward(self, images):
        return self.conv(images).mean((2, 3))


def caches(body, max_batch=256, machine="one", engines=True):
    request = request_for("step-13", max_batch=max_batch)
    program = building.general_plan(InferenceNetwork(body, request.contract), request).program
    return building.caches_for(program, machine, engines)


@pytest.fixture
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BUDGETNET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_engines_are_shared_by_the_same_program_on_the_same_machine_alone(cache_folder):
    first = caches(Padded(1))
    assert first.engines.is_relative_to(cache_folder)
    assert caches(Padded(1)) == first  # other weights
    others = [caches(Padded(0)), caches(Padded(1), max_batch=128), caches(Padded(1), machine="other"), caches(Padded(1).half().float())]
    assert [other.engines == first.engines for other in others] == [False, False, False, True]
    assert [other.timing == first.timing for other in others] == [True, True, False, True]
    assert caches(Padded(1), engines=False) == Caches(first.timing)


def test_without_a_cache_it_builds_without_one(cache_folder):
    cache_folder.write_text("a file")
    assert caches(Padded(1)) is None


@pytest.fixture
def attempts(monkeypatch):
    """Compilations that fail as often as is said, with a check of the result that finds nothing."""
    failures, made = [], []

    def attempt(*arguments):
        made.append(arguments)
        if failures:
            raise failures.pop()
        return "module"

    monkeypatch.setattr(building, "_compiled", attempt)
    monkeypatch.setattr(building, "engine_module", lambda module: None)
    return failures, made


PLAN = building.Plan("model", None, Batches(1, 64, 256))


def test_a_cached_engine_that_does_not_fit_is_built_anew(attempts, tmp_path):
    failures, made = attempts
    (tmp_path / "engines" / "hash").mkdir(parents=True)
    failures.append(AssertionError("Refitting failed."))
    assert building.compiled(PLAN, None, "fp32", Caches(tmp_path / "timing", tmp_path / "engines")) == "module"
    assert len(made) == 2
    assert not (tmp_path / "engines").exists()


@pytest.mark.parametrize("engines", [None, "empty"])
def test_what_fails_without_a_cached_engine_fails_at_once(attempts, tmp_path, engines):
    failures, made = attempts
    failures.append(RuntimeError("no kernel"))
    with pytest.raises(RuntimeError, match="no kernel"):
        building.compiled(PLAN, None, "fp32", Caches(tmp_path / "timing", engines and tmp_path / engines))
    assert len(made) == 1


def test_the_sidecar_names_every_package_that_an_engine_depends_on():
    assert list(TENSORRT.versions()) == ["torch", "torch-tensorrt", "tensorrt-cu13"]
    assert all(isinstance(version, str) for version in TENSORRT.versions().values())
