"""Training step 13 (batch 64, rotation): budgetnet, a notebook's loop, PyTorch Lightning, and Keras 3 on JAX and torch.

    python -m benchmarks.training.speed [--rounds 7] [--seconds 3] [--isa native|avx2|sse] [--only WORD …]

Every entrant has processes of its own and all usable cores, and trains the same network on the same images, in turns.
Imports, compilation and first batches are not measured. Ratios are taken round by round to the fastest peer.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from benchmarks import common
from benchmarks.training import contest
from benchmarks.training.contest import Entrant
from benchmarks.turns import say
from budgetnet.definition import Experiment
from budgetnet.environment import usable_cores

STACKED = 8  # runs at once on a GPU


def hidden(device: str) -> dict[str, str]:
    """Return the environment that keeps a library off a GPU it must not use, or JAX from taking most of its memory."""
    if device == "cpu":
        return {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    return {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.3"}


def peers(experiment: Experiment, device: str, cores: int) -> list[Entrant]:
    """Return the other ways to train it; data loaders without and with a worker a core, so that the faster counts."""
    shared: dict[str, Any] = {"device": device, "threads": cores}

    def peer(name: str, factory: str, needs: tuple[str, ...] = (), keras: str = "", **more: Any) -> Entrant:
        variables = hidden(device) | ({"KERAS_BACKEND": keras} if keras else {})
        factory = f"benchmarks.training.{factory}"
        return Entrant(name, factory, experiment, shared | more, peer=True, needs=needs, environment=variables)

    found = []
    for workers in (0, cores):
        loader = f"{workers or 'no'} loader workers"
        found.append(peer(f"notebook, {loader}", "notebook_loop:NotebookTraining", workers=workers))
        found.append(peer(f"Lightning, {loader}", "lightning_loop:LightningTraining", ("lightning",), workers=workers))
    for backend, label in (("jax", "JAX"), ("torch", "torch")):
        found.append(peer(f"Keras on {label}", "keras_fit:KerasTraining", ("keras", backend), backend))
    return found


def ours(experiment: Experiment, device: str, cores: int) -> list[Entrant]:
    """Return one run on all cores, the same on plain torch, and several runs at once."""
    several = cores if device == "cpu" else STACKED
    found = [own_runs("ours, plain torch", experiment, device, cores, 1, "eager")]
    found.append(own_runs("ours", experiment, device, cores, 1))
    return found + ([own_runs(f"ours, {several} runs", experiment, device, cores, several)] if several > 1 else [])


def own_runs(name: str, experiment: Experiment, device: str, cores: int, runs: int, engine: str = "auto") -> Entrant:
    """Return ``runs`` runs at once as the command line trains them: on a CPU in processes, on a GPU as one stack."""
    factory, processes = "benchmarks.training.ours:OwnTraining", 1
    arguments: dict[str, Any] = {"device": device, "threads": cores, "engine": engine}
    if device == "cpu":
        processes = runs
        arguments["threads"] = max(1, cores // runs)
    elif runs > 1:
        factory = "benchmarks.training.ours:OwnStack"
        arguments["runs"] = runs
    return Entrant(name, factory, experiment, arguments, environment=hidden(device), processes=processes)


def main() -> None:
    parser = common.make_parser(__doc__, rounds=7, seconds=3)
    common.add_device(parser)
    common.add_instruction_set(parser)
    common.add_only(parser)
    arguments = parser.parse_args()
    experiment, cores = contest.experiment(), usable_cores()
    common.load_data(experiment)  # downloads once, before any entrant starts
    limited = common.INSTRUCTION_SETS[arguments.isa]
    entrants = [*peers(experiment, arguments.device, cores), *ours(experiment, arguments.device, cores)]
    names = common.chosen([entrant.name for entrant in entrants], arguments.only)
    entrants = [replace(one, environment={**one.environment, **limited}) for one in entrants if one.name in names]
    say("  ".join(f"{key} {value}" for key, value in common.environment(arguments.device).items()))
    found, left_out = contest.hold(entrants, arguments.rounds, arguments.seconds)
    if not found:
        sys.exit("benchmark: no entrant trained")
    say(f"\nmedians of {arguments.rounds} rounds; ratios to the fastest peer; an epoch is {contest.EPOCH:,} images")
    say(contest.table(found))
    for name, reason in left_out.items():
        say(f"left out: {name}: {reason}")
    content = {"device": arguments.device, "instruction_set": arguments.isa, "turn_seconds": arguments.seconds}
    common.write_json(arguments.json, content | {"entries": found, "left_out": left_out}, arguments.device)


if __name__ == "__main__":
    main()
