"""The layers of a network and how they are connected, as plain data, and the Keras-style table of them.

What makes it from a module is ``budgetnet.tracing``. Nothing here imports torch, so that a report can draw a stored structure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

INPUT = "input"


@dataclass(frozen=True)
class Layer:
    """A layer, or an operation between layers such as a concatenation.

    ``name`` is the module's dotted name and unique in its network; ``kind`` its class, or the operation. ``output_shape`` is that of
    one image, without the batch dimension; None for a layer that the network holds and never calls. ``parameters`` are counted as
    Keras does, with the moving statistics of batch normalization; ``trainable`` without. What several layers share is counted
    where it is first used. ``inputs`` names the layers whose outputs this one takes.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...] | None
    parameters: int
    trainable: int
    inputs: tuple[str, ...]

    @property
    def label(self) -> str:
        """Return the layer as Keras prints it: ``conv1 (Conv2d)``."""
        return f"{self.name} ({self.kind})"

    @property
    def shape_text(self) -> str:
        """``(10, 28, 28)``, or 'not used'."""
        return "not used" if self.output_shape is None else str(self.output_shape)

    @classmethod
    def from_plain(cls, data: dict[str, Any]) -> Layer:
        """The layer that ``dataclasses.asdict`` gave, also after a way through JSON; KeyError or TypeError where it is none."""
        shape = data["output_shape"]
        return cls(**data | {"output_shape": None if shape is None else tuple(shape), "inputs": tuple(data["inputs"])})


HEADER = ("layer (kind)", "output shape", "trainable parameters", "connected to")


def table(layers: Sequence[Layer], with_keras_total: bool = False) -> list[tuple[Any, ...]]:
    """The rows of the table under HEADER: texts and trainable parameters, the total last.

    ``with_keras_total`` adds the total that Keras prints, with the moving statistics of batch normalization.
    """
    rows: list[tuple[Any, ...]] = [(layer.label, layer.shape_text, layer.trainable, ", ".join(layer.inputs)) for layer in layers]
    rows.append(("total", "", sum(layer.trainable for layer in layers), ""))
    if with_keras_total:
        rows.append(("total as Keras counts", "", sum(layer.parameters for layer in layers), ""))
    return rows


def plain_rows(layers: Sequence[Layer]) -> list[dict[str, Any]]:
    """The table for a program: an object per layer with the keys layer, kind, output_shape, parameters and connected_to."""
    return [
        {
            "layer": layer.name,
            "kind": layer.kind,
            "output_shape": layer.output_shape,
            "parameters": layer.trainable,
            "connected_to": layer.inputs,
        }
        for layer in layers
    ]
