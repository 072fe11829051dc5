"""The network that an experiment describes, and its budget, which is asserted before anything is trained."""

from __future__ import annotations

from torch import nn

from budgetnet import params
from budgetnet.building import build_model, build_without_values
from budgetnet.definition import Experiment


class BudgetExceeded(Exception):
    """The budget gate is shut; the message holds a sentence and the layer table, largest layers first."""


def gate(experiment: Experiment, model: nn.Module | None = None) -> params.GateVerdict:
    """The budget gate's verdict; needs no data. Raises BuildError."""
    return params.check_budget(params.count(model or build_without_values(experiment)), experiment.budget)


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
