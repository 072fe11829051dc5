"""Which path is taken: what was asked for, what the probe measures, and what an earlier probe found."""

import json

import pytest
import torch
from torch import nn

from budgetnet.arguments import types
from budgetnet.definition import SGD, Recipe
from budgetnet.engine import choice
from budgetnet.engine.choice import EngineError, Settings, choose_path
from budgetnet.engine.cpu.build import KernelsUnavailable, load
from budgetnet.models import PlainCNN

SHAPE = (1, 28, 28)
RECIPE = Recipe(optimizer=SGD(lr=0.05), batch_size=16, epochs=1)
CHAIN = PlainCNN(widths=(4, 4, 4, 4, 4))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(choice.cache, "folder", lambda: tmp_path)
    monkeypatch.setattr(choice, "PROBED_STEPS", 2)
    return tmp_path


@pytest.fixture
def kernels():
    try:
        load()
    except KernelsUnavailable as error:
        pytest.skip(f"the kernels: {error}")


def dense():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


def kept(folder):
    return [json.loads(path.read_text()) for path in folder.glob("probe-*.json")]


def test_the_probe_s_fastest_is_taken_and_kept(own_cache, monkeypatch):
    asked = []

    def measured(build, model, *_):
        asked.append(type(model))
        return {1: 3.0, 2: 1.5}.get(len(asked), 2.0)

    monkeypatch.setattr(choice, "_milliseconds", measured)
    monkeypatch.setattr(choice, "processor_has_bf16", lambda: True)
    first = choose_path(dense(), RECIPE, SHAPE, Settings())
    assert len(asked) == 4
    assert (first.name, first.precision) == ("eager", "bf16")
    assert kept(own_cache)[0]["milliseconds"] == {
        "eager fp32": 3.0,
        "eager bf16": 1.5,
        "channels-last fp32": 2.0,
        "channels-last bf16": 2.0,
    }
    again = choose_path(dense(), RECIPE, SHAPE, Settings())
    assert (again.name, again.precision, len(asked)) == ("eager", "bf16", 4)  # not measured again
    choose_path(nn.Sequential(nn.Flatten(), nn.Linear(784, 10, bias=False)), RECIPE, SHAPE, Settings())
    assert len(asked) == 8  # another network is


def test_the_probe_measures_and_changes_nothing(own_cache):
    model, random = CHAIN.build(SHAPE, 10), torch.get_rng_state()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    choose_path(model, RECIPE, SHAPE, Settings())
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    [found] = kept(own_cache)
    assert all(value > 0 for value in found["milliseconds"].values())
    assert found["milliseconds"][" ".join(found["path"])] == min(found["milliseconds"].values())


def test_a_damaged_record_is_measured_again(own_cache):
    choose_path(dense(), RECIPE, SHAPE, Settings())
    [record] = own_cache.glob("probe-*.json")
    for content in ("", "{}", '{"path": ["unheard-of", "fp32"], "milliseconds": {}}', "[1]"):
        record.write_text(content)
        assert choose_path(dense(), RECIPE, SHAPE, Settings()).name in ("eager", "channels-last")
        assert len(kept(own_cache)[0]["milliseconds"]) >= 2


def test_a_recipe_s_precision_is_kept(own_cache):
    recipe = Recipe(optimizer=SGD(lr=0.05), batch_size=16, epochs=1, precision="fp32")
    choose_path(dense(), recipe, SHAPE, Settings())
    assert {name.split()[1] for name in kept(own_cache)[0]["milliseconds"]} == {"fp32"}
    with pytest.raises(EngineError, match="--precision is bf16, and the recipe says fp32"):
        choose_path(dense(), recipe, SHAPE, Settings(precision="bf16"))


def test_options_fix_the_path(own_cache, kernels):
    for name in ("eager", "channels-last", "kernels"):
        path = choose_path(CHAIN.build(SHAPE, 10), RECIPE, SHAPE, Settings(engine=name))
        assert (path.name, path.precision) == (name, "fp32")
    assert choose_path(dense(), RECIPE, SHAPE, Settings(engine="eager", precision="bf16")).precision == "bf16"
    assert not kept(own_cache)


def test_the_command_line_offers_every_engine():
    assert types.ENGINES == choice.ENGINES
    assert types.PRECISIONS == choice.PRECISIONS


def test_insisting_on_kernels_that_cannot_be_had_says_why():
    with pytest.raises(EngineError, match="the precision is bf16; use --engine eager"):
        choose_path(CHAIN.build(SHAPE, 10), RECIPE, SHAPE, Settings(engine="kernels", precision="bf16"))
    with pytest.raises(EngineError, match="does not end with global average pooling"):
        choose_path(dense(), RECIPE, SHAPE, Settings(engine="kernels"))


def test_without_kernels_a_warning_and_plain_torch(caplog, monkeypatch):
    monkeypatch.setenv("BUDGETNET_KERNELS", "0")
    load.cache_clear()
    try:
        assert choose_path(CHAIN.build(SHAPE, 10), RECIPE, SHAPE, Settings()).name in ("eager", "channels-last")
    finally:
        load.cache_clear()
    assert "the C kernels cannot be had: they are turned off by BUDGETNET_KERNELS=0" in caplog.text


@pytest.mark.parametrize("name", ["channels-last", "compiled", "compiled-channels-last"])
def test_variants_take_the_reference_s_steps(name, monkeypatch):
    compile_network = torch.compile  # traced and not made into machine code, which takes half a minute
    monkeypatch.setattr(torch, "compile", lambda network, dynamic: compile_network(network, dynamic=dynamic, backend="eager"))
    torch.manual_seed(0)
    models = [CHAIN.build(SHAPE, 10) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    reference, variant = (
        choose_path(model, RECIPE, SHAPE, Settings(engine=engine)) for model, engine in zip(models, ("eager", name), strict=True)
    )
    images, labels = torch.randn(16, *SHAPE), torch.randint(10, (16,))
    for _ in range(2):
        torch.testing.assert_close(variant.step(images, labels)[0], reference.step(images, labels)[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(variant.forward(images), reference.forward(images), rtol=1e-3, atol=1e-3)
