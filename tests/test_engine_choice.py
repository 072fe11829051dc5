"""Which path is taken: what was asked for, what the probe measures, and what an earlier probe found."""

import json
import time
from typing import ClassVar

import pytest
import torch
from torch import nn

from budgetnet.arguments import types
from budgetnet.definition import SGD, Recipe
from budgetnet.engine import choice, probe
from budgetnet.engine.choice import EngineError, Settings, choose_path
from budgetnet.engine.cpu.build import KernelsUnavailable, load
from budgetnet.engine.paths import EagerPath
from budgetnet.engine.probe import Comparison, Reading
from budgetnet.models import PlainCNN

SHAPE = (1, 28, 28)
RECIPE = Recipe(optimizer=SGD(lr=0.05), batch_size=16, epochs=1)
CHAIN = PlainCNN(widths=(4, 4, 4, 4, 4))


class Clock:
    """A clock that gives every step the same time, and with ``share`` under 1 says that other processes took the rest."""

    def __init__(self, share=1.0):
        self.share, self.calls = share, 0

    def __call__(self):
        self.calls += 1
        wall = self.calls / 1024  # exact in binary, so that all steps take the same time
        return Reading(wall, self.share * wall, self.share * wall)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(choice.cache, "folder", lambda: tmp_path)
    monkeypatch.setattr(probe, "read_clocks", Clock())
    return tmp_path


@pytest.fixture
def measured(monkeypatch):
    """Outcomes of the probe, as a test says; ``calls`` are the candidates of every probe."""

    class Measured:
        milliseconds: ClassVar[dict] = {}
        trusted = True
        calls: ClassVar[list] = []

    def compared(candidates, threads):
        Measured.calls.append([" ".join(name) for name in candidates])
        seconds = {name: Measured.milliseconds.get(" ".join(name), 9.0) / 1000 for name in candidates}
        return Comparison(min(seconds, key=seconds.__getitem__), seconds, Measured.trusted)

    Measured.milliseconds, Measured.calls = {}, []
    monkeypatch.setattr(choice, "compare", compared)
    monkeypatch.setattr(choice, "processor_has_bf16", lambda: True)
    return Measured


@pytest.fixture
def kernels():
    try:
        load()
    except KernelsUnavailable as error:
        pytest.skip(f"the kernels: {error}")


def torch_only():
    """A network that the kernels do not take."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.GELU())


def kept(folder):
    return [json.loads(path.read_text()) for path in folder.glob("probe-*.json")]


def chosen(model, recipe=RECIPE, **settings):
    path = choose_path(model, recipe, SHAPE, Settings(**settings))
    return path.name, path.precision


def test_the_probe_s_fastest_is_taken_and_kept(own_cache, measured):
    measured.milliseconds = {"eager fp32": 3.0, "channels-last fp32": 2.0}
    assert chosen(torch_only()) == ("channels-last", "fp32")
    assert measured.calls == [["eager fp32", "channels-last fp32"]]
    assert kept(own_cache)[0]["milliseconds"] == {"eager fp32": 3.0, "channels-last fp32": 2.0}
    measured.milliseconds = {"eager fp32": 1.0}
    assert chosen(torch_only()) == ("channels-last", "fp32")
    assert len(measured.calls) == 1  # not measured again
    chosen(nn.Sequential(nn.Flatten(), nn.Linear(784, 10, bias=False), nn.GELU()))
    assert len(measured.calls) == 2  # another network is


def test_bf16_is_considered_only_when_asked_for(measured):
    measured.milliseconds = {"eager bf16": 1.0}
    assert chosen(torch_only())[1] == "fp32"
    assert chosen(torch_only(), precision="fp32")[1] == "fp32"
    assert chosen(torch_only(), precision="auto") == ("eager", "bf16")
    assert measured.calls[-1] == ["eager fp32", "eager bf16", "channels-last fp32", "channels-last bf16"]
    assert chosen(torch_only(), precision="bf16") == ("eager", "bf16")
    assert chosen(torch_only(), engine="eager", precision="auto") == ("eager", "fp32")  # nothing is compared


def test_an_outcome_of_a_busy_machine_is_used_and_not_kept(own_cache, measured, caplog):
    caplog.set_level("INFO", "budgetnet.engine")
    measured.milliseconds, measured.trusted = {"channels-last fp32": 2.0}, False
    assert chosen(torch_only())[0] == "channels-last"
    assert not kept(own_cache)
    assert "the machine was busy while the paths were compared: the outcome is used for this run and not kept" in caplog.text
    measured.milliseconds, measured.trusted = {"eager fp32": 1.0}, True
    assert chosen(torch_only())[0] == "eager"
    assert len(kept(own_cache)) == 1


def test_a_busy_machine_is_recognized_by_its_clocks(own_cache, monkeypatch):
    monkeypatch.setattr(probe, "read_clocks", Clock(share=0.5))
    chosen(torch_only())
    assert not kept(own_cache)
    monkeypatch.setattr(probe, "read_clocks", Clock())
    chosen(torch_only())
    assert len(kept(own_cache)) == 1


def test_concurrent_probes_the_first_outcome_written_wins(own_cache, measured, monkeypatch):
    def compared_beside_another(candidates, threads):
        monkeypatch.setattr(choice, "compare", compare)
        measured.milliseconds = {"eager fp32": 1.0}
        assert chosen(torch_only())[0] == "eager"  # the other process's
        measured.milliseconds = {"channels-last fp32": 1.0}
        return compare(candidates, threads)

    compare = choice.compare
    monkeypatch.setattr(choice, "compare", compared_beside_another)
    assert chosen(torch_only())[0] == "eager"


def test_a_reprobe_replaces_the_kept_outcome_once(own_cache, measured, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(choice.time, "time", lambda: now[0])
    measured.milliseconds = {"eager fp32": 1.0}
    assert chosen(torch_only())[0] == "eager"
    now[0], measured.milliseconds = 2010.0, {"channels-last fp32": 1.0}
    assert chosen(torch_only())[0] == "eager"
    assert chosen(torch_only(), probed_since=2000.0)[0] == "channels-last"
    assert chosen(torch_only(), probed_since=2000.0)[0] == "channels-last"  # the other runs of the command
    assert chosen(torch_only())[0] == "channels-last"
    assert len(measured.calls) == 2
    assert len(kept(own_cache)) == 1


def test_a_reprobe_on_a_busy_machine_leaves_the_kept_outcome(own_cache, measured):
    measured.milliseconds = {"eager fp32": 1.0}
    chosen(torch_only())
    measured.milliseconds, measured.trusted = {"channels-last fp32": 1.0}, False
    assert chosen(torch_only(), probed_since=time.time() + 60)[0] == "channels-last"
    assert chosen(torch_only())[0] == "eager"


def test_other_kernels_are_measured_again(measured, kernels, monkeypatch):
    measured.milliseconds = {"eager fp32": 1.0}
    for _ in range(2):
        assert chosen(CHAIN.build(SHAPE, 10))[0] == "eager"
        chosen(torch_only())
    assert len(measured.calls) == 2
    monkeypatch.setattr(choice, "library_key", lambda: "of other kernels")
    measured.milliseconds = {"kernels fp32": 0.5}
    assert chosen(CHAIN.build(SHAPE, 10))[0] == "kernels"
    chosen(torch_only())  # the kernels were no candidate
    assert len(measured.calls) == 3


def test_a_path_that_cannot_train_is_no_candidate(own_cache, measured, monkeypatch, caplog):
    caplog.set_level("INFO", "budgetnet.engine")
    step = EagerPath.step

    def broken(self, images, labels):
        if self.name == "eager":
            raise RuntimeError("no such operator")
        return step(self, images, labels)

    monkeypatch.setattr(EagerPath, "step", broken)
    assert chosen(torch_only())[0] == "channels-last"
    assert "no candidate: eager fp32: no such operator" in caplog.text
    assert measured.calls == [["channels-last fp32"]]


def test_the_probe_measures_and_changes_nothing(own_cache):
    model, random = CHAIN.build(SHAPE, 10), torch.get_rng_state()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    choose_path(model, RECIPE, SHAPE, Settings())
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    [found] = kept(own_cache)
    assert set(found["milliseconds"].values()) == {round(1000 / 1024, 3)}
    assert " ".join(found["path"]) in found["milliseconds"]


def test_a_damaged_record_is_measured_again(own_cache):
    choose_path(torch_only(), RECIPE, SHAPE, Settings())
    [record] = own_cache.glob("probe-*.json")
    for content in ("", "{}", '{"path": ["unheard-of", "fp32"], "milliseconds": {}, "measured": 1}', "[1]"):
        record.write_text(content)
        assert choose_path(torch_only(), RECIPE, SHAPE, Settings()).name in ("eager", "channels-last")
        assert len(kept(own_cache)[0]["milliseconds"]) >= 2


def test_a_recipe_s_precision_is_kept(own_cache):
    recipe = Recipe(optimizer=SGD(lr=0.05), batch_size=16, epochs=1, precision="fp32")
    choose_path(torch_only(), recipe, SHAPE, Settings())
    assert {name.split()[1] for name in kept(own_cache)[0]["milliseconds"]} == {"fp32"}
    with pytest.raises(EngineError, match="--precision is bf16, and the recipe says fp32"):
        choose_path(torch_only(), recipe, SHAPE, Settings(precision="bf16"))


def test_options_fix_the_path(own_cache, kernels):
    for name in ("eager", "channels-last", "kernels"):
        path = choose_path(CHAIN.build(SHAPE, 10), RECIPE, SHAPE, Settings(engine=name))
        assert (path.name, path.precision) == (name, "fp32")
    assert choose_path(torch_only(), RECIPE, SHAPE, Settings(engine="eager", precision="bf16")).precision == "bf16"
    assert not kept(own_cache)


def test_the_command_line_offers_every_engine():
    assert types.ENGINES == choice.ENGINES
    assert types.PRECISIONS == choice.PRECISIONS


def test_insisting_on_kernels_that_cannot_be_had_says_why():
    with pytest.raises(EngineError, match="the precision is bf16; use --engine eager"):
        choose_path(CHAIN.build(SHAPE, 10), RECIPE, SHAPE, Settings(engine="kernels", precision="bf16"))
    with pytest.raises(EngineError, match=r"no GELU \(2\); use --engine eager"):
        choose_path(torch_only(), RECIPE, SHAPE, Settings(engine="kernels"))


def test_without_kernels_a_warning_and_plain_torch(caplog, monkeypatch):
    monkeypatch.setenv("BUDGETNET_KERNELS", "0")
    load.cache_clear()
    try:
        assert choose_path(CHAIN.build(SHAPE, 10), RECIPE, SHAPE, Settings()).name in ("eager", "channels-last")
    finally:
        load.cache_clear()
    assert "the C kernels cannot be had: they are turned off by BUDGETNET_KERNELS=0" in caplog.text


def test_a_compiler_that_is_no_command_is_a_warning_and_plain_torch(caplog, monkeypatch):
    monkeypatch.setenv("CC", "gcc '")
    load.cache_clear()
    try:
        assert choose_path(CHAIN.build(SHAPE, 10), RECIPE, SHAPE, Settings()).name in ("eager", "channels-last")
    finally:
        load.cache_clear()
    assert "the C kernels cannot be had: the compiler \"gcc '\" is no command" in caplog.text


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


def test_a_probe_s_step_is_bounded_whatever_the_batch_size(own_cache, monkeypatch):
    sizes, step = set(), EagerPath.step

    def counted(path, images, labels):
        sizes.add(len(images))
        return step(path, images, labels)

    monkeypatch.setattr(EagerPath, "step", counted)
    recipe = Recipe(optimizer=SGD(lr=0.05), batch_size=10**9, epochs=1)
    assert choose_path(torch_only(), recipe, SHAPE, Settings()).name in ("eager", "channels-last")
    assert sizes == {choice.MOST_IMAGES}
