"""Build TensorRT engines from a network, and the files that hold them."""

from __future__ import annotations

import hashlib
import operator
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.fx import GraphModule

from budgetnet import cache
from budgetnet.inference.backends.base import Request
from budgetnet.inference.backends.tensorrt import arguments
from budgetnet.inference.backends.tensorrt.arguments import Batches, Caches
from budgetnet.inference.contract import Contract
from budgetnet.inference.errors import InferenceError
from budgetnet.inference.export import LEAST_EXAMPLE, exported, exported_fixed
from budgetnet.inference.network import InferenceNetwork

GENERAL = "model"


def fixed_name(batch: int) -> str:
    return f"batch-{batch}"


def fixed_sizes(request: Request) -> tuple[int, ...]:
    """The batch sizes that get an engine of their own: those asked for, and an optimum that an engine for all sizes is not tuned for."""
    if request.max_batch == 1:
        return ()
    small = {request.optimum} if request.optimum < LEAST_EXAMPLE else set()
    return tuple(sorted({*request.fixed, *small}))


@dataclass(frozen=True)
class Plan:
    """An engine: its files' name, its program, and the batch sizes that it takes."""

    name: str
    program: ExportedProgram
    batches: Batches


def general_plan(network: InferenceNetwork, request: Request) -> Plan:
    """The engine for 1 to ``max_batch`` images. It is tuned for the example that the program was exported with, and nothing else."""
    program = exported(network, request.contract, request.optimum, request.max_batch, request.device)
    return Plan(GENERAL, program, Batches(1, _example_size(program), request.max_batch))


def fixed_plan(network: InferenceNetwork, request: Request, batch: int) -> Plan:
    program = exported_fixed(network, request.contract, batch, request.device)
    return Plan(fixed_name(batch), program, Batches.exactly(batch))


def _example_size(program: ExportedProgram) -> int:
    assert program.example_inputs is not None
    return len(program.example_inputs[0][0])


def caches_for(program: ExportedProgram, machine: str, engines: bool) -> Caches | None:
    """The caches for building this program on ``machine``, which names versions and GPU; None where the user's cache cannot be written.

    Torch-TensorRT looks up an engine by the kinds of operators and the inputs alone: two networks that differ in a padding are one
    to it, and so are two GPUs. So every program, less its weights' values, and every machine has a folder of its own.
    """
    try:
        folder = cache.folder() / "tensorrt" / hashlib.sha256(machine.encode()).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    return Caches(folder / "timing.cache", folder / f"engines-{_digest(program)}" if engines else None)


def _digest(program: ExportedProgram) -> str:
    tensors = {**program.state_dict, **program.constants}
    shapes = sorted(f"{name} {tensor.dtype} {tuple(tensor.shape)}" for name, tensor in tensors.items())
    described = "\n".join([str(program.graph), *map(str, program.range_constraints.values()), *shapes])
    return hashlib.sha256(described.encode()).hexdigest()[:16]


def compiled(plan: Plan, contract: Contract, precision: str, caches: Caches | None) -> GraphModule:
    """The module that runs the plan in one TensorRT engine. Raises InferenceError where anything was left to PyTorch.

    An engine that was used again and did not fit is thrown away and built anew: a process that was killed may have left half of one.
    """
    reusable = caches.engines if caches is not None else None
    suspect = reusable if reusable is not None and any(reusable.glob("*")) else None
    try:
        module = _compiled(plan, contract, precision, caches)
    except Exception:
        if suspect is None:
            raise
        shutil.rmtree(suspect, ignore_errors=True)
        module = _compiled(plan, contract, precision, caches)
    engine_module(module)
    return module


def _compiled(plan: Plan, contract: Contract, precision: str, caches: Caches | None) -> GraphModule:
    import torch_tensorrt

    inputs = [torch_tensorrt.Input(**arguments.input_arguments(contract.image_shape, plan.batches))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 2.11 deprecates a keyword at every call that does not pass it, and at every other
        module: GraphModule = torch_tensorrt.dynamo.compile(plan.program, **arguments.compile_arguments(inputs, precision, caches))
    return module


def engine_module(module: GraphModule) -> Any:
    """The one TensorRT module that all of ``module`` is. Raises InferenceError where there is none, or anything beside it."""
    from torch_tensorrt.runtime import TorchTensorRTModule

    engines: list[nn.Module] = [child for child in module.children() if isinstance(child, TorchTensorRTModule)]
    calls = [node for node in module.graph.nodes if node.op.startswith("call_") and node.target is not operator.getitem]
    names = {name for name, child in module.named_children() if child in engines}
    strangers = [str(node.target) for node in calls if node.op != "call_module" or node.target not in names]
    if len(engines) != 1 or strangers:
        left = ", ".join(strangers) or "nothing that can be run"
        raise InferenceError(f"TensorRT built {len(engines)} engines where one was expected, and left to PyTorch: {left}")
    return engines[0]


def save(module: GraphModule, plan: Plan, contract: Contract, folder: Path) -> None:
    """Write ``<name>.ep``, which Torch-TensorRT loads, and ``<name>.engine``, the same engine for TensorRT's own tools."""
    import torch_tensorrt

    example = torch.full((plan.batches.optimum, *contract.image_shape), 0.5, device="cuda")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch_tensorrt.save(module, str(folder / f"{plan.name}.ep"), **arguments.save_arguments(example, plan.batches))
    (folder / f"{plan.name}.engine").write_bytes(engine_module(module).serialized_engine)
