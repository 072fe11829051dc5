"""The network that an experiment describes, and its budget, which is asserted before anything is trained."""

from __future__ import annotations

import torch
from torch import nn

from budgetnet import building, params
from budgetnet.definition import Experiment
from budgetnet.engine.loop import stream_seed


class BudgetExceeded(Exception):
    """The budget gate is shut; the message holds a sentence and the layer table, largest layers first."""


def build_model(experiment: Experiment, seed: int = 0) -> nn.Module:
    """The network as the seed initializes it, on the CPU; torch's own random state is left as it was. Raises BuildError."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "initialization"))
        return building.build(experiment)


def gate(experiment: Experiment, model: nn.Module | None = None) -> params.GateVerdict:
    """The budget gate's verdict; needs no data. Raises BuildError."""
    return params.check_budget(params.count(model or building.build_without_values(experiment)), experiment.budget)


def assert_budget(experiment: Experiment, model: nn.Module | None = None) -> params.Counts:
    """The counts; raises BudgetExceeded, with the layer table, unless the budget is kept."""
    verdict = gate(experiment, model)
    if verdict.passed:
        return verdict.counts
    try:
        table = params.layer_table(model or build_model(experiment), experiment.data_set.image_shape).text(largest_first=True)
    except params.LayerTableUnavailable as error:
        table = str(error)
    raise BudgetExceeded(
        f"{experiment.name} has {verdict.sentence}; nothing was trained. Change the network, or the budget if it is wrong.\n{table}"
    )
