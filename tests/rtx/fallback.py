"""What Torch-TensorRT does with a network that it does not take as a whole, and what the backend makes of it; one JSON object.

PYTHONPATH=<where TensorRT-RTX is> python -m tests.rtx.fallback
"""

from __future__ import annotations

import json
import logging
import sys
import warnings

import torch
from torch import nn

from tests.rtx.stubs import without_a_driver


def program(*layers: nn.Module):
    with torch.no_grad():
        return torch.export.export(nn.Sequential(*layers).eval().requires_grad_(False), (torch.rand(1, 1, 28, 28),))


def told(action) -> str:
    try:
        action()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


def around(engine: bytes) -> torch.fx.GraphModule:
    """A graph that is one engine, as ``compile`` gives it; the engine stays on the host."""
    from torch_tensorrt.dynamo import CompilationSettings
    from torch_tensorrt.runtime import TorchTensorRTModule

    settings = CompilationSettings(lazy_engine_init=True)
    graph = torch.fx.Graph()
    graph.output(graph.call_module("_run_on_acc_0", (graph.placeholder("pixels"),)))
    return torch.fx.GraphModule({"_run_on_acc_0": TorchTensorRTModule(engine, ["pixels"], ["output0"], settings=settings)}, graph)


def main() -> None:
    report, sys.stdout = sys.stdout, sys.stderr
    without_a_driver()
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    import torch_tensorrt

    from budgetnet.inference.backends.tensorrt import building
    from budgetnet.inference.backends.tensorrt.arguments import Batches, compile_arguments, input_arguments
    from budgetnet.inference.contract import Contract

    inputs = [torch_tensorrt.Input(**input_arguments((1, 28, 28), Batches.exactly(1)))]
    few = torch_tensorrt.dynamo.compile(program(nn.Conv2d(1, 2, 3)), arg_inputs=inputs)
    mixed = program(nn.Conv2d(1, 2, 3), nn.AdaptiveMaxPool2d(1))
    arguments = compile_arguments(inputs, "fp32", None)
    arguments.pop("require_full_compilation")
    parts = torch_tensorrt.dynamo.compile(mixed, **arguments, dryrun=True)
    plan = building.Plan("model", program(nn.Conv2d(1, 2, 3), nn.AdaptiveMaxPool2d(1)), Batches.exactly(1))
    contract = Contract((1, 28, 28), 2, 0.0, 1.0)
    found = {
        "one engine": building.engine_module(around(b"the engine")).serialized_engine.decode(),
        "few operators, with Torch-TensorRT's defaults": told(lambda: building.engine_module(few)),
        "an operator without a converter, where parts are allowed": told(lambda: building.engine_module(parts)),
        "an operator without a converter": told(lambda: building.compiled(plan, contract, "fp32", None)),
    }
    print(json.dumps(found), file=report)


if __name__ == "__main__":
    main()
