"""Every backend that this machine can run, on a small network: built, loaded again, held against the trained one."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from budgetnet.arguments import types
from budgetnet.inference import backends, parity
from budgetnet.inference.artifact import read_sidecar
from budgetnet.inference.backends.replay import bucket_for, buckets
from budgetnet.inference.compilation import Wish, compile_run
from budgetnet.inference.errors import BackendUnavailable, InferenceError
from budgetnet.inference.network import PRECISIONS
from budgetnet.inference.predictor import Predictor
from tests.inference_demo import Said, compiled, evidence, images, trained

ROOT = Path(__file__).parent.parent


def assert_predicts_as_trained(folder, own, tolerance):
    predictor, expected = Predictor.load(folder), Predictor.of(own)
    for number in (1, 2, 5, 64, 70):
        pictures = images(number, number)
        assert np.abs(predictor.logits(pictures) - expected.logits(pictures)).max() < tolerance
    predictor.close()


@pytest.mark.parametrize(
    ("backend", "precision", "tolerance"),
    [
        ("eager", "fp32", 1e-5), ("eager", "fp16", 0.02), ("eager", "bf16", 0.2),
        ("onnx", "fp32", 1e-5), ("onnx", "fp16", 0.02), ("onnx", "int8", 0.5),
        ("openvino", "fp32", 1e-5),
    ],
)  # fmt: skip
def test_computes_what_was_trained(tmp_path, backend, precision, tolerance):
    own = trained()
    lacking = backends.backend(backend).missing("cpu", precision)
    if lacking:
        pytest.skip(lacking)
    folder = compiled(tmp_path, backend, precision, own)
    assert folder == tmp_path / "tiny" / "seed-0" / f"{backend}-{precision}"
    assert read_sidecar(folder).folded == ("norm2", "norm3")
    assert_predicts_as_trained(folder, own, tolerance)


def test_openvino_states_a_reduced_precision_where_the_processor_has_it(tmp_path):
    lacking = backends.backend("openvino").missing("cpu", "bf16")
    if lacking:
        pytest.skip(lacking)
    folder = compiled(tmp_path, "openvino", "bf16")
    assert read_sidecar(folder).precision == "bf16"
    assert read_sidecar(folder).parity["largest_difference"] > 1e-4  # it really computes in bfloat16


@pytest.mark.parametrize("backend", ["aoti", "inductor"])
def test_compiled_by_inductor(tmp_path, backend):
    """In a process of its own: the compiler warns of what is not ours, and keeps workers."""
    code = (
        "import sys; from pathlib import Path; from tests.inference_demo import *; "
        f"import tests.test_inference_backends as t; own = trained(); folder = compiled(Path(sys.argv[1]), {backend!r}, own=own); "
        "t.assert_predicts_as_trained(folder, own, 1e-5); print(folder)"
    )
    environment = os.environ | {"TORCHINDUCTOR_COMPILE_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    sidecar = read_sidecar(Path(done.stdout.splitlines()[-1]))
    assert sidecar.versions == {"torch": torch.__version__.partition("+")[0]} or sidecar.versions["torch"] in torch.__version__
    if backend == "aoti":
        assert sidecar.fixed_batches == (1,)
        assert sidecar.machine["instructions"]


def test_an_onnx_artifact_is_loaded_without_torch(tmp_path):
    folder = compiled(tmp_path, "onnx")
    code = (
        "import sys; import numpy as np; from budgetnet.inference.predictor import Predictor; "
        "Predictor.load(sys.argv[1]).predict(np.zeros((2, 28, 28), np.uint8)); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_auto_takes_the_first_that_works_and_says_why_others_were_passed_over(tmp_path, monkeypatch):
    own, said = trained(), Said([])
    monkeypatch.setattr(backends.backend("onnx").__class__, "missing", lambda self, device, precision: "it is Sunday")

    def broken(self, request, folder):
        raise RuntimeError("boom\nand more")

    monkeypatch.setattr(backends.backend("openvino").__class__, "build", broken)
    monkeypatch.setattr(backends.backend("aoti").__class__, "missing", lambda self, device, precision: "no compiler")
    monkeypatch.setitem(backends.PREFERENCE, "cpu", ("onnx", "openvino", "aoti", "eager"))
    folder, sidecar = compile_run(own, Wish(), evidence(own), tmp_path, said)
    assert sidecar.backend == "eager"
    assert said.lines == [
        "not onnx: it is Sunday",
        "not openvino: OpenVINO cannot compile tiny (RuntimeError: boom)",
        "not aoti: no compiler",
    ]
    assert [path.name for path in folder.parent.iterdir()] == ["eager-fp32"]


def test_nothing_works(tmp_path, monkeypatch):
    monkeypatch.setitem(backends.PREFERENCE, "cpu", ("eager",))
    own = trained()
    with pytest.raises(BackendUnavailable, match="no backend can be compiled for int8 on cpu here: eager: torch, eager has no int8 on cpu"):
        compile_run(own, Wish(precision="int8"), evidence(own), tmp_path, Said([]))


@pytest.mark.parametrize(
    ("backend", "wish", "sentence"),
    [
        ("openvino", {"precision": "int8"}, "OpenVINO has no int8 on cpu; it has fp32, bf16, fp16"),
        ("onnx", {"device": "cuda"}, "ONNX Runtime does not run on cuda"),
        ("onnx", {"precision": "bf16"}, "ONNX Runtime has no bf16"),
    ],
)
def test_what_a_backend_does_not_have(tmp_path, backend, wish, sentence):
    own = trained()
    with pytest.raises(BackendUnavailable, match=sentence):
        compile_run(own, Wish(backend, **wish), evidence(own), tmp_path, Said([]))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("backend", ["aoti", "eager", "inductor"])
def test_cuda_without_a_device(backend):
    assert backends.backend(backend).missing("cuda", "fp32") == "there is no CUDA device"


def test_errors_of_a_loader_are_sentences(tmp_path, monkeypatch):
    def broken(self, folder, sidecar, threads):
        raise OSError(8, "Exec format error")

    monkeypatch.setattr(backends.backend("eager").__class__, "load", broken)
    with pytest.raises(InferenceError, match=r"torch, eager cannot load what it compiled .*Exec format error"):
        compiled(tmp_path)


def test_names_of_the_command_line():
    assert ("auto", *backends.NAMES) == types.BACKENDS
    assert set(types.INFERENCE_PRECISIONS) == set(parity.BOUNDS) == {*PRECISIONS, "int8"}
    for names in backends.PREFERENCE.values():
        assert set(names) <= set(backends.NAMES)


def test_buckets_hold_every_batch():
    assert buckets(256) == (1, 8, 32, 128, 256)
    assert buckets(1) == (1,)
    assert buckets(100, fixed=(1, 64)) == (1, 8, 32, 64, 100)
    assert [bucket_for(n, buckets(256)) for n in (1, 2, 8, 9, 129, 256)] == [1, 8, 8, 32, 256, 256]
    with pytest.raises(ValueError, match="257 images are more than the largest batch of 256"):
        bucket_for(257, buckets(256))
