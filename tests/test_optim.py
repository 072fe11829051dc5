"""From descriptions to torch's optimizer and schedule."""

import pytest
import torch
from torch import nn

from budgetnet import uncompiled
from budgetnet.definition import SGD, Adadelta, Adam, ReduceLROnPlateau, RMSprop, StepLR
from budgetnet.optim import build_optimizer, build_schedule, step_schedule


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


def test_sgd_takes_parameters_that_meet_their_first_gradient_later():
    drops = [(0, 1), (1,), (0,), (0, 1)]  # the layers with a gradient at each step, as stochastic depth leaves them
    found = []
    for make in (lambda p: build_optimizer(SGD(lr=0.1, momentum=0.9), p), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)):
        parameters = [nn.Parameter(torch.tensor([float(k)])) for k in range(2)]
        optimizer = make(parameters)
        for step, present in enumerate(drops[1:] + drops):
            for place, parameter in enumerate(parameters):
                parameter.grad = torch.tensor([1.0 + step + place]) if place in present else None
            optimizer.step()
        found.append([float(parameter.detach()) for parameter in parameters])
    assert found[0] == pytest.approx(found[1])


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
        step_schedule(stepper, 0.0)
    assert seen == pytest.approx(rates)


@pytest.mark.parametrize(
    ("ours", "theirs", "options"),
    [
        (uncompiled.SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True, "fused": True}),
        (uncompiled.Adam, torch.optim.Adam, {"lr": 0.1, "fused": True}),
        (uncompiled.RMSprop, torch.optim.RMSprop, {"lr": 0.1}),
        (uncompiled.Adadelta, torch.optim.Adadelta, {"lr": 0.1}),
    ],
)
def test_without_the_compiler_s_wrappers_optimizers_do_what_torch_s_do(ours, theirs, options):
    values, found = torch.randn(7, generator=torch.Generator().manual_seed(0)), []
    for kind in (ours, theirs):
        parameter = nn.Parameter(values.clone())
        optimizer = kind([parameter], **options)
        for step in range(4):
            if step == 2:  # from its state on, as after a checkpoint
                state, optimizer = optimizer.state_dict(), kind([parameter], **options)
                optimizer.load_state_dict(state)
            optimizer.zero_grad()
            (parameter**3).sum().backward()
            optimizer.step()
        assert parameter.requires_grad
        found.append((parameter.detach(), optimizer.state_dict()))
    (one, state), (other, their_state) = found
    assert torch.equal(one, other)
    assert state["param_groups"] == their_state["param_groups"]
    assert all(
        torch.equal(torch.as_tensor(state["state"][0][k]), torch.as_tensor(v)) for k, v in their_state["state"][0].items() if v is not None
    )


RULES = {
    Adam(lr=0.01, beta1=0.8, beta2=0.9, epsilon=0.1): "adam",
    RMSprop(lr=0.01, rho=0.7, epsilon=0.1): "rmsprop",
    Adadelta(lr=0.5, rho=0.7, epsilon=0.1): "adadelta",
}


@pytest.mark.parametrize("description", RULES, ids=RULES.values())
def test_keras_rules_of_2018(description):
    """The rules as keras/optimizers.py of Keras 2.1 has them; an epsilon of 0.1 leaves no doubt about its place."""
    d = description
    parameter = nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))
    optimizer = build_optimizer(d, [parameter])
    p = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    m, v = torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    for t, g in enumerate([torch.tensor([0.5, 1.0, 0.0]), torch.tensor([-1.0, 0.25, 0.0]), torch.tensor([0.01, 3.0, 1e-4])], start=1):
        parameter.grad = g.clone()
        optimizer.step()
        g = g.double()
        if isinstance(d, Adam):
            lr_t = d.lr * (1 - d.beta2**t) ** 0.5 / (1 - d.beta1**t)
            m, v = d.beta1 * m + (1 - d.beta1) * g, d.beta2 * v + (1 - d.beta2) * g**2
            p = p - lr_t * m / (v.sqrt() + d.epsilon)
        elif isinstance(d, RMSprop):
            v = d.rho * v + (1 - d.rho) * g**2
            p = p - d.lr * g / (v.sqrt() + d.epsilon)
        else:
            v = d.rho * v + (1 - d.rho) * g**2
            update = g * (m + d.epsilon).sqrt() / (v + d.epsilon).sqrt()
            p = p - d.lr * update
            m = d.rho * m + (1 - d.rho) * update**2
        torch.testing.assert_close(parameter.detach().double(), p, rtol=1e-5, atol=1e-6)


def test_adam_goes_on_from_its_state():
    parameters = [nn.Parameter(torch.ones(4)) for _ in range(2)]
    straight, stopped = (build_optimizer(Adam(lr=0.1, epsilon=0.1), [parameter]) for parameter in parameters)
    for step in range(6):
        if step == 3:
            state = stopped.state_dict()
            stopped = build_optimizer(Adam(lr=0.1, epsilon=0.1), [parameters[1]])
            stopped.load_state_dict(state)
        for optimizer, parameter in ((straight, parameters[0]), (stopped, parameters[1])):
            parameter.grad = torch.arange(4.0) - step
            optimizer.step()
    assert torch.equal(*parameters)


def test_plateau_halves_after_the_third_epoch_that_is_not_better():
    optimizer = build_optimizer(SGD(lr=0.8), [nn.Parameter(torch.zeros(1))])
    schedule = build_schedule(ReduceLROnPlateau(factor=0.5, patience=3, min_lr=0.15), optimizer)
    rates = []
    for accuracy in (90.0, 91.0, 91.005, 90.0, 91.0, 92.0, 92.0, 92.0, 92.0, 92.0, 92.0, 92.0, 92.0, 92.0, 92.0):
        step_schedule(schedule, accuracy)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.8] * 4 + [0.4] * 4 + [0.2] * 3 + [0.15] * 4)


def test_what_can_be_captured_is_the_same_adam():
    """Two parameters, some of whose gradients are zero, over enough steps for the bias corrections to matter."""
    kinds, histories = (False, True), []
    for captured in kinds:
        torch.manual_seed(0)
        parameters = [nn.Parameter(torch.randn(3, 4)), nn.Parameter(torch.randn(5))]
        optimizer = build_optimizer(Adam(lr=1e-2), parameters, captured=captured)
        for step in range(20):
            for parameter in parameters:
                parameter.grad = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(step)) * (step % 3)
            optimizer.step()
        histories.append([parameter.detach() for parameter in parameters])
    for one, other in zip(*histories, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)
    state = optimizer.state_dict()
    again = build_optimizer(Adam(lr=1e-2), parameters, captured=True)
    again.load_state_dict(state)
    assert float(again.state[parameters[0]]["step"]) == 20
