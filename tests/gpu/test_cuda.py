"""What only a CUDA device can show; skipped without one. Runs from a bare checkout: ``python -m pytest tests/gpu``."""

import pytest
import torch

from budgetnet.catalogue import load_default
from budgetnet.data.augment import apply, draw
from budgetnet.data.resident import Resident
from budgetnet.definition import Augmentation
from budgetnet.engine.loop import Training, stream_seed, train
from budgetnet.engine.paths import Settings
from budgetnet.run import Options, build_model, run
from tests.test_engine_loop import SHAPE, Digits, figures
from tests.test_run import Silent

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


def test_training_learns_and_resumes(mnist):
    whole, part = start("cuda"), start("cuda")
    expected = figures(train(whole, CudaDigits(mnist), 3))
    records = figures(train(part, CudaDigits(mnist), 1))
    state = part.state_dict()
    rest = start("cuda")
    rest.load_state_dict(state)
    records += figures(train(rest, CudaDigits(mnist), 3))
    assert expected[-1][2] < expected[0][2]
    for one, two in zip(records, expected, strict=True):
        assert one == pytest.approx(two, rel=0.05, abs=0.02)  # CUDA's reductions are not bit-identical from run to run


def test_an_epoch_of_step_13_end_to_end(tmp_path, mnist):
    result = run(STEP, 0, Options(runs=tmp_path, settings=Settings(device="cuda"), epochs=1), Silent())
    assert (result.device, result.environment["gpu"]) == ("cuda", torch.cuda.get_device_name())
    assert result.last.validation_accuracy > 95
