"""Several networks at once on CUDA: captured steps are the plain ones, and one of many is one alone; skipped without a device."""

import pytest
import torch

from budgetnet.catalogue import load_default
from budgetnet.data.resident import Resident
from budgetnet.data.stacked import StackedResident
from budgetnet.engine.choice import Settings
from budgetnet.engine.stacked.layouts import LAYOUTS
from budgetnet.engine.stacked.steps import Replayed
from budgetnet.engine.stacked.training import StackedTraining
from budgetnet.run import Options, build_model, run_together
from tests.silent import Silent
from tests.test_engine_stacked import losses_of_steps

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
STEP = load_default()["step-13"]


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    """fp32 as written: no TF32, and one algorithm for one shape."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)


def start(mnist, seeds, engine, count=3200):
    spec = STEP.data_set
    resident = Resident(mnist.train_images[:count], mnist.train_labels[:count], spec.mean, spec.std, "cuda")
    validation = mnist.test_images[:500].cuda(), mnist.test_labels[:500].cuda()
    data = StackedResident([resident] * len(seeds), [validation] * len(seeds), STEP.recipe.augmentation, spec.classes)
    models = [build_model(STEP, seed) for seed in seeds]
    return StackedTraining(models, STEP.recipe, spec.image_shape, seeds, data, Settings(device="cuda", engine=engine))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_captured_steps_are_the_plain_ones(mnist, layout, monkeypatch):
    captured = losses_of_steps(start(mnist, (0, 1), layout), 5)
    monkeypatch.setattr(Replayed, "run", lambda self, size: self._steps.run(size))
    plain = losses_of_steps(start(mnist, (0, 1), layout), 5)
    torch.testing.assert_close(captured, plain, rtol=0, atol=1e-4)


def test_one_of_many_takes_the_steps_of_one_alone(mnist):
    together = losses_of_steps(start(mnist, range(10), "branches"), 50)
    for place in (0, 9):
        alone = losses_of_steps(start(mnist, (place,), "branches"), 50)
        torch.testing.assert_close(together[place], alone[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_begin_alike(mnist, layout):
    together = losses_of_steps(start(mnist, (0, 1, 2), layout), 5)
    torch.testing.assert_close(together[2], losses_of_steps(start(mnist, (2,), "branches"), 5)[0], rtol=0, atol=1e-3)


def test_a_measured_layout_changes_nothing_by_being_measured(mnist):
    measured, fixed = start(mnist, (0, 1), "stacked"), start(mnist, (0, 1), "branches")
    first = [losses_of_steps(training, 3) for training in (measured, fixed)]
    torch.testing.assert_close(first[0], first[1], rtol=0, atol=1e-3)


def test_ten_seeds_of_step_13_learn(mnist, tmp_path):
    outcomes = run_together(STEP, range(10), Options(tmp_path, Settings(device="cuda"), epochs=1), Silent())
    accuracies = [outcome.last.validation_accuracy for outcome in outcomes.values()]
    assert len(set(accuracies)) > 1
    assert min(accuracies) > 95
