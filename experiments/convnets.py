"""Three convolutional networks: after LeNet, after VGGNet, and one of seven convolutions; each also batch-normalized.

Source ``cnn3``, "CNN Architectures on MNIST" (Keras). Networks, batch size, epochs and figures are the document's, which
validates on the test set. It has batch normalization commented out in the network after LeNet, twice: after the dropout of
either convolution block. Of the other two networks it says only "introduce batch normalization".
"""

from budgetnet.data.specs import MNIST_UNIT
from budgetnet.definition import Adadelta, Budget, Experiment, Mark, Recipe, Reported, derive
from budgetnet.models import BatchNormalization, Conv2D, Dense, Dropout, Flatten, KerasSequential, MaxPooling2D

from .documents import curve, own_figure

SOURCE = "cnn3, CNN Architectures on MNIST (Keras)"
RECIPE = Recipe(optimizer=Adadelta(lr=1.0, rho=0.95, epsilon=1e-7), batch_size=128, epochs=20, precision="fp32")
CONSTANTS = Mark("recipe.optimizer", "inferred", "the document names Adadelta; its constants are Keras's defaults of 2018")
PLACES = Mark("model.layers", "chosen", "the document says only 'introduce batch normalization': after every dropout")


def convnet(name: str, model: KerasSequential, count: int, test: tuple[float, float], notes: str) -> Experiment:
    """One of the document's networks; ``test`` are accuracy and loss of the test set after the last epoch, its only ones."""
    train = curve(name)
    reported = Reported(
        test[0], validation_loss=test[1], train_accuracy=train.train_accuracy[-1], train_loss=train.train_loss[-1], curves=(train,)
    )
    return Experiment(
        name=name, data_set=MNIST_UNIT, model=model, recipe=RECIPE, budget=Budget(exact=count, keras_total=count),
        aim=own_figure(test[0]), reported=reported, source=SOURCE, marks=(CONSTANTS,), notes=notes,
    )  # fmt: skip


def normalized(network: Experiment, layers: int, counts: tuple[int, int], marks: tuple[Mark, ...], notes: str) -> Experiment:
    """The network with batch normalization after its first ``layers`` dropouts.

    ``counts`` are its trainable parameters and those that Keras counts.
    """
    dropouts = [place for place, layer in enumerate(network.model.layers) if isinstance(layer, Dropout)][:layers]
    blocks = ((layer, BatchNormalization()) if place in dropouts else (layer,) for place, layer in enumerate(network.model.layers))
    trainable, total = counts
    return derive(
        network, f"{network.name}-bn", model=KerasSequential(tuple(layer for block in blocks for layer in block)),
        budget=Budget(exact=trainable, keras_total=total), aim=None, marks=marks, notes=notes,
    )  # fmt: skip


CNN3_LENET = convnet(
    "cnn3-lenet",
    KerasSequential((
        Conv2D(256), MaxPooling2D(), Dropout(0.25), Conv2D(128), MaxPooling2D(), Dropout(0.25),
        Flatten(), Dense(128), Dropout(0.5), Dense(64), Dropout(0.5),
    )),
    716_234, (99.24, 0.03021), "Two convolutions, after LeNet.",
)  # fmt: skip
CNN3_VGG = convnet(
    "cnn3-vgg",
    KerasSequential((
        Conv2D(64), Conv2D(64), MaxPooling2D(), Dropout(0.5), Conv2D(256), Conv2D(256), MaxPooling2D(), Dropout(0.5),
        Conv2D(512), MaxPooling2D(), Dropout(0.5),
        Flatten(), Dense(256), Dropout(0.5), Dense(128), Dropout(0.5), Dense(64), Dropout(0.5),
    )),
    2_128_650, (99.49, 0.03050), "Five convolutions, after VGGNet.",
)  # fmt: skip
CNN3_SEVEN = convnet(
    "cnn3-seven",
    KerasSequential((
        Conv2D(64), Dropout(0.5), Conv2D(128), Dropout(0.5), Conv2D(256), Dropout(0.5), Conv2D(512), Dropout(0.5),
        Conv2D(768, 4), MaxPooling2D(), Dropout(0.5), Conv2D(1024, 4), Dropout(0.5), Conv2D(2048, 4), MaxPooling2D(), Dropout(0.5),
        Flatten(), Dense(1024), Dropout(0.4), Dense(512), Dropout(0.4), Dense(256), Dropout(0.5), Dense(64), Dropout(0.5),
    )),
    56_753_866, (99.32, 0.03418), "Seven convolutions; the document took about 230 s an epoch on its GPU.",
)  # fmt: skip
CNN3_LENET_BN = normalized(
    CNN3_LENET, 2, (717_002, 717_770), (),
    "With the two batch normalizations that the document has commented out. (A third convolution, 256 3×3, is commented out too.)",
)  # fmt: skip
CNN3_VGG_BN = normalized(CNN3_VGG, 6, (2_131_210, 2_133_770), (PLACES,), "With batch normalization; nothing is reported.")
CNN3_SEVEN_BN = normalized(CNN3_SEVEN, 11, (56_767_178, 56_780_490), (PLACES,), "With batch normalization; nothing is reported.")

CONVNETS = (CNN3_LENET, CNN3_LENET_BN, CNN3_VGG, CNN3_VGG_BN, CNN3_SEVEN, CNN3_SEVEN_BN)
