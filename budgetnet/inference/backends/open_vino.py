"""OpenVINO: fast on Intel's processors. Its own choice of precision may be bfloat16, so that every artifact states its own."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from budgetnet.environment import version_of
from budgetnet.inference.artifact import Sidecar
from budgetnet.inference.backends.base import Logits, Request, Session, lacks_precision
from budgetnet.inference.contract import Pixels

MODEL = "model.xml"  # its weights lie beside it, in model.bin
HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}


class OpenVino:
    """The network stays float32 in the file; the precision is what the processor is told to compute in."""

    name = "openvino"
    title = "OpenVINO"
    precisions: Mapping[str, tuple[str, ...]] = {"cpu": ("fp32", "bf16", "fp16")}

    def missing(self, device: str, precision: str) -> str | None:
        if importlib.util.find_spec("openvino") is None:
            return "openvino is not installed: pip install 'budgetnet[openvino]'"
        lacking = lacks_precision(self, device, precision)
        if lacking is not None or precision == "fp32":
            return lacking
        import openvino

        capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision.upper() not in capabilities:
            return f"this processor does not compute in {precision} (OpenVINO finds {', '.join(capabilities)})"
        return None

    def build(self, request: Request, folder: Path) -> tuple[int, ...]:
        import openvino

        from budgetnet.inference.export import exported

        program = exported(request.network("fp32"), request.contract, request.optimum, request.max_batch)
        openvino.save_model(openvino.convert_model(program), folder / MODEL, compress_to_fp16=False)
        return ()

    def load(self, folder: Path, sidecar: Sidecar, threads: int) -> Session:
        return OpenVinoSession(folder / MODEL, HINTS[sidecar.precision], threads)

    def versions(self) -> dict[str, str]:
        return {"openvino": version_of("openvino") or "none"}

    def machine(self, device: str) -> dict[str, Any]:
        return {}


class OpenVinoSession:
    """One thread at a time: the request that it infers with is one."""

    concurrent = False

    def __init__(self, path: Path, hint: str, threads: int) -> None:
        import openvino

        properties = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
        self._request = openvino.Core().compile_model(path, "CPU", properties).create_infer_request()

    def __call__(self, pixels: Pixels) -> Logits:
        self._request.set_input_tensor(_tensor(pixels))
        self._request.infer()
        logits: Logits = self._request.get_output_tensor().data.copy()
        return logits

    def close(self) -> None:
        del self._request


def _tensor(pixels: Pixels) -> Any:
    import openvino

    return openvino.Tensor(pixels, shared_memory=True)


BACKENDS = {"openvino": OpenVino()}
