"""Fingerprint of a built network, part by part, to tell the results of different networks apart.

A definition says how a network is built; the code of a user's ``build`` may change while the definition stays. What cannot
be seen here: functions and constants outside the module's classes, values of buffers, and whatever ``forward`` does where
it cannot be traced.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from budgetnet.building import build_without_values
from budgetnet.definition import Experiment
from budgetnet.seeds import global_states, restore_global_states, seed_globals
from budgetnet.tracing import LayerTracer

FORWARD, VERSION = "forward", "torch"
OURS = ("torch.", "budgetnet.")  # modules whose classes are known by their settings


def fingerprint(model: nn.Module) -> dict[str, str]:
    """The parts of ``model`` by name: modules with their settings, parameters and buffers, the traced graph, classes of its own.

    Neither values nor the device count, so that a network without values has the same fingerprint.
    """
    parts = {f"module {name}" if name else "module": _module_text(module) for name, module in model.named_modules()}
    parts |= _tensors(model)
    parts |= {FORWARD: _graph_text(model), VERSION: str(torch.__version__)}
    own = {type(module) for module in model.modules() if not type(module).__module__.startswith(OURS)}
    parts |= {f"class {one.__qualname__}": _source_digest(one) for one in sorted(own, key=lambda one: one.__qualname__)}
    return parts


def network_fingerprint(experiment: Experiment) -> dict[str, str]:
    """The fingerprint of the network that the experiment's description builds now, without values where that is possible."""
    return fingerprint(build_without_values(experiment))


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """A phrase for each part that differs: ``module 1: Linear(784, 16) → Linear(784, 32)``; changed, gone or new.

    Versions of torch describe modules and graphs differently: between two versions only tensors and classes are compared.
    An empty fingerprint, of a result from before there were any, differs from none.
    """
    if not before or not after:
        return []
    names = dict.fromkeys(name for name in (*before, *after) if name != VERSION)
    if before.get(VERSION) != after.get(VERSION):
        names = dict.fromkeys(name for name in names if name.startswith(("parameter ", "buffer ", "class ")))
    return [_difference(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)]


def _difference(name: str, before: str | None, after: str | None) -> str:
    if name == FORWARD or name.startswith("class "):
        return f"{name} has changed" if before and after else f"{name} is {'new' if after else 'gone'}"
    return f"{name}: {before or 'none'} → {after or 'none'}"


def _module_text(module: nn.Module) -> str:
    try:
        settings = module.extra_repr()
    except Exception:  # of a user's class that shows values, where there are none
        settings = ""
    if not type(module).__module__.startswith(OURS):
        plain = {name: value for name, value in vars(module).items() if _is_setting(name, value)}
        settings = ", ".join([*([settings] if settings else []), *(f"{name}={value!r}" for name, value in sorted(plain.items()))])
    return f"{type(module).__name__}({settings})"


def _is_setting(name: str, value: Any) -> bool:
    simple = isinstance(value, bool | int | float | str) or (
        isinstance(value, tuple) and all(isinstance(one, bool | int | float | str) for one in value)
    )
    return simple and not name.startswith("_") and name != "training"


def _tensors(model: nn.Module) -> dict[str, str]:
    """Shape and type of every parameter and buffer; one that stands under two names says so."""
    first: dict[int, str] = {}
    parts = {}
    kinds: tuple[tuple[str, Iterator[tuple[str, Tensor]]], ...] = (
        ("parameter", model.named_parameters(remove_duplicate=False)), ("buffer", model.named_buffers(remove_duplicate=False)),
    )  # fmt: skip
    for kind, tensors in kinds:
        for name, tensor in tensors:
            frozen = ", frozen" if kind == "parameter" and not tensor.requires_grad else ""
            shared = first.setdefault(id(tensor), name)
            same = f", the same as {shared}" if shared != name else ""
            shape = "no shape yet" if nn.parameter.is_lazy(tensor) else tuple(tensor.shape)
            parts[f"{kind} {name}"] = f"{str(tensor.dtype).removeprefix('torch.')} {shape}{frozen}{same}"
    return parts


def _graph_text(model: nn.Module) -> str:
    """A digest of the operations of ``forward`` in order, the same where it draws random numbers; or that they cannot be traced."""
    before = global_states()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            seed_globals(0)
            graph = LayerTracer().trace(model)
    except Exception:  # a user's code meets symbols instead of tensors: anything can come
        return "not traceable"
    finally:
        restore_global_states(before)
    lines = [f"{node.op} {_target(node)} {node.args} {dict(node.kwargs)}" for node in graph.nodes]
    return _digest("\n".join(lines))


def _target(node: fx.Node) -> str:
    return node.target if isinstance(node.target, str) else f"{getattr(node.target, '__name__', node.target)}"


def _source_digest(own: type) -> str:
    """A digest of a class's code without comments, layout and docstrings; of a class without source, of its name."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(own)))
    except (OSError, TypeError, SyntaxError):
        return _digest(own.__qualname__)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return _digest(ast.dump(tree))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
