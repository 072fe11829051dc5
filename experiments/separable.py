"""The two-branch separable network and its ablation, and the studies that chose its batch size, epochs and rate.

Source ``explore``, "MNIST Dataset Exploration" (Keras functional API). Layers, optimizer, batch size, epochs and figures
are the document's. It splits the training set and uses the test set once, at the end: so the three variants, which
it judges on the held-out images, never see the test set here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from budgetnet.data.specs import MNIST_UNIT
from budgetnet.definition import (
    Adam,
    Budget,
    DefinitionError,
    Experiment,
    Mark,
    Protocol,
    Recipe,
    Reported,
    change,
    derive,
    is_fraction,
    require,
)

from .documents import own_figure

if TYPE_CHECKING:
    from torch import nn


PLACES = ("convolutions", "before relu", "dense", "everywhere")  # of batch normalization


@dataclass(frozen=True)
class SeparableBranches:
    """A separable convolution, two parallel branches of another and pooling, concatenated; then three dense layers.

    Every convolution and hidden dense layer is followed by ReLU. ``norm`` adds batch normalization: ``norm_place`` puts it
    behind the ReLU of every separable convolution ('convolutions') or before it ('before relu'), behind the ReLU of every
    hidden dense layer ('dense'), or behind both ('everywhere'). ``dropout`` is the rate behind every hidden dense layer. The
    reshape between is the document's; in channels-last order it changes nothing that the dense layers see.
    """

    norm: bool = False
    dropout: float = 0.0
    activation: str = "relu"
    norm_place: str = "convolutions"

    def __post_init__(self) -> None:
        require(self, "norm", lambda v: isinstance(v, bool), "True or False")
        require(self, "dropout", is_fraction, "a probability in [0, 1)")
        require(self, "activation", lambda v: v == "relu", "'relu'")
        require(self, "norm_place", lambda v: v in PLACES, f"one of {', '.join(map(repr, PLACES))}")

    @property
    def hidden_layers(self) -> tuple[str, ...]:
        """The layers with weights before the classifier, in words, for tables."""
        return ("separable 32 28×28", "separable 64 14×14", "another beside it", "dense 1000", "dense 500")

    def build(self, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
        """The module: float32 images (N, C, 28, 28) to logits (N, classes), initialized as Keras initializes.

        Raises DefinitionError for images of another size: the reshape is for 28×28.
        """
        from collections import OrderedDict

        from torch import nn

        from budgetnet.layers import keras

        channels, height, width = image_shape
        if (height, width) != (28, 28):
            raise DefinitionError(f"SeparableBranches takes images of 28×28; the data set has {height}×{width}")

        def separable(inputs: int, outputs: int, kernel: int) -> dict[str, nn.Module]:
            parts: dict[str, nn.Module] = {"conv": keras.SeparableConv2d(inputs, outputs, kernel), "relu": nn.ReLU()}
            if self.norm and self.norm_place != "dense":
                parts["norm"] = nn.BatchNorm2d(outputs, **keras.BATCH_NORM)
            order = ("conv", "norm", "relu") if self.norm_place == "before relu" else ("conv", "relu", "norm")
            return {name: parts[name] for name in order if name in parts}

        def dense(number: int, inputs: int, units: int) -> dict[str, nn.Module]:
            normed = self.norm and self.norm_place in ("dense", "everywhere")
            norm = {f"norm{number}": nn.BatchNorm1d(units, **keras.BATCH_NORM)} if normed else {}
            dropout = {f"dropout{number}": nn.Dropout(self.dropout)} if self.dropout else {}
            return {f"dense{number}": keras.dense(inputs, units), f"relu{number}": nn.ReLU(), **norm, **dropout}

        branches = [nn.Sequential(OrderedDict(separable(32, 64, 14) | {"pool": nn.MaxPool2d(2)})) for _ in range(2)]
        return nn.Sequential(OrderedDict([
            ("stem", nn.Sequential(OrderedDict(separable(channels, 32, 28)))),
            ("branches", keras.Parallel(branches)),
            ("reshape", keras.ChannelsLastReshape(7, 7, 512)),
            ("flatten", keras.ChannelsLastFlatten()),
            *dense(1, 7 * 7 * 512, 1000).items(),
            *dense(2, 1000, 500).items(),
            ("classifier", keras.dense(500, classes)),
        ]))  # fmt: skip


SOURCE = "explore, MNIST Dataset Exploration (Keras)"
UNTESTED = change(protocol=change(test_at_end=False))
RATE_OF_DROPOUT = Mark("model.dropout", "chosen", "the document gives no rate; 0.5 is the dense layers' rate in all the other documents")
PLACE_OF_NORM = Mark(
    "model.norm",
    "chosen",
    "the document does not say where: after each separable convolution, because its dropout is 'in the dense layers'",
)
HELD_OUT = Mark("recipe.protocol.holdout", "chosen", "the document splits the training set and gives no size; as many as the test set has")

SEPARABLE = Experiment(
    name="explore-separable",
    data_set=MNIST_UNIT,
    model=SeparableBranches(),
    recipe=Recipe(
        optimizer=Adam(lr=1e-4), batch_size=32, epochs=3, protocol=Protocol("holdout", holdout=10_000), precision="fp32",
    ),
    budget=Budget(exact=25_612_126, keras_total=25_612_126),
    aim=own_figure(97.808),
    reported=Reported(97.808, test_accuracy=97.87),
    source=SOURCE,
    marks=(HELD_OUT, Mark("model.activation", "chosen", "the document gives no activation: ReLU, as in all the other documents")),
    notes="Two parallel branches with 14×14 kernels: nearly all of its 25 million parameters are one dense layer's.",
)  # fmt: skip
SEPARABLE_BN = derive(
    SEPARABLE, "explore-separable-bn", model=change(norm=True), recipe=UNTESTED, budget=Budget(exact=25_612_446, keras_total=25_612_766),
    aim=own_figure(94.08), reported=Reported(94.08), marks=(PLACE_OF_NORM,),
    notes="With batch normalization.",
)  # fmt: skip
SEPARABLE_DROPOUT = derive(
    SEPARABLE, "explore-separable-dropout", model=change(dropout=0.5), recipe=UNTESTED,
    aim=own_figure(94.17), reported=Reported(94.17), marks=(RATE_OF_DROPOUT,), notes="With dropout in the dense layers.",
)  # fmt: skip
SEPARABLE_BN_DROPOUT = derive(
    SEPARABLE_BN, "explore-separable-bn-dropout", model=change(dropout=0.5), aim=own_figure(90.48), reported=Reported(90.48),
    marks=(PLACE_OF_NORM, RATE_OF_DROPOUT), notes="With both.",
)  # fmt: skip

SEPARABLES = (SEPARABLE, SEPARABLE_BN, SEPARABLE_DROPOUT, SEPARABLE_BN_DROPOUT)
