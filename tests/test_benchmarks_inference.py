"""The inference benchmark: what it makes of its measurements, and that it measures what it says."""

import json

import numpy as np
import pytest
from PIL import Image

from benchmarks import inference, inference_standing
from benchmarks.inference_server import Fallen, Server, Source, timed
from benchmarks.inference_standing import Measured
from budgetnet.catalogue import load_default
from tests.inference_demo import compiled, images


def measured(name, milliseconds, artifact=None):
    own = Measured(name, artifact, {1: milliseconds / 1e3, 64: milliseconds / 50, 128: milliseconds / 20})
    own.settle()
    own.rounds = {1: [[milliseconds / 1e3] * 99 + [1.0]] * 3, 64: [[milliseconds / 50] * 5] * 3}
    own.rounds |= {own.best_batch: [[milliseconds / 50] * 5] * 3}
    return own


def test_ratios_are_to_the_baseline_round_by_round():
    found = inference_standing.content([measured("plain", 1.0), measured("fast", 0.25)], "plain", 1, 64)
    assert [*found] == ["fast", "plain"]
    fast = found["fast"]
    assert (fast["p50_ms"], fast["p95_ms"]) == pytest.approx((0.25, 0.25))
    assert fast["p99_ms"] > 0.25
    assert (fast["ratio_one"], fast["ratio_many"]) == pytest.approx((4.0, 4.0))
    assert fast["many_images_per_second"] == pytest.approx(64 / 0.005)
    assert fast["best_batch"] == 64
    assert fast["calls"] == 300
    json.dumps(found)


def test_table_and_plot(tmp_path):
    artifact = {"bytes": 54_321, "build_seconds": 3.21, "parity": {"largest_difference": 1.2e-6, "changed": 3}}
    found = inference_standing.content([measured("plain", 1.0), measured("onnx fp32", 0.25, artifact)], "plain", 1, 64)
    line = inference_standing.table(found).splitlines()[2]
    assert line.split()[:3] == ["onnx", "fp32", "0.250"]
    assert line.split()[-4:] == ["54", "3.2", "1.2e-06", "3"]
    inference_standing.plot({"step-13": {"entries": found}}, "plain", "a machine", tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as drawn:
        assert drawn.width > 500


def test_calls_fill_a_turn():
    own = Measured("x", expected={1: 0.001, 64: 10.0, 128: 1e-9})
    assert [own.calls(batch, 0.5) for batch in (1, 64, 128)] == [500, 5, 5000]


def test_experiments_without_weights_are_left_out_or_end_it_before_anything_is_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # where there are no runs
    known = load_default()
    found = inference.trained([known["step-13"], known["lenet"]], demanded=False)
    assert [(experiment.name, weights.is_file()) for experiment, weights in found.items()] == [("step-13", True)]
    assert "left out: lenet: " in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"benchmark: .*lenet"):
        inference.trained([known["lenet"]], demanded=True)


def test_times_every_call_on_other_images():
    seen = []
    assert len(timed(lambda batch: seen.append(batch.copy()), images(10), 4, 3)) == 3
    assert [len(batch) for batch in seen] == [4, 4, 4]
    assert not np.array_equal(seen[0], seen[1])
    assert np.array_equal(seen[0], seen[2])


def test_measures_artifacts_and_leaves_out_what_does_not_load(tmp_path):
    said = []
    sources = [Source("onnx fp32", artifact=compiled(tmp_path, "onnx")), Source("gone fp32", artifact=tmp_path / "gone")]
    found = inference.measure(sources, images(256), 2, 0.01, 1, said.append)
    assert [own.name for own in found] == ["onnx fp32"]
    assert any(line.startswith("left out: gone fp32: ArtifactError: ") for line in said)
    assert len(found[0].rounds[1]) == 2
    assert found[0].peak_mib > 10
    assert found[0].artifact["bytes"] > 1000


def test_a_process_that_dies_is_told(tmp_path):
    with Server(Source("x", artifact=compiled(tmp_path, "onnx")), images(4), 1) as server:
        server.ready()
        server._process.kill()
        with pytest.raises((Fallen, BrokenPipeError)):
            server.seconds(1, 1)
