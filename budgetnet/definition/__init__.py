"""What an experiment is: frozen data, checked when it is built, compared field by field.

Nothing here imports torch or anything else of budgetnet, so that definitions can be listed, compared and
hashed in milliseconds. Accuracies are in percent everywhere in budgetnet.
"""

from budgetnet.definition.checks import DefinitionError, is_count, is_fraction, is_number, one_of, require
from budgetnet.definition.data_set import DataFile, DataSet
from budgetnet.definition.derivation import change, definition_hash, derive, difference, plain
from budgetnet.definition.experiment import Aim, Budget, Experiment, Mark, Reported, flatten
from budgetnet.definition.recipe import SGD, Augmentation, Protocol, Recipe, StepLR

__all__ = [
    "SGD", "Aim", "Augmentation", "Budget", "DataFile", "DataSet", "DefinitionError", "Experiment", "Mark", "Protocol", "Recipe",
    "Reported", "StepLR", "change", "definition_hash", "derive", "difference", "flatten", "is_count", "is_fraction", "is_number",
    "one_of", "plain", "require",
]  # fmt: skip
