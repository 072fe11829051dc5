"""Arguments of the commands that predict: ``compile`` and ``predict``."""

from __future__ import annotations

import argparse
from pathlib import Path

from budgetnet.arguments.common import Subparsers, add_command
from budgetnet.arguments.types import BACKENDS, INFERENCE_PRECISIONS, batch_sizes, positive

ARTIFACTS = Path("compiled")


def add_compile(commands: Subparsers) -> argparse.ArgumentParser:
    parser = add_command(
        commands, "compile", "compile a finished run for inference and hold it against the trained network",
        "  budgetnet compile step-13\n  budgetnet compile step-13 --backend openvino --precision bf16\n"
        "  budgetnet compile step-13 --backend tensorrt --precision fp16 --batch 1,64 --max-batch 1024",
    )  # fmt: skip
    parser.add_argument("names", nargs="+", metavar="EXPERIMENT", help="experiments, or 'all', or a group")
    parser.add_argument("--seed", type=int, help="which run's weights (default: the first there are)")
    parser.add_argument("--backend", choices=BACKENDS, default="auto", help="what runs it (default: auto, the fastest that works here)")
    parser.add_argument("--precision", choices=INFERENCE_PRECISIONS, default="fp32", help="what it computes in (default: fp32)")
    parser.add_argument(
        "--batch", type=batch_sizes, default=(1, 64), metavar="SIZES", help="batch sizes to be fast at (default: 1,64); any other works"
    )
    parser.add_argument("--max-batch", type=positive, default=256, metavar="N", help="images computed at once, at most (default: 256)")
    _add_where(parser)
    return parser


def add_predict(commands: Subparsers) -> argparse.ArgumentParser:
    parser = add_command(
        commands, "predict", "say which digits pictures show",
        "  budgetnet predict photo.jpg scan.png\n  budgetnet predict --model step-09 t10k-images-idx3-ubyte.gz\n"
        "  budgetnet predict --artifact compiled/step-13/seed-0/onnx-fp32 digits.npy --json",
    )  # fmt: skip
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="pictures (PNG, JPEG, …), or arrays of images (IDX, NPY); - is standard input"
    )
    parser.add_argument("--model", default="step-13", metavar="EXPERIMENT", help="whose network predicts (default: step-13)")
    parser.add_argument("--seed", type=int, help="which run's weights (default: the first there are)")
    parser.add_argument("--artifact", type=Path, metavar="DIR", help="a compiled artifact's folder, instead of looking for one")
    parser.add_argument("--save-seen", type=Path, metavar="FILE.png", help="also draw what the network saw of every picture")
    parser.add_argument(
        "--scale", type=int, choices=(1, 255), help="what white is in arrays (default: 255 of whole numbers, 1 of floats)"
    )
    parser.add_argument("--json", action="store_true", help="machine-readable output, with all probabilities")
    _add_where(parser)
    return parser


def _add_where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=ARTIFACTS, metavar="DIR", help="the folder of compiled artifacts (default: compiled)")
    parser.add_argument("--threads", type=positive, default=1, metavar="N", help="CPU threads of a batch (default: 1)")
