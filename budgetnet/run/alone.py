"""Train one experiment with one seed."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import replace

import torch

from budgetnet.building import build_model
from budgetnet.data import arrays
from budgetnet.definition import Recipe
from budgetnet.engine.choice import Settings
from budgetnet.engine.loop import Training, train
from budgetnet.results import Result
from budgetnet.run.data import RunData
from budgetnet.run.gates import assert_budget
from budgetnet.run.rehearsal import rehearse
from budgetnet.run.session import Session
from budgetnet.seeds import global_states, restore_global_states


def train_alone(session: Session, data_set: arrays.Arrays, settings: Settings) -> Result:
    """Train the run of ``session`` to its end, from its checkpoint if it has one.

    Raises BudgetExceeded, should the network as it is trained not be the one that was counted, Diverged, EngineError, OSError
    for a full disk.
    """
    experiment, seed = session.experiment, session.seed
    with _own_random_state(settings.device):
        data = RunData(experiment, data_set, seed, torch.device(settings.device))
        model = build_model(experiment, seed)
        counts = assert_budget(experiment, model)
        rehearse(functools.partial(build_model, experiment, seed), data, experiment.recipe.optimizer)
        recipe = _without_idle_capacity(experiment.recipe, data_set)
        training = Training(model, recipe, experiment.data_set.image_shape, seed, _as_begun(settings, session))
        if session.state is not None:
            training.load_state_dict(session.state)
        with session.training(training, data):
            for record in train(training, data, session.until, session.tick):
                session.keep(record, training)
        return session.finish(counts, training, data, data_set)


def _without_idle_capacity(recipe: Recipe, data_set: arrays.Arrays) -> Recipe:
    """The recipe with a batch size of at most the number of images: the kernels allocate memory for whole batches."""
    return replace(recipe, batch_size=min(recipe.batch_size, max(len(data_set.train_labels), len(data_set.test_labels))))


def _as_begun(settings: Settings, session: Session) -> Settings:
    """For a run that was begun, the engine and precision that began it where ``settings`` leave them open: no probe changes them."""
    if session.state is None:
        return settings
    device, engine, precision = session.state["made_by"].split(", ")
    open_engine, open_precision = settings.engine == "auto", settings.precision in ("recipe", "auto")
    fits = device == settings.device and engine != "stacked"
    fits = fits and (open_engine or engine == settings.engine) and (open_precision or precision == settings.precision)
    return replace(settings, engine=engine, precision=precision) if fits else settings  # what does not fit is refused with a message


@contextlib.contextmanager
def _own_random_state(device: str) -> Iterator[None]:
    before = global_states()
    try:
        with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device == "cuda" else []):
            yield
    finally:
        restore_global_states(before)
