"""Every experiment becomes a TensorRT-RTX engine, whole, in the precision that was asked for, for the batch sizes that were asked for.

Built by a process of its own, through the backend's own code up to where a GPU is needed. It proves nothing about running one.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from budgetnet.catalogue import load_default

ROOT = Path(__file__).parent.parent.parent
EXPERIMENTS = {experiment.name: experiment for experiment in load_default()}
PRECISIONS = {"fp32": "FLOAT", "fp16": "HALF"}
if importlib.util.find_spec("tensorrt_rtx") is None:
    pytest.skip("TensorRT-RTX is not installed; `make test-rtx` installs and runs it", allow_module_level=True)


@pytest.fixture(scope="module")
def built(request):
    """What was built, by experiment and precision: the engine for 1 to 256 images, and the one for single images."""
    names = {item.callspec.params["name"] for item in request.session.items if item.module is request.module and hasattr(item, "callspec")}
    command = [sys.executable, "-m", "tests.rtx.engines", *[name for name in EXPERIMENTS if name in names]]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    found = {}
    for line in map(json.loads, done.stdout.splitlines()):
        found.setdefault((line["experiment"], line["precision"]), []).append(line)
    yield found
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("\n" + table(found))


@pytest.fixture
def engines(built, name, precision):
    assert (name, precision) in built, "the process ended before it; run python -m tests.rtx.engines for what it says"
    return built[name, precision]


each = pytest.mark.parametrize(("name", "precision"), [(name, precision) for name in EXPERIMENTS for precision in PRECISIONS])


@each
def test_engine(engines, name, precision):
    channels_rows_columns = list(EXPERIMENTS[name].data_set.image_shape)
    general, single = engines
    assert (general["engine"], single["engine"]) == ("model", "batch-1")
    for engine, batch in ((general, -1), (single, 1)):
        assert engine["supported"] == engine["total"] > 0
        assert (engine["unsupported"], engine["parts"]) == ([], ["_run_on_acc_0"])
        assert engine["engine_bytes"] > 10_000
        assert engine["inputs"] == {"pixels": [[batch, *channels_rows_columns], "FLOAT"]}
        assert list(engine["outputs"].values()) == [[[batch, EXPERIMENTS[name].data_set.classes], "FLOAT"]]
        assert set(engine["weighted"]) == {PRECISIONS[precision]}
        if precision == "fp16":  # the two operators of the normalization, and what leads from and to float32
            single_precision = {kind.split()[0]: number for kind, number in engine["layers"].items() if kind.endswith(" FLOAT")}
            assert set(single_precision) <= {"CAST", "CONSTANT", "SHUFFLE", "SLICE", "ELEMENTWISE"}
            assert single_precision.get("ELEMENTWISE", 0) <= 2
        assert not (precision == "fp32" and engine["tf32"])
    assert general["profiles"] == [[[size, *channels_rows_columns] for size in (1, 64, 256)]]
    assert single["profiles"] == []


def test_what_is_left_to_pytorch_is_refused():
    """By default Torch-TensorRT gives back PyTorch's own code with a warning; there is no engine to save then."""
    done = subprocess.run([sys.executable, "-m", "tests.rtx.fallback"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    one, few, parts, refused = json.loads(done.stdout).values()
    assert one == "the engine"
    assert few.startswith("InferenceError: TensorRT built 0 engines where one was expected, and left to PyTorch: aten.conv")
    assert parts.startswith("InferenceError: TensorRT built 0 engines")
    assert "require_full_compilation=True was specified, but model is not fully supported" in refused


def table(found) -> str:
    lines = [f"{'experiment':<28} {'precision':<9} {'1-256 kB':>9} {'1 kB':>9} {'CPU s':>7} {'coverage':>9}"]
    for (name, precision), engines in found.items():
        sizes = [f"{engine['engine_bytes'] / 1000:,.0f}" for engine in engines]
        seconds = sum(engine["cpu_seconds"] for engine in engines)
        supported, total = (sum(engine[key] for engine in engines) for key in ("supported", "total"))
        lines.append(f"{name:<28} {precision:<9} {sizes[0]:>9} {sizes[-1]:>9} {seconds:>7.1f} {100 * supported / total:>7.0f} %")
    return "\n".join(lines)
