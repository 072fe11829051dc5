"""Every keyword that is passed to Torch-TensorRT, as plain dicts.

Torch-TensorRT takes unknown keywords without a word and goes on with its defaults, so that a misspelt one is never noticed. The
tests hold these dicts against the signatures in its wheels; for that nothing here imports it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim

Arguments = dict[str, Any]


@dataclass(frozen=True)
class Batches:
    """The batch sizes that an engine takes, ``least`` to ``most``, and the one that it is tuned for."""

    least: int
    optimum: int
    most: int

    @classmethod
    def exactly(cls, size: int) -> Batches:
        return cls(size, size, size)

    @property
    def fixed(self) -> bool:
        return self.least == self.most


@dataclass(frozen=True)
class Caches:
    """Caches of building: the measured times of kernels, and, if they may be used again, whole engines without weights."""

    timing: Path
    engines: Path | None = None


def input_arguments(image_shape: tuple[int, int, int], batches: Batches) -> Arguments:
    """For ``torch_tensorrt.Input``: pixels (N, C, H, W) float32, whatever the engine computes in."""
    if batches.fixed:
        return {"shape": (batches.most, *image_shape), "dtype": torch.float32}
    return {
        "min_shape": (batches.least, *image_shape),
        "opt_shape": (batches.optimum, *image_shape),
        "max_shape": (batches.most, *image_shape),
        "dtype": torch.float32,
    }


def compile_arguments(inputs: Sequence[Any], precision: str, caches: Caches | None) -> Arguments:
    """For ``torch_tensorrt.dynamo.compile``; ``inputs`` are ``torch_tensorrt.Input``.

    Whole or not at all: by default fewer than five operators, or one without a converter, leave PyTorch's own code in place with only
    a warning. TF32 rounds float32 to 11 bits, which is no float32. The level of optimization stays TensorRT's own.
    """
    return {
        "arg_inputs": list(inputs),
        "min_block_size": 1,
        "require_full_compilation": True,
        "disable_tf32": precision == "fp32",
        **_cache_arguments(caches),
    }


def _cache_arguments(caches: Caches | None) -> Arguments:
    if caches is None:
        return {}
    timing = {"timing_cache_path": str(caches.timing)}
    if caches.engines is None:
        return timing
    return timing | {
        "immutable_weights": False,  # the cache holds engines without weights; those that cannot change are never cached
        "cache_built_engines": True,
        "reuse_cached_engines": True,
        "engine_cache_dir": str(caches.engines),
    }


def save_arguments(example: Tensor, batches: Batches) -> Arguments:
    """For ``torch_tensorrt.save``, beside the module and its path; ``example`` are pixels on the GPU, (optimum, C, H, W) float32.

    A tensor and not an ``Input``: given both, it warns that it ignores the latter's shapes.
    """
    shapes = None if batches.fixed else ({0: Dim("batch", min=batches.least, max=batches.most)},)
    return {"output_format": "exported_program", "arg_inputs": [example], "dynamic_shapes": shapes}


def load_arguments(path: Path) -> Arguments:
    """For ``torch_tensorrt.load``."""
    return {"file_path": str(path)}
