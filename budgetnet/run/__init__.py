"""The one place where definition, model, budget gate, data, engine and result meet."""

from budgetnet.building import build_model
from budgetnet.run.gates import BudgetExceeded, assert_budget, gate
from budgetnet.run.options import Options, resolve_device, target_epochs
from budgetnet.run.runs import run, run_together, trains_together

__all__ = [
    "BudgetExceeded", "Options", "assert_budget", "build_model", "gate", "resolve_device", "run", "run_together", "target_epochs",
    "trains_together",
]  # fmt: skip
