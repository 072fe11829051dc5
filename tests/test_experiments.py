"""The shipped catalogue, experiment by experiment: what is registered is what gets tested."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from budgetnet.catalogue import load_default
from budgetnet.data.specs import DATA_SETS
from budgetnet.definition import Augmentation, StepLR, difference
from budgetnet.params import count, layer_table
from budgetnet.run import build_model, gate
from tests.keras_models import MODELS

CATALOGUE = load_default()
STEPS = [experiment for experiment in CATALOGUE if re.fullmatch(r"step-\d\d", experiment.name)]

# The table of the source: widths, exact count, rotation, schedule, batch size, epochs, train %, validation %, aim
TABLE = {
    "step-01": ((32, 32, 32, 32, 32), 40_202, 0, None, 128, 20, 99.58, 99.23, 99.0),
    "step-02": ((14, 14, 14, 14, 14), 8_442, 0, None, 128, 15, 98.96, 98.90, 99.0),
    "step-03": ((14, 14, 14, 14, 14), 8_582, 0, None, 128, 15, 98.69, 99.35, 99.0),
    "step-04": ((14, 14, 14, 14, 14), 8_582, 7, None, 128, 15, 98.50, 99.37, 99.4),
    "step-05": ((14, 14, 14, 14, 14), 8_582, 7, 6, 128, 15, 98.39, 99.25, 99.4),
    "step-06": ((14, 14, 14, 14, 14), 8_582, 7, 6, 128, 15, 98.68, 99.40, 99.4),
    "step-07": ((14, 14, 14, 14, 14), 8_582, 5, 6, 64, 15, 99.00, 99.42, 99.4),
    "step-08": ((14, 14, 14, 14, 14), 8_582, 5, 6, 64, 15, 99.04, 99.44, 99.4),
    "step-09": ((12, 12, 14, 14, 14), 7_836, 5, 6, 64, 15, 99.04, 99.42, 99.4),
    "step-10": ((10, 10, 12, 12, 12), 5_854, 5, 7, 64, 15, 98.91, 99.38, 99.4),
    "step-11": ((10, 10, 12, 12, 14), 6_254, 5, 7, 64, 15, 98.86, 99.45, 99.4),
    "step-12": ((10, 10, 12, 12, 13), 6_054, 5, 7, 64, 15, 98.92, 99.40, 99.4),
    "step-13": ((10, 10, 10, 12, 14), 5_854, 5, 7, 64, 15, 98.88, 99.40, 99.4),
}


def test_catalogue_holds_the_steps_their_twins_and_the_keras_ports_in_order():
    steps = [f"step-{number:02d}" for number in range(1, 14)]
    assert list(CATALOGUE.names) == [*steps, *(f"{step}-pointwise" for step in steps), *MODELS]


def test_every_definitions_file_is_known_here():
    folder = Path(__file__).parent.parent / "experiments"
    shipped = {"__init__", "progression", "pointwise", "separable", "explore", "lenet", "convnets", "mlps"}
    own_catalogues = {"choices"}  # the comparison behind the chosen values
    assert {path.stem for path in folder.glob("*.py")} == shipped | own_catalogues


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_step_is_the_source_s(step):
    widths, exact, rotation, schedule, batch_size, epochs, train, validation, aim = TABLE[step.name]
    number = int(step.name[-2:])
    assert step.model.widths == widths
    assert (step.model.bias, step.model.norm) == (number == 1, number > 2)
    assert (step.model.dropout == 0) == (number < 3)
    assert number not in (3, 4, 5) or step.model.dropout == 0.1
    assert number < 6 or 0 < step.model.dropout < 0.1, "the source: a smaller dropout"
    assert (step.model.consolidate, step.model.classifier_kernel, step.model.pool_after) == ((), 3, (2, 4))
    assert step.budget.exact == exact
    assert step.recipe.augmentation == (Augmentation(rotation=rotation, interpolation="nearest", fill=1) if rotation else Augmentation())
    assert step.recipe.schedule == (StepLR(schedule, 0.1) if schedule else None)
    assert (step.recipe.batch_size, step.recipe.epochs, step.recipe.optimizer.momentum) == (batch_size, epochs, 0.9)
    assert (step.reported.train_accuracy, step.reported.validation_accuracy, step.aim.accuracy) == (train, validation, aim)
    assert step.recipe.protocol.validation == "test"


def test_rates_rise_where_the_source_says_so():
    rates = {step.name: step.recipe.optimizer.lr for step in STEPS}
    assert all(rates[f"step-{n:02d}"] == 0.01 for n in range(1, 8))
    assert 0.01 < rates["step-08"] < rates["step-09"] <= 0.19
    assert all(rates[f"step-{n:02d}"] == rates["step-09"] for n in range(10, 14))


def test_what_no_source_gives_is_marked():
    marks = {step.name: {mark.field: mark.kind for mark in step.marks} for step in STEPS}
    assert marks["step-06"]["model.dropout"] == marks["step-13"]["model.dropout"] == "chosen"
    assert marks["step-08"]["recipe.optimizer.lr"] == marks["step-09"]["recipe.optimizer.lr"] == "chosen"
    assert all(marks[name]["model.widths"] == "inferred" for name in ("step-10", "step-11", "step-12", "step-13"))
    assert all(mark.kind == "chosen" for twin in CATALOGUE if twin.twin_of for mark in twin.marks if mark.field == "model.consolidate")


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


@pytest.mark.parametrize("module", ["experiments", "experiments.choices"])
def test_definitions_import_no_torch(module):
    code = f"import {module}, sys; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent.parent, check=False).returncode == 0
