"""The measured comparison behind the values that no source gives: step 6's dropout, the rates of steps 8 and 9.

A catalogue of its own, not part of the shipped one: ``make choices``. Each candidate is judged on 10,000 training
images held out from training; the test set decides nothing. Outcome: docs/log.md.
"""

from dataclasses import replace

from budgetnet.definition import Experiment, Protocol, change, derive

from .progression import STEP_06, STEP_09

HELD_OUT = Protocol(validation="holdout", holdout=10_000)


def held_out(experiment: Experiment) -> Experiment:
    """The experiment under the hold-out protocol, judged against nothing, with no parent in this catalogue."""
    return replace(experiment, recipe=replace(experiment.recipe, protocol=HELD_OUT), parent=None, aim=None)


DROPOUTS = tuple(
    held_out(derive(STEP_06, f"step-06-dropout-{value:g}".replace(".", "p"), model=replace(STEP_06.model, dropout=value)))
    for value in (0.025, 0.05, 0.075)
)
# The rates were compared before the dropout was chosen, with the middle candidate.
RATES = tuple(
    held_out(
        derive(
            STEP_09,
            f"step-09-lr-{value:g}".replace(".", "p"),
            model=replace(STEP_09.model, dropout=0.05),
            recipe=change(optimizer=change(lr=value)),
        )
    )
    for value in (0.02, 0.05, 0.1, 0.19)
)

CATALOGUE = (*DROPOUTS, *RATES)
GROUPS = {"dropout": DROPOUTS, "rates": RATES}
