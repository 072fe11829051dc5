"""A finished run becomes an artifact: exported, compiled, loaded again, held against the trained network, then written."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from budgetnet.definition import definition_hash
from budgetnet.environment import stamp
from budgetnet.inference import parity
from budgetnet.inference.artifact import SIDECAR, Sidecar, described, replaced
from budgetnet.inference.backends import PREFERENCE, backend
from budgetnet.inference.backends.base import Backend, Request
from budgetnet.inference.contract import Contract, Pixels
from budgetnet.inference.errors import BackendUnavailable, InferenceError, ParityError
from budgetnet.inference.folding import fold_batch_norms
from budgetnet.inference.network import InferenceNetwork
from budgetnet.inference.parity import Reference
from budgetnet.inference.predictor import first_line, guarded
from budgetnet.weights import Trained

AUTO = "auto"


@dataclass(frozen=True)
class Wish:
    """The request: a backend or 'auto', a precision, and for which batch sizes.

    ``batches`` are the sizes to be fast at; the largest is what a program for all sizes is tuned for.
    """

    backend: str = AUTO
    precision: str = "fp32"
    device: str = "cpu"
    batches: tuple[int, ...] = (1, 64)
    max_batch: int = 256
    threads: int = 1


@dataclass(frozen=True)
class Evidence:
    """Data for compiling, read when it is needed: predictions of the trained network on the test set, training images for quantization."""

    reference: Callable[[], Reference]
    calibration: Callable[[], Pixels]


def compile_run(trained: Trained, wish: Wish, evidence: Evidence, root: Path, say: Callable[[str], None]) -> tuple[Path, Sidecar]:
    """The artifact's folder under ``root`` and its sidecar.

    With 'auto' the first backend of the device's order of speed that this machine can really build, load and run, within the bounds of
    its precision; ``say`` is told why others were passed over. Raises BackendUnavailable, ParityError or another InferenceError.
    """
    names = PREFERENCE[wish.device] if wish.backend == AUTO else (wish.backend,)
    refused: list[str] = []
    for name in names:
        chosen = backend(name)
        try:
            lacking = chosen.missing(wish.device, wish.precision)
            if lacking is not None:
                raise BackendUnavailable(lacking)
            return _compile(chosen, trained, wish, evidence, root)
        except InferenceError as error:
            if wish.backend != AUTO:
                raise
            refused.append(f"{name}: {error}")
            say(f"not {name}: {error}")
    raise BackendUnavailable(f"no backend can be compiled for {wish.precision} on {wish.device} here: {'; '.join(refused)}")


def _compile(chosen: Backend, trained: Trained, wish: Wish, evidence: Evidence, root: Path) -> tuple[Path, Sidecar]:
    contract = Contract.of(trained.experiment.data_set, trained.class_names)
    try:
        body, folded = fold_batch_norms(trained.model)
    except Exception as error:  # a user's modules may hold what cannot be copied, such as a lock
        raise InferenceError(f"{trained.experiment.name} cannot be copied ({type(error).__name__}: {first_line(error)})") from error
    request = Request(
        network=lambda precision: InferenceNetwork(copy.deepcopy(body), contract, precision),
        contract=contract, precision=wish.precision, device=wish.device, optimum=max(wish.batches),
        fixed=tuple(sorted(set(wish.batches) - {max(wish.batches)})), max_batch=max(wish.max_batch, *wish.batches),
        calibration=evidence.calibration,
    )  # fmt: skip
    folder = root / trained.experiment.name / f"seed-{trained.seed}" / f"{chosen.name}-{wish.precision}"
    with replaced(folder) as temporary:
        started = time.perf_counter()
        fixed = _built(chosen, request, temporary, trained.experiment.name)
        sidecar = _sidecar(chosen, trained, request, fixed, tuple(folded), time.perf_counter() - started, temporary)
        sidecar = replace(sidecar, parity=_judged(chosen, sidecar, temporary, evidence.reference(), wish.threads).as_json())
        (temporary / SIDECAR).write_text(sidecar.to_json(), encoding="utf-8")
    return folder, sidecar


def _built(chosen: Backend, request: Request, folder: Path, name: str) -> tuple[int, ...]:
    try:
        return chosen.build(request, folder)
    except (InferenceError, OSError):
        raise
    except ImportError as error:
        raise BackendUnavailable(f"{chosen.title} needs {error.name or error}: pip install {error.name or ''}") from error
    except Exception as error:  # every compiler has kinds of its own
        raise InferenceError(f"{chosen.title} cannot compile {name} ({type(error).__name__}: {first_line(error)})") from error


def _judged(chosen: Backend, sidecar: Sidecar, folder: Path, reference: Reference, threads: int) -> parity.Parity:
    session = guarded(lambda: chosen.load(folder, sidecar, threads), f"{chosen.title} cannot load what it compiled")
    try:
        found = parity.compare(session, sidecar.contract, sidecar.max_batch, reference)
    except (RuntimeError, ValueError) as error:
        raise InferenceError(f"{chosen.title} cannot run what it compiled ({type(error).__name__}: {first_line(error)})") from error
    finally:
        session.close()
    objection = parity.verdict(found, sidecar.precision)
    if objection is not None:
        raise ParityError(f"{sidecar.experiment} compiled by {chosen.title} is not what was trained: {objection}; nothing was written")
    return found


def _sidecar(
    chosen: Backend, trained: Trained, request: Request, fixed: tuple[int, ...], folded: tuple[str, ...], seconds: float, folder: Path
) -> Sidecar:
    return Sidecar(
        experiment=trained.experiment.name, seed=trained.seed, definition_hash=definition_hash(trained.experiment),
        weights_hash=trained.digest, parameters=trained.parameters, backend=chosen.name, precision=request.precision,
        device=request.device, optimum_batch=request.optimum, fixed_batches=fixed, max_batch=request.max_batch, contract=request.contract,
        folded=folded, versions=chosen.versions(), machine=chosen.machine(request.device), parity={}, environment=stamp(request.device),
        build_seconds=round(seconds, 3), files=described(folder),
    )  # fmt: skip
