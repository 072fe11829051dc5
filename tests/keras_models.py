"""The documents' networks in Keras itself, written from the documents: the oracle of the ports.

Every function takes the Keras module (imported with its torch backend) and returns a model that ends in logits.
"""

from __future__ import annotations


def separable(keras, norm=False, dropout=0.0):
    layers = keras.layers

    def block(x, filters, kernel):
        x = layers.SeparableConv2D(filters, kernel, padding="same", activation="relu")(x)
        return layers.BatchNormalization(momentum=0.99, epsilon=1e-3)(x) if norm else x

    images = keras.Input((28, 28, 1))
    stem = block(images, 32, 28)
    branches = [layers.MaxPooling2D(2)(block(stem, 64, 14)) for _ in range(2)]
    x = layers.Flatten()(layers.Reshape((7, 7, 512))(layers.Concatenate()(branches)))
    for units in (1000, 500):
        x = layers.Dense(units, activation="relu")(x)
        x = layers.Dropout(dropout)(x) if dropout else x
    return keras.Model(images, layers.Dense(10)(x))


def sequential(keras, *stack):
    return keras.Sequential([keras.Input((28, 28, 1)), *stack, keras.layers.Dense(10)])


def lenet(keras):
    la = keras.layers
    return sequential(
        keras, la.Conv2D(32, 3, activation="relu"), la.Conv2D(64, 3, activation="relu"), la.MaxPooling2D(2), la.Dropout(0.25),
        la.Flatten(), la.Dense(128, activation="relu"), la.Dropout(0.5),
    )  # fmt: skip


def lenet_deeper(keras):
    la = keras.layers
    same = {"padding": "same", "activation": "relu"}
    return sequential(
        keras, la.Conv2D(32, 5, **same), la.Conv2D(32, 5, **same), la.MaxPooling2D(2), la.Dropout(0.25),
        la.Conv2D(64, 3, **same), la.Conv2D(64, 3, **same), la.MaxPooling2D(2), la.Dropout(0.25),
        la.Flatten(), la.Dense(256, activation="relu"), la.Dropout(0.5),
    )  # fmt: skip


def convnet(keras, plan, norm):
    """``plan``: (filters, kernel) a convolution, 'pool', a float a dropout, 'flatten', an int a dense layer.

    ``norm``: batch normalization after so many of the dropouts, from the first on.
    """
    la = keras.layers
    stack, left = [], norm
    for item in plan:
        if item == "pool":
            stack.append(la.MaxPooling2D(2))
        elif item == "flatten":
            stack.append(la.Flatten())
        elif isinstance(item, tuple):
            stack.append(la.Conv2D(*item, activation="relu"))
        elif isinstance(item, float):
            stack += [la.Dropout(item), *([la.BatchNormalization(momentum=0.99, epsilon=1e-3)] if left > 0 else [])]
            left -= 1
        else:
            stack.append(la.Dense(item, activation="relu"))
    return sequential(keras, *stack)


LENET_PLAN = ((256, 3), "pool", 0.25, (128, 3), "pool", 0.25, "flatten", 128, 0.5, 64, 0.5)
VGG_PLAN = (
    (64, 3), (64, 3), "pool", 0.5, (256, 3), (256, 3), "pool", 0.5, (512, 3), "pool", 0.5, "flatten", 256, 0.5, 128, 0.5, 64, 0.5,
)  # fmt: skip
SEVEN_PLAN = (
    (64, 3), 0.5, (128, 3), 0.5, (256, 3), 0.5, (512, 3), 0.5, (768, 4), "pool", 0.5, (1024, 4), 0.5, (2048, 4), "pool", 0.5,
    "flatten", 1024, 0.4, 512, 0.4, 256, 0.5, 64, 0.5,
)  # fmt: skip


def mlp(keras, units, deviations, dropout=None):
    la = keras.layers
    stack = [la.Flatten()]
    for width, stddev in zip(units, deviations, strict=True):
        stack.append(la.Dense(width, activation="relu", kernel_initializer=keras.initializers.RandomNormal(0.0, stddev)))
        if dropout is not None:
            stack += [la.BatchNormalization(momentum=0.99, epsilon=1e-3), la.Dropout(dropout)]
    return sequential(keras, *stack)


TWO = ((256, 64), (0.055, 0.088))
THREE = ((1024, 512, 256), (0.050, 0.044, 0.062))
FIVE = ((2048, 1024, 256, 128, 64), (0.050, 0.031, 0.044, 0.088, 0.125))

# experiment -> (the model, total parameters, trainable ones) as the documents give them; None: they give none
MODELS = {
    "explore-separable": (separable, 25_612_126, 25_612_126),
    "explore-separable-bn": (lambda keras: separable(keras, norm=True), None, None),
    "explore-separable-dropout": (lambda keras: separable(keras, dropout=0.5), 25_612_126, 25_612_126),
    "explore-separable-bn-dropout": (lambda keras: separable(keras, norm=True, dropout=0.5), None, None),
    "lenet": (lenet, 1_199_882, 1_199_882),
    "lenet-deeper": (lenet_deeper, 887_530, 887_530),
    "lenet-augmented": (lenet_deeper, 887_530, 887_530),
    "cnn3-lenet": (lambda keras: convnet(keras, LENET_PLAN, 0), 716_234, 716_234),
    "cnn3-lenet-bn": (lambda keras: convnet(keras, LENET_PLAN, 2), None, None),
    "cnn3-vgg": (lambda keras: convnet(keras, VGG_PLAN, 0), 2_128_650, 2_128_650),
    "cnn3-vgg-bn": (lambda keras: convnet(keras, VGG_PLAN, 6), None, None),
    "cnn3-seven": (lambda keras: convnet(keras, SEVEN_PLAN, 0), 56_753_866, 56_753_866),
    "cnn3-seven-bn": (lambda keras: convnet(keras, SEVEN_PLAN, 11), None, None),
    "mlp-2": (lambda keras: mlp(keras, *TWO), 218_058, 218_058),
    "mlp-2-bn": (lambda keras: mlp(keras, *TWO, 0.3), 219_338, 218_698),
    "mlp-3": (lambda keras: mlp(keras, *THREE), 1_462_538, 1_462_538),
    "mlp-3-bn": (lambda keras: mlp(keras, *THREE, 0.5), 1_469_706, 1_466_122),
    "mlp-5": (lambda keras: mlp(keras, *FIVE), 4_010_058, 4_010_058),
    "mlp-5-bn": (lambda keras: mlp(keras, *FIVE, 0.5), 4_024_138, 4_017_098),
}
# where a document gives the count of every layer that has parameters
LAYERS = {
    "explore-separable": (848, 8_384, 8_384, 25_089_000, 500_500, 5_010),
    "lenet": (320, 18_496, 1_179_776, 1_290),
}
