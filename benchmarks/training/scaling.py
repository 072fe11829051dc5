"""Images per second of step 13 with more seeds at once, larger batches and wider layers.

    python -m benchmarks.training.scaling [--rounds 3] [--seconds 3] [--device cpu|cuda]

On a CPU seeds train in processes that share the cores, on a GPU as one stack; their images are added up.
"""

from __future__ import annotations

from benchmarks import common
from benchmarks.training import contest
from benchmarks.training.contest import Entrant
from benchmarks.training.speed import own_runs
from benchmarks.turns import say
from budgetnet.environment import usable_cores

BATCH_SIZES = (32, 64, 128, 256, 512, 1024)
WIDTHS = (1, 2, 4)
MOST_STACKED = 32  # seeds at once on a GPU


def entrants(device: str, cores: int) -> list[Entrant]:
    """Return seeds, which double up to twice the cores on a CPU, then batch sizes, then widths."""
    found, most = [], max(4, 2 * cores) if device == "cpu" else MOST_STACKED
    for exponent in range(most.bit_length()):
        found.append(own_runs(f"seeds {2**exponent}", contest.experiment(), device, cores, 2**exponent))
    for size in BATCH_SIZES:
        found.append(own_runs(f"batch size {size}", contest.experiment(size), device, cores, 1))
    for factor in WIDTHS:
        found.append(own_runs(f"widths ×{factor}", contest.experiment(widths=factor), device, cores, 1))
    return found


def main() -> None:
    parser = common.make_parser(__doc__, rounds=3, seconds=3)
    common.add_device(parser)
    arguments = parser.parse_args()
    common.load_data(contest.experiment())
    measured = entrants(arguments.device, usable_cores())
    found, left_out = contest.hold(measured, arguments.rounds, arguments.seconds)
    in_order = {entrant.name: found[entrant.name] for entrant in measured if entrant.name in found}
    say(f"\nmedians of {arguments.rounds} rounds; images of all seeds together\n{contest.table(in_order)}")
    common.write_json(arguments.json, {"entries": in_order, "left_out": left_out}, arguments.device)


if __name__ == "__main__":
    main()
