"""What the benchmarks train: every entrant the same network; and what scaling and progression make of their figures."""

import importlib.util
import json

import pytest
import torch
from torch import nn

from benchmarks import networks, scaling, task
from benchmarks.contest import Crew, Entrant, Record
from benchmarks.training_speed import ours, peers
from budgetnet.engine.cpu.lowering import lower
from budgetnet.models import PlainCNN

EXPERIMENT = task.experiment()
ENTRANTS = [*peers(EXPERIMENT, "cpu", 1), *ours(EXPERIMENT, "cpu", 1), ours(EXPERIMENT, "cpu", 2)[-1]]  # a thread each
STACK = Entrant(
    "stack", "benchmarks.ours:OwnStack", {"experiment": EXPERIMENT, "device": "cpu", "threads": 1, "runs": 2, "engine": "stacked"}
)
TAKEN = [entrant for entrant in ENTRANTS if "no loader" not in entrant.name and "plain" not in entrant.name] + [STACK]
IN_KERAS = {
    nn.Conv2d: "Conv2D", nn.ReLU: "ReLU", nn.BatchNorm2d: "BatchNormalization", nn.Dropout2d: "SpatialDropout2D",
    nn.MaxPool2d: "MaxPooling2D", nn.AdaptiveAvgPool2d: "GlobalAveragePooling2D", nn.Flatten: "",
}  # fmt: skip


@pytest.mark.parametrize("entrant", TAKEN, ids=lambda entrant: entrant.name)
def test_every_entrant_trains_step_13(entrant, mnist):
    if not all(importlib.util.find_spec(name) for name in entrant.needs):
        pytest.skip(f"{', '.join(entrant.needs)} not installed")
    with Crew(entrant, patience=600.0) as crew:
        for description, parameters in crew.hear():
            assert parameters == EXPERIMENT.budget.exact == 5_854
            assert "not compiled" not in description or "torch" in description
        lap = crew.lap(128)
    assert lap.trained.images == 128 * entrant.processes * entrant.arguments.get("runs", 1)
    assert lap.trained.ended > lap.trained.began
    assert lap.peak_mib > 50


def keras_layers(layers):
    """The classes' names, an activation that is part of a convolution as a layer of its own."""
    for layer in layers:
        yield type(layer).__name__
        if getattr(layer, "activation", None) is not None and layer.activation.__name__ == "relu":
            yield "ReLU"


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_keras_network_is_the_same_function(keras, data_format):
    from benchmarks.keras_fit import augmentation, network

    torch.manual_seed(0)
    ours = EXPERIMENT.model.build((1, 28, 28), 10)
    layers = network(EXPERIMENT.model, 10, data_format)
    assert [*keras_layers(layers)] == [name for module in ours if (name := IN_KERAS[type(module)])]
    first = data_format == "channels_first"
    model = keras.Sequential([keras.Input((1, 28, 28) if first else (28, 28, 1)), *augmentation(EXPERIMENT, data_format), *layers])
    for module in ours:
        if isinstance(module, nn.BatchNorm2d):
            for parameter in (module.weight, module.bias, module.running_mean, module.running_var):
                nn.init.uniform_(parameter, 0.5, 1.5)
    with_values = [layer for layer in layers if layer.weights]
    for module, layer in zip([m for m in ours if isinstance(m, nn.Conv2d | nn.BatchNorm2d)], with_values, strict=True):
        if isinstance(module, nn.Conv2d):
            values = [module.weight.permute(2, 3, 1, 0)]
        else:
            values = [module.weight, module.bias, module.running_mean, module.running_var]
        layer.set_weights([value.detach().numpy() for value in values])
    pixels = torch.randint(256, (4, 1, 28, 28)).float()
    spec = EXPERIMENT.data_set
    with torch.no_grad():
        expected = ours.eval()((pixels / 255 - spec.mean) / spec.std)
        found = model(pixels if first else pixels.permute(0, 2, 3, 1), training=False)
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-4, atol=1e-4)


def test_rotation_of_keras_has_the_angle_and_the_fill_of_the_recipe(keras):
    from benchmarks.keras_fit import augmentation

    rotation, _ = augmentation(EXPERIMENT, "channels_first")
    wanted = EXPERIMENT.recipe.augmentation
    assert rotation.factor == pytest.approx((-wanted.rotation / 360, wanted.rotation / 360))
    corner = rotation(torch.full((64, 1, 28, 28), 255.0), training=True).cpu()[:, 0, 0, 0]
    assert set(corner.tolist()) == {255.0, wanted.fill}


def test_wider_and_larger_batches_change_nothing_else():
    wider = task.experiment(batch_size=256, widths=2)
    assert wider.model == PlainCNN(widths=(20, 20, 24, 24, 24), norm=True, dropout=EXPERIMENT.model.dropout)
    assert wider.recipe.batch_size == 256
    assert (task.experiment(widths=2).recipe, task.experiment(batch_size=256).model) == (EXPERIMENT.recipe, EXPERIMENT.model)


def test_scaling_draws_what_was_measured(tmp_path):
    measured = scaling.points("cpu", 2)
    works = {axis: [point.work for point in measured if point.axis == axis] for axis in ("seeds", "batch size", "widths")}
    assert works == {"seeds": [1, 2, 4], "batch size": [32, 64, 128, 256, 512, 1024], "widths": [1, 2, 4]}
    assert {point.entrant.processes for point in measured if point.axis == "seeds"} == {1, 2, 4}
    records = [Record(point.entrant, "fake", 5_854 * point.work**2, 64, 64, 100.0, None, [900.0, 1000.0]) for point in measured]
    found = scaling.series(measured, records[1:])  # one failed
    assert [entry["work"] for entry in found["seeds"]] == [2, 4]
    json.dumps(found)
    scaling.plot(found, "a machine", tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").stat().st_size > 10_000


def test_progression_compares_the_sum_with_all_together(tmp_path):
    pytest.importorskip("sklearn")
    from benchmarks.progression import by_step, compare
    from budgetnet.catalogue import Catalogue
    from budgetnet.jobs.running import Job
    from budgetnet.run import Options
    from tests.own_catalogue import CATALOGUE

    jobs = [Job(Catalogue(CATALOGUE)["small"], seed) for seed in (0, 1)]
    found = compare(jobs, Options(epochs=1), tmp_path)
    assert [*found["single_seconds"]] == ["small seed 0", "small seed 1"]
    assert found["sum_seconds"] == pytest.approx(sum(found["single_seconds"].values()))
    assert found["ratio"] == pytest.approx(found["sum_seconds"] / found["together_seconds"])
    assert by_step(found["single_seconds"]) == pytest.approx({"small": found["sum_seconds"]})
    assert sorted(path.name for path in (tmp_path / "together" / "small").iterdir()) == ["seed-0", "seed-1"]


@pytest.mark.parametrize("network", networks.networks(), ids=lambda network: network.name)
def test_the_kernels_take_every_network_of_the_comparison(network):
    assert lower(network.build(), networks.SHAPE).operations
