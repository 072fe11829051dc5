"""Descriptions of networks: frozen data whose ``build()`` makes the module; torch is imported only then."""

from budgetnet.models.keras_sequential import (
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    KerasSequential,
    MaxPooling2D,
)
from budgetnet.models.plain_cnn import PlainCNN

__all__ = ["BatchNormalization", "Conv2D", "Dense", "Dropout", "Flatten", "KerasSequential", "MaxPooling2D", "PlainCNN"]
