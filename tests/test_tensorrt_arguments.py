"""Every keyword that goes to Torch-TensorRT is one that it knows, in every supported version; and what is said where it is missing."""

import ast
import importlib.machinery
import json
import os
import sys
from pathlib import Path

import pytest
import torch

from budgetnet.environment import version_of
from budgetnet.inference.backends import backend
from budgetnet.inference.backends.tensorrt import presence
from budgetnet.inference.backends.tensorrt.arguments import (
    Batches,
    Caches,
    compile_arguments,
    input_arguments,
    load_arguments,
    save_arguments,
)
from budgetnet.inference.backends.tensorrt.versions import VERSIONS, minor, objection, supported
from tests.torch_tensorrt_wheels import described, unknown

SIGNATURES = json.loads(Path(__file__).with_name("torch_tensorrt_signatures.json").read_text())
SHAPE = (1, 28, 28)
ANY, ONE = Batches(1, 64, 256), Batches.exactly(1)
TENSORRT = backend("tensorrt")


def passed(version):
    """Every set of keywords that the backend passes to a function, by the function."""
    caches = [None, Caches(Path("timing")), *([Caches(Path("timing"), Path("engines"))] if supported(version).reuses_engines else [])]
    example = torch.zeros(4, *SHAPE)
    yield from (("torch_tensorrt.dynamo.compile", compile_arguments(["input"], p, c)) for p in TENSORRT.precisions["cuda"] for c in caches)
    yield from (("torch_tensorrt.Input", input_arguments(SHAPE, batches)) for batches in (ANY, ONE))
    yield from (("torch_tensorrt.save", save_arguments(example, batches)) for batches in (ANY, ONE))
    yield "torch_tensorrt.load", load_arguments(Path("model.ep"))


@pytest.mark.parametrize("version", SIGNATURES)
def test_every_keyword_is_a_named_parameter(version):
    known = SIGNATURES[version]["functions"]
    called = list(passed(version))
    assert {function for function, _ in called} == set(known)
    assert {(function, keyword) for function, given in called for keyword in unknown(given, known[function])} == set()


@pytest.mark.parametrize("version", SIGNATURES)
@pytest.mark.parametrize(
    "function", ["torch_tensorrt.dynamo.compile", "torch_tensorrt.save", "torch_tensorrt.load", "torch_tensorrt.Input"]
)
def test_a_misspelt_keyword_is_noticed_though_the_function_swallows_it(version, function):
    known = SIGNATURES[version]["functions"][function]
    given = next(given for name, given in passed(version) if name == function)
    assert known["swallows"]
    assert unknown({**given, "imutable_weights": False}, known) == {"imutable_weights"}


def test_a_keyword_that_only_the_older_version_has_is_noticed():
    old, new = (SIGNATURES[version]["functions"]["torch_tensorrt.dynamo.compile"] for version in ("2.11.0", "2.14.0"))
    for keyword in ("enabled_precisions", "use_explicit_typing"):
        assert not unknown({keyword: None}, old)
        assert unknown({keyword: None}, new) == {keyword}
    inputs = (SIGNATURES[version]["functions"]["torch_tensorrt.Input"] for version in ("2.11.0", "2.14.0"))
    assert [unknown({"profiles": None}, known) for known in inputs] == [{"profiles"}, set()]


def test_signatures_are_of_the_supported_versions():
    assert [minor(version) for version in SIGNATURES] == list(VERSIONS)


@pytest.mark.skipif("BUDGETNET_WHEELS" not in os.environ, reason="BUDGETNET_WHEELS names no folder with Torch-TensorRT's wheels")
@pytest.mark.parametrize("version", SIGNATURES)
def test_signatures_are_the_wheels_(version):
    expected = SIGNATURES[version]
    assert described(Path(os.environ["BUDGETNET_WHEELS"], expected["wheel"])) == {"version": version, **expected}


def test_what_is_asked_of_the_compiler():
    given = compile_arguments(["input"], "fp32", Caches(Path("/c/timing"), Path("/c/engines")))
    assert given == {
        "arg_inputs": ["input"], "min_block_size": 1, "require_full_compilation": True, "disable_tf32": True,
        "timing_cache_path": "/c/timing", "immutable_weights": False, "cache_built_engines": True, "reuse_cached_engines": True,
        "engine_cache_dir": "/c/engines",
    }  # fmt: skip
    assert not compile_arguments(["input"], "fp16", None)["disable_tf32"]
    assert input_arguments(SHAPE, ANY)["opt_shape"] == (64, *SHAPE)
    assert input_arguments(SHAPE, ONE) == {"shape": (1, *SHAPE), "dtype": torch.float32}
    assert save_arguments(torch.zeros(1, *SHAPE), ONE)["dynamic_shapes"] is None
    batch = save_arguments(torch.zeros(64, *SHAPE), ANY)["dynamic_shapes"][0][0]
    assert (batch.min, batch.max) == (1, 256)


# --- what is missing ---


def fake_package(monkeypatch, name, version):
    """A package that can be found, with a version, and whose import fails as Torch-TensorRT's does without TensorRT."""

    class Loader:
        def create_module(self, spec):
            return None

        def exec_module(self, module):
            print("import error when try to import _TensorRTProxyModule")
            raise Exception("libnvinfer.so.11: cannot open shared object file\nmore")

    class Finder:
        @staticmethod
        def find_spec(asked, path=None, target=None):
            return importlib.machinery.ModuleSpec(asked, Loader()) if asked == name else None

    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(presence, "version_of", lambda package: version if package == name.replace("_", "-") else version_of(package))


@pytest.fixture
def cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_cuda_it_says_so():
    assert TENSORRT.missing("cuda", "fp32") == "there is no CUDA device; TensorRT needs Linux with an NVIDIA GPU and its driver"


def test_without_torch_tensorrt_it_says_how_to_install_it(cuda, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert TENSORRT.missing("cuda", "fp16") == "torch-tensorrt is not installed: pip install 'budgetnet[tensorrt]' (Linux, CUDA)"


def test_torch_tensorrt_that_cannot_be_imported_is_quoted(cuda, monkeypatch, capsys):
    monkeypatch.setattr(torch, "__version__", "2.14.0+cu130")
    fake_package(monkeypatch, "torch_tensorrt", "2.14.0")
    said = TENSORRT.missing("cuda", "fp32")
    assert said.startswith("torch-tensorrt 2.14.0 is installed and cannot be imported (libnvinfer.so.11: cannot open shared object file);")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("absent", "said"),
    [
        (("modelopt", "requests"), "pip install nvidia-modelopt requests"),
        ((), "int8 needs the CUDA toolkit's compiler nvcc for ModelOpt's kernels; install the toolkit, or set CUDA_HOME to where it is"),
    ],
)
def test_int8_needs_more(monkeypatch, absent, said):
    monkeypatch.setattr("budgetnet.inference.backends.tensorrt.backend.lacks_tensorrt", lambda: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in absent else "found")
    monkeypatch.setattr("torch.utils.cpp_extension.CUDA_HOME", None)
    assert TENSORRT.missing("cuda", "bf16") is None
    assert TENSORRT.missing("cuda", "int8").endswith(said)


def test_what_it_does_not_offer_is_said_first():
    assert TENSORRT.missing("cpu", "fp32") == "TensorRT does not run on cpu"
    assert TENSORRT.missing("cuda", "fp8") == "TensorRT has no fp8 on cuda; it has fp32, fp16, bf16, int8"


@pytest.mark.parametrize(
    ("version", "beside", "said"),
    [
        ("2.14.0", "2.14.1+cu130", None),
        ("2.11.0+cu130", "2.11.0", None),
        (
            "2.13.0",
            "2.13.0",
            "torch-tensorrt 2.13.0 is none that this version of budgetnet was checked with (2.11, 2.14); install one of them",
        ),
        (
            "2.14.0",
            "2.11.0",
            "torch-tensorrt 2.14.0 is built for torch 2.14, and here is torch 2.11.0: pip install 'torch-tensorrt==2.11.*'",
        ),
        ("2.14.0", "2.12.0", "torch-tensorrt 2.14.0 is built for torch 2.14, and here is torch 2.12.0: pip install 'torch==2.14.*'"),
    ],
)
def test_versions_that_do_not_fit(version, beside, said):
    found = objection(version, beside)
    assert found is said if said is None else found.startswith(said)


def test_importing_the_backend_imports_neither_tensorrt_nor_modelopt():
    for path in Path(presence.__file__).parent.glob("*.py"):
        imports = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert not any(word in ast.unparse(node) for node in imports for word in ("torch_tensorrt", "import tensorrt", "modelopt")), path
