"""Accuracy on photographs of digits: by condition (shadows, ruled paper, tables, boxes, …), and of every test digit, disturbed at random.

    python -m benchmarks.pictures [step-13 …] [--each 200] [--every 1] [--seed 0] [--fonts FILE …] [--json FILE] [--sheet FILE]

The first table is of photographs on paper (tests/photographed_paper.py), ``--each`` of every condition: digits of the test set, strokes
drawn with pens, and handwriting fonts. It counts right answers, and wrong ones with and without a warning; a refusal is a warning. The
second is of every ``--every``-th test digit once, enlarged, rotated, inverted, coloured, noisy, speckled, shaded, compressed, each with
a probability of one half (tests/photographs.py), beside the same digits as the data set has them. All are brought to the data set's
form as ``predict`` does. ``--sheet`` draws three photographs of each condition with what was read.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from tqdm import tqdm

from benchmarks import task
from budgetnet.catalogue import load_default
from budgetnet.commands.reporting import result_roots
from budgetnet.data.files import find_data, load_files
from budgetnet.definition import Experiment
from budgetnet.inference.digit_form import DigitForm, mnist_form
from budgetnet.inference.errors import InputError
from budgetnet.inference.pictures import doubt
from budgetnet.inference.predictor import Predictor
from budgetnet.report.text import aligned
from budgetnet.weights import Trained, WeightsError, find_weights, load_trained
from tests import photographed_paper
from tests.photographs import KINDS, photograph

# Handwriting fonts of Debian: fonts-bwht, fonts-kristi, fonts-kiloji, fonts-seto, fonts-dancingscript. None was looked at while the
# code that reads photographs was written.
FONTS = (
    *(f"/usr/share/fonts/opentype/bwht/BecauseWe{verb}-Regular.otf" for verb in ("Build", "Connect", "Create", "Learn", "Mentor")),
    "/usr/share/fonts/truetype/kristi/Kristi.ttf",
    "/usr/share/fonts/truetype/kiloji/kiloji.ttf",
    "/usr/share/fonts/truetype/seto/setofont.ttf",
    "/usr/share/fonts/opentype/dancingscript/DancingScript-Regular.otf",
)
ON_SHEET = 3


@dataclass(frozen=True, eq=False)
class Photograph:
    condition: str
    label: int
    picture: npt.NDArray[np.uint8]
    form: DigitForm | None  # None where it is refused


def photographs(images: npt.NDArray[np.uint8], labels: npt.NDArray[Any], fonts: Sequence[Path], each: int, seed: int) -> list[Photograph]:
    """``each`` photographs of every condition, all ten digits alike; images, pens and fonts take a third each."""
    drawn = [photographed_paper.from_images(images, labels), photographed_paper.with_pen()]
    written = [photographed_paper.from_font(path) for path in fonts]
    sources = [source for source in drawn for _ in range(max(1, len(written)))] + written
    found = []
    for place, condition in enumerate(tqdm(photographed_paper.CONDITIONS, unit="condition", leave=False)):
        rng = np.random.default_rng([seed, place])
        for number in range(each):
            picture = photographed_paper.photograph(number % 10, condition, sources, rng)
            try:
                form = mnist_form(picture)
            except InputError:
                form = None
            found.append(Photograph(condition, number % 10, picture, form))
    return found


def by_condition(predictor: Predictor, taken: Sequence[Photograph]) -> tuple[dict[str, dict[str, int]], list[tuple[int | None, bool]]]:
    """Counts for every condition; and of every photograph the digit read, None where it was refused, and whether with a warning."""
    read = [one for one in taken if one.form is not None]
    said = predictor.predict(np.stack([one.form.image for one in read if one.form is not None]))
    answers = iter(zip(said.digits.tolist(), said.probabilities.tolist(), strict=True))
    outcomes: list[tuple[int | None, bool]] = []
    counts: dict[str, dict[str, int]] = {}
    for one in taken:
        digit, probabilities = next(answers) if one.form is not None else (None, [])
        warned = one.form is None or doubt(one.form.warning, probabilities) is not None
        outcomes.append((digit, warned))
        right = "right" if digit == one.label else "wrong"
        row = counts.setdefault(one.condition, {"photographs": 0, "right": 0, "right, warned": 0, "wrong, warned": 0, "wrong, silent": 0})
        row["photographs"] += 1
        row["right"] += right == "right"
        if warned or right == "wrong":
            row[f"{right}, {'warned' if warned else 'silent'}"] += 1
    return counts, outcomes


def sheet(taken: Sequence[Photograph], outcomes: Sequence[tuple[int | None, bool]]) -> Image.Image:
    """Three photographs of every condition, each with its form; the answer in red where it is wrong, with ! where there is a warning."""
    conditions = photographed_paper.CONDITIONS
    page = Image.new("RGB", (2 * ON_SHEET * 230, -(-len(conditions) // 2) * 140), "white")
    draw = ImageDraw.Draw(page)
    for place, condition in enumerate(conditions):
        own = [pair for pair in zip(taken, outcomes, strict=True) if pair[0].condition == condition]
        for number, (one, (digit, warned)) in enumerate(own[:: max(1, len(own) // ON_SHEET)][:ON_SHEET]):
            left, top = (place % 2 * ON_SHEET + number) * 230, place // 2 * 140
            page.paste(Image.fromarray(one.picture).resize((126, 112)), (left, top + 18))
            if one.form is not None:
                page.paste(Image.fromarray(one.form.image).resize((84, 84)), (left + 130, top + 18))
            told = "refused" if digit is None else f"{digit}{' !' if warned else ''}"
            draw.text((left + 130, top + 106), told, fill="black" if digit == one.label else "red", font_size=18)
        draw.text((place % 2 * ON_SHEET * 230, place // 2 * 140 + 1), condition, fill="black", font_size=14)
    return page


def forms(images: npt.NDArray[np.uint8], seed: int) -> tuple[list[npt.NDArray[np.uint8] | None], list[frozenset[str]]]:
    """Of every (28, 28) image what a network sees of its picture, (28, 28) or None where it is refused, and the picture's disturbances."""
    rng = np.random.default_rng(seed)
    found: list[npt.NDArray[np.uint8] | None] = []
    kinds = []
    for image in tqdm(images, unit="picture", leave=False):
        picture, disturbed = photograph(image, rng)
        try:
            found.append(mnist_form(picture).image)
        except InputError:
            found.append(None)
        kinds.append(disturbed)
    return found, kinds


def accuracies(right: npt.NDArray[np.bool_], undisturbed: npt.NDArray[np.bool_], kinds: Sequence[frozenset[str]]) -> dict[str, Any]:
    """Percent and counts: of the images as they are, of all pictures, of those with each disturbance, with none, and with five or more."""
    groups = {kind: np.array([kind in one for one in kinds]) for kind in KINDS}
    many = np.array([len(one) for one in kinds])
    groups |= {"none of them": many == 0, "five or more": many >= 5}
    found = {"as the data set has them": undisturbed, "all pictures": right} | {name: right[those] for name, those in groups.items()}
    return {
        name: {"pictures": len(own), "right": int(own.sum()), "percent": 100 * float(own.mean())} for name, own in found.items() if len(own)
    }


def judge(
    trained: Trained,
    images: npt.NDArray[np.uint8],
    seen: Sequence[npt.NDArray[np.uint8] | None],
    labels: npt.NDArray[Any],
    kinds: Sequence[frozenset[str]],
) -> Any:
    """A refusal counts as a wrong answer."""
    predictor = Predictor.of(trained)
    read = np.array([form is not None for form in seen])
    right = np.zeros(len(seen), bool)
    right[read] = predictor.predict(np.stack([form for form in seen if form is not None])).digits == labels[read]
    own = accuracies(right, predictor.predict(images).digits == labels, kinds)
    rows: list[tuple[Any, ...]] = [("", "pictures", "right", "%")]
    rows += [(name, f"{row['pictures']:,}", f"{row['right']:,}", f"{row['percent']:.2f}") for name, row in own.items()]
    print(f"\n{aligned(rows, right={1, 2, 3})}", flush=True)
    return own


def judge_photographs(trained: Trained, taken: Sequence[Photograph]) -> tuple[dict[str, dict[str, int]], list[tuple[int | None, bool]]]:
    counts, outcomes = by_condition(Predictor.of(trained), taken)
    columns = tuple(next(iter(counts.values())))
    every = {name: sum(row[name] for row in counts.values()) for name in columns}
    rows: list[tuple[Any, ...]] = [("", *columns, "right, %")]
    for name, row in [*counts.items(), ("all", every)]:
        rows.append((name, *(f"{row[column]:,}" for column in columns), f"{100 * row['right'] / row['photographs']:.1f}"))
    print(f"\n{trained.experiment.name}, {trained.weights}\n{aligned(rows, right=set(range(1, len(columns) + 2)))}", flush=True)
    return counts, outcomes


def networks(experiments: Sequence[Experiment]) -> list[Trained]:
    """One's own runs first, then the committed ones; an experiment that has neither ends the benchmark before it begins."""
    try:
        return [load_trained(one, find_weights([Path("runs"), *result_roots()], one, None)) for one in experiments]
    except WeightsError as error:
        sys.exit(f"benchmark: {error}")


def main() -> None:
    parser = task.parser(__doc__)
    parser.add_argument("experiments", nargs="*", default=["step-13"], help="default: step-13")
    parser.add_argument("--each", type=int, default=200, metavar="N", help="photographs of each condition (default: 200)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every N-th test image (default: 1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fonts", type=Path, nargs="+", metavar="FILE", help="default: those of a list of Debian's that are installed")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="a picture of some photographs and of what was read")
    arguments = parser.parse_args()
    task.require_data()
    experiments = load_default().select(arguments.experiments)
    data_set = experiments[0].data_set
    _, _, images, labels = load_files(data_set, find_data(data_set))
    images, labels = images[:: arguments.every, 0].copy(), labels[:: arguments.every]
    fonts = arguments.fonts or [path for path in map(Path, FONTS) if path.is_file()]
    print(f"fonts: {', '.join(path.stem for path in fonts) or 'none is installed'}")
    trained = networks(experiments)
    taken = photographs(images, labels, fonts, arguments.each, arguments.seed)
    seen, kinds = forms(images, arguments.seed)
    found = {}
    for own in trained:
        counts, outcomes = judge_photographs(own, taken)
        accuracies_by_kind = judge(own, images, seen, labels, kinds)
        found[own.experiment.name] = {"weights": str(own.weights), "photographs": counts, "accuracies": accuracies_by_kind}
    if arguments.sheet:
        sheet(taken, outcomes).save(arguments.sheet)
    if arguments.json:
        content = {
            "seed": arguments.seed,
            "every": arguments.every,
            "each": arguments.each,
            "fonts": [path.stem for path in fonts],
            "environment": task.environment("cpu"),
            "experiments": found,
        }
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
