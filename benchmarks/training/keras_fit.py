"""The same training by Keras 3: ``compile`` and ``fit`` on arrays in memory, on the backend of KERAS_BACKEND.

Rotation is Keras's own layer before the network, so that it works on whole batches and is compiled on JAX. Faster
settings are used: channels first on the torch backend, and on JAX several steps between two calls of the callbacks.
"""

from __future__ import annotations

import math
import time
from typing import Any

import keras
import numpy as np

from benchmarks.training.contest import Stretch, Trainer, sgd, training_images
from benchmarks.turns import Unavailable
from budgetnet.definition import Experiment
from budgetnet.models import PlainCNN

DATA_FORMAT = {"jax": "channels_last", "torch": "channels_first"}
STEPS_PER_EXECUTION = {"jax": 16, "torch": 1}


def augmentation(experiment: Experiment, data_format: str) -> list[Any]:
    """Rotation of raw pixels by whole degrees, filled with a raw pixel value, then normalization."""
    wanted, spec = experiment.recipe.augmentation, experiment.data_set
    rotation = keras.layers.RandomRotation(
        wanted.rotation / 360,
        fill_mode="constant",
        fill_value=wanted.fill,
        interpolation=wanted.interpolation,
        data_format=data_format,
    )
    # Keras compiles the layer with no backend, since it cannot with TensorFlow; on JAX that is four times slower
    rotation.supports_jit = keras.config.backend() == "jax"
    return [rotation, keras.layers.Rescaling(1 / (255 * spec.std), offset=-spec.mean / spec.std)]


def network(model: PlainCNN, classes: int, data_format: str) -> list[Any]:
    """The layers of ``model`` in Keras, with the momentum and epsilon of torch's batch normalization."""
    la, axis = keras.layers, 1 if data_format == "channels_first" else -1
    if model.consolidate:
        raise ValueError("the Keras entrant knows no 1×1 convolutions")
    padded = max(model.pool_after, default=0)
    layers: list[Any] = []
    for number, width in enumerate(model.widths, start=1):
        padding = "same" if number <= padded else "valid"
        layers.append(
            la.Conv2D(width, 3, padding=padding, use_bias=model.bias, activation="relu", data_format=data_format)
        )
        if model.norm:
            layers.append(la.BatchNormalization(axis=axis, momentum=0.9, epsilon=1e-5))
        if model.dropout:
            layers.append(la.SpatialDropout2D(model.dropout, data_format=data_format))
        if number in model.pool_after:
            layers.append(la.MaxPooling2D(2, data_format=data_format))
    layers.append(la.Conv2D(classes, model.classifier_kernel, use_bias=model.bias, data_format=data_format))
    layers.append(la.GlobalAveragePooling2D(data_format=data_format))
    return layers


class KerasTraining(Trainer):
    """``fit`` on all cores, an epoch a call."""

    def __init__(self, experiment: Experiment, device: str, threads: int) -> None:
        backend = keras.config.backend()
        if backend == "torch":
            import torch

            torch.set_num_threads(threads)
        elif device == "cuda":
            import jax

            if jax.default_backend() != "gpu":
                raise Unavailable("JAX finds no CUDA device; pip install 'jax[cuda13]'")
        data_format = DATA_FORMAT[backend]
        images, self.labels = training_images(experiment)
        self.images = images if data_format == "channels_first" else np.ascontiguousarray(np.moveaxis(images, 1, -1))
        layers = network(experiment.model, experiment.data_set.classes, data_format)
        augmented = augmentation(experiment, data_format)
        self.model = keras.Sequential([keras.Input(self.images.shape[1:]), *augmented, *layers])
        optimizer = sgd(experiment)
        self.model.compile(
            keras.optimizers.SGD(optimizer.lr, momentum=optimizer.momentum),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            jit_compile="auto",
            steps_per_execution=STEPS_PER_EXECUTION[backend],
        )
        self.batch_size = experiment.recipe.batch_size
        self.parameters = sum(math.prod(variable.shape) for variable in self.model.trainable_variables)
        self.description = (
            f"{backend} backend, {'compiled' if self.model.jit_compile else 'not compiled'}, {data_format}"
        )

    def train(self, images: int) -> Stretch:
        began = time.perf_counter()
        history = self.model.fit(
            self.images[:images], self.labels[:images], batch_size=self.batch_size, epochs=1, verbose=0
        )
        float(history.history["loss"][-1])  # JAX runs ahead: wait until all is done
        return Stretch(images, began, time.perf_counter())
