"""The training loop: seeds, resume, the kernels against the reference, and losses that break."""

import copy

import pytest
import torch
from torch.nn.utils import parameters_to_vector

from budgetnet.data.resident import Resident, evaluation_batches
from budgetnet.definition import SGD, Augmentation, Recipe, StepLR
from budgetnet.engine.choice import EngineError, Settings
from budgetnet.engine.cpu.build import KernelsUnavailable, load
from budgetnet.engine.loop import Diverged, Training, train
from budgetnet.models import PlainCNN
from budgetnet.seeds import stream_seed

SHAPE = (1, 28, 28)
RECIPE = Recipe(
    optimizer=SGD(lr=0.05, momentum=0.9), batch_size=32, epochs=4, schedule=StepLR(2), augmentation=Augmentation(rotation=5, fill=1)
)
MODEL = PlainCNN(widths=(6, 6, 6, 6, 6), dropout=0.1)


class Digits:
    """A few real digits, resident, as the loop wants them."""

    def __init__(self, mnist, recipe=RECIPE, count=600):
        self.classes, self.recipe = 10, recipe
        self.steps = -(-count // recipe.batch_size)
        self.resident = Resident(mnist.train_images[:count], mnist.train_labels[:count], 0.1307, 0.3081)
        self.validation = mnist.test_images[:200], mnist.test_labels[:200]

    def train_batches(self, order, augmentation):
        return self.resident.batches(self.recipe.batch_size, self.recipe.augmentation, order, augmentation)

    def validation_batches(self):
        return evaluation_batches(*self.validation, self.recipe.batch_size, 0.1307, 0.3081)


def start(seed=0, recipe=RECIPE, engine="auto", model=MODEL):
    torch.manual_seed(stream_seed(seed, "initialization"))
    return Training(model.build(SHAPE, 10), recipe, SHAPE, seed, Settings(engine=engine))


def figures(records):
    return [(r.epoch, r.lr, r.train_loss, r.train_accuracy, r.validation_loss, r.validation_accuracy) for r in records]


@pytest.fixture(params=["eager", "kernels"])
def engine(request):
    if request.param == "kernels":
        try:
            load()
        except KernelsUnavailable as error:
            pytest.skip(f"the kernels: {error}")
    return request.param


def test_same_seed_same_bits_other_seed_other_run(mnist, engine):
    states, records = [], []
    for seed in (0, 0, 1):
        training = start(seed, engine=engine)
        records.append(figures(train(training, Digits(mnist), 2)))
        states.append(training.model.state_dict())
    assert records[0] == records[1] != records[2]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_resumed_between_epochs_is_bit_identical(mnist, engine):
    whole = start(engine=engine)
    expected = figures(train(whole, Digits(mnist), 4))
    part = start(engine=engine)
    records = figures(train(part, Digits(mnist), 2))
    state = copy.deepcopy(part.state_dict())
    torch.manual_seed(123)  # another process knows nothing of this one's random state
    rest = start(seed=0, engine=engine)
    rest.load_state_dict(state)
    records += figures(train(rest, Digits(mnist), 4))
    assert records == expected
    final, resumed = whole.model.state_dict(), rest.model.state_dict()
    assert all(torch.equal(final[name], resumed[name]) for name in final)


def test_kernels_take_the_reference_s_steps(mnist, engine):
    """Step by step from the same weights; left to themselves both drift apart as rounding grows, as two layouts of torch do.

    Where two pooled values are equal but for rounding, the gradient may go to either: a few steps differ by such a pixel.
    """
    if engine == "eager":
        pytest.skip("this is the reference")
    recipe = Recipe(optimizer=SGD(lr=0.05), batch_size=32, epochs=1)  # without momentum, whose buffers would have to be aligned too
    reference, kernels = (start(engine=name, recipe=recipe) for name in ("eager", "kernels"))
    streams = [Digits(mnist).train_batches(run.order, run.augmentation) for run in (reference, kernels)]
    off, previous = [], copy.deepcopy(reference.model)
    for step, ((images, labels), (same_images, same_labels)) in enumerate(zip(*streams, strict=True)):
        assert torch.equal(images, same_images)
        assert torch.equal(labels, same_labels)
        random = torch.get_rng_state()
        expected, _ = reference.path.step(images, labels)
        torch.set_rng_state(random)  # both draw the same dropout masks
        loss, _ = kernels.path.step(images, labels)
        assert float(loss) == pytest.approx(float(expected), abs=1e-5), f"step {step}"
        before, theirs, ours = (parameters_to_vector(x.parameters()).detach() for x in (previous, reference.model, kernels.model))
        off.append(((ours - theirs).norm() / (theirs - before).norm()).item())
        for one, other in zip(reference.model.buffers(), kernels.model.buffers(), strict=True):
            torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-6)
        previous = copy.deepcopy(reference.model)
        kernels.model.load_state_dict(reference.model.state_dict())
    assert step == 18
    assert sorted(off)[9] < 1e-4
    assert max(off) < 0.05


def test_kernels_follow_the_reference_over_the_first_steps(mnist, engine):
    if engine == "eager":
        pytest.skip("this is the reference")
    losses = {}
    for name in ("eager", "kernels"):
        run = start(engine=name)
        batches = Digits(mnist).train_batches(run.order, run.augmentation)
        losses[name] = [float(run.path.step(*batch)[0]) for batch, _ in zip(batches, range(5), strict=False)]
    assert losses["kernels"] == pytest.approx(losses["eager"], abs=1e-5)


def test_schedule_and_records(mnist):
    records = list(train(start(), Digits(mnist), 4))
    assert [record.epoch for record in records] == [1, 2, 3, 4]
    assert [record.lr for record in records] == pytest.approx([0.05, 0.05, 0.005, 0.005])
    assert records[-1].train_loss < records[0].train_loss
    assert all(0 <= record.train_accuracy <= 100 and record.seconds > 0 for record in records)


def test_ticks_count_every_image(mnist):
    seen = []
    list(train(start(), Digits(mnist), 1, seen.append))
    assert sum(seen) == 600
    assert set(seen[:-1]) == {32}


def test_a_loss_that_breaks_stops_the_run_and_says_where(mnist, engine):
    recipe = Recipe(optimizer=SGD(lr=1e18), batch_size=32, epochs=2)
    with pytest.raises(Diverged, match=r"the loss is (nan|inf) at step \d+ of epoch 1"):
        list(train(start(recipe=recipe, engine=engine), Digits(mnist, recipe), 2))


def test_checkpoint_of_another_engine_is_refused(mnist):
    state = start(engine="eager").state_dict()
    state["made_by"] = "cpu, kernels, fp32"
    with pytest.raises(EngineError, match=r"begun with \(cpu, kernels, fp32\) and would go on with \(cpu, eager, fp32\)"):
        start(engine="eager").load_state_dict(state)


def test_streams_of_one_seed_differ():
    seeds = {stream_seed(seed, purpose) for seed in range(50) for purpose in ("initialization", "order", "augmentation", "dropout")}
    assert len(seeds) == 200
