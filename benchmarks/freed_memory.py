"""Milliseconds of a training step with and without an allocator that keeps freed memory, alternating, one thread.

    python -m benchmarks.freed_memory [--rounds 5] [--json FILE] [EXPERIMENT …]

The setting is the process's, so every measurement has a process of its own: the median of some steps after a warm-up.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from budgetnet.environment import stamp

EXPERIMENTS = ("mlp-5", "lenet", "lenet-augmented", "cnn3-lenet", "explore-separable")
STEPS = 10  # the first third warms up

MEASURE = """
import statistics, sys, time, torch
from budgetnet.catalogue import load_default
from budgetnet.engine.memory import keep_freed_memory
from budgetnet.engine.paths import EagerPath
from budgetnet.run import build_model
name, keep, steps = sys.argv[1], sys.argv[2] == "keep", int(sys.argv[3])
torch.set_num_threads(1)
if keep and not keep_freed_memory():
    sys.exit("this system's allocator cannot be told")
experiment = load_default()[name]
path = EagerPath(build_model(experiment), experiment.recipe, torch.device("cpu"), "fp32")
batch = experiment.recipe.batch_size
images, labels = torch.rand(batch, *experiment.data_set.image_shape), torch.randint(10, (batch,))
times = []
for _ in range(steps):
    started = time.perf_counter()
    path.step(images, labels)
    times.append(time.perf_counter() - started)
print(1e3 * statistics.median(times[len(times) // 3 :]))
"""


def measure(name: str, how: str) -> float:
    """The median milliseconds of a step; exits with the process's own words where it fails."""
    done = subprocess.run([sys.executable, "-c", MEASURE, name, how, str(STEPS)], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"benchmark: {name}: {done.stderr.strip().splitlines()[-1]}")
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="*", default=EXPERIMENTS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    print(f"{'':<20}{'kept ms':>10}{'handed back ms':>16}{'ratio':>8}")
    entries = {}
    for name in arguments.experiments:
        pairs = [(measure(name, "keep"), measure(name, "let")) for _ in range(arguments.rounds)]
        kept, let = zip(*pairs, strict=True)
        ratio = statistics.median(b / a for a, b in pairs)
        entries[name] = {"kept": kept, "handed_back": let, "ratio": ratio}
        print(f"{name:<20}{statistics.median(kept):>10.1f}{statistics.median(let):>16.1f}{ratio:>8.2f}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps({"environment": stamp("cpu"), "experiments": entries}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
