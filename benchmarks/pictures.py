"""Accuracy on photograph-like pictures: every test digit once, disturbed at random, brought to the data set's form as ``predict`` does.

    python -m benchmarks.pictures [step-13 …] [--every 1] [--seed 0] [--json FILE]

The pictures are those of the tests: 84 to 420 pixels large on a canvas of their own, rotated, inverted, coloured, noisy, speckled, shaded,
compressed, each with a probability of one half. The same digits as the data set has them stand beside it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from benchmarks import task
from budgetnet.catalogue import load_default
from budgetnet.commands.reporting import result_roots
from budgetnet.data.files import find_data, load_files
from budgetnet.definition import Experiment
from budgetnet.inference.digit_form import mnist_form
from budgetnet.inference.predictor import Predictor
from budgetnet.report.text import aligned
from budgetnet.weights import Trained, WeightsError, find_weights, load_trained
from tests.photographs import KINDS, photograph


def forms(images: npt.NDArray[np.uint8], seed: int) -> tuple[npt.NDArray[np.uint8], list[frozenset[str]]]:
    """Of every (28, 28) image what a network sees of its picture, (N, 28, 28), and the picture's disturbances."""
    rng = np.random.default_rng(seed)
    found, kinds = [], []
    for image in tqdm(images, unit="picture", leave=False):
        picture, disturbed = photograph(image, rng)
        found.append(mnist_form(picture))
        kinds.append(disturbed)
    return np.stack(found), kinds


def accuracies(right: npt.NDArray[np.bool_], undisturbed: npt.NDArray[np.bool_], kinds: Sequence[frozenset[str]]) -> dict[str, Any]:
    """Percent and counts: of the images as they are, of all pictures, of those with each disturbance, with none, and with five or more."""
    groups = {kind: np.array([kind in one for one in kinds]) for kind in KINDS}
    many = np.array([len(one) for one in kinds])
    groups |= {"none of them": many == 0, "five or more": many >= 5}
    found = {"as the data set has them": undisturbed, "all pictures": right} | {name: right[those] for name, those in groups.items()}
    return {
        name: {"pictures": len(own), "right": int(own.sum()), "percent": 100 * float(own.mean())} for name, own in found.items() if len(own)
    }


def judge(trained: Trained, images: npt.NDArray[np.uint8], seen: npt.NDArray[np.uint8], labels: npt.NDArray[Any], kinds: Any) -> Any:
    predictor = Predictor.of(trained)
    own = accuracies(predictor.predict(seen).digits == labels, predictor.predict(images).digits == labels, kinds)
    print(f"\n{trained.experiment.name}, {trained.weights}")
    rows: list[tuple[Any, ...]] = [("", "pictures", "right", "%")]
    rows += [(name, f"{row['pictures']:,}", f"{row['right']:,}", f"{row['percent']:.2f}") for name, row in own.items()]
    print(aligned(rows, right={1, 2, 3}), flush=True)
    return {"weights": str(trained.weights), "accuracies": own}


def networks(experiments: Sequence[Experiment]) -> list[Trained]:
    """One's own runs first, then the committed ones; an experiment that has neither ends the benchmark before it begins."""
    try:
        return [load_trained(one, find_weights([Path("runs"), *result_roots()], one, None)) for one in experiments]
    except WeightsError as error:
        sys.exit(f"benchmark: {error}")


def main() -> None:
    parser = task.parser(__doc__)
    parser.add_argument("experiments", nargs="*", default=["step-13"], help="default: step-13")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every N-th test image (default: 1)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    task.require_data()
    experiments = load_default().select(arguments.experiments)
    data_set = experiments[0].data_set
    _, _, images, labels = load_files(data_set, find_data(data_set))
    images, labels = images[:: arguments.every, 0].copy(), labels[:: arguments.every]
    trained = networks(experiments)
    seen, kinds = forms(images, arguments.seed)
    found = {own.experiment.name: judge(own, images, seen, labels, kinds) for own in trained}
    if arguments.json:
        content = {"seed": arguments.seed, "every": arguments.every, "environment": task.environment("cpu"), "experiments": found}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
