"""Milliseconds of the depthwise layers of explore-separable: ours against torch.nn.Conv2d(groups=…), alternating.

    python -m benchmarks.depthwise [--rounds 15] [--batch 32] [--threads N] [--device cpu|cuda] [--json FILE]

Forward and backward of the 28×28 kernel on one channel and of the two 14×14 kernels on 32 channels, on 28×28 pixels.
Both are checked to give the same outputs and gradients first. Ratios are taken round by round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from budgetnet.engine.memory import keep_freed_memory
from budgetnet.environment import stamp, usable_cores
from budgetnet.layers.depthwise import same_padding
from budgetnet.layers.keras import DepthwiseConv2d

# name -> (channels, kernel, layers of this kind in the network, whether the input needs a gradient)
LAYERS = {"28×28, 1 channel": (1, 28, 1, False), "14×14, 32 channels": (32, 14, 2, True)}


def torch_layer(channels: int, kernel: int) -> nn.Module:
    """The layer as one writes it in torch: zero padding, one more behind, then a grouped convolution."""
    before, after = same_padding(kernel)
    return nn.Sequential(nn.ZeroPad2d((before, after, before, after)), nn.Conv2d(channels, channels, kernel, groups=channels, bias=False))


def one_pass(layer: nn.Module, images: Tensor, gradient: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Output and gradients, of the weight and, where it needs one, of the images."""
    output = layer(images)
    wanted = [*layer.parameters(), *([images] if images.requires_grad else [])]
    return output.detach(), list(torch.autograd.grad(output, wanted, gradient))


def relative_difference(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def milliseconds(work: Callable[[], object], device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - started)


def compare(channels: int, kernel: int, needs_input_gradient: bool, batch: int, rounds: int, device: str) -> dict[str, object]:
    """Times of one kind of layer in milliseconds, round by round, and how far the results are apart."""
    torch.manual_seed(0)
    images = torch.randn(batch, channels, 28, 28, device=device, requires_grad=needs_input_gradient)
    gradient = torch.randn(batch, channels, 28, 28, device=device)
    ours, theirs = DepthwiseConv2d(channels, kernel).to(device), torch_layer(channels, kernel).to(device)
    with torch.no_grad():
        ours.weight.copy_(next(theirs.parameters()))
    (output, gradients), (expected, wanted) = one_pass(ours, images, gradient), one_pass(theirs, images, gradient)
    times: dict[str, list[float]] = {"ours": [], "torch": []}
    for number in range(rounds + 1):  # the first is a warm-up
        for name, layer in (("ours", ours), ("torch", theirs)):
            passed = milliseconds(lambda layer=layer: one_pass(layer, images, gradient), device)  # type: ignore[misc]
            if number:
                times[name].append(passed)
    return {
        **times, "ratio": statistics.median(b / a for a, b in zip(times["ours"], times["torch"], strict=True)),
        "largest_difference": float((output - expected).abs().max()),
        "largest_relative_gradient_difference": max(map(relative_difference, gradients, wanted)),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()  # for both: what is compared is the arithmetic
    print(f"forward and backward, batch {arguments.batch}, {arguments.device}, {arguments.threads} threads; medians of {arguments.rounds}")
    print(f"{'':<22}{'ours ms':>10}{'torch ms':>10}{'ratio':>8}{'output off by':>16}{'gradients by':>14}")
    entries, totals = {}, {"ours": [0.0] * arguments.rounds, "torch": [0.0] * arguments.rounds}
    for name, (channels, kernel, count, needs_input_gradient) in LAYERS.items():
        found = compare(channels, kernel, needs_input_gradient, arguments.batch, arguments.rounds, arguments.device)
        entries[name] = found
        ours, theirs = found["ours"], found["torch"]
        assert isinstance(ours, list)
        assert isinstance(theirs, list)
        for side, values in (("ours", ours), ("torch", theirs)):
            totals[side] = [total + count * value for total, value in zip(totals[side], values, strict=True)]
        print(
            f"{name:<22}{statistics.median(ours):>10.2f}{statistics.median(theirs):>10.2f}{found['ratio']:>8.1f}"
            f"{found['largest_difference']:>16.1e}{found['largest_relative_gradient_difference']:>14.1e}"
        )
    ratio = statistics.median(b / a for a, b in zip(totals["ours"], totals["torch"], strict=True))
    print(f"{'the three layers':<22}{statistics.median(totals['ours']):>10.2f}{statistics.median(totals['torch']):>10.2f}{ratio:>8.1f}")
    if arguments.json:
        content = {
            "batch": arguments.batch, "threads": arguments.threads, "device": arguments.device, "environment": stamp(arguments.device),
            "layers": entries, "ratio": ratio,
        }  # fmt: skip
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
