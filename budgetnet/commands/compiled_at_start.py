"""An artifact for weights that have none: compiled once, in a process of its own, and kept in the user's cache.

Torch takes five times as long for a prediction. What is compiled is held against the trained network as ``compile`` does, so it needs the
test set; and it is found by its weights, so that those of another run never pass for it.
"""

from __future__ import annotations

import atexit
import hashlib
import multiprocessing
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from budgetnet import cache
from budgetnet.commands.networks import check_artifact
from budgetnet.data.files import DataError, find_data
from budgetnet.definition import Experiment
from budgetnet.dotted_names import allow_dotted_names, dotted_names
from budgetnet.inference.artifact import Sidecar
from budgetnet.inference.errors import InferenceError
from budgetnet.inference.store import best_artifact

SIZES = (1, 8, 32, 128)  # of batches, as the server warms them

Made = tuple[Path, Sidecar]


@dataclass(frozen=True)
class Order:
    """The network to compile, and the device."""

    experiment: Experiment
    weights: Path
    data_dir: Path | None
    device: str
    threads: int


def made(order: Order, say: Callable[[str], None]) -> Made | None:
    """The artifact's folder and sidecar; None where there can be none, which ``say`` is told with the reason."""
    root = _root(order.weights)
    known = best_artifact(root, order.experiment, order.device, lambda why: None)  # it is made anew
    if known is not None and _fits(known):
        return known
    slower = f"{order.experiment.name} is not compiled for {order.device}"
    try:
        if order.experiment.data_set.format != "digits":  # which need no files
            find_data(order.experiment.data_set, order.data_dir, download=False)
        say(f"compiling {order.experiment.name}, once")
        # in another process, so that torch and the data stay out of the server
        spawned = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, spawned, initializer=allow_dotted_names, initargs=(dotted_names(),)) as elsewhere:
            return elsewhere.submit(_compile, order, root).result()
    except BrokenProcessPool:
        say(f"{slower}: the process that was to compile it died")
    except DataError as error:
        say(f"{slower}: that is checked on the test set, and {error}")
    except (InferenceError, OSError) as error:
        say(f"{slower}: {error}")
    return None


def _root(weights: Path) -> Path:
    """The artifacts' folder for exactly these weights; a temporary one where there is no cache to write to."""
    try:
        root = cache.folder() / "served" / hashlib.sha256(weights.read_bytes()).hexdigest()[:16]
        root.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        root = Path(tempfile.mkdtemp(prefix="budgetnet-served-"))
        atexit.register(shutil.rmtree, root, ignore_errors=True)
    return root


def _fits(known: Made) -> bool:
    try:
        check_artifact(*known)
    except InferenceError:  # of other versions, or damaged
        return False
    return True


def _compile(order: Order, root: Path) -> Made:
    """In the other process."""
    from budgetnet.jobs.workers import end_with_parent

    threading.Thread(target=end_with_parent, daemon=True).start()
    from budgetnet.commands.compiling import evidence
    from budgetnet.data import arrays
    from budgetnet.inference.compilation import Wish, compile_run
    from budgetnet.weights import load_trained

    data = arrays.load(order.experiment.data_set, order.data_dir, download=False)
    trained = load_trained(order.experiment, order.weights)
    wish = Wish(device=order.device, batches=SIZES, threads=order.threads)
    return compile_run(
        trained, wish, evidence(trained, data, order.device), root, lambda line: print(f"budgetnet: {line}", file=sys.stderr, flush=True)
    )
