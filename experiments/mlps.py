"""Multi-layer perceptrons with 2, 3 and 5 hidden layers, plain and with batch normalization and dropout.

Source ``mlp6``, "Various architectures on MNIST" (Keras). Everything is the document's; its "test" figures are the
last epoch's on the test set, which also validates. The weights' standard deviations are those it gives for a normal initializer.
"""

from budgetnet.data.specs import MNIST_UNIT
from budgetnet.definition import Adam, Budget, Experiment, Mark, Recipe, Reported
from budgetnet.models import BatchNormalization, Dense, Dropout, Flatten, KerasSequential

from .documents import own_figure

SOURCE = "mlp6, Various architectures on MNIST (Keras)"
RATE = Mark("recipe.optimizer.lr", "inferred", "the document names Adam and no learning rate; 0.001 is Keras's default")
RECIPE = Recipe(optimizer=Adam(lr=0.001), batch_size=100, epochs=20, precision="fp32")
# hidden layers, each as (units, standard deviation of its normal initializer)
TWO = ((256, 0.055), (64, 0.088))
THREE = ((1024, 0.050), (512, 0.044), (256, 0.062))
FIVE = ((2048, 0.050), (1024, 0.031), (256, 0.044), (128, 0.088), (64, 0.125))


def plain(hidden: tuple[tuple[int, float], ...]) -> KerasSequential:
    return KerasSequential((Flatten(), *(Dense(units, stddev) for units, stddev in hidden)))


def normalized(hidden: tuple[tuple[int, float], ...], rate: float) -> KerasSequential:
    """Dense (ReLU) → BatchNormalization → Dropout, for every hidden layer."""
    blocks = ((Dense(units, stddev), BatchNormalization(), Dropout(rate)) for units, stddev in hidden)
    return KerasSequential((Flatten(), *(layer for block in blocks for layer in block)))


def mlp(name: str, model: KerasSequential, counts: tuple[int, int], reported: Reported, notes: str) -> Experiment:
    """One of the document's networks; ``counts`` are its trainable parameters and those that Keras counts."""
    trainable, total = counts
    return Experiment(
        name=name, data_set=MNIST_UNIT, model=model, recipe=RECIPE, budget=Budget(exact=trainable, keras_total=total),
        aim=own_figure(reported.validation_accuracy), reported=reported, source=SOURCE, marks=(RATE,), notes=notes,
    )  # fmt: skip


MLP_2 = mlp(
    "mlp-2", plain(TWO), (218_058, 218_058),
    Reported(97.87, train_accuracy=99.76, validation_loss=0.096706, train_loss=0.006622), "Two hidden layers.",
)  # fmt: skip
MLP_2_BN = mlp(
    "mlp-2-bn", normalized(TWO, 0.3), (218_698, 219_338),
    Reported(98.12, train_accuracy=98.63, validation_loss=0.062077, train_loss=0.042406),
    "Two hidden layers, batch normalization, dropout 0.3.",
)  # fmt: skip
MLP_3 = mlp(
    "mlp-3", plain(THREE), (1_462_538, 1_462_538),
    Reported(98.37, train_accuracy=99.73, validation_loss=0.088478, train_loss=0.010192), "Three hidden layers.",
)  # fmt: skip
MLP_3_BN = mlp(
    "mlp-3-bn", normalized(THREE, 0.5), (1_466_122, 1_469_706),
    Reported(98.59, train_accuracy=98.45, validation_loss=0.046506, train_loss=0.048634),
    "Three hidden layers, batch normalization, dropout 0.5.",
)  # fmt: skip
MLP_5 = mlp(
    "mlp-5", plain(FIVE), (4_010_058, 4_010_058),
    Reported(98.53, train_accuracy=99.70, validation_loss=0.080871, train_loss=0.012197), "Five hidden layers.",
)  # fmt: skip
MLP_5_BN = mlp(
    "mlp-5-bn", normalized(FIVE, 0.5), (4_017_098, 4_024_138),
    Reported(98.42, train_accuracy=98.30, validation_loss=0.058819, train_loss=0.066537),
    "Five hidden layers, batch normalization, dropout 0.5.",
)  # fmt: skip

MLPS = (MLP_2, MLP_2_BN, MLP_3, MLP_3_BN, MLP_5, MLP_5_BN)
