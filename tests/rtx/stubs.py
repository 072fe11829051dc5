"""What TensorRT-RTX's builder asks of a driver, answered without one, and records of what it is given and what it builds.

Everything else is real: Torch-TensorRT, its converters, its partitioning, TensorRT's network and builder. It stops where an engine would
be loaded onto a GPU. To be used in a process of its own.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from typing import Any

import torch

WEIGHTED = ("CONVOLUTION", "MATRIX_MULTIPLY", "DECONVOLUTION")  # layers that multiply, in the precision of what they are given


def without_a_driver() -> None:
    """Before torch_tensorrt is imported."""
    torch.cuda.get_device_capability = lambda device=None: (9, 0)
    torch.cuda.current_device = lambda: 0
    torch.cuda.mem_get_info = lambda device=None: (100 << 30, 139 << 30)


@dataclass
class Built:
    """One engine.

    ``supported`` of ``total`` operators have a converter, and ``parts`` are what the partitioner made of them. ``layers`` counts the
    network's layers by kind and the type of what they give, ``weighted`` those that multiply by the types of all that they take and
    give. The network is strongly typed: these are what the engine computes in.
    """

    engine_bytes: int = 0
    builder_seconds: float = 0.0
    supported: int = 0
    total: int = 0
    unsupported: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    inputs: dict[str, list[Any]] = field(default_factory=dict)
    outputs: dict[str, list[Any]] = field(default_factory=dict)
    profiles: list[list[list[int]]] = field(default_factory=list)
    layers: dict[str, int] = field(default_factory=dict)
    weighted: dict[str, int] = field(default_factory=dict)
    tf32: bool = True
    refit: bool = False


class Recorder:
    """Wraps three places of Torch-TensorRT; what they do stays as it is."""

    def __init__(self) -> None:
        self.built = Built()
        self._started = 0.0
        self._watch_coverage()
        self._watch_network()
        self._watch_engine()

    @contextlib.contextmanager
    def recording(self):
        """Within it one engine is built; it ends with the interpreter's assertion that the engine could be loaded, which is none."""
        self.built = Built()
        try:
            yield self.built
        except AssertionError:
            if not self.built.engine_bytes:
                raise

    def _watch_coverage(self) -> None:
        from torch_tensorrt.dynamo import partitioning

        support, partition = partitioning.get_graph_converter_support, partitioning.fast_partition

        def watched_support(*arguments, **keywords):
            self.built.supported, self.built.total = found = support(*arguments, **keywords)
            return found

        def watched_partition(*arguments, **keywords):
            module, operators = found = partition(*arguments, **keywords)
            self.built.parts = [name for name, _ in module.named_children()]
            self.built.unsupported = [*map(str, operators.unsupported_operators)]
            return found

        partitioning.get_graph_converter_support, partitioning.fast_partition = watched_support, watched_partition

    def _watch_network(self) -> None:
        from torch_tensorrt.dynamo.conversion._TRTInterpreter import TRTInterpreter

        populate = TRTInterpreter._populate_trt_builder_config

        def watched(interpreter, *arguments, **keywords):
            config = populate(interpreter, *arguments, **keywords)
            self._describe(interpreter.ctx.net, interpreter.optimization_profiles or (), config)
            self._started = time.process_time()
            return config

        TRTInterpreter._populate_trt_builder_config = watched

    def _watch_engine(self) -> None:
        import tensorrt

        recorder = self

        class Runtime:
            """Stands where deserialization would need a driver."""

            def __init__(self, logger: Any) -> None:
                pass

            def deserialize_cuda_engine(self, engine: Any) -> None:
                recorder.built.engine_bytes = len(bytes(engine))
                recorder.built.builder_seconds = time.process_time() - recorder._started

        tensorrt.Runtime = Runtime

    def _describe(self, network: Any, profiles: Any, config: Any) -> None:
        import tensorrt

        built = self.built
        for place in range(network.num_inputs):
            tensor = network.get_input(place)
            built.inputs[tensor.name] = [list(tensor.shape), tensor.dtype.name]
            built.profiles += [[list(shape) for shape in profile.get_shape(tensor.name)] for profile in profiles]
        for place in range(network.num_outputs):
            tensor = network.get_output(place)
            built.outputs[tensor.name] = [list(tensor.shape), tensor.dtype.name]
        for place in range(network.num_layers):
            layer = network.get_layer(place)
            kind = layer.type.name
            count(built.layers, f"{kind} {layer.get_output(0).dtype.name}")
            if kind in WEIGHTED:
                taken = {layer.get_input(i).dtype.name for i in range(layer.num_inputs) if layer.get_input(i) is not None}
                count(built.weighted, "+".join(sorted(taken | {layer.get_output(0).dtype.name})))
        built.tf32 = config.get_flag(tensorrt.BuilderFlag.TF32)
        built.refit = config.get_flag(tensorrt.BuilderFlag.REFIT)


def count(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1
