"""What only a CUDA device can show; skipped without one. Runs from a bare checkout: ``python -m pytest tests/gpu``."""

import pytest
import torch

from budgetnet.catalogue import load_default
from budgetnet.data.augment import apply, draw
from budgetnet.data.resident import Resident
from budgetnet.definition import Augmentation
from budgetnet.engine.choice import Settings
from budgetnet.engine.loop import Training, train
from budgetnet.run import Options, build_model, run
from budgetnet.seeds import stream_seed
from tests.silent import Silent
from tests.test_engine_loop import SHAPE, Digits

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
STEP = load_default()["step-13"]


class CudaDigits(Digits):
    """The same digits, resident on the GPU."""

    def __init__(self, mnist):
        super().__init__(mnist, STEP.recipe)
        self.resident = Resident(mnist.train_images[:600], mnist.train_labels[:600], 0.1307, 0.3081, "cuda")
        self.validation = tuple(tensor.cuda() for tensor in self.validation)


def start(device):
    torch.manual_seed(stream_seed(0, "initialization"))
    return Training(STEP.model.build(SHAPE, 10), STEP.recipe, SHAPE, 0, Settings(device=device, engine="eager"))


def test_cuda_s_logits_are_the_cpu_s():
    model = build_model(STEP).eval()
    images = torch.randn(64, *SHAPE)
    with torch.no_grad():
        torch.testing.assert_close(model.cuda()(images.cuda()).cpu(), model.cpu()(images), rtol=1e-3, atol=1e-3)


def test_augmentation_is_the_cpu_s(mnist):
    images = mnist.train_images[:64].float()
    parameters = draw(Augmentation(rotation=7, shift=0.1, zoom=0.1), 64, torch.Generator().manual_seed(0))
    on_cuda = apply(images.cuda(), parameters.cuda(), "bilinear", 1).cpu()
    torch.testing.assert_close(on_cuda, apply(images, parameters, "bilinear", 1), rtol=0, atol=255e-5)


def test_training_learns_and_a_checkpoint_restores_it(mnist):
    training = start("cuda")
    records = list(train(training, CudaDigits(mnist), 3))
    assert records[-1].train_loss < records[0].train_loss
    restored = start("cuda")
    restored.load_state_dict(training.state_dict())
    assert restored.epoch == 3
    for one, other in ((training.order, restored.order), (training.augmentation, restored.augmentation)):
        assert torch.equal(one.get_state(), other.get_state())
    images = torch.randn(16, *SHAPE, device="cuda")
    torch.testing.assert_close(restored.path.forward(images), training.path.forward(images))


def test_an_epoch_of_step_13_end_to_end(tmp_path, mnist):
    result = run(STEP, 0, Options(runs=tmp_path, settings=Settings(device="cuda"), epochs=1), Silent())
    assert (result.device, result.environment["gpu"]) == ("cuda", torch.cuda.get_device_name())
    assert result.last.validation_accuracy > 95
