"""What Torch-TensorRT's wheels take, read off their sources without importing them: they need a GPU to be imported.

python -m tests.torch_tensorrt_wheels WHEEL ...    # prints what tests/torch_tensorrt_signatures.json holds
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

# What the backend calls: where it is in the wheel
FUNCTIONS = {
    "torch_tensorrt.dynamo.compile": ("torch_tensorrt/dynamo/_compiler.py", "compile"),
    "torch_tensorrt.save": ("torch_tensorrt/_compile.py", "save"),
    "torch_tensorrt.load": ("torch_tensorrt/_compile.py", "load"),
    "torch_tensorrt.Input": ("torch_tensorrt/_Input.py", "Input.__init__"),
}
# The modules that it takes them from: what these must hold for it
NAMES = {
    "torch_tensorrt/dynamo/__init__.py": {"compile"},
    "torch_tensorrt/runtime/__init__.py": {"TorchTensorRTModule"},
    "torch_tensorrt/_compile.py": {"load", "save"},
}
ENGINE = ("torch_tensorrt/dynamo/runtime/_TorchTensorRTModule.py", "TorchTensorRTModule.__init__", "serialized_engine")


def described(wheel: Path) -> dict[str, Any]:
    """The wheel's version, SHA-256, and each function's named parameters.

    Raises LookupError for a wheel without one of the functions, or without the engine's attribute that the backend reads.
    """
    with zipfile.ZipFile(wheel) as archive:
        functions = {name: keywords(archive, *place) for name, place in FUNCTIONS.items()}
        for file, names in NAMES.items():
            lacking = names - set(_names(ast.parse(archive.read(file))))
            if lacking:
                raise LookupError(f"{wheel.name}: {file} lacks {', '.join(sorted(lacking))}")
        file, function, attribute = ENGINE
        if attribute not in _attributes(_function(ast.parse(archive.read(file)), function)):
            raise LookupError(f"{wheel.name}: {function} sets no {attribute}")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return {"version": wheel.name.split("-")[1], "wheel": wheel.name, "sha256": digest, "functions": functions}


def keywords(archive: zipfile.ZipFile, file: str, function: str) -> dict[str, Any]:
    """The named parameters, and whether others are swallowed. ``Input`` names none: its are the keys that it looks up."""
    tree = ast.parse(archive.read(file))
    node = _function(tree, function)
    named = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs) if argument.arg != "self"]
    if not named and node.args.kwarg is not None:
        owner = function.partition(".")[0]
        named = sorted({key for method in _methods(tree, owner) for key in _keys(method)})
    return {"named": named, "swallows": node.args.kwarg is not None}


def unknown(given: Mapping[str, Any], known: Mapping[str, Any]) -> set[str]:
    """The keywords of ``given`` that a function swallows or rejects; ``known`` is what ``keywords`` says of it."""
    return set(given) - set(known["named"])


def _function(tree: ast.AST, name: str) -> ast.FunctionDef:
    node: ast.AST = tree
    for part in name.split("."):
        found = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.FunctionDef | ast.ClassDef) and child.name == part]
        if not found:
            raise LookupError(f"there is no {name}")
        node = found[-1]
    assert isinstance(node, ast.FunctionDef)
    return node


def _methods(tree: ast.AST, owner: str) -> Iterator[ast.FunctionDef]:
    """The constructor, and what it hands its keywords to."""
    start = _function(tree, f"{owner}.__init__")
    yield start
    for node in ast.walk(start):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and any(_is_kwargs(argument) for argument in node.args):
            yield _function(tree, f"{owner}.{node.func.attr}")


def _keys(function: ast.FunctionDef) -> Iterator[str]:
    """Keys of ``kwargs`` that are read: kwargs["a"], kwargs.get("a"), "a" in kwargs, k in kwargs for k in ["a"]."""
    for node in ast.walk(function):
        if isinstance(node, ast.Subscript) and _is_kwargs(node.value) and isinstance(node.ctx, ast.Load):
            yield from _strings(node.slice)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_kwargs(node.func.value) and node.args:
            yield from _strings(node.args[0])
        elif isinstance(node, ast.Compare) and any(_is_kwargs(other) for other in node.comparators):
            yield from _strings(node.left)
        elif isinstance(node, ast.GeneratorExp) and isinstance(node.elt, ast.Compare) and any(map(_is_kwargs, node.elt.comparators)):
            yield from _strings(node.generators[0].iter)


def _strings(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def _is_kwargs(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "kwargs"


def _attributes(function: ast.FunctionDef) -> set[str]:
    return {node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name


def main(wheels: list[str]) -> None:
    found = {one.pop("version"): one for one in map(described, map(Path, wheels))}
    print(json.dumps(dict(sorted(found.items())), indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
