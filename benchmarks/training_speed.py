"""Training step 13 (batch 64, rotation): ours, the notebook-style loop, PyTorch Lightning, and Keras 3 on JAX and on torch.

    python -m benchmarks.training_speed [--rounds 7] [--seconds 3] [--device cpu|cuda] [--isa native|avx2|sse] [--only WORD …] [--json FILE]

Every entrant has processes of its own and all usable cores, and trains the same network on the same images. They take
turns while all others wait; imports, compilation and first batches are off the clock. Ratios are taken round by round to
the fastest peer, the one with the highest median.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Any

from benchmarks import standing, task
from benchmarks.contest import Entrant, hold
from budgetnet.definition import Experiment
from budgetnet.environment import usable_cores

STACKED = 8  # runs at once on a GPU


def peers(experiment: Experiment, device: str, cores: int) -> list[Entrant]:
    """The other ways to train it; loaders both without and with a worker a core, so that the faster counts."""
    shared = {"experiment": experiment, "device": device, "threads": cores}

    def peer(name: str, factory: str, needs: tuple[str, ...] = (), backend: str | None = None, **more: Any) -> Entrant:
        environment = {"KERAS_BACKEND": backend} if backend else {}
        return _entrant(name, factory, experiment, device, shared | more, needs=needs, environment=environment, peer=True)

    found = []
    for name, factory, needs in (
        ("notebook", "benchmarks.notebook_loop:NotebookTraining", ()),
        ("Lightning", "benchmarks.lightning_loop:LightningTraining", ("lightning",)),
    ):
        found += [peer(f"{name}, {count or 'no'} loader workers", factory, needs, workers=count) for count in (0, cores)]
    for backend, label in (("jax", "JAX"), ("torch", "torch")):
        found.append(peer(f"Keras on {label}", "benchmarks.keras_fit:KerasTraining", ("keras", backend), backend))
    return found


def ours(experiment: Experiment, device: str, cores: int) -> list[Entrant]:
    """One run on all cores, the same on plain torch, and several at once: on a CPU in processes, on a GPU as a stack in one."""
    found = [own_run("ours, plain torch", experiment, device, cores, engine="eager"), own_runs("ours", experiment, device, cores, 1)]
    several = cores if device == "cpu" else STACKED
    return found + ([own_runs(f"ours, {several} runs", experiment, device, cores, several)] if several > 1 else [])


def own_run(name: str, experiment: Experiment, device: str, threads: int, processes: int = 1, engine: str = "auto") -> Entrant:
    """A run of ours by itself in each process."""
    arguments = {"experiment": experiment, "device": device, "threads": threads, "engine": engine}
    return _entrant(name, "benchmarks.ours:OwnTraining", experiment, device, arguments, processes=processes)


def own_runs(name: str, experiment: Experiment, device: str, cores: int, runs: int) -> Entrant:
    """So many runs of ours at once, as the command line trains them on that device."""
    if device == "cpu":
        return own_run(name, experiment, device, max(1, cores // runs), processes=runs)
    return _entrant(
        name, "benchmarks.ours:OwnStack", experiment, device, {"experiment": experiment, "device": device, "threads": cores, "runs": runs}
    )


def _entrant(
    name: str, factory: str, experiment: Experiment, device: str, arguments: dict[str, Any], environment: dict[str, str] | None = None,
    **more: Any,
) -> Entrant:  # fmt: skip
    # a library that sees a GPU would take it; JAX would take most of its memory, and others wait in theirs
    hidden = {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"} if device == "cpu" else {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.3"}
    return Entrant(
        name, factory, arguments, batch_size=experiment.recipe.batch_size, parameters=experiment.budget.exact,
        environment=hidden | (environment or {}), **more,
    )  # fmt: skip


def main() -> None:
    parser = task.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a turn (default: 3), at most an epoch")
    task.add_instruction_set(parser)
    parser.add_argument("--only", nargs="+", metavar="WORD", help="only entrants whose name holds one of these words")
    arguments = parser.parse_args()
    task.require_data()
    experiment, cores = task.experiment(), usable_cores()
    entrants = [*peers(experiment, arguments.device, cores), *ours(experiment, arguments.device, cores)]
    entrants = [replace(entrant, environment={**entrant.environment, **task.INSTRUCTION_SETS[arguments.isa]}) for entrant in entrants]
    if arguments.only:
        entrants = [entrant for entrant in entrants if any(word.lower() in entrant.name.lower() for word in arguments.only)]
    found = {"experiment": experiment.name, "device": arguments.device, "instruction_set": arguments.isa}
    found["environment"] = task.environment(arguments.device)
    print("  ".join(f"{key} {value}" for key, value in found["environment"].items()), flush=True)
    records, left_out = hold(entrants, arguments.rounds, arguments.seconds, lambda line: print(line, flush=True))
    if not records:
        sys.exit("benchmark: no entrant trained")
    found |= {"rounds": arguments.rounds, "turn_seconds": arguments.seconds} | standing.content(records, left_out)
    print(f"\nmedians of {arguments.rounds} rounds; ratio to {found['fastest_peer'] or 'no peer'}; an epoch is {standing.EPOCH:,} images")
    print(standing.table(found))
    for name, reason in left_out.items():
        print(f"left out: {name}: {reason}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
