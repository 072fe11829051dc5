"""``predict``: which digits pictures show."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from budgetnet.catalogue import Catalogue
from budgetnet.cli import OK, OTHER, USAGE, complain
from budgetnet.commands.networks import artifact_for, weights_for
from budgetnet.definition import Experiment, class_name
from budgetnet.inference.artifact import read_sidecar
from budgetnet.inference.contract import BLANK, blank_images
from budgetnet.inference.errors import InferenceError, InputError
from budgetnet.inference.pictures import doubt, read_images
from budgetnet.inference.predictor import Predictor
from budgetnet.results import ResultError
from budgetnet.weights import WeightsError, load_trained

STANDARD_INPUT = Path("/dev/stdin")
SURE = 0.9  # below it, the second guess is shown as well
SHEET_COLUMNS, SHEET_SCALE = 10, 3


@dataclass(frozen=True)
class Seen:
    """An image of a file and its prediction."""

    name: str
    image: npt.NDArray[Any]
    digit: int
    probabilities: npt.NDArray[np.float32]
    class_names: tuple[str, ...] = ()
    warning: str | None = None

    @property
    def record(self) -> dict[str, Any]:
        """For a program: ``digit`` is the class's number, ``class`` its name where the classes have names."""
        named = {"class": class_name(self.class_names, self.digit)} if self.class_names else {}
        probabilities = [round(float(p), 6) for p in self.probabilities]
        warning = {} if self.warning is None else {"warning": self.warning}
        return {"image": self.name, "digit": self.digit, **named, "probabilities": probabilities, **warning}

    @property
    def text(self) -> str:
        first, second = np.argsort(self.probabilities)[::-1][:2]
        sure = f"{100 * self.probabilities[first]:.1f} %"
        name = class_name(self.class_names, int(second))
        other = f", or {name} with {100 * self.probabilities[second]:.1f} %" if self.probabilities[first] < SURE else ""
        return f"{self.name}: {class_name(self.class_names, self.digit)} ({sure}{other})"


def predict(arguments: Namespace, catalogue: Catalogue) -> int:
    """A line per picture; a file that cannot be read is a sentence and does not keep the others from it."""
    if arguments.save_seen is not None and not _is_picture_name(arguments.save_seen):
        return complain(f"--save-seen is {str(arguments.save_seen)!r}, whose ending names no picture; expected one such as seen.png", USAGE)
    try:
        predictor, source = _predictor(arguments, catalogue)
    except (WeightsError, ResultError, InferenceError) as error:
        return complain(error, OTHER)
    print(f"budgetnet: predicting with {source}", file=sys.stderr)
    status, seen = OK, []
    for path in (STANDARD_INPUT if str(path) == "-" else path for path in arguments.files):
        try:
            for one in _predicted(path, predictor, arguments.scale):
                if isinstance(one, str):
                    status = complain(one, OTHER)
                    continue
                seen.append(one)
                if not arguments.json:
                    print(one.text, flush=True)
                if one.warning is not None:
                    print(f"budgetnet: {one.name}: {one.warning}", file=sys.stderr)
        except InputError as error:
            status = complain(error, OTHER)
    if arguments.json:
        print(json.dumps([one.record for one in seen], indent=1))
    if arguments.save_seen is not None and seen:
        try:
            _save_sheet([one.image for one in seen], arguments.save_seen)
        except (OSError, ValueError, KeyError) as error:  # the last two of formats that lack grey pictures, or their size
            reason = getattr(error, "strerror", None) or error
            status = complain(f"--save-seen {str(arguments.save_seen)!r} cannot be written ({reason}); the predictions stand", OTHER)
    return status


def _is_picture_name(path: Path) -> bool:
    from PIL import Image

    return Image.registered_extensions().get(path.suffix.lower()) in Image.SAVE


def _predicted(path: Path, predictor: Predictor, scale: int | None) -> Iterator[Seen | str]:
    """Return the prediction for each image of a file, or a sentence for a blank one."""
    found = read_images(path, predictor.contract.image_shape)
    if found.remark is not None:
        print(f"budgetnet: {found.remark}", file=sys.stderr)
    try:
        images = predictor.contract.checked(found.images if found.formed else _scaled(found.images, scale))
        said = predictor.predict(images)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    blank = set() if found.formed else set(blank_images(images))
    for place, name in enumerate(found.names):
        if place in blank:
            yield f"{name} is {BLANK}"
        else:
            class_names, probabilities = predictor.contract.class_names, said.probabilities[place]
            warning = doubt(found.warning, probabilities.tolist(), class_names) if found.formed else None
            yield Seen(name, images[place], int(said.digits[place]), probabilities, class_names, warning)


def _scaled(images: npt.NDArray[Any], scale: int | None) -> npt.NDArray[Any]:
    """``images`` with ``scale`` as white, in a form that a contract takes. Raises InputError where white may be 1 or 255."""
    if not images.size or images.dtype.kind not in "iuf":
        return images
    highest = float(images.max())
    if images.dtype.kind == "f":
        return images / np.float32(255) if scale == 255 else images
    if scale == 1:
        if highest > 1:
            raise InputError(f"the pixels are whole numbers up to {highest:g}, and --scale is 1; expected --scale 255, or none")
        return images.astype(np.float32)
    if scale is None and highest == 1:
        raise InputError("no pixel is above 1, and it is not said what white is; say it with --scale 1 or --scale 255")
    return images


def _predictor(arguments: Namespace, catalogue: Catalogue) -> tuple[Predictor, str]:
    """The artifact that was named, else the experiment's best one, else its trained network as it is; and which it was."""
    if arguments.artifact is not None:
        sidecar = read_sidecar(arguments.artifact)
        return Predictor.load(arguments.artifact, arguments.threads), f"{sidecar.experiment}, {sidecar.name}, of {arguments.artifact}"
    experiment: Experiment = catalogue[arguments.model]

    def passed_over(why: str) -> None:
        complain(f"{why}; passed over", OTHER)

    found = artifact_for(experiment, arguments, passed_over)
    if found is not None:
        folder, sidecar = found
        try:
            return Predictor.load(folder, arguments.threads), f"{experiment.name}, {sidecar.name}, of {folder}"
        except InferenceError as error:
            complain(f"{error}; going on with the trained network itself", OTHER)
    weights = weights_for(experiment, arguments)
    trained = load_trained(experiment, weights)
    return Predictor.of(trained, arguments.threads), f"{experiment.name}, weights of {weights}, not compiled"


def _save_sheet(images: list[npt.NDArray[Any]], path: Path) -> None:
    """The images as the network saw them, side by side; the first channel of each."""
    from PIL import Image

    grey = [image[0] if image.dtype == np.uint8 else (255 * image[0]).round().astype(np.uint8) for image in images]
    grey += [np.zeros_like(grey[0])] * (-len(grey) % min(SHEET_COLUMNS, len(grey)))
    columns = min(SHEET_COLUMNS, len(grey))
    rows = [np.hstack(grey[start : start + columns]) for start in range(0, len(grey), columns)]
    Image.fromarray(np.vstack(rows).repeat(SHEET_SCALE, 0).repeat(SHEET_SCALE, 1)).save(path)
