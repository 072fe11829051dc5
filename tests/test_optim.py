"""From descriptions to torch's optimizer and schedule."""

import pytest
import torch
from torch import nn

from budgetnet.definition import SGD, StepLR
from budgetnet.optim import build_optimizer, build_schedule


def test_sgd_is_the_textbook_s():
    parameter = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = build_optimizer(SGD(lr=0.1, momentum=0.9, weight_decay=0.01), [parameter])
    value, velocity = torch.tensor([1.0, -2.0]), torch.zeros(2)
    for gradient in (torch.tensor([0.5, 1.0]), torch.tensor([-1.0, 0.25])):
        parameter.grad = gradient.clone()
        optimizer.step()
        velocity = 0.9 * velocity + gradient + 0.01 * value
        value = value - 0.1 * velocity
        torch.testing.assert_close(parameter.detach(), value)


@pytest.mark.parametrize(("schedule", "rates"), [(None, [0.1] * 5), (StepLR(2, 0.1), [0.1, 0.1, 0.01, 0.01, 0.001])])
def test_rate_by_epoch(schedule, rates):
    parameter = nn.Parameter(torch.zeros(1))
    parameter.grad = torch.zeros(1)
    optimizer = build_optimizer(SGD(lr=0.1), [parameter])
    stepper = build_schedule(schedule, optimizer)
    seen = []
    for _ in rates:
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        stepper.step()
    assert seen == pytest.approx(rates)
