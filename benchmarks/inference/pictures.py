"""Accuracy on photographs of digits: by condition (shadows, ruled paper, tables, …), and on disturbed test digits.

    python -m benchmarks.inference.pictures [step-13 …] [--each 200] [--every 1] [--seed 0] [--fonts FILE …] [--sheet FILE]

The first table is of photographs on paper (tests/photographed_paper.py), ``--each`` of every condition: test digits,
strokes drawn with pens, and handwriting fonts. It counts wrong answers with and without a warning; a refusal is a
warning. The second is of every ``--every``-th test digit, with each disturbance of tests/photographs.py at a probability
of one half, beside the same digits as the data set has them. All are preprocessed as ``predict`` does it.
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
from PIL import Image, ImageDraw
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
from tests.photographs import KINDS, photograph

# Handwriting fonts of Debian: fonts-bwht, fonts-kristi, fonts-kiloji, fonts-seto, fonts-dancingscript. They are a test
# set: none was looked at while the code that reads photographs was written.
FONTS = (
    *(f"/usr/share/fonts/opentype/bwht/BecauseWe{verb}-Regular.otf" for verb in ("Build", "Connect", "Create", "Learn", "Mentor")),
    "/usr/share/fonts/truetype/kristi/Kristi.ttf",
    "/usr/share/fonts/truetype/kiloji/kiloji.ttf",
    "/usr/share/fonts/truetype/seto/setofont.ttf",
    "/usr/share/fonts/opentype/dancingscript/DancingScript-Regular.otf",
)
COLUMNS = ("photographs", "right", "right, warned", "wrong, warned", "wrong, silent")
ON_SHEET = 3  # photographs of each condition

Image8 = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Photograph:
    """``groups`` are the condition or the disturbances; ``form`` is None where the picture is refused."""

    label: int
    groups: frozenset[str]
    picture: Image8
    form: DigitForm | None


@dataclass(frozen=True)
class Reading:
    """``digit`` is None for a refused picture."""

    digit: int | None
    warned: bool


def taken(picture: Image8, label: int, groups: frozenset[str]) -> Photograph:
    try:
        return Photograph(label, groups, picture, mnist_form(picture))
    except InputError:
        return Photograph(label, groups, picture, None)


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
            found.append(taken(picture, number % 10, frozenset({condition})))
    return found


def disturbed(images: Image8, labels: npt.NDArray[Any], seed: int) -> list[Photograph]:
    rng = np.random.default_rng(seed)
    found = []
    for image, label in zip(tqdm(images, unit="picture", leave=False), labels.tolist(), strict=True):
        picture, kinds = photograph(image, rng)
        found.append(taken(picture, label, kinds))
    return found


def read(predictor: Predictor, photographs: Sequence[Photograph]) -> list[Reading]:
    forms = [one.form for one in photographs if one.form is not None]
    if not forms:
        return [Reading(None, True)] * len(photographs)
    said = predictor.predict(np.stack([form.image for form in forms]))
    answers = iter(zip(said.digits.tolist(), said.probabilities.tolist(), strict=True))
    readings = []
    for one in photographs:
        digit, probabilities = next(answers) if one.form is not None else (None, [])
        readings.append(Reading(digit, one.form is None or doubt(one.form.warning, probabilities) is not None))
    return readings


def counted(photographs: Sequence[Photograph], readings: Sequence[Reading], names: Sequence[str]) -> dict[str, Counter[str]]:
    """Return the counts of COLUMNS for every group in ``names``, and for all; a refusal is wrong and warned."""
    counts = {name: Counter[str]() for name in (*names, "all")}
    for one, reading in zip(photographs, readings, strict=True):
        right = reading.digit == one.label
        outcomes = ["photographs", f"{'right' if right else 'wrong'}, {'warned' if reading.warned else 'silent'}"]
        for name in (*one.groups, "all"):
            counts[name].update([*outcomes, "right"] if right else outcomes)
    return counts


def table(counts: dict[str, Counter[str]]) -> str:
    rows: list[tuple[Any, ...]] = [("", *COLUMNS, "right, %")]
    for name, own in counts.items():
        percent = f"{100 * own['right'] / own['photographs']:.1f}" if own["photographs"] else "–"
        rows.append((name, *(own[column] for column in COLUMNS), percent))
    return aligned(rows, right=set(range(1, 7)))


def sheet(photographs: Sequence[Photograph], readings: Sequence[Reading]) -> Image.Image:
    """Draw three photographs of every condition, preprocessed beside; a wrong answer is red, a warning is a !."""
    conditions = photographed_paper.CONDITIONS
    page = Image.new("RGB", (2 * ON_SHEET * 230, -(-len(conditions) // 2) * 140), "white")
    draw = ImageDraw.Draw(page)
    for place, condition in enumerate(conditions):
        left, top = place % 2 * ON_SHEET * 230, place // 2 * 140
        draw.text((left, top + 1), condition, fill="black", font_size=14)
        own = [pair for pair in zip(photographs, readings, strict=True) if condition in pair[0].groups]
        for one, reading in own[:: max(1, len(own) // ON_SHEET)][:ON_SHEET]:
            page.paste(Image.fromarray(one.picture).resize((126, 112)), (left, top + 18))
            if one.form is not None:
                page.paste(Image.fromarray(one.form.image).resize((84, 84)), (left + 130, top + 18))
            text = "refused" if reading.digit is None else f"{reading.digit}{' !' if reading.warned else ''}"
            colour = "black" if reading.digit == one.label else "red"
            draw.text((left + 130, top + 106), text, fill=colour, font_size=18)
            left += 230
    return page


def main() -> None:
    parser = common.make_parser(__doc__)
    parser.add_argument("experiments", nargs="*", default=["step-13"], help="default: step-13")
    parser.add_argument("--each", type=int, default=200, metavar="N", help="photographs of each condition (default: 200)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every N-th test image (default: 1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fonts", type=Path, nargs="+", metavar="FILE", help="default: Debian's handwriting fonts, if installed")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="draw some photographs and how they were read")
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
        readings = read(predictor, papers)
        conditions = counted(papers, readings, photographed_paper.CONDITIONS)
        disturbances = counted(pictures, read(predictor, pictures), KINDS)
        plain = int((predictor.predict(images).digits == labels).sum())
        say(f"\n{experiment.name}, {weights}\n{table(conditions)}\n\n{table(disturbances)}")
        say(f"\nas the data set has them: {plain:,} of {len(labels):,} right")
        content[experiment.name] = {"photographs": conditions, "disturbed": disturbances, "undisturbed_right": plain}
        if arguments.sheet:
            sheet(papers, readings).save(arguments.sheet)
    settings = {name: getattr(arguments, name) for name in ("seed", "every", "each")} | {"fonts": [path.stem for path in fonts]}
    common.write_json(arguments.json, settings | {"experiments": content})


if __name__ == "__main__":
    main()
