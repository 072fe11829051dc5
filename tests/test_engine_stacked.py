"""Several networks at once: each is the network it would be alone, in every layout, through checkpoints and beside broken ones."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from budgetnet.data.resident import Resident
from budgetnet.data.stacked import StackedResident
from budgetnet.definition import SGD, Adadelta, Adam, Augmentation, Protocol, Recipe, ReduceLROnPlateau, RMSprop, StepLR
from budgetnet.engine.choice import EngineError, Settings
from budgetnet.engine.loop import Diverged
from budgetnet.engine.stacked.choice import possible_layouts
from budgetnet.engine.stacked.layouts import LAYOUTS
from budgetnet.engine.stacked.masks import MaskedDropout, Masks
from budgetnet.engine.stacked.stack import NotStackable, Stack
from budgetnet.engine.stacked.training import StackedTraining
from budgetnet.models import PlainCNN
from budgetnet.seeds import stream_seed

SHAPE, MEAN, STD = (1, 28, 28), 0.1307, 0.3081
RECIPE = Recipe(
    optimizer=SGD(lr=0.05, momentum=0.9), batch_size=32, epochs=4, schedule=StepLR(2), augmentation=Augmentation(rotation=5, fill=1)
)
CHAIN = PlainCNN(widths=(4, 4, 4, 4, 4), dropout=0.1)


def chain(seed=0, model=CHAIN):
    torch.manual_seed(stream_seed(seed, "initialization"))
    return model.build(SHAPE, 10)


def dense(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 3, 5, stride=4), nn.Dropout(0.2), nn.Flatten(), nn.Linear(3 * 6 * 6, 12), nn.BatchNorm1d(12), nn.ReLU(),
        nn.Dropout(0.5), nn.Linear(12, 10),
    )  # fmt: skip


def double_chain(seed=0):
    return chain(seed).double()


class DoubleResident(StackedResident):
    """The same images in double precision."""

    def batch(self, positions):
        images, labels = super().batch(positions)
        return images.double(), labels

    def validation_batches(self, size):
        return ((images.double(), labels) for images, labels in super().validation_batches(size))


def data_for(mnist, networks, recipe=RECIPE, count=300, own=False, kind=StackedResident):
    """Shared images, or with ``own`` different ones for each network, as hold-outs make them."""
    parts = [slice(n * count, (n + 1) * count) if own else slice(count) for n in range(networks)]
    residents, validation = {}, {}
    for part in parts:
        residents[part.start] = residents.get(part.start) or Resident(mnist.train_images[part], mnist.train_labels[part], MEAN, STD)
        validation[part.start] = validation.get(part.start) or (mnist.test_images[part], mnist.test_labels[part])
    return kind([residents[p.start] for p in parts], [validation[p.start] for p in parts], recipe.augmentation, 10)


def start(mnist, seeds, engine="stacked", recipe=RECIPE, build=chain, **data):
    data = data_for(mnist, len(seeds), recipe, **data)
    return StackedTraining([build(seed) for seed in seeds], recipe, SHAPE, seeds, data, Settings(engine=engine))


def losses_of_steps(training, count):
    """The losses of every member, step by step, over as many epochs as it takes: (members, count)."""
    found = []
    while len(found) < count:
        next(training.train(training.epoch + 1))
        found += training._chosen[1].losses.T.clone()
    return torch.stack(found[:count]).T


@pytest.mark.parametrize("build", [chain, dense])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_compute_every_network_as_torch_does(layout, build):
    if (layout, build) == ("grouped", dense):
        pytest.skip("not a chain of convolutions")
    models = [build(seed).train() for seed in range(3)]
    alone, masks = copy.deepcopy(models), Masks(models[0], SHAPE)
    stack = Stack(models)
    room = masks.reserve(3, 8, torch.device("cpu"))
    masks.draw(room, [torch.Generator().manual_seed(seed) for seed in range(3)])
    images, labels = torch.randn(3, 8, *SHAPE), torch.randint(10, (3, 8))
    layouts = possible_layouts(stack, masks, layout)
    logits = layouts[layout].train(images, room)
    functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum").backward()
    for place, model in enumerate(alone):
        for name, module in masks.install(model).items():
            module.mask = room[name][place]
        expected = model(images[place])
        torch.testing.assert_close(logits[place], expected, rtol=1e-4, atol=1e-5)
        functional.cross_entropy(expected, labels[place], reduction="sum").backward()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(stack.parameters[name].grad[place], parameter.grad, rtol=1e-3, atol=1e-4)
        for name, buffer in model.named_buffers():
            torch.testing.assert_close(stack.buffers[name][place], buffer)
        with torch.no_grad():
            evaluated = layouts[layout].evaluate(images)[place]
            torch.testing.assert_close(evaluated, model.eval()(images[place]), rtol=1e-4, atol=1e-5)


def test_one_of_many_takes_the_steps_of_one_alone(mnist):
    """Over 50 steps in fp32, for the layout whose arithmetic is that of one network alone."""
    together = losses_of_steps(start(mnist, (0, 1, 2), "branches"), 50)
    for place in range(3):
        alone = losses_of_steps(start(mnist, (place,), "branches"), 50)
        torch.testing.assert_close(together[place], alone[0], rtol=0, atol=1e-4)
    assert not torch.allclose(together[0], together[1], atol=0.01)  # and each its own


@pytest.mark.parametrize("layout", LAYOUTS)
def test_in_double_precision_no_layout_drifts_from_one_alone(mnist, layout):
    """Layouts differ in rounding. In fp32 that decides, every few steps, a ReLU or a pooled pair that is equal but for rounding,
    and training amplifies it; in fp64 such pairs are too rare to meet one in 50 steps, and any real difference would show."""
    together = losses_of_steps(start(mnist, (0, 1, 2), layout, build=double_chain, kind=DoubleResident), 50)
    alone = losses_of_steps(start(mnist, (1,), "branches", build=double_chain, kind=DoubleResident), 50)
    torch.testing.assert_close(together[1], alone[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_in_single_precision_layouts_begin_alike(mnist, layout):
    together = losses_of_steps(start(mnist, (0, 1, 2), layout), 5)
    torch.testing.assert_close(together[2], losses_of_steps(start(mnist, (2,)), 5)[0], rtol=0, atol=1e-4)


def test_it_takes_the_steps_of_a_plain_loop(mnist):
    """The oracle is torch without a stack: a module, its batches, an optimizer; only the masks are handed over."""
    training = start(mnist, (3, 4), "branches")
    losses = losses_of_steps(training, 20)
    model = chain(4).train()
    masks = Masks(model, SHAPE)
    masked, optimizer = masks.install(model), torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    order, augmentation, dropout = (torch.Generator().manual_seed(stream_seed(4, name)) for name in ("order", "augmentation", "dropout"))
    resident, expected = data_for(mnist, 1)._train[0], []
    while len(expected) < 20:
        room = masks.reserve(1, 300, torch.device("cpu"))
        masks.draw(room, [dropout])
        for number, (images, labels) in enumerate(resident.batches(32, RECIPE.augmentation, order, augmentation)):
            for name, module in masked.items():
                module.mask = room[name][0, 32 * number : 32 * number + len(labels)]
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            expected.append(loss.detach())
    torch.testing.assert_close(losses[1], torch.stack(expected[:20]), rtol=0, atol=1e-4)


def test_records_schedule_and_ticks(mnist):
    ticks = []
    epochs = list(start(mnist, (0, 1)).train(3, ticks.append))
    assert [[record.epoch for record in records] for records in epochs] == [[1, 1], [2, 2], [3, 3]]
    assert [records[0].lr for records in epochs] == pytest.approx([0.05, 0.05, 0.005])
    assert sum(ticks) == 3 * 300
    assert epochs[-1][1].train_loss < epochs[0][1].train_loss


def test_hold_outs_differ_by_network(mnist):
    training = start(mnist, (0, 1), own=True)
    [records] = training.train(1)
    alone = start(mnist, (0,), own=True)
    [[record]] = alone.train(1)
    assert record.train_loss == pytest.approx(records[0].train_loss, abs=1e-4)
    assert record.validation_accuracy == pytest.approx(records[0].validation_accuracy, abs=0.5)
    images, labels = next(iter(training._data.validation_batches(300)))
    assert torch.equal(labels[1], mnist.test_labels[300:600])
    assert images.shape == (2, 300, *SHAPE)


def test_resumed_with_the_same_company_is_bit_identical(mnist):
    whole = start(mnist, (0, 1))
    list(whole.train(4))
    part = start(mnist, (0, 1))
    list(part.train(2))
    states = copy.deepcopy([member.state_dict() for member in part.members])
    rest = start(mnist, (0, 1))
    rest.load_state_dicts(states)
    assert [records[0].epoch for records in rest.train(4)] == [3, 4]
    for one, other in zip(whole.members, rest.members, strict=True):
        assert all(torch.equal(value, other.model.state_dict()[name]) for name, value in one.model.state_dict().items())


def test_resumed_alone_is_the_same_run(mnist):
    whole = start(mnist, (0, 1))
    list(whole.train(2))
    state = whole.members[1].state_dict()
    alone = start(mnist, (1,))
    alone.load_state_dicts([state])
    [records], [[record]] = whole.train(3), alone.train(3)
    assert record.train_loss == pytest.approx(records[1].train_loss, abs=1e-3)


def test_a_checkpoint_holds_one_network_only(mnist, tmp_path):
    sizes = []
    for seeds in ((0,), range(6)):
        training = start(mnist, tuple(seeds))
        list(training.train(1))
        torch.save(training.members[0].state_dict(), tmp_path / "state.pt")
        sizes.append((tmp_path / "state.pt").stat().st_size)
        torch.load(tmp_path / "state.pt", weights_only=True)
    assert sizes[1] == pytest.approx(sizes[0], abs=512)


def test_checkpoints_that_do_not_belong_are_refused(mnist):
    one, two = start(mnist, (0, 1)), start(mnist, (0, 1))
    list(one.train(1))
    state = one.members[0].state_dict()
    with pytest.raises(ValueError, match=r"epochs \[1\]; expected 2 of one epoch"):
        two.load_state_dicts([state])
    with pytest.raises(EngineError, match="begun with"):
        two.load_state_dicts([state | {"made_by": "cpu, kernels, fp32"}] * 2)


def test_one_that_breaks_takes_no_other_with_it(mnist):
    training, undisturbed = start(mnist, (0, 1, 2)), start(mnist, (0, 1, 2))
    with torch.no_grad():
        next(training.members[1].model.parameters()).fill_(float("nan"))
    for records, expected in zip(training.train(2), undisturbed.train(2), strict=True):
        assert isinstance(records[1], Diverged)
        for place in (0, 2):
            assert records[place].train_loss == pytest.approx(expected[place].train_loss, abs=1e-6)
    assert "step 1 of epoch 2" in str(records[1])


@pytest.mark.parametrize("optimizer", [Adam(lr=1e-3), RMSprop(lr=1e-3), Adadelta(lr=1.0)], ids=lambda o: type(o).__name__)
def test_other_optimizers_keep_their_state_by_network(mnist, optimizer):
    recipe = Recipe(optimizer=optimizer, batch_size=64, epochs=2)
    together, alone = (start(mnist, seeds, recipe=recipe, build=dense) for seeds in ((0, 1), (1,)))
    list(together.train(1)), list(alone.train(1))
    torch.testing.assert_close(losses_of_steps(together, 3)[1], losses_of_steps(alone, 3)[0], rtol=0, atol=1e-4)
    resumed = start(mnist, (1,), recipe=recipe, build=dense)
    resumed.load_state_dicts([together.members[1].state_dict()])
    torch.testing.assert_close(losses_of_steps(resumed, 3)[0], losses_of_steps(together, 3)[1], rtol=0, atol=1e-4)


def test_masks_are_drawn_by_stretches_of_whole_batches(mnist, monkeypatch):
    monkeypatch.setattr("budgetnet.engine.stacked.steps.MASK_MEMORY", 3000)
    training = start(mnist, (0, 1))
    list(training.train(1))
    steps = training._chosen[1]
    assert steps.stretch % RECIPE.batch_size == 0
    assert steps.stretch < 300
    assert not torch.equal(steps._drawn["dropout1"][0], steps._drawn["dropout1"][1])


def test_what_cannot_be_stacked_says_why(mnist):
    with pytest.raises(NotStackable, match="different shapes"):
        Stack([chain(), dense()])
    with pytest.raises(NotStackable, match="grouped: the network does not end"):
        start(mnist, (0, 1), "grouped", build=dense)
    with pytest.raises(NotStackable, match="cannot be drawn ahead"):
        Masks(nn.Sequential(nn.Flatten(), nn.AlphaDropout(0.1), nn.Linear(784, 10)), SHAPE)
    twice = nn.Dropout(0.1)
    with pytest.raises(NotStackable, match="is used twice"):
        Masks(nn.Sequential(nn.Flatten(), twice, nn.Linear(784, 10), twice), SHAPE)
    plateau = Recipe(
        optimizer=SGD(lr=0.1), batch_size=32, epochs=1, schedule=ReduceLROnPlateau(), protocol=Protocol("holdout", holdout=100)
    )
    with pytest.raises(NotStackable, match="a different one for each network"):
        start(mnist, (0, 1), recipe=plateau)
    assert start(mnist, (0,), recipe=plateau).epoch == 0


def test_masked_dropout_is_dropout():
    layer = MaskedDropout(0.25)
    layer.mask = torch.tensor([[1, 0, 1]], dtype=torch.uint8)
    assert layer(torch.tensor([[3.0, 3.0, 6.0]])).tolist() == [[4.0, 0.0, 8.0]]
    assert layer.eval()(torch.ones(1, 3)).tolist() == [[1.0, 1.0, 1.0]]
