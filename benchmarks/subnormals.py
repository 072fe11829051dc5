"""Milliseconds of a training step with and without subnormal numbers flushed to zero, alternating from one trained state.

    python -m benchmarks.subnormals [EXPERIMENT …] [--steps 1500] [--rounds 7] [--json FILE]

Trains first, because subnormal numbers gather in the optimizer's state as gradients fall silent; then every measurement
starts from that state again.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import statistics
import time
from pathlib import Path

import torch

from budgetnet.catalogue import load_default
from budgetnet.data import arrays
from budgetnet.data.resident import Resident
from budgetnet.engine.memory import keep_freed_memory
from budgetnet.engine.paths import EagerPath
from budgetnet.environment import stamp
from budgetnet.run import build_model

EXPERIMENTS = ("mlp-5", "lenet", "explore-separable")
MEASURED_STEPS = 5


class Trained:
    """An experiment after some steps on real images; ``milliseconds`` of a step from there on."""

    def __init__(self, name: str, steps: int) -> None:
        experiment = load_default()[name]
        data, spec, recipe = arrays.load(experiment.data_set), experiment.data_set, experiment.recipe
        self.path = EagerPath(build_model(experiment), recipe, torch.device("cpu"), "fp32")
        resident = Resident(data.train_images, data.train_labels, spec.mean, spec.std)
        generators = torch.Generator().manual_seed(0), torch.Generator().manual_seed(1)
        epochs = (resident.batches(recipe.batch_size, recipe.augmentation, *generators) for _ in itertools.count())
        self.batches = [*itertools.islice(itertools.chain.from_iterable(epochs), steps + MEASURED_STEPS)]
        for batch in self.batches[:steps]:
            self.path.step(*batch)
        self.batches = self.batches[steps:]
        self.state = copy.deepcopy((self.path.model.state_dict(), self.path.optimizer.state_dict()))

    def share(self) -> float:
        """Of the optimizer's numbers, those that are subnormal."""
        state = [value for values in self.path.optimizer.state.values() for value in values.values() if value.dim() > 0]
        smallest = torch.finfo(torch.float32).tiny
        return sum(int(((v != 0) & (v.abs() < smallest)).sum()) for v in state) / sum(value.numel() for value in state)

    def milliseconds(self, flush: bool) -> float:
        self.path.model.load_state_dict(self.state[0])
        self.path.optimizer.load_state_dict(copy.deepcopy(self.state[1]))
        torch.set_flush_denormal(flush)
        times = []
        for batch in self.batches:
            started = time.perf_counter()
            self.path.step(*batch)
            times.append(time.perf_counter() - started)
        torch.set_flush_denormal(False)
        return 1e3 * statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="*", default=EXPERIMENTS)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # the setting is a thread's
    keep_freed_memory()
    print(f"{'':<20}{'subnormal':>11}{'flushed ms':>12}{'as it is ms':>13}{'ratio':>8}")
    entries = {}
    for name in arguments.experiments:
        trained = Trained(name, arguments.steps)
        share = trained.share()
        pairs = [(trained.milliseconds(True), trained.milliseconds(False)) for _ in range(arguments.rounds)]
        flushed, kept = zip(*pairs, strict=True)
        ratio = statistics.median(b / a for a, b in pairs)
        entries[name] = {"subnormal_share": share, "flushed": flushed, "as_it_is": kept, "ratio": ratio}
        print(f"{name:<20}{share:>11.1%}{statistics.median(flushed):>12.1f}{statistics.median(kept):>13.1f}{ratio:>8.2f}", flush=True)
    if arguments.json:
        content = {"steps": arguments.steps, "environment": stamp("cpu"), "experiments": entries}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
