"""Trace a module: connections by torch.fx, shapes by running one blank image."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn

from budgetnet.params import Counts, count
from budgetnet.structure import INPUT, Layer


class StructureUnavailable(Exception):
    """The network cannot be traced; the message is one sentence that says why."""


def trace(module: nn.Module, image_shape: tuple[int, int, int]) -> tuple[Layer, ...]:
    """The layers of ``module`` in the order in which they are computed for one image of ``image_shape``, the input first.

    torch.nn's own modules are layers, and so is every module whose class has a true attribute ``is_layer``; other modules are looked
    into. Works on a copy on the CPU, in evaluation mode, so that neither weights and moving statistics nor the random state change.
    Raises StructureUnavailable where ``forward`` depends on the images' content, or fails on such an image.
    """
    try:
        probe = copy.deepcopy(module).cpu().eval()
    except Exception as error:  # of tensors that are computed from others, as those of nn.utils.weight_norm, or of a lock
        raise StructureUnavailable(f"the network cannot be copied ({_sentence(error)})") from error
    if LayerTracer().is_leaf_module(probe, ""):
        probe = nn.Sequential(probe)  # a layer alone: fx would look into it
    try:
        graph = fx.GraphModule(probe, LayerTracer().trace(probe))
    except Exception as error:  # forward is a stranger's code and meets symbols instead of numbers: anything can come
        raise StructureUnavailable(f"the network's forward cannot be traced symbolically ({_sentence(error)})") from error
    shapes = _Shapes(graph)
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            shapes.run(torch.zeros(1, *image_shape))
    except Exception as error:
        raise StructureUnavailable(f"the network fails on an image of {image_shape} ({_sentence(error)})") from error
    return tuple(_layers(graph, probe, shapes.found))


def _sentence(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:200]}".strip(": ")


class LayerTracer(fx.Tracer):
    """Traces down to layers: torch.nn's own modules, and those whose class has a true attribute ``is_layer``."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return bool(getattr(type(m), "is_layer", False)) or super().is_leaf_module(m, module_qualified_name)


class _Shapes(fx.Interpreter):
    """Runs a traced network and keeps the shape, without the batch dimension, of everything that is a tensor."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.found: dict[fx.Node, tuple[int, ...]] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor):
            self.found[n] = tuple(value.shape if n.op == "get_attr" else value.shape[1:])
        return value


def _layers(graph: fx.GraphModule, probe: nn.Module, shapes: dict[fx.Node, tuple[int, ...]]) -> Iterator[Layer]:
    """A layer for every node whose value is a tensor; sizes, tuples and the like only pass on what they came from."""
    names: dict[fx.Node, str] = {}
    counter = _Counter()
    for node in graph.graph.nodes:
        if node.op == "output" or node not in shapes:
            continue
        names[node] = _unique(_name(node), names.values())
        added = counter.add(_held(node, probe))
        inputs = tuple(dict.fromkeys(names[source] for source in _sources(node, shapes)))
        yield Layer(names[node], _kind(node, probe), shapes[node], added.keras_total, added.trainable, inputs)
    for name, module in probe.named_modules():
        if not any(module.children()) and (added := counter.add(module)).keras_total:
            yield Layer(_unique(name, names.values()), type(module).__name__, None, added.keras_total, added.trainable, ())


class _Counter:
    """Counts what each layer adds to the layers before it, so that shared parameters count once, as in ``params.count``."""

    def __init__(self) -> None:
        self._all = nn.Module()
        self._counted = Counts(0, 0, 0)
        self._members = 0

    def add(self, held: nn.Module | Tensor | None) -> Counts:
        self._members += 1
        if isinstance(held, nn.Parameter):
            self._all.register_parameter(f"{self._members}", held)
        elif isinstance(held, nn.Module):
            self._all.add_module(f"{self._members}", held)
        else:
            return Counts(0, 0, 0)
        before, self._counted = self._counted, count(self._all)
        now = self._counted
        return Counts(now.trainable - before.trainable, now.non_trainable - before.non_trainable, now.keras_total - before.keras_total)


def _held(node: fx.Node, probe: nn.Module) -> nn.Module | Tensor | None:
    """The module that a node calls, or the parameter or buffer that it reads."""
    if node.op == "call_module":
        return probe.get_submodule(str(node.target))
    if node.op == "get_attr":
        owner, _, attribute = str(node.target).rpartition(".")
        value: Tensor = getattr(probe.get_submodule(owner), attribute)
        return value
    return None


def _name(node: fx.Node) -> str:
    return INPUT if node.op == "placeholder" else str(node.target) if node.op in ("call_module", "get_attr") else node.name


def _unique(name: str, taken: Any) -> str:
    """``name``, or for a second use ``name#2``."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}#{number}"
    return found


def _kind(node: fx.Node, probe: nn.Module) -> str:
    held = _held(node, probe)
    if isinstance(held, nn.Module):
        return type(held).__name__
    if held is not None:
        return "parameter" if isinstance(held, nn.Parameter) else "buffer"
    if node.op == "placeholder":
        return "Input"
    return node.target if isinstance(node.target, str) else str(getattr(node.target, "__name__", node.target))


def _sources(node: fx.Node, shapes: dict[fx.Node, tuple[int, ...]]) -> Iterator[fx.Node]:
    for source in node.all_input_nodes:
        if source in shapes:
            yield source
        else:
            yield from _sources(source, shapes)
