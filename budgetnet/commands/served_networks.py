"""Models for the server: the network of an experiment, compiled if possible, its facts, and its test set."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from budgetnet.commands import compiled_at_start, weight_origins
from budgetnet.commands.networks import artifact_for, check_artifact, weights_for
from budgetnet.commands.weight_origins import Origin
from budgetnet.data.files import DataError, as_specified, find_data, read_verified
from budgetnet.data.idx import IdxError, parse_idx
from budgetnet.definition import DataFile, DataSet, Experiment
from budgetnet.inference.artifact import Sidecar
from budgetnet.inference.errors import InferenceError
from budgetnet.inference.predictor import Predictor
from budgetnet.serve.models import Facts, Offer, TestSet

Say = Callable[[str], None]


def offer(experiment: Experiment, arguments: Namespace, device: str, say: Say) -> Offer:
    """Return the model of an experiment: its artifact, or the user's own weights, or the committed ones.

    ``say`` is told what is done for it. Raises WeightsError with the command that makes weights where there are none, ResultError,
    or InferenceError.
    """
    tests = partial(test_set, experiment.data_set, arguments.data)
    devices = dict.fromkeys((device, "cpu"))

    def passed_over(why: str) -> None:
        say(f"{why}; going on without it")

    for found in filter(None, (artifact_for(experiment, arguments, passed_over, one) for one in devices)):
        try:
            check_artifact(*found)
        except InferenceError as error:
            passed_over(str(error))
        else:
            return _compiled(experiment, *found, weight_origins.of_artifact(*found, experiment, arguments), arguments.threads, tests)
    weights = weights_for(experiment, arguments)
    origin, weights = weight_origins.of_weights(weights, arguments), weights.resolve()
    orders = (compiled_at_start.Order(experiment, weights, arguments.data, one, arguments.threads) for one in devices)
    made = () if arguments.no_compile else filter(None, (compiled_at_start.made(order, say) for order in orders))
    for found in made:
        return _compiled(experiment, *found, origin, arguments.threads, tests)
    say(f"{experiment.name} is served by torch, which takes about five times as long")
    return _plain(experiment, weights, origin, arguments.threads, tests)


def _compiled(experiment: Experiment, folder: Path, sidecar: Sidecar, origin: Origin, threads: int, tests: Callable[[], TestSet]) -> Offer:
    facts = _facts(experiment, sidecar.parameters, float(sidecar.parity["accuracy"]), sidecar.seed, origin)
    return Offer(facts, partial(Predictor.load, folder.resolve(), threads), tests)


def _plain(experiment: Experiment, weights: Path, origin: Origin, threads: int, tests: Callable[[], TestSet]) -> Offer:
    from budgetnet.weights import load_trained

    trained = load_trained(experiment, weights)
    facts = _facts(experiment, trained.parameters, origin.accuracy, trained.seed, origin)
    return Offer(facts, partial(trained_predictor, experiment, weights, threads), tests)


def trained_predictor(experiment: Experiment, weights: Path, threads: int) -> Predictor:
    """The trained network as torch runs it."""
    from budgetnet.weights import load_trained

    return Predictor.of(load_trained(experiment, weights), threads)


def _facts(experiment: Experiment, parameters: int, accuracy: float | None, seed: int, origin: Origin) -> Facts:
    bound = experiment.budget.bound
    return Facts(
        name=experiment.name,
        title=experiment.notes or experiment.source or experiment.name,
        parameters=parameters,
        budget=bound,
        budget_text=f"{parameters:,} of at most {bound:,} parameters" if bound else f"{parameters:,} parameters, without a budget",
        accuracy=None if accuracy is None else round(accuracy, 4),
        seed=seed,
        source=origin.text,
        own=origin.own,
    )


def test_set(data_set: DataSet, directory: Path | None) -> TestSet:
    """The images and labels of a data set's test set. Raises LookupError with a sentence where it is not there."""
    try:
        if data_set.format == "idx":  # without torch, and without the training images
            folder = find_data(data_set, directory, download=False) / data_set.folder
            images, labels = (_read(folder, file) for file in data_set.files[2:])
            return as_specified(data_set, images, labels, *(folder / file.name for file in data_set.files[2:]))
        from budgetnet.data import arrays

        loaded = arrays.load(data_set, directory, download=False)
        return loaded.test_images.numpy(), loaded.test_labels.numpy()
    except (DataError, IdxError, ValueError) as error:
        raise LookupError(f"there is no gallery without the test set: {error}") from error


def _read(folder: Path, file: DataFile) -> npt.NDArray[np.uint8]:
    plain = folder / file.name
    return parse_idx(read_verified(plain if plain.exists() else folder / f"{file.name}.gz", file.sha256))
