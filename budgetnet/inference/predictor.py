"""Images in, digits and probabilities out, whatever computes them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from budgetnet.inference.artifact import Sidecar, read_sidecar, verify_files
from budgetnet.inference.backends import MODULES, backend
from budgetnet.inference.backends.base import Logits, Session, check_machine
from budgetnet.inference.contract import Contract
from budgetnet.inference.errors import ArtifactError, BackendUnavailable, InferenceError

if TYPE_CHECKING:
    from budgetnet.weights import Trained


@dataclass(frozen=True, eq=False)
class Prediction:
    """``digits`` (N,) int64, the most probable classes, and ``probabilities`` (N, classes) float32, which sum to 1."""

    digits: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]


class Predictor:
    """A network that is ready to predict; several threads may use one.

    >>> predictor = Predictor.load("compiled/step-13/seed-0/onnx-fp32")  # doctest: +SKIP
    >>> predictor.predict(images).digits  # doctest: +SKIP

    ``max_batch`` bounds what is computed at once, not what may be asked for: more images are split.
    """

    def __init__(self, session: Session, contract: Contract, max_batch: int, sidecar: Sidecar | None = None) -> None:
        self.contract, self.max_batch, self.sidecar = contract, max_batch, sidecar
        self._session = session
        self._closed = False
        self._turn: contextlib.AbstractContextManager[Any] = contextlib.nullcontext() if session.concurrent else threading.Lock()

    @classmethod
    def load(cls, folder: str | Path, threads: int = 1) -> Predictor:
        """The predictor of an artifact; ``threads`` are those of the CPU that a batch may use.

        Raises ArtifactError where the artifact is damaged or does not fit this machine or its packages, BackendUnavailable where
        its backend cannot run here.
        """
        folder = Path(folder)
        sidecar = read_sidecar(folder)
        if sidecar.backend not in MODULES:
            raise ArtifactError(f"{folder} is of the backend {sidecar.backend!r}; this version of budgetnet knows {', '.join(MODULES)}")
        verify_files(folder, sidecar)
        return cls(open_session(folder, sidecar, threads), sidecar.contract, sidecar.max_batch, sidecar)

    @classmethod
    def of(cls, trained: Trained, threads: int = 1, max_batch: int = 256) -> Predictor:
        """The trained network itself, run by torch on the CPU without compiling anything."""
        from budgetnet.inference.backends.torch_programs import TorchSession
        from budgetnet.inference.network import InferenceNetwork

        contract = Contract.of(trained.experiment.data_set, trained.class_names)
        return cls(TorchSession(InferenceNetwork(trained.model, contract), threads), contract, max_batch)

    def predict(self, images: Any) -> Prediction:
        """Digits and probabilities of ``images``: whole numbers from 0 to 255 or floats from 0 to 1, (N, H, W) or (N, C, H, W), N >= 1.

        Raises InputError for anything else, InferenceError where the predictor is closed.
        """
        logits = self.logits(images)
        raised = np.exp(logits - logits.max(1, keepdims=True))
        return Prediction(logits.argmax(1), raised / raised.sum(1, keepdims=True))

    def logits(self, images: Any) -> Logits:
        """The network's output before softmax, (N, classes) float32. Raises InputError and InferenceError as ``predict`` does."""
        if self._closed:
            raise InferenceError("the predictor is closed and cannot predict any more; load another one, and close it after its last use")
        array = self.contract.checked(images)
        parts = [self._run(array[start : start + self.max_batch]) for start in range(0, len(array), self.max_batch)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def close(self) -> None:
        """Free what the session holds; the predictor cannot be used afterwards."""
        self._closed = True
        self._session.close()

    def _run(self, images: npt.NDArray[Any]) -> Logits:
        pixels = self.contract.pixels(images)
        with self._turn:
            return self._session(pixels)


def open_session(folder: Path, sidecar: Sidecar, threads: int) -> Session:
    """The session of a verified artifact, if this machine can run it."""
    made = backend(sidecar.backend)
    lacking = made.missing(sidecar.device, sidecar.precision)
    if lacking is not None:
        raise BackendUnavailable(f"{folder} cannot be run here: {lacking}")
    check_machine(made, sidecar)
    return guarded(lambda: made.load(folder, sidecar, threads), f"{folder} cannot be loaded by {made.title}; compile it again")


def guarded(action: Callable[[], Session], sentence: str) -> Session:
    """``action``, with whatever a library raises told as an ArtifactError."""
    try:
        return action()
    except InferenceError:
        raise
    except Exception as error:  # every library has kinds of its own
        raise ArtifactError(f"{sentence} ({type(error).__name__}: {first_line(error)})") from error


def first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
