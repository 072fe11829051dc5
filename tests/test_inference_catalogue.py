"""Every network of the catalogue through the portable compilers: what comes out computes what went in.

The parity gate of ``compile`` is the judge. AOT-Inductor takes half a minute a network, so that it is asked for two of them;
BUDGETNET_EVERY_AOTI=1 asks for all.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from budgetnet.catalogue import load_default
from budgetnet.inference import parity
from budgetnet.inference.artifact import read_sidecar
from budgetnet.inference.compilation import Wish, compile_run
from tests.inference_demo import Said, distinct_experiments, evidence, trained

ROOT = Path(__file__).parent.parent
KINDS = ("step-13", "explore-separable-bn-dropout")
EVERY = os.environ.get("BUDGETNET_EVERY_AOTI") == "1"


def compiled(name, backend, root):
    """The sidecar of a new artifact, which compile writes only if it is within the bounds."""
    experiment = load_default()[name]
    large = (experiment.budget.exact or 0) > 1_000_000
    own = trained(experiment)
    _, sidecar = compile_run(own, Wish(backend, max_batch=64), evidence(own, 6 if large else 70), root, Said([]))
    return sidecar


def assert_within_bounds(sidecar):
    found = parity.Parity(**sidecar.parity)
    assert found.images in (6, 70)
    assert parity.verdict(found, "fp32") is None
    assert found.changed <= found.tied


@pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is None, reason="onnxruntime is not installed")
@pytest.mark.parametrize("name", [experiment.name for experiment in distinct_experiments()])
def test_onnx(tmp_path, name):
    assert_within_bounds(compiled(name, "onnx", tmp_path))


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++")
@pytest.mark.parametrize("name", [experiment.name for experiment in distinct_experiments() if EVERY or experiment.name in KINDS])
@pytest.mark.usefixtures("all_cores")  # code for one core adds in another order, and misses the bound of one network by half
def test_aoti(tmp_path, name):
    """In a process of its own: the compiler warns of what is not ours, and keeps workers."""
    code = "import sys; from pathlib import Path; from tests.test_inference_catalogue import compiled; "
    code += f"compiled({name!r}, 'aoti', Path(sys.argv[1]))"
    environment = os.environ | {"TORCHINDUCTOR_COMPILE_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert_within_bounds(read_sidecar(tmp_path / name / "seed-0" / "aoti-fp32"))
