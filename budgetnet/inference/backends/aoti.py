"""AOT-Inductor: the network compiled to native code, in a package that torch loads without compiling anything."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from budgetnet.environment import version_of
from budgetnet.inference.artifact import Sidecar
from budgetnet.inference.backends.base import BySize, Request, Session, lacks_precision, this_processor
from budgetnet.inference.backends.torch_programs import PRECISIONS, Forward, TorchSession, on_device
from budgetnet.inference.export import exported, exported_fixed

PACKAGE = "model.pt2"
# Channels-last makes large batches faster, but it lays the weights out anew in every call: for one image a fifth of the time (measured).
CHANNELS_LAST_FROM = 16


def fixed_package(batch: int) -> str:
    return f"batch-{batch}.pt2"


class Aoti:
    """A package for any batch size, and one for each fixed one, which spares the checks and loops of a variable one."""

    name = "aoti"
    title = "AOT-Inductor"
    precisions: Mapping[str, tuple[str, ...]] = PRECISIONS

    def missing(self, device: str, precision: str) -> str | None:
        if device == "cuda" and not torch.cuda.is_available():
            return "there is no CUDA device"
        if shutil.which("g++") is None and shutil.which("clang++") is None:
            return "AOT-Inductor compiles C++ and finds neither g++ nor clang++; install one of them"
        return lacks_precision(self, device, precision)

    def build(self, request: Request, folder: Path) -> tuple[int, ...]:
        network = request.network(request.precision).to(request.device)
        program = exported(network, request.contract, request.optimum, request.max_batch, request.device)
        torch._inductor.aoti_compile_and_package(program, package_path=str(folder / PACKAGE))
        for batch in request.fixed if request.device == "cpu" else ():  # on CUDA the captured graphs are of fixed sizes
            program = exported_fixed(network, request.contract, batch, request.device)
            options = {"layout_optimization": batch >= CHANNELS_LAST_FROM}
            torch._inductor.aoti_compile_and_package(program, package_path=str(folder / fixed_package(batch)), inductor_configs=options)
        return request.fixed

    def load(self, folder: Path, sidecar: Sidecar, threads: int) -> Session:
        session = on_device(_loaded(folder / PACKAGE), sidecar, threads, concurrent=False)
        if sidecar.device != "cpu" or not sidecar.fixed_batches:
            return session
        fixed = {n: TorchSession(_loaded(folder / fixed_package(n)), threads, concurrent=False) for n in sidecar.fixed_batches}
        return BySize(session, fixed)

    def versions(self) -> dict[str, str]:
        return {"torch": version_of("torch") or torch.__version__}

    def machine(self, device: str) -> dict[str, Any]:
        return {"gpu": torch.cuda.get_device_name()} if device == "cuda" and torch.cuda.is_available() else this_processor()


def _loaded(package: Path) -> Forward:
    # torch warns of a CUDA compiler without a GPU, whatever the package is for
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    # without torch's own locks: a predictor calls it from one thread at a time, and captures it in graphs
    forward: Forward = torch._inductor.aoti_load_package(str(package), run_single_threaded=True)
    return forward


BACKENDS = {"aoti": Aoti()}
