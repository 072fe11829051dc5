"""Three convolutional networks: after LeNet, after VGGNet, and one of seven convolutions; each also batch-normalized.

Source ``cnn3``, "CNN Architectures on MNIST" (Keras). Everything is the document's, which validates on the test set.
The normalized variants are its commented-out lines: BatchNormalization after each pooling and dropout.
"""

from budgetnet.data.specs import MNIST_UNIT
from budgetnet.definition import Adadelta, Budget, Experiment, Mark, Recipe, Reported, derive
from budgetnet.models import BatchNormalization, Conv2D, Dense, Dropout, Flatten, KerasSequential, MaxPooling2D

SOURCE = "cnn3, CNN Architectures on MNIST (Keras)"
RECIPE = Recipe(optimizer=Adadelta(lr=1.0, rho=0.95, epsilon=1e-7), batch_size=128, epochs=20, precision="fp32")
PLACE = Mark(
    "model.layers", "inferred", "'after each pooling/dropout' is read as after every dropout, which follows the pooling where there is one"
)


def convnet(name: str, model: KerasSequential, count: int, reported: Reported, notes: str) -> Experiment:
    return Experiment(
        name=name, data_set=MNIST_UNIT, model=model, recipe=RECIPE, budget=Budget(exact=count, keras_total=count),
        reported=reported, source=SOURCE, notes=notes,
    )  # fmt: skip


def normalized(network: Experiment, counts: tuple[int, int]) -> Experiment:
    """The network with batch normalization after every dropout; ``counts`` are its trainable parameters and those that Keras counts."""
    blocks = ((layer, BatchNormalization()) if isinstance(layer, Dropout) else (layer,) for layer in network.model.layers)
    trainable, total = counts
    return derive(
        network, f"{network.name}-bn", model=KerasSequential(tuple(layer for block in blocks for layer in block)),
        budget=Budget(exact=trainable, keras_total=total), marks=(PLACE,),
        notes=f"{network.name} with the batch normalization that the document commented out; nothing is reported.",
    )  # fmt: skip


CNN3_LENET = convnet(
    "cnn3-lenet",
    KerasSequential((
        Conv2D(256), MaxPooling2D(), Dropout(0.25), Conv2D(128), MaxPooling2D(), Dropout(0.25),
        Flatten(), Dense(128), Dropout(0.5), Dense(64), Dropout(0.5),
    )),
    716_234, Reported(99.24, validation_loss=0.03021), "Two convolutions, after LeNet.",
)  # fmt: skip
CNN3_VGG = convnet(
    "cnn3-vgg",
    KerasSequential((
        Conv2D(64), Conv2D(64), MaxPooling2D(), Dropout(0.5), Conv2D(256), Conv2D(256), MaxPooling2D(), Dropout(0.5),
        Conv2D(512), MaxPooling2D(), Dropout(0.5),
        Flatten(), Dense(256), Dropout(0.5), Dense(128), Dropout(0.5), Dense(64), Dropout(0.5),
    )),
    2_128_650, Reported(99.49, validation_loss=0.03050), "Five convolutions, after VGGNet.",
)  # fmt: skip
CNN3_SEVEN = convnet(
    "cnn3-seven",
    KerasSequential((
        Conv2D(64), Dropout(0.5), Conv2D(128), Dropout(0.5), Conv2D(256), Dropout(0.5), Conv2D(512), Dropout(0.5),
        Conv2D(768, 4), MaxPooling2D(), Dropout(0.5), Conv2D(1024, 4), Dropout(0.5), Conv2D(2048, 4), MaxPooling2D(), Dropout(0.5),
        Flatten(), Dense(1024), Dropout(0.4), Dense(512), Dropout(0.4), Dense(256), Dropout(0.5), Dense(64), Dropout(0.5),
    )),
    56_753_866, Reported(99.32, validation_loss=0.03418), "Seven convolutions; the document took about 230 s an epoch on its GPU.",
)  # fmt: skip
CNN3_LENET_BN = normalized(CNN3_LENET, (717_386, 718_538))
CNN3_VGG_BN = normalized(CNN3_VGG, (2_131_210, 2_133_770))
CNN3_SEVEN_BN = normalized(CNN3_SEVEN, (56_767_178, 56_780_490))

CONVNETS = (CNN3_LENET, CNN3_LENET_BN, CNN3_VGG, CNN3_VGG_BN, CNN3_SEVEN, CNN3_SEVEN_BN)
