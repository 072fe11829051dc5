"""Event files, read back with TensorBoard's own reader."""

import sys

import pytest
import torch
from torch import nn

from budgetnet.activations import activations
from budgetnet.events import BINS, SAMPLE, event_file
from budgetnet.metrics import EpochRecord
from budgetnet.tracing import trace

accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def record(epoch):
    return EpochRecord(epoch, 0.1, 1.0 / epoch, 50.0 + epoch, 0.9 / epoch, 60.0 + epoch, 1.0)


def read(directory):
    events = accumulators.EventAccumulator(str(directory), size_guidance={"histograms": 0, "scalars": 0})
    events.Reload()
    return events


def write(directory, weights, epochs, after=0):
    with event_file(directory, after, pytest.fail) as events:
        for epoch in epochs:
            events.epoch(record(epoch), weights)


def test_scalars_and_histograms_of_every_epoch(tmp_path):
    values = torch.linspace(-1, 3, 500)
    write(tmp_path, [("conv.weight", values)], (1, 2))
    events = read(tmp_path)
    assert [event.value for event in events.Scalars("validation/accuracy")] == pytest.approx([61, 62])
    assert set(events.Tags()["scalars"]) == {"train/loss", "train/accuracy", "validation/loss", "validation/accuracy", "lr"}
    first, second = events.Histograms("weights/conv.weight")
    assert (first.step, second.step) == (1, 2)
    assert (first.histogram_value.min, first.histogram_value.max) == (-1, 3)
    assert first.histogram_value.num == sum(first.histogram_value.bucket) == 500
    assert len(first.histogram_value.bucket) <= BINS + 2


def test_a_large_tensor_is_sampled_evenly(tmp_path):
    write(tmp_path, [("dense", torch.arange(3.0 * SAMPLE + 5))], (1,))
    histogram = read(tmp_path).Histograms("weights/dense")[0].histogram_value
    assert SAMPLE / 2 <= histogram.num <= SAMPLE
    assert histogram.sum / histogram.num == pytest.approx(1.5 * SAMPLE, rel=0.01)


@pytest.mark.parametrize("values", [torch.zeros(4), torch.tensor([1.0, float("nan")]), torch.empty(0), torch.tensor(2.0)])
def test_odd_tensors_do_no_harm(tmp_path, values):
    write(tmp_path, [("odd", values), ("plain", torch.ones(3))], (1,))
    assert len(read(tmp_path).Histograms("weights/plain")) == 1


def test_after_a_kill_and_a_resume_every_epoch_is_there_once(tmp_path):
    weights = [("w", torch.randn(50))]
    write(tmp_path, weights, (1, 2, 3))  # killed before the checkpoint of epoch 3
    write(tmp_path, weights, (3, 4), after=2)
    events = read(tmp_path)
    assert [event.step for event in events.Scalars("lr")] == [1, 2, 3, 4]
    assert [event.step for event in events.Histograms("weights/w")] == [1, 2, 3, 4]


def test_a_first_epoch_that_was_killed_before_its_checkpoint_is_there_once(tmp_path):
    weights = [("w", torch.randn(50))]
    write(tmp_path, weights, (1,))
    write(tmp_path, weights, (1, 2))
    assert [event.step for event in read(tmp_path).Scalars("lr")] == [1, 2]


def test_the_graph_has_layers_connections_and_shapes(tmp_path):
    layers = trace(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()), (1, 8, 8))
    with event_file(tmp_path, 0, pytest.fail) as events:
        events.graph(layers)
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    graph = read(tmp_path).Graph()
    assert isinstance(graph, GraphDef)
    assert [(node.name, node.op, list(node.input)) for node in graph.node] == [
        ("input (Input)", "Input", []), ("0 (Conv2d)", "Conv2d", ["input (Input)"]), ("1 (Flatten)", "Flatten", ["0 (Conv2d)"]),
    ]  # fmt: skip
    assert [dim.size for dim in graph.node[1].attr["_output_shapes"].list.shape[0].dim] == [-1, 2, 6, 6]
    assert graph.node[1].attr["parameters"].i == 20


def test_the_graph_outlives_a_resume(tmp_path):
    with event_file(tmp_path, 0, pytest.fail) as events:
        events.graph(trace(nn.Flatten(), (1, 8, 8)))
        events.epoch(record(1), [])
    write(tmp_path, [], (2,), after=1)
    assert len(read(tmp_path).Graph().node) == 2


def test_without_tensorboard_the_log_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    said = []
    with event_file(tmp_path, 0, said.append) as events:
        events.epoch(record(1), [("w", torch.ones(2))])
        events.graph(trace(nn.Flatten(), (1, 8, 8)))
    assert said == ["tensorboard is not installed: no event files are written"]
    assert list(tmp_path.iterdir()) == []


def test_activations_are_histograms_of_every_layer_that_changes_values(tmp_path):
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Dropout2d(0.5), nn.Flatten(), nn.Linear(3 * 6 * 6, 4))
    images = torch.randn(5, 1, 8, 8)
    found = activations(network, images)
    assert [(name, tuple(values.shape)) for name, values in found] == [("0", (5, 3, 6, 6)), ("1", (5, 3, 6, 6)), ("4", (5, 4))]
    assert torch.equal(found[-1][1], network.eval()(images))
    with event_file(tmp_path, 0, pytest.fail) as events:
        events.epoch(record(1), network.named_parameters(), found)
    assert read(tmp_path).Histograms("activations/1")[0].histogram_value.min == 0


def test_activations_leave_mode_random_state_and_hooks_as_they_were():
    network = nn.Sequential(nn.BatchNorm2d(1), nn.ReLU())
    network[0].eval()
    state, mean = torch.random.get_rng_state(), network[0].running_mean.clone()
    activations(network, torch.randn(4, 1, 3, 3, generator=torch.Generator().manual_seed(0)))
    assert (network.training, network[0].training, network[1].training) == (True, False, True)
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(mean, network[0].running_mean)
    assert not network[0]._forward_hooks
