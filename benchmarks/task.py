"""Data and recipe of all entrants; imports neither torch nor Keras, so that memory is each entrant's own."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from budgetnet.catalogue import load_default
from budgetnet.data.files import DataError, find_data, load_files
from budgetnet.definition import SGD, Budget, Experiment
from budgetnet.environment import stamp

EXPERIMENT = "step-13"
LIBRARIES = ("pillow", "keras", "jax", "jaxlib", "lightning", "matplotlib")


def experiment(batch_size: int | None = None, widths: int = 1) -> Experiment:
    """Step 13, on request with another batch size or with every layer ``widths`` times as wide, which no budget binds."""
    found = load_default()[EXPERIMENT]
    if widths != 1:
        found = replace(found, model=replace(found.model, widths=tuple(widths * width for width in found.model.widths)), budget=Budget())
    return replace(found, recipe=replace(found.recipe, batch_size=batch_size or found.recipe.batch_size))


def training_images(experiment: Experiment) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """All training images, (N, C, H, W), and their labels, (N,). Raises DataError."""
    images, labels, *_ = load_files(experiment.data_set, find_data(experiment.data_set))
    return images.copy(), labels.astype(np.int64)


def sgd(experiment: Experiment) -> SGD:
    """The optimizer, which the peers know as SGD with momentum only."""
    optimizer = experiment.recipe.optimizer
    if not isinstance(optimizer, SGD):
        raise TypeError(f"the peers train with SGD, not with {optimizer!r}")
    return optimizer


def environment(device: str) -> dict[str, Any]:
    """Versions of every library, and the hardware; JSON-ready."""
    found = stamp(device)
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def require_data() -> None:
    """Fetch the data if need be, once and before any entrant starts; without it a benchmark ends here, with a sentence."""
    try:
        training_images(experiment())
    except DataError as error:
        sys.exit(f"benchmark: {error}")


def parser(description: str | None) -> argparse.ArgumentParser:
    """Add the arguments of all training benchmarks."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    made.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return made


# What holds each library to a smaller instruction set than the processor has; they read it before they compute anything.
INSTRUCTION_SETS: dict[str, dict[str, str]] = {
    "native": {},
    "avx2": {
        "BUDGETNET_MARCH": "haswell",
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
    },
    "sse": {
        "BUDGETNET_MARCH": "x86-64",
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2",
    },
}


def add_instruction_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--isa",
        choices=sorted(INSTRUCTION_SETS),
        default="native",
        help="hold the kernels and every peer to an instruction set (default: native)",
    )
