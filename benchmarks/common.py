"""Arguments, environment and data that the benchmarks share. Imports neither torch nor Keras."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from budgetnet.data.files import DataError, find_data, load_files
from budgetnet.definition import Experiment
from budgetnet.environment import stamp

LIBRARIES = (
    *("pillow", "keras", "jax", "jaxlib", "lightning", "litserve"),
    *("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "orjson", "onnxruntime"),
)

# How each library is limited to a smaller instruction set than the processor's; read before it computes anything.
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


def make_parser(description: str | None, rounds: int = 0, seconds: float = 0.0) -> argparse.ArgumentParser:
    """Return a parser with --json, and with --rounds and --seconds where they have defaults."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    if rounds:
        parser.add_argument("--rounds", type=int, default=rounds, help=f"default: {rounds}")
    if seconds:
        help_text = f"length of a turn (default: {seconds:g})"
        parser.add_argument("--seconds", type=float, default=seconds, help=help_text)
    return parser


def add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")


def add_instruction_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--isa",
        choices=sorted(INSTRUCTION_SETS),
        default="native",
        help="limit the kernels and every peer to an instruction set (default: native)",
    )


def add_only(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", nargs="+", metavar="WORD", help="only those whose name contains one of these words")


def chosen(names: Iterable[str], only: Sequence[str] | None) -> list[str]:
    """Return the names that contain one of the words of --only, or all."""
    return [name for name in names if not only or any(word.lower() in name.lower() for word in only)]


def environment(device: str = "cpu") -> dict[str, Any]:
    """Return the hardware and the versions of all libraries, JSON-ready."""
    found = stamp(device)
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def write_json(path: Path | None, content: dict[str, Any], device: str = "cpu") -> None:
    """Write the figures and the environment, if a path is given."""
    if path is not None:
        path.write_text(json.dumps(content | {"environment": environment(device)}, indent=1) + "\n", encoding="utf-8")


def load_data(experiment: Experiment) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any], npt.NDArray[np.uint8], Any]:
    """Return training images (N, C, H, W) and labels, then those of the test set; without data the benchmark ends."""
    try:
        return load_files(experiment.data_set, find_data(experiment.data_set))
    except DataError as error:
        sys.exit(f"benchmark: {error}")


def compile_artifact(name: str, backend: str, precision: str, root: Path, *options: str) -> Path | str:
    """Compile a network into ``root``; return the artifact's folder, or the last line of the error."""
    command = [sys.executable, "-m", "budgetnet", "compile", name, "--backend", backend, "--precision", precision]
    done = subprocess.run([*command, "--out", str(root), *options], capture_output=True, text=True, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no message"])[-1]
    return next(root.glob(f"{name}/seed-*/{backend}-{precision}"))
