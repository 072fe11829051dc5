"""The shipped catalogue, experiment by experiment: what is registered is what gets tested."""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from budgetnet.catalogue import load_default
from budgetnet.data.specs import DATA_SETS
from budgetnet.definition import SGD, Augmentation, Recipe, StepLR, definition_hash, difference
from budgetnet.models import PlainCNN
from budgetnet.params import count, layer_table
from budgetnet.run import build_model, gate
from tests.keras_models import MODELS

CATALOGUE = load_default()
STEPS = [experiment for experiment in CATALOGUE if re.fullmatch(r"step-\d\d", experiment.name)]

@dataclass(frozen=True)
class Line:
    """A line of the source's table. ``last`` and ``best`` are training and validation accuracy in percent."""

    widths: tuple
    bias: bool
    dropout: float | None  # with batch normalization; None: without both
    rotation: float
    schedule: int | None
    batch: int
    lr: float
    epochs: int
    parameters: int
    last: tuple
    best: tuple
    aim: float


FOURTEEN = (14, 14, 14, 14, 14)
TABLE = {
    "step-01": Line((32, 32, 32, 32, 32), True, None, 0, None, 128, 0.01, 19, 40_202, (99.55, 99.17), (99.58, 99.23), 99.0),
    "step-02": Line(FOURTEEN, False, None, 0, None, 128, 0.01, 14, 8_442, (98.96, 98.90), (98.96, 98.90), 99.0),
    "step-03": Line(FOURTEEN, False, 0.1, 0, None, 128, 0.01, 14, 8_582, (98.69, 99.13), (98.69, 99.35), 99.0),
    "step-04": Line(FOURTEEN, False, 0.1, 7, None, 128, 0.01, 14, 8_582, (98.50, 99.37), (98.50, 99.37), 99.4),
    "step-05": Line(FOURTEEN, False, 0.1, 7, 6, 128, 0.01, 14, 8_582, (98.33, 99.23), (98.39, 99.25), 99.4),
    "step-06": Line(FOURTEEN, False, 0.069, 7, 6, 128, 0.01, 14, 8_582, (98.68, 99.30), (98.68, 99.40), 99.4),
    "step-07": Line(FOURTEEN, False, 0.069, 5, 6, 64, 0.01, 14, 8_582, (98.99, 99.42), (99.00, 99.42), 99.4),
    "step-08": Line(FOURTEEN, False, 0.069, 5, 6, 64, 0.015, 14, 8_582, (98.99, 99.44), (99.04, 99.44), 99.4),
    "step-09": Line((12, 12, 14, 14, 14), False, 0.069, 5, 6, 64, 0.019, 14, 7_836, (99.04, 99.36), (99.04, 99.42), 99.4),
    "step-10": Line((10, 10, 12, 12, 12), False, 0.069, 5, 7, 64, 0.019, 14, 5_854, (98.91, 99.38), (98.91, 99.38), 99.4),
    "step-11": Line((10, 12, 12, 12, 12), False, 0.069, 5, 7, 64, 0.019, 14, 6_254, (98.86, 99.43), (98.86, 99.45), 99.4),
    "step-12": Line((10, 11, 12, 12, 12), False, 0.069, 5, 7, 64, 0.019, 14, 6_054, (98.83, 99.35), (98.92, 99.40), 99.4),
    "step-13": Line((10, 10, 12, 12, 12), False, 0.069, 5, 7, 64, 0.019, 14, 5_854, (98.86, 99.35), (98.88, 99.40), 99.4),
}


def test_catalogue_holds_the_steps_their_twins_and_the_keras_ports_in_order():
    steps = [f"step-{number:02d}" for number in range(1, 14)]
    assert list(CATALOGUE.names) == [*steps, *(f"{step}-pointwise" for step in steps), *MODELS]


def test_every_definitions_file_is_known_here():
    folder = Path(__file__).parent.parent / "experiments"
    shipped = {"__init__", "progression", "pointwise", "separable", "explore", "lenet", "convnets", "mlps"}
    shared = {"documents", "conclusions"}
    assert {path.stem for path in folder.glob("*.py")} == shipped | shared


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_step_equals_the_table_of_the_source_field_by_field(step):
    line = TABLE[step.name]
    assert step.model == PlainCNN(line.widths, line.bias, norm=line.dropout is not None, dropout=line.dropout or 0.0)
    assert (step.model.pool_after, step.model.consolidate, step.model.classifier_kernel) == ((2, 4), (), 3)
    augmentation = Augmentation(rotation=line.rotation, interpolation="nearest", fill=1) if line.rotation else Augmentation()
    schedule = StepLR(line.schedule, 0.1) if line.schedule else None
    optimizer = SGD(lr=line.lr, momentum=0.9)
    assert step.recipe == Recipe(optimizer, line.batch, line.epochs, schedule=schedule, augmentation=augmentation)
    assert step.recipe.protocol.validation == "test"
    assert (step.data_set.mean, step.data_set.std) == (0.1307, 0.3081)
    assert step.budget.exact == line.parameters
    assert step.aim.accuracy == line.aim
    reported = step.reported
    assert (reported.train_accuracy, reported.validation_accuracy) == line.last
    assert (reported.best_train_accuracy, reported.best_validation_accuracy) == line.best
    assert (reported.announces, reported.announced) == ("best", line.best[1])
    assert len(reported.curves[0].validation_accuracy) == line.epochs


def test_steps_carry_no_marks_but_of_bounds_and_of_what_the_prose_contradicts():
    marks = {step.name: {(mark.field, mark.kind) for mark in step.marks} for step in STEPS}
    epochs, kept = ("recipe.epochs", "contradicted"), ("budget.bound", "chosen")
    expected = {"step-01": {epochs}, "step-03": {epochs}, "step-04": {epochs, kept}, "step-13": {("model.widths", "contradicted")}}
    expected |= {f"step-{number:02d}": {kept} for number in (5, 6, 7, 8, 11, 12)}
    assert marks == {step.name: expected.get(step.name, set()) for step in STEPS}
    assert all(mark.kind == "chosen" for twin in CATALOGUE if twin.twin_of for mark in twin.marks if mark.field == "model.consolidate")


def test_step_13_is_step_10_and_no_definition_has_runs_under_two_names():
    assert difference(CATALOGUE["step-10"], CATALOGUE["step-13"]) == {}
    assert CATALOGUE["step-13"].runs_name == "step-10"
    trained = {}
    for experiment in CATALOGUE:
        trained.setdefault(definition_hash(experiment), set()).add(experiment.runs_name)
    assert all(len(names) == 1 for names in trained.values())


CHANGES = {
    "step-02": {"model.widths", "model.bias", "recipe.epochs", "budget.bound", "budget.exact"},
    "step-03": {"model.norm", "model.dropout", "budget.exact"},
    "step-04": {"recipe.augmentation.rotation", "recipe.augmentation.fill"},
    "step-05": {"recipe.schedule"},
    "step-06": {"model.dropout"},
    "step-07": {"recipe.batch_size", "recipe.augmentation.rotation"},
    "step-08": {"recipe.optimizer.lr"},
    "step-09": {"model.widths", "recipe.optimizer.lr", "budget.bound", "budget.exact"},
    "step-10": {"model.widths", "recipe.schedule.step_size", "budget.bound", "budget.exact"},
    "step-11": {"model.widths", "budget.bound", "budget.exact"},
    "step-12": {"model.widths", "budget.exact"},
    "step-13": {"model.widths", "budget.bound", "budget.exact"},
}


@pytest.mark.parametrize("name", CHANGES)
def test_step_changes_what_the_source_changes_and_nothing_else(name):
    step = CATALOGUE[name]
    assert step.parent == f"step-{int(name[-2:]) - 1:02d}"
    assert set(difference(CATALOGUE[step.parent], step)) == CHANGES[name]


@pytest.mark.parametrize("experiment", CATALOGUE, ids=lambda experiment: experiment.name)
def test_experiment_keeps_its_budget_and_torchsummary_agrees(experiment):
    model = build_model(experiment)
    verdict = gate(experiment, model)
    assert verdict.passed
    assert layer_table(model, experiment.data_set.image_shape).total == count(model).trainable == verdict.counts.trainable
    assert verdict.counts.non_trainable == 0


@pytest.mark.parametrize("experiment", CATALOGUE, ids=lambda experiment: experiment.name)
def test_experiment_s_network_runs_and_gives_logits(experiment):
    model = build_model(experiment).eval()
    with torch.no_grad():
        assert model(torch.zeros(2, *experiment.data_set.image_shape)).shape == (2, experiment.data_set.classes)
    assert experiment.data_set is DATA_SETS[experiment.data_set.name]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_twin_spends_the_same_budget_on_1x1_convolutions(step):
    twin = CATALOGUE[f"{step.name}-pointwise"]
    assert (twin.twin_of, twin.recipe, twin.data_set, twin.aim) == (step.name, step.recipe, step.data_set, step.aim)
    trainable = count(build_model(twin)).trainable
    assert 0.9 * step.budget.exact <= trainable <= step.budget.exact == twin.budget.bound
    modules = list(build_model(twin))
    pools = [index for index, module in enumerate(modules) if isinstance(module, torch.nn.MaxPool2d)]
    convolutions = [(index, module) for index, module in enumerate(modules) if isinstance(module, torch.nn.Conv2d)]
    for pool in pools:
        last = [module for index, module in convolutions if index < pool][-1]
        assert last.kernel_size == (1, 1)
        assert last.out_channels < last.in_channels, "a consolidation has fewer channels than what it consolidates"
    assert [module.kernel_size for _, module in convolutions].count((1, 1)) == 3
    assert (convolutions[-1][1].kernel_size, convolutions[-1][1].out_channels) == ((1, 1), 10)


@pytest.mark.parametrize("step", STEPS[:1] + STEPS[2:3], ids=lambda step: step.name)
def test_blocks_stand_in_the_source_s_order(step):
    kinds = [type(module).__name__ for module in build_model(step)]
    block = ["Conv2d", "ReLU", "BatchNorm2d", "Dropout2d"] if step.model.norm else ["Conv2d", "ReLU"]
    assert kinds == [*block * 2, "MaxPool2d", *block * 2, "MaxPool2d", *block, "Conv2d", "AdaptiveAvgPool2d", "Flatten"]


def test_definitions_import_no_torch():
    code = "import experiments, sys; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent.parent, check=False).returncode == 0
