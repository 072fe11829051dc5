"""Accuracy on photographs of digits, by condition (shadows, ruled paper, tables, …), and on disturbed test digits.

    python -m benchmarks.inference.pictures [step-13 …] [--each 200] [--every 1] [--seed 0] [--fonts FILE …]

The table is of photographs on paper (tests/photographed_paper.py), ``--each`` of every condition: test digits, strokes
drawn with pens, and handwriting fonts. It counts wrong answers with and without a warning; a refusal is a warning. Its
last line is of every ``--every``-th test digit, with each disturbance of tests/photographs.py at a probability of one
half. All are preprocessed as ``predict`` does it.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from benchmarks import common
from benchmarks.turns import say
from budgetnet.catalogue import load_default
from budgetnet.commands.reporting import result_roots
from budgetnet.inference.digit_form import DigitForm, mnist_form
from budgetnet.inference.errors import InputError
from budgetnet.inference.pictures import doubt
from budgetnet.inference.predictor import Predictor
from budgetnet.report.text import aligned
from budgetnet.weights import WeightsError, find_weights, load_trained
from tests import photographed_paper
from tests.photographs import photograph

# Handwriting fonts of Debian: fonts-bwht, fonts-kristi, fonts-kiloji, fonts-seto, fonts-dancingscript. They are a test
# set: none was looked at while the code that reads photographs was written.
FONTS = (
    *(
        f"/usr/share/fonts/opentype/bwht/BecauseWe{verb}-Regular.otf"
        for verb in ("Build", "Connect", "Create", "Learn", "Mentor")
    ),
    "/usr/share/fonts/truetype/kristi/Kristi.ttf",
    "/usr/share/fonts/truetype/kiloji/kiloji.ttf",
    "/usr/share/fonts/truetype/seto/setofont.ttf",
    "/usr/share/fonts/opentype/dancingscript/DancingScript-Regular.otf",
)
COLUMNS = ("photographs", "right", "right, warned", "wrong, warned", "wrong, silent")

Image8 = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Photograph:
    """``form`` is None where the picture is refused."""

    label: int
    condition: str
    form: DigitForm | None


def taken(picture: Image8, label: int, condition: str) -> Photograph:
    try:
        return Photograph(label, condition, mnist_form(picture))
    except InputError:
        return Photograph(label, condition, None)


def on_paper(images: Image8, labels: npt.NDArray[Any], fonts: Sequence[Path], each: int, seed: int) -> list[Photograph]:
    """Return ``each`` photographs of every condition; test images, pens and fonts take a third each."""
    drawn = [photographed_paper.from_images(images, labels), photographed_paper.with_pen()]
    written = [photographed_paper.from_font(path) for path in fonts]
    sources = [source for source in drawn for _ in range(max(1, len(written)))] + written
    found = []
    for place, condition in enumerate(tqdm(photographed_paper.CONDITIONS, unit="condition", leave=False)):
        rng = np.random.default_rng([seed, place])
        for number in range(each):
            picture = photographed_paper.photograph(number % 10, condition, sources, rng)
            found.append(taken(picture, number % 10, condition))
    return found


def disturbed(images: Image8, labels: npt.NDArray[Any], seed: int) -> list[Photograph]:
    rng = np.random.default_rng(seed)
    found = []
    for image, label in zip(tqdm(images, unit="picture", leave=False), labels.tolist(), strict=True):
        found.append(taken(photograph(image, rng)[0], label, "disturbed at random"))
    return found


def count(predictor: Predictor, photographs: Sequence[Photograph]) -> dict[str, Counter[str]]:
    """Return the counts of COLUMNS for every condition; a refusal is wrong and warned."""
    forms = [one.form.image for one in photographs if one.form is not None]
    said = predictor.predict(np.stack(forms))
    answers = iter(zip(said.digits.tolist(), said.probabilities.tolist(), strict=True))
    counts: dict[str, Counter[str]] = {}
    for one in photographs:
        digit, probabilities = next(answers) if one.form is not None else (None, [])
        warned = one.form is None or doubt(one.form.warning, probabilities) is not None
        right = "right" if digit == one.label else "wrong"
        own = counts.setdefault(one.condition, Counter())
        own.update(["photographs", f"{right}, {'warned' if warned else 'silent'}"])
        own["right"] += digit == one.label
    return counts


def table(counts: dict[str, Counter[str]]) -> str:
    rows: list[tuple[Any, ...]] = [("", *COLUMNS, "right, %")]
    for name, own in counts.items():
        rows.append((name, *(own[column] for column in COLUMNS), f"{100 * own['right'] / own['photographs']:.1f}"))
    return aligned(rows, right=set(range(1, 7)))


def main() -> None:
    parser = common.make_parser(__doc__)
    parser.add_argument("experiments", nargs="*", default=["step-13"], help="default: step-13")
    parser.add_argument(
        "--each", type=int, default=200, metavar="N", help="photographs of each condition (default: 200)"
    )
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every N-th test image (default: 1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--fonts", type=Path, nargs="+", metavar="FILE", help="default: Debian's handwriting fonts, if installed"
    )
    arguments = parser.parse_args()
    experiments = load_default().select(arguments.experiments)
    try:
        found = [find_weights([Path("runs"), *result_roots()], experiment, None) for experiment in experiments]
    except WeightsError as error:
        sys.exit(f"benchmark: {error}")
    _, _, images, labels = common.load_data(experiments[0])
    images, labels = images[:: arguments.every, 0].copy(), labels[:: arguments.every]
    fonts = arguments.fonts or [path for path in map(Path, FONTS) if path.is_file()]
    say(f"fonts: {', '.join(path.stem for path in fonts) or 'none is installed'}")
    papers = on_paper(images, labels, fonts, arguments.each, arguments.seed)
    pictures = disturbed(images, labels, arguments.seed)
    content: dict[str, Any] = {}
    for experiment, weights in zip(experiments, found, strict=True):
        predictor = Predictor.of(load_trained(experiment, weights))
        counts = count(predictor, papers)
        counts["all of these"] = sum(counts.values(), Counter())
        counts |= count(predictor, pictures)
        plain = int((predictor.predict(images).digits == labels).sum())
        say(f"\n{experiment.name}, {weights}\n{table(counts)}")
        say(f"the latter as the data set has them: {plain:,} of {len(labels):,} right")
        content[experiment.name] = {"counts": counts, "undisturbed_right": plain}
    settings = {name: getattr(arguments, name) for name in ("seed", "every", "each")} | {
        "fonts": [path.stem for path in fonts]
    }
    common.write_json(arguments.json, settings | {"experiments": content})


if __name__ == "__main__":
    main()
