"""At the end of training, seeds that trained together are distributed as seeds that trained alone: kernels, plain torch, stacks."""

import pytest
import torch
from scipy import stats

from budgetnet.data.resident import Resident, evaluation_batches
from budgetnet.data.stacked import StackedResident
from budgetnet.definition import SGD, Augmentation, Recipe, StepLR
from budgetnet.engine.choice import Settings
from budgetnet.engine.cpu.build import KernelsUnavailable, load
from budgetnet.engine.loop import Training, train
from budgetnet.engine.stacked.training import StackedTraining
from budgetnet.models import PlainCNN
from budgetnet.seeds import stream_seed

SHAPE, MEAN, STD = (1, 28, 28), 0.1307, 0.3081
RECIPE = Recipe(
    optimizer=SGD(lr=0.05, momentum=0.9), batch_size=32, epochs=4, schedule=StepLR(3), augmentation=Augmentation(rotation=5, fill=1)
)
MODEL = PlainCNN(widths=(4, 4, 4, 4), dropout=0.05)
SEEDS = range(10)


class Digits:
    """A few real digits for the loop of one network."""

    def __init__(self, mnist):
        self.classes, self.steps = 10, 20
        self.resident = Resident(mnist.train_images[:640], mnist.train_labels[:640], MEAN, STD)
        self.validation = mnist.test_images[:1000], mnist.test_labels[:1000]

    def train_batches(self, order, augmentation):
        return self.resident.batches(RECIPE.batch_size, RECIPE.augmentation, order, augmentation)

    def validation_batches(self):
        return evaluation_batches(*self.validation, RECIPE.batch_size, MEAN, STD)


def build(seed):
    torch.manual_seed(stream_seed(seed, "initialization"))
    return MODEL.build(SHAPE, 10)


def alone(digits, engine):
    """The last epoch's validation losses of ten runs, one after the other."""
    runs = (Training(build(seed), RECIPE, SHAPE, seed, Settings(engine=engine)) for seed in SEEDS)
    return [list(train(run, digits, RECIPE.epochs))[-1].validation_loss for run in runs]


@pytest.fixture(scope="module")
def reference(mnist):
    """Ten runs of the fastest way to train one network alone here."""
    try:
        load()
    except KernelsUnavailable:
        return alone(Digits(mnist), "eager")
    return alone(Digits(mnist), "kernels")


def assert_same_distribution(ones, others):
    """The 95 % interval of the difference of the means (Welch) holds zero, and the spreads are alike."""
    test = stats.ttest_ind(ones, others, equal_var=False)
    interval = test.confidence_interval(0.95)
    assert interval.low <= 0 <= interval.high
    assert stats.levene(ones, others).pvalue > 0.01


def test_ten_seeds_together_are_ten_seeds_alone(mnist, reference):
    digits = Digits(mnist)
    data = StackedResident([digits.resident] * 10, [digits.validation] * 10, RECIPE.augmentation, 10)
    together = StackedTraining([build(seed) for seed in SEEDS], RECIPE, SHAPE, SEEDS, data, Settings(engine="grouped"))
    *_, last = together.train(RECIPE.epochs)
    assert_same_distribution([record.validation_loss for record in last], reference)
    assert max(reference) < 2.0  # they learned something


def test_plain_torch_is_distributed_as_the_fast_path(mnist, reference):
    assert_same_distribution(alone(Digits(mnist), "eager"), reference)


def test_what_the_assertion_would_catch(reference):
    with pytest.raises(AssertionError):
        assert_same_distribution([loss + 0.5 for loss in reference], reference)
