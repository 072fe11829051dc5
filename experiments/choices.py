"""The measured comparison behind the values that no source gives: step 6's dropout, the rates of steps 8 and 9.

A catalogue of its own, not part of the shipped one: ``make choices``. Each candidate is judged on 10,000 training
images held out from training; the test set decides nothing. Outcome: docs/log.md.
"""

from dataclasses import replace

from budgetnet.definition import Experiment, Protocol, change, derive

from .progression import STEP_06, STEP_09

HELD_OUT = Protocol(validation="holdout", holdout=10_000)


def candidates(step: Experiment, field: str, values: tuple[float, ...]) -> tuple[Experiment, ...]:
    """``step`` under the hold-out protocol, once for every value of 'dropout' or 'lr'."""
    found = []
    for value in values:
        model = replace(step.model, dropout=value) if field == "dropout" else step.model
        recipe = change(protocol=HELD_OUT, optimizer=change(lr=value)) if field == "lr" else change(protocol=HELD_OUT)
        child = derive(step, f"{step.name}-{field}-{value:g}".replace(".", "p"), model=model, recipe=recipe, aim=None)
        found.append(replace(child, parent=None))  # the step itself is in another catalogue
    return tuple(found)


DROPOUTS = candidates(STEP_06, "dropout", (0.025, 0.05, 0.075))
RATES = candidates(STEP_09, "lr", (0.02, 0.05, 0.1, 0.19))

CATALOGUE = (*DROPOUTS, *RATES)
GROUPS = {"dropout": DROPOUTS, "rates": RATES}
