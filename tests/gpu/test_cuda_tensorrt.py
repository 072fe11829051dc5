"""TensorRT end to end on a CUDA device: built, saved, loaded, captured, and what it computes; skipped where it is not installed."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from budgetnet.catalogue import load_default
from budgetnet.inference.artifact import Sidecar
from budgetnet.inference.backends import backend
from budgetnet.inference.compilation import Evidence, Wish, compile_run
from budgetnet.inference.contract import Contract
from budgetnet.inference.parity import BOUNDS, reference
from budgetnet.inference.predictor import Predictor
from budgetnet.run import build_model
from budgetnet.weights import Trained, digest
from tests.tensorrt_requests import request_for

TENSORRT = backend("tensorrt")
LACKING = TENSORRT.missing("cuda", "fp32")
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(LACKING is not None, reason=LACKING or "")]
needs_int8 = pytest.mark.skipif(LACKING is None and TENSORRT.missing("cuda", "int8") is not None, reason="needs nvidia-modelopt")
PRECISIONS = ["fp32", "fp16", "bf16", pytest.param("int8", marks=needs_int8)]
# TF32 would be off by 1e-3; the gate's own bound is for trained networks, and the last test goes through it
TOLERANCE = {precision: bound.logits for precision, bound in BOUNDS.items()} | {"fp32": 1e-5}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BUDGETNET_CACHE", str(tmp_path / "cache"))


def sidecar(request, fixed):
    return Sidecar(
        experiment="any", seed=0, definition_hash="", weights_hash="", parameters=0, backend="tensorrt", precision=request.precision,
        device="cuda", optimum_batch=request.optimum, fixed_batches=fixed, max_batch=request.max_batch, contract=request.contract,
        folded=(), versions=TENSORRT.versions(), machine=TENSORRT.machine("cuda"), parity={}, environment={}, build_seconds=0.0, files={},
    )  # fmt: skip


def built(request, folder):
    folder.mkdir()
    return TENSORRT.load(folder, sidecar(request, TENSORRT.build(request, folder)), threads=1)


def differs(session, request, sizes=(1, 2, 8, 9, 64, 65, 200, 1)):
    """The largest difference to the network in float64, as a share of the largest logit, over batches that change their size."""
    exact = copy.deepcopy(request.network("fp32").body).double()
    contract, largest = request.contract, 0.0
    for size in sizes:
        pixels = np.random.default_rng(size).random((size, *contract.image_shape), np.float32)
        with torch.no_grad():
            expected = exact((torch.from_numpy(pixels).double() - contract.mean) / contract.std).numpy()
        found = session(pixels)
        assert (found.dtype, found.shape) == (np.float32, expected.shape)
        largest = max(largest, float(np.abs(found - expected).max()) / max(1.0, float(np.abs(expected).max())))
    return largest


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ["step-13", "explore-separable-bn", "mlp-2-bn"])
def test_logits_are_the_network_s(name, precision, tmp_path):
    request = request_for(name, precision, "cuda")
    session = built(request, tmp_path / "artifact")
    assert differs(session, request) < TOLERANCE[precision]
    session.close()


def test_an_artifact_holds_engines_for_torch_tensorrt_and_for_tensorrt_s_own_tools(tmp_path):
    import tensorrt

    request = request_for("step-13", "fp16", "cuda")
    built(request, tmp_path / "artifact").close()
    assert sorted(path.name for path in (tmp_path / "artifact").iterdir()) == ["batch-1.engine", "batch-1.ep", "model.engine", "model.ep"]
    runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.ERROR))
    engine = runtime.deserialize_cuda_engine((tmp_path / "artifact" / "model.engine").read_bytes())
    names = [engine.get_tensor_name(place) for place in range(engine.num_io_tensors)]
    assert all(engine.get_tensor_dtype(name) == tensorrt.DataType.FLOAT for name in names)
    assert [tuple(shape) for shape in engine.get_tensor_profile_shape(names[0], 0)] == [(n, 1, 28, 28) for n in (1, 64, 256)]


@pytest.mark.parametrize(("optimum", "max_batch"), [(1, 256), (1, 1), (8, 8)])
def test_small_sizes(optimum, max_batch, tmp_path):
    request = request_for("step-13", "fp32", "cuda", optimum=optimum, fixed=(), max_batch=max_batch)
    session = built(request, tmp_path / "artifact")
    assert differs(session, request, [size for size in (1, 3, 8, 200, 1) if size <= max_batch]) < TOLERANCE["fp32"]


def test_a_second_build_of_other_weights_computes_with_its_own(tmp_path):
    first = request_for("step-13", "fp32", "cuda")
    second = dataclasses.replace(first, network=lambda precision: louder(first.network(precision)))
    built(first, tmp_path / "first").close()
    assert differs(built(second, tmp_path / "second"), second) < TOLERANCE["fp32"]


def louder(network):
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.1)
    return network


def test_a_run_is_compiled_judged_and_predicted_with(tmp_path):
    experiment = load_default()["step-13"]
    model = build_model(experiment).eval()
    images = np.random.default_rng(0).integers(0, 256, (600, 28, 28), np.uint8)[:, None]
    contract = Contract.of(experiment.data_set)
    evidence = Evidence(
        reference(model, contract, images, np.zeros(600, np.int64)), lambda: images[:200].astype(np.float32) / np.float32(255)
    )
    trained = Trained(experiment, 0, model, tmp_path / "weights", digest(model))
    folder, written = compile_run(trained, Wish("tensorrt", device="cuda"), evidence, tmp_path / "compiled", print)
    assert (written.fixed_batches, written.machine) == ((1,), {"gpu": torch.cuda.get_device_name()})
    predictor = Predictor.load(folder)
    np.testing.assert_allclose(predictor.logits(images), evidence.reference.exact, rtol=0, atol=1e-5)
    predictor.close()
