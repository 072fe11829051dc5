"""budgetnet.data.resident: every image once an epoch, decided by two generators and nothing else."""

import pytest
import torch

from budgetnet.data import resident
from budgetnet.data.augment import apply, draw
from budgetnet.data.resident import Resident, evaluation_batches, to_input
from budgetnet.definition import Augmentation

COUNT, MEAN, STD = 1000, 0.13, 0.31
TURNED = Augmentation(rotation=20, shift=0.1, zoom=0.1, fill=3.0)
SMOOTH = Augmentation(rotation=20, interpolation="bilinear")


def generators(seed=0):
    return torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed + 100)


@pytest.fixture(scope="module")
def data():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (COUNT, 1, 9, 7), generator=generator, dtype=torch.uint8), torch.arange(COUNT)


@pytest.fixture
def images(data):
    return Resident(*data, MEAN, STD)


def epoch(images, batch_size=64, augmentation=TURNED, seed=0):
    batches = [(x.clone(), y) for x, y in images.batches(batch_size, augmentation, *generators(seed))]
    return torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches])


@pytest.mark.parametrize("batch_size", [1, 64, 256, 300, 999, 1000, 5000])
def test_an_epoch_has_every_image_once_and_keeps_the_last_batch(images, data, batch_size):
    batches = list(images.batches(batch_size, Augmentation(), *generators()))
    sizes = [len(x) for x, _ in batches]
    rest = COUNT % batch_size
    assert sizes == [batch_size] * (COUNT // batch_size) + ([rest] if rest else [])
    inputs, labels = torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches])
    assert sorted(labels.tolist()) == list(range(COUNT))
    assert labels.tolist() != list(range(COUNT))
    assert inputs.dtype == torch.float32
    assert labels.dtype == torch.int64
    assert torch.allclose(inputs, (data[0][labels] / 255 - MEAN) / STD, atol=1e-5)


def test_the_order_is_that_of_its_generator(images):
    _, labels = epoch(images)
    assert torch.equal(labels, torch.randperm(COUNT, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("augmentation", [TURNED, SMOOTH], ids=["nearest", "bilinear"])
def test_augmented_batches_are_augmented_and_then_normalized(images, data, augmentation):
    inputs, labels = epoch(images, augmentation=augmentation)
    parameters = draw(augmentation, COUNT, torch.Generator().manual_seed(100))
    expected = apply(data[0][labels].float(), parameters, augmentation.interpolation, augmentation.fill)
    assert torch.allclose(inputs, (expected / 255 - MEAN) / STD, atol=1e-4)
    assert not torch.allclose(inputs, (data[0][labels] / 255 - MEAN) / STD, atol=0.1)


@pytest.mark.parametrize("augmentation", [Augmentation(), TURNED, SMOOTH], ids=["none", "nearest", "bilinear"])
def test_the_seeds_decide_and_not_how_the_work_is_cut(images, monkeypatch, augmentation):
    torch.manual_seed(1)
    inputs, labels = epoch(images, 64, augmentation)
    torch.manual_seed(2)
    again, same_labels = epoch(images, 64, augmentation)
    assert torch.equal(again, inputs)
    assert torch.equal(same_labels, labels)
    for batch_size, piece in ((64, 1), (64, 10_000), (37, 100), (1000, 256)):
        monkeypatch.setitem(resident.PIECE, "cpu", piece)
        again, same_labels = epoch(images, batch_size, augmentation)
        assert torch.allclose(again, inputs, atol=1e-6)
        assert torch.equal(same_labels, labels)
    other, other_labels = epoch(images, 64, augmentation, seed=1)
    assert not torch.equal(other, inputs)
    assert not torch.equal(other_labels, labels)


def test_restored_generators_repeat_an_epoch(images):
    order, draws = generators()
    list(images.batches(64, TURNED, order, draws))
    states = order.get_state(), draws.get_state()
    second = [x.clone() for x, _ in images.batches(64, TURNED, order, draws)]
    order, draws = torch.Generator(), torch.Generator()
    order.set_state(states[0])
    draws.set_state(states[1])
    resumed = [x.clone() for x, _ in images.batches(64, TURNED, order, draws)]
    assert all(torch.equal(a, b) for a, b in zip(second, resumed, strict=True))
    assert not torch.equal(second[0], epoch(images)[0][:64]), "the second epoch is not the first again"


def test_the_generators_are_done_before_the_first_batch(images):
    order, draws = generators()
    batches = images.batches(64, TURNED, order, draws)
    states = order.get_state(), draws.get_state()
    list(batches)
    assert torch.equal(order.get_state(), states[0])
    assert torch.equal(draws.get_state(), states[1])


def test_the_resident_images_stay_as_they_are(images, data):
    before = data[0].clone()
    for x, _ in images.batches(64, TURNED, *generators()):
        x.zero_()
    assert torch.equal(images.images, before)
    assert images.images.dtype == torch.uint8
    assert len(images) == COUNT


def test_colour_images(data):
    colours = data[0].expand(-1, 3, -1, -1)
    inputs, _ = epoch(Resident(colours, data[1], MEAN, STD))
    grey, _ = epoch(Resident(*data, MEAN, STD))
    assert inputs.shape == (COUNT, 3, 9, 7)
    assert torch.allclose(inputs, grey.expand(-1, 3, -1, -1), atol=1e-6)


def test_evaluation_is_in_order_and_complete(data):
    batches = list(evaluation_batches(*data, 300, MEAN, STD))
    assert [len(y) for _, y in batches] == [300, 300, 300, 100]
    assert torch.cat([y for _, y in batches]).tolist() == list(range(COUNT))
    assert torch.equal(torch.cat([x for x, _ in batches]), to_input(data[0], MEAN, STD))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_the_input_is_that_of_totensor_and_normalize(mnist, dtype):
    transforms = pytest.importorskip("torchvision.transforms.functional")
    images = mnist.test_images[:100]
    expected = transforms.normalize(images.float() / 255, [0.1307], [0.3081])
    ours = to_input(images.to(dtype), 0.1307, 0.3081)
    assert ours.dtype == torch.float32
    assert torch.allclose(ours, expected, atol=1e-6)


def test_images_of_another_kind_are_refused(data):
    with pytest.raises(ValueError, match="uint8"):
        Resident(data[0].float(), data[1], MEAN, STD)
    with pytest.raises(ValueError, match="labels"):
        Resident(data[0], data[1][:-1], MEAN, STD)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("augmentation", [Augmentation(), SMOOTH], ids=["none", "bilinear"])
def test_a_device_gives_what_the_cpu_gives(data, images, augmentation):
    inputs, labels = epoch(images, augmentation=augmentation)
    theirs, same_labels = epoch(Resident(*data, MEAN, STD, "cuda"), augmentation=augmentation)
    assert torch.equal(same_labels.cpu(), labels)
    assert torch.allclose(theirs.cpu(), inputs, atol=1e-4)
