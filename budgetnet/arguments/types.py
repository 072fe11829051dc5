"""Values on the command line: what they may be, and the sentence for what they may not."""

from __future__ import annotations

import argparse
import re

# As budgetnet.engine.choice has them, which imports torch; a test holds them together.
ENGINES = (
    "auto", "kernels", "eager", "channels-last", "compiled", "compiled-channels-last", "stacked", "grouped", "vmapped", "branches",
)  # fmt: skip
PRECISIONS = ("recipe", "fp32", "bf16", "auto")
# As budgetnet.inference has them; a test holds these together, too.
BACKENDS = ("auto", "tensorrt", "aoti", "inductor", "eager", "onnx", "openvino")
INFERENCE_PRECISIONS = ("fp32", "fp16", "bf16", "int8")


def parse_seeds(text: str) -> tuple[int, ...]:
    """'0-4', '0,2,5' or '3' as seeds, ascending, each once."""
    seeds: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if match is None or (match[2] is not None and int(match[2]) < int(match[1])):
            raise argparse.ArgumentTypeError(f"{text!r} names no seeds; expected for example 0, 0-4 or 0,2,5")
        if int(match[2] or match[1]) - int(match[1]) >= 10_000:
            raise argparse.ArgumentTypeError(f"{text!r} names more than 10,000 seeds")
        seeds.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return tuple(sorted(seeds))


def positive(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def batch_sizes(text: str) -> tuple[int, ...]:
    """'1,64' as batch sizes, ascending, each once."""
    if not re.fullmatch(r"\s*[1-9]\d*\s*(,\s*[1-9]\d*\s*)*", text):
        raise argparse.ArgumentTypeError(f"{text!r} names no batch sizes; expected for example 64 or 1,64")
    return tuple(sorted({int(part) for part in text.split(",")}))
