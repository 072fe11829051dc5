"""``compile``: finished runs to artifacts that were held against the trained network."""

from __future__ import annotations

import functools
from argparse import Namespace
from pathlib import Path

from budgetnet.building import BuildError
from budgetnet.catalogue import Catalogue
from budgetnet.cli import DATA, OK, OTHER, complain
from budgetnet.commands.networks import weights_for
from budgetnet.data import arrays
from budgetnet.data.files import DataError
from budgetnet.definition import Experiment
from budgetnet.engine.choice import EngineError
from budgetnet.inference import parity
from budgetnet.inference.artifact import Sidecar
from budgetnet.inference.backends import backend
from budgetnet.inference.compilation import AUTO, Evidence, Wish, compile_run
from budgetnet.inference.contract import Contract
from budgetnet.inference.errors import InferenceError
from budgetnet.results import ResultError
from budgetnet.run import resolve_device
from budgetnet.weights import Trained, WeightsError, load_trained

CALIBRATION_IMAGES = 1000


def compile_runs(arguments: Namespace, catalogue: Catalogue) -> int:
    """Compile every experiment asked for; one that cannot be does not keep the others from it."""
    status = OK
    for experiment in catalogue.select(arguments.names):
        try:
            trained, folder, sidecar = _compile(experiment, arguments)
        except (WeightsError, EngineError, ResultError, InferenceError) as error:
            status = complain(f"{experiment.name}: {error}", OTHER)
        except BuildError as error:
            status = complain(error, OTHER)
        except DataError as error:
            return complain(error, DATA)
        else:
            print(f"{experiment.name}, seed {trained.seed}, {trained.parameters:,} parameters, weights of {trained.weights}")
            print(_text(sidecar))
            print(f"  written to {folder}\n", flush=True)
    return status


def _compile(experiment: Experiment, arguments: Namespace) -> tuple[Trained, Path, Sidecar]:
    wish = Wish(arguments.backend, arguments.precision, _device(arguments), arguments.batch, arguments.max_batch, arguments.threads)
    trained = load_trained(experiment, weights_for(experiment, arguments))
    found = evidence(trained, arrays.load(experiment.data_set, arguments.data), wish.device)
    folder, sidecar = compile_run(trained, wish, found, arguments.out, lambda line: print(f"  {line}", flush=True))
    return trained, folder, sidecar


def evidence(trained: Trained, data: arrays.Arrays, device: str) -> Evidence:
    """Return the data that an artifact is verified with, and for quantization training images, spread evenly."""
    contract = Contract.of(trained.experiment.data_set)
    step = max(1, len(data.train_images) // CALIBRATION_IMAGES)

    @functools.cache
    def reference() -> parity.Reference:
        return parity.reference(trained.model, contract, data.test_images.numpy(), data.test_labels.numpy(), device)

    return Evidence(reference, lambda: contract.pixels(data.train_images[::step][:CALIBRATION_IMAGES].numpy()))


def _device(arguments: Namespace) -> str:
    """The device asked for; 'auto' is one that the backend runs on."""
    if arguments.device == "auto" and arguments.backend != AUTO:
        offered = backend(arguments.backend).precisions
        if resolve_device("auto") not in offered:
            return next(iter(offered))
    return resolve_device(arguments.device)


def _text(sidecar: Sidecar) -> str:
    found = parity.Parity(**sidecar.parity)
    folded = f"; folded: {', '.join(sidecar.folded)}" if sidecar.folded else ""
    return (
        f"  {sidecar.backend} {sidecar.precision} on {sidecar.device}: {sidecar.bytes / 1000:,.0f} kB, "
        f"built in {sidecar.build_seconds:.1f} s; batches of 1 to {sidecar.max_batch}{folded}\n  {found.text}"
    )
