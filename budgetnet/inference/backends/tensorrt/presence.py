"""Missing requirements of TensorRT on this machine, checked in an order that is safe."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import warnings

import torch

from budgetnet.environment import version_of
from budgetnet.inference.backends.tensorrt.versions import objection

INSTALL = "pip install 'budgetnet[tensorrt]' (Linux, CUDA)"
QUANTIZATION = {"modelopt": "nvidia-modelopt", "requests": "requests", "huggingface_hub": "huggingface_hub"}


def lacks_tensorrt() -> str | None:
    """The sentence for what keeps Torch-TensorRT from running here; None where it runs.

    It is imported last, and only where all else is there: without TensorRT or a driver its import prints, and raises what is
    no ImportError.
    """
    if not torch.cuda.is_available():
        return "there is no CUDA device; TensorRT needs Linux with an NVIDIA GPU and its driver"
    version = version_of("torch-tensorrt") if importlib.util.find_spec("torch_tensorrt") is not None else None
    if version is None:
        return f"torch-tensorrt is not installed: {INSTALL}"
    return objection(version, torch.__version__) or _import_failure(version)


def lacks_quantization() -> str | None:
    """The sentence for what keeps int8 from being calibrated and built, where all else runs.

    ModelOpt imports two packages that it does not ask pip for, and compiles its kernels when Torch-TensorRT folds constants.
    """
    lacking = [package for module, package in QUANTIZATION.items() if importlib.util.find_spec(module) is None]
    if lacking:
        return f"int8 needs NVIDIA's ModelOpt and what it imports, not all of which is installed: pip install {' '.join(lacking)}"
    from torch.utils.cpp_extension import CUDA_HOME

    if CUDA_HOME is None:
        return "int8 needs the CUDA toolkit's compiler nvcc for ModelOpt's kernels; install the toolkit, or set CUDA_HOME to where it is"
    return None


def _import_failure(version: str) -> str | None:
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            importlib.import_module("torch_tensorrt")
    except Exception as error:  # a plain Exception without TensorRT's libraries, a RuntimeError without a driver
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        return f"torch-tensorrt {version} is installed and cannot be imported ({reason}); install it again with what it needs: {INSTALL}"
    return None
