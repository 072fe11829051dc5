"""The ways to run a compiled network, by name; a backend is imported when it is asked for.

A backend builds files from a network and loads them again as a session. ``missing`` says what this machine lacks for it.
"""

from __future__ import annotations

from importlib import import_module

from budgetnet.inference.backends.base import Backend

# Where `auto` looks first: what docs/inference.md measured to be fastest on a kind of device.
PREFERENCE = {
    "cpu": ("onnx", "openvino", "aoti", "inductor", "eager"),
    "cuda": ("tensorrt", "aoti", "inductor", "eager"),
}  # fmt: skip
MODULES = {
    "tensorrt": "tensorrt.backend", "aoti": "aoti", "inductor": "torch_programs", "eager": "torch_programs", "onnx": "onnx_runtime",
    "openvino": "open_vino",
}  # fmt: skip
NAMES = tuple(MODULES)


def backend(name: str) -> Backend:
    """The backend of this name. Raises KeyError for another."""
    found: Backend = import_module(f"{__name__}.{MODULES[name]}").BACKENDS[name]
    return found
