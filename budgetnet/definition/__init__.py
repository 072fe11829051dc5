"""Experiments as frozen data: checked when they are built, compared field by field.

Nothing here imports torch or anything else of budgetnet, so that definitions can be listed, compared and
hashed in milliseconds. Accuracies are in percent everywhere in budgetnet.
"""

from budgetnet.definition.checks import DefinitionError, is_count, is_fraction, is_number, one_of, require
from budgetnet.definition.conclusion import Conclusion
from budgetnet.definition.data_set import DataFile, DataSet, class_name
from budgetnet.definition.derivation import change, definition_hash, derive, difference, plain
from budgetnet.definition.experiment import Aim, Budget, Experiment, Mark, flatten
from budgetnet.definition.optimizers import SGD, Adadelta, Adam, Optimizer, ReduceLROnPlateau, RMSprop, Schedule, StepLR
from budgetnet.definition.recipe import Augmentation, Protocol, Recipe
from budgetnet.definition.reported import Curve, Reported
from budgetnet.definition.study import Choices, Plan, Point, Range, ReportedAt, Study

__all__ = [
    "SGD", "Adadelta", "Adam", "Aim", "Augmentation", "Budget", "Choices", "Conclusion", "Curve", "DataFile", "DataSet",
    "DefinitionError", "Experiment", "Mark", "Optimizer", "Plan", "Point", "Protocol", "RMSprop", "Range", "Recipe",
    "ReduceLROnPlateau", "Reported", "ReportedAt", "Schedule", "StepLR", "Study", "change", "class_name", "definition_hash", "derive",
    "difference", "flatten", "is_count", "is_fraction", "is_number", "one_of", "plain", "require",
]  # fmt: skip
