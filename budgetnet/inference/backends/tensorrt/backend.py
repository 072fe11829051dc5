"""The backend: engines from a network, and a session from engines."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from budgetnet.environment import version_of
from budgetnet.inference.artifact import Sidecar
from budgetnet.inference.backends.base import Request, Session, lacks_precision
from budgetnet.inference.backends.replay import Replaying, buckets
from budgetnet.inference.backends.tensorrt import building
from budgetnet.inference.backends.tensorrt.arguments import Caches, load_arguments
from budgetnet.inference.backends.tensorrt.presence import lacks_quantization, lacks_tensorrt
from budgetnet.inference.backends.tensorrt.quantization import exportable, quantize
from budgetnet.inference.backends.tensorrt.versions import supported
from budgetnet.inference.network import InferenceNetwork

PACKAGES = ("torch", "torch-tensorrt", "tensorrt-cu13")

Forward = Callable[[Tensor], Tensor]


class TensorRT:
    """An engine for all batch sizes, tuned for one of them, and an engine for each fixed size.

    Built on the GPU that they are to run on; float32 is without TF32, reduced precisions are casts of the network behind float32
    pixels and logits, int8 is calibrated on training images.
    """

    name = "tensorrt"
    title = "TensorRT"
    precisions: Mapping[str, tuple[str, ...]] = {"cuda": ("fp32", "fp16", "bf16", "int8")}

    def missing(self, device: str, precision: str) -> str | None:
        return lacks_precision(self, device, precision) or lacks_tensorrt() or (lacks_quantization() if precision == "int8" else None)

    def build(self, request: Request, folder: Path) -> tuple[int, ...]:
        network = _network(request)
        sizes = building.fixed_sizes(request)
        for size in (None, *sizes):
            with exportable() if request.precision == "int8" else contextlib.nullcontext():
                plan = building.general_plan(network, request) if size is None else building.fixed_plan(network, request, size)
            module = building.compiled(plan, request.contract, request.precision, self._caches(plan, request))
            building.save(module, plan, request.contract, folder)
        return sizes

    def load(self, folder: Path, sidecar: Sidecar, threads: int) -> Session:
        tuned = sorted({*sidecar.fixed_batches, min(sidecar.optimum_batch, sidecar.max_batch)})
        names = {size: building.fixed_name(size) for size in sidecar.fixed_batches}
        sizes = buckets(sidecar.max_batch, tuned)
        engines = {size: _loaded(folder / f"{names.get(size, building.GENERAL)}.ep") for size in sizes}
        return Replaying(_BySize(engines), sidecar.contract.image_shape, sidecar.max_batch, tuned)

    def versions(self) -> dict[str, str]:
        return {package: version_of(package) or "none" for package in PACKAGES}

    def machine(self, device: str) -> dict[str, Any]:
        return {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}

    def _caches(self, plan: building.Plan, request: Request) -> Caches | None:
        versions = self.versions()
        reuses = supported(versions["torch-tensorrt"]).reuses_engines and request.precision != "int8"  # its ranges are no weights
        return building.caches_for(plan.program, f"{versions} {self.machine(request.device)}", reuses)


class _BySize:
    """Hands a batch to the engine that was loaded for its size.

    A captured graph holds the addresses and shapes of its engine's execution context, and replaying it after they have changed is
    undefined; a loaded engine has one context. Hence one for each size. Torch-TensorRT's own ``enable_cudagraphs`` would, with one
    engine, record anew at every change of shape; with several it would copy input and output and prepare them at every call, and it
    is a switch of the whole process. An engine that runs in the ordinary way can be captured from outside: for modules of several
    parts Torch-TensorRT does so itself.
    """

    def __init__(self, engines: Mapping[int, Forward]) -> None:
        self._engines = engines

    def __call__(self, pixels: Tensor) -> Tensor:
        return self._engines[pixels.shape[0]](pixels)


def _network(request: Request) -> InferenceNetwork:
    if request.precision != "int8":
        return request.network(request.precision).to(request.device)
    network = request.network("fp32").to(request.device)
    quantize(network, request.calibration())
    return network


def _loaded(path: Path) -> Forward:
    import torch_tensorrt

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module: Forward = torch_tensorrt.load(**load_arguments(path)).module()
    return module


BACKENDS = {"tensorrt": TensorRT()}
