"""The record ``diagnostics.json`` of a finished run, from which pictures and tables are made. Nothing here imports torch."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from budgetnet.definition import class_name
from budgetnet.results import ResultError
from budgetnet.structure import Layer

DIAGNOSTICS = "diagnostics.json"
FORMAT = 1


@dataclass(frozen=True)
class WorstError:
    """A wrongly classified image: ``index`` in its set, ``confidence`` and ``true_probability`` from the softmax, 0 to 1.

    ``pixels`` is base64 of its uint8 pixels, whose shape is the record's ``picture_shape``.
    """

    index: int
    true: int
    predicted: int
    confidence: float
    true_probability: float
    pixels: str

    def image(self, shape: tuple[int, int, int]) -> np.ndarray:
        """The picture as (C, H, W) uint8; ValueError where the pixels are not of ``shape``."""
        return np.frombuffer(base64.b64decode(self.pixels), np.uint8).reshape(shape)


@dataclass(frozen=True)
class Weights:
    """Distribution of the values of a trained tensor.

    ``density`` is a kernel density at evenly spaced points from ``minimum`` to ``maximum``, scaled to a peak of 1; it is empty where
    all values are the same, as in a bias that was never moved. ``sd`` is that of the values as a population.
    """

    name: str
    shape: tuple[int, ...]
    count: int
    mean: float
    sd: float
    minimum: float
    lower_quartile: float
    median: float
    upper_quartile: float
    maximum: float
    density: tuple[float, ...]


@dataclass(frozen=True)
class ConfusedPair:
    """Two classes, the smaller first, and how often either was taken for the other."""

    first: int
    second: int
    first_as_second: int
    second_as_first: int

    @property
    def together(self) -> int:
        return self.first_as_second + self.second_as_first


@dataclass(frozen=True)
class Diagnostics:
    """``images`` says which set was looked at: 'test' or 'holdout'; ``confusion[true][predicted]`` counts its images.

    ``errors`` are the worst ones, in order of falling confidence in the wrong class. ``layers`` is empty where the network cannot be
    traced, and ``layers_remark`` says why. Loss in nats, accuracy in percent.
    """

    experiment: str
    definition_hash: str
    seed: int
    images: str
    loss: float
    accuracy: float
    confusion: tuple[tuple[int, ...], ...]
    picture_shape: tuple[int, int, int]
    errors: tuple[WorstError, ...]
    weights: tuple[Weights, ...]
    layers: tuple[Layer, ...]
    layers_remark: str = ""
    class_names: tuple[str, ...] = ()
    format: int = FORMAT

    def name(self, number: int) -> str:
        """The name of a class, or its number where the classes have none."""
        return class_name(self.class_names, number)

    @property
    def image_count(self) -> int:
        return sum(map(sum, self.confusion))

    @property
    def error_count(self) -> int:
        return self.image_count - sum(row[n] for n, row in enumerate(self.confusion))

    @property
    def images_text(self) -> str:
        """'10,000 test images', or '300 held-out training images'."""
        return f"{self.image_count:,} {'test' if self.images == 'test' else 'held-out training'} images"

    def to_json(self) -> str:
        """Write a line for each field, without spaces: small, and records can be compared by lines."""
        lines = (f'"{name}":{json.dumps(value, separators=(",", ":"), allow_nan=False)}' for name, value in asdict(self).items())
        return "{\n" + ",\n".join(lines) + "\n}\n"

    @classmethod
    def from_json(cls, text: str, source: str = DIAGNOSTICS) -> Diagnostics:
        """The record in ``text``; ResultError names ``source`` where it is not one."""
        try:
            data = json.loads(text)
            if data.get("format") != FORMAT:
                raise ResultError(f"{source} has format {data.get('format')!r}; this version of budgetnet reads {FORMAT}")
            data["confusion"] = tuple(map(tuple, data["confusion"]))
            data["class_names"] = tuple(data.get("class_names", ()))
            data["picture_shape"] = tuple(data["picture_shape"])
            data["errors"] = tuple(WorstError(**error) for error in data["errors"])
            data["weights"] = tuple(_weights(tensor) for tensor in data["weights"])
            data["layers"] = tuple(map(Layer.from_plain, data["layers"]))
            record = cls(**{f.name: data[f.name] for f in fields(cls)})
            for error in record.errors:
                error.image(record.picture_shape)
            return record
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ResultError(
                f"{source} is not a readable record ({type(error).__name__}: {error}); make it anew with budgetnet inspect"
            ) from error


def _weights(data: dict[str, Any]) -> Weights:
    return Weights(**data | {"shape": tuple(data["shape"]), "density": tuple(data["density"])})


def confused_pairs(confusion: Sequence[Sequence[int]], most: int = 5) -> list[ConfusedPair]:
    """The pairs of classes that are confused most, both directions together, the most confused first; none that never is."""
    classes = range(len(confusion))
    pairs = [ConfusedPair(a, b, confusion[a][b], confusion[b][a]) for a in classes for b in classes if a < b]
    return sorted((pair for pair in pairs if pair.together), key=lambda pair: (-pair.together, pair.first, pair.second))[:most]


def read_diagnostics(directory: Path) -> Diagnostics | None:
    """The record of a run directory, None where there is none. Raises ResultError for a damaged one."""
    path = directory / DIAGNOSTICS
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ResultError(f"{path} cannot be read ({error}); make it anew with budgetnet inspect") from error
    return Diagnostics.from_json(text, str(path))
