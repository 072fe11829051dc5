"""The closer look at a finished run; scikit-learn is the oracle of the confusion matrix, numpy of the figures."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from budgetnet.data import arrays
from budgetnet.data.specs import DIGITS
from budgetnet.diagnostics import compute
from budgetnet.diagnostics.compute import diagnose, thumbnails, worst_errors
from budgetnet.diagnostics.record import DIAGNOSTICS, ConfusedPair, Diagnostics, confused_pairs, read_diagnostics
from budgetnet.diagnostics.weights import POINTS, summarize, summary
from budgetnet.results import FINISHED, ResultError
from budgetnet.run import Options, build_model, run, session
from budgetnet.tracing import StructureUnavailable
from tests.own_catalogue import HELD_OUT, SMALL
from tests.silent import Silent

metrics = pytest.importorskip("sklearn.metrics")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The run directories of a finished run under each protocol, with their results."""
    root = tmp_path_factory.mktemp("runs")
    found = {}
    for experiment in (SMALL, HELD_OUT):
        found[experiment.name] = (root / experiment.name / "seed-0", run(experiment, 0, Options(runs=root), Silent()))
    return found


def weights_of(directory):
    return torch.load(directory / "checkpoint.pt", weights_only=True)["model"]


def load(experiment, directory):
    model = build_model(experiment)
    model.load_state_dict(weights_of(directory))
    return model.eval()


def test_a_finished_run_leaves_the_record_of_its_figures(trained):
    directory, result = trained["small"]
    record = read_diagnostics(directory)
    assert (record.experiment, record.seed, record.definition_hash) == ("small", 0, result.definition_hash)
    assert (record.images, record.image_count) == ("test", 355)
    assert record.accuracy == pytest.approx(result.last.validation_accuracy)
    assert record.loss == pytest.approx(result.last.validation_loss)
    assert (directory / DIAGNOSTICS).stat().st_size < 150_000
    assert [layer.name for layer in record.layers][:2] == ["input", "conv1"]


def test_the_confusion_matrix_is_scikit_learns(trained):
    directory, _ = trained["small"]
    record = read_diagnostics(directory)
    data = arrays.load(DIGITS)
    with torch.no_grad():
        logits = load(SMALL, directory)((data.test_images / 255 - DIGITS.mean) / DIGITS.std)
    expected = metrics.confusion_matrix(data.test_labels, logits.argmax(1), labels=range(10))
    assert np.array_equal(record.confusion, expected)
    assert record.error_count == int((data.test_labels != logits.argmax(1)).sum())


def test_the_worst_errors_are_the_most_confident_ones(trained):
    directory, _ = trained["small"]
    record = read_diagnostics(directory)
    data = arrays.load(DIGITS)
    with torch.no_grad():
        probabilities = load(SMALL, directory)((data.test_images / 255 - DIGITS.mean) / DIGITS.std).softmax(1)
    confidence, predicted = probabilities.max(1)
    wrong = [i for i in range(len(predicted)) if predicted[i] != data.test_labels[i]]
    expected = sorted(wrong, key=lambda i: -confidence[i])[:12]
    assert [error.index for error in record.errors] == expected
    for error in record.errors:
        assert (error.true, error.predicted) == (data.test_labels[error.index], predicted[error.index])
        assert error.confidence == pytest.approx(float(confidence[error.index]), abs=1e-4)
        assert error.true_probability == pytest.approx(float(probabilities[error.index, error.true]), abs=1e-4)
        assert np.array_equal(error.image(record.picture_shape), data.test_images[error.index])


def test_a_hold_out_that_scored_the_test_set_shows_the_test_set(trained):
    directory, result = trained["held-out"]
    record = read_diagnostics(directory)
    assert (record.images, record.image_count) == ("test", 355)
    assert record.accuracy == pytest.approx(result.test_accuracy)


def test_a_hold_out_that_never_scored_it_shows_the_held_out_images(trained):
    directory, result = trained["held-out"]
    left_alone = dataclasses.replace(result, test_accuracy=None, test_loss=None)
    model = load(HELD_OUT, directory)
    record = diagnose(HELD_OUT, left_alone, model, model, arrays.load(DIGITS), "cpu", 100)
    assert (record.images, record.image_count) == ("holdout", 300)
    assert record.accuracy == pytest.approx(result.last.validation_accuracy)
    assert record.images_text == "300 held-out training images"


def test_weights_are_the_trained_tensors_without_statistics(trained):
    directory, _ = trained["small"]
    record = read_diagnostics(directory)
    state = weights_of(directory)
    names = [name for name in state if "running" not in name and "num_batches" not in name]
    assert [one.name for one in record.weights] == names
    for one in record.weights:
        values = state[one.name].numpy()
        assert (one.shape, one.count) == (values.shape, values.size)
        figures = (one.minimum, one.lower_quartile, one.median, one.upper_quartile, one.maximum)
        assert figures == pytest.approx(np.quantile(values, (0, 0.25, 0.5, 0.75, 1)), rel=1e-4, abs=1e-6)
        assert (one.mean, one.sd) == pytest.approx((values.mean(), values.std()), rel=1e-4, abs=1e-6)


def test_a_record_survives_being_written(trained):
    record = read_diagnostics(trained["small"][0])
    assert Diagnostics.from_json(record.to_json()) == record
    odd = dataclasses.replace(record, layers=(), layers_remark='forward says "},{" \n and more')
    assert Diagnostics.from_json(odd.to_json()) == odd


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 99}', b"\xff", b'{"format": 1}'])
def test_a_damaged_record_is_named_with_what_mends_it(tmp_path, content):
    (tmp_path / DIAGNOSTICS).write_bytes(content)
    with pytest.raises(ResultError, match=r"diagnostics\.json"):
        read_diagnostics(tmp_path)


def test_pixels_that_are_no_picture_are_refused(trained):
    data = json.loads(read_diagnostics(trained["small"][0]).to_json())
    data["errors"][0]["pixels"] = "AAAA"
    with pytest.raises(ResultError, match="budgetnet inspect"):
        Diagnostics.from_json(json.dumps(data))


def test_no_record_is_none(tmp_path):
    assert read_diagnostics(tmp_path) is None
    assert read_diagnostics(tmp_path / "not-there") is None


def test_a_network_that_cannot_be_traced_keeps_its_run_and_says_why(tmp_path, monkeypatch):
    def refuse(*_):
        raise StructureUnavailable("it depends on the weather")

    monkeypatch.setattr(compute, "trace", refuse)
    monkeypatch.setattr(session, "trace", refuse)
    assert run(SMALL, 0, Options(runs=tmp_path), Silent()).finished
    record = read_diagnostics(tmp_path / "small" / "seed-0")
    assert (record.layers, record.layers_remark) == ((), "it depends on the weather")
    assert "TensorBoard gets no graph: it depends on the weather" in (tmp_path / "small" / "seed-0" / "log.txt").read_text()


def test_a_look_that_fails_costs_the_run_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("out of luck")

    monkeypatch.setattr(session, "diagnose", fail)
    assert run(SMALL, 0, Options(runs=tmp_path), Silent()).finished
    directory = tmp_path / "small" / "seed-0"
    assert (directory / FINISHED).exists()
    assert not (directory / DIAGNOSTICS).exists()
    assert "budgetnet inspect small" in (directory / "log.txt").read_text()


def test_an_unfinished_run_has_no_record(tmp_path):
    run(SMALL, 0, Options(runs=tmp_path, epochs=1), Silent())
    assert not (tmp_path / "small" / "seed-0" / DIAGNOSTICS).exists()


# --- the parts ----------------------------------------------------------------------------------------------------------


def test_pairs_sum_both_directions():
    confusion = [[9, 1, 0], [2, 8, 4], [3, 0, 7]]
    assert confused_pairs(confusion) == [ConfusedPair(1, 2, 4, 0), ConfusedPair(0, 1, 1, 2), ConfusedPair(0, 2, 0, 3)]
    assert confused_pairs(confusion, most=1)[0].together == 4
    assert confused_pairs([[3, 0], [0, 3]]) == []


@given(st.lists(st.lists(st.integers(0, 50), min_size=4, max_size=4), min_size=4, max_size=4))
def test_pairs_hold_every_error_once(confusion):
    errors = sum(map(sum, confusion)) - sum(confusion[n][n] for n in range(4))
    assert sum(pair.together for pair in confused_pairs(confusion, most=99)) == errors


def test_equally_confident_errors_stand_in_the_order_of_their_index():
    logits = torch.tensor([[0.0, 9.0], [9.0, 0.0], [0.0, 9.0], [0.0, 9.0]])
    labels = torch.tensor([0, 0, 0, 0])
    errors = worst_errors(logits, labels, torch.zeros(4, 1, 2, 2, dtype=torch.uint8), most=2)
    assert [error.index for error in errors] == [0, 2]
    assert worst_errors(logits[1:2], labels[:1], torch.zeros(1, 1, 2, 2, dtype=torch.uint8)) == ()


def test_large_pictures_are_thinned_out():
    images = torch.arange(3 * 224 * 160).remainder(256).to(torch.uint8).view(1, 3, 224, 160)
    small = thumbnails(images)
    assert max(small.shape[2:]) <= 40
    assert torch.equal(small[0, :, 1, 1], images[0, :, 6, 6])
    assert thumbnails(images[:, :, :28, :28]).shape == (1, 3, 28, 28)


@pytest.mark.parametrize(
    "values", [np.zeros(10), np.ones(1), np.full(7, 0.1, np.float32), np.array([np.nan, np.inf]), np.array([1e-30, 2e-30]),
               np.array([1.0, 1.0 + 1e-16 + 2**-52]), np.array([-1e30, 1e30])],
)  # fmt: skip
def test_odd_tensors_can_be_summarized(values):
    one = summary("odd", values)
    assert json.loads(json.dumps(dataclasses.asdict(one), allow_nan=False))["count"] == values.size
    assert one.density == () or max(one.density) == 1


def test_the_density_is_deterministic_and_a_sample_stands_for_a_large_tensor():
    values = np.random.default_rng(0).normal(2, 3, 200_000).astype(np.float32)
    one = summary("large", values.reshape(400, 500))
    assert one == summary("large", values[::-1].reshape(400, 500))
    assert len(one.density) == POINTS
    points = np.linspace(one.minimum, one.maximum, POINTS)
    expected = np.exp(-(((points - 2) / 3) ** 2) / 2)
    assert np.abs(np.asarray(one.density) - expected).max() < 0.06


def test_scalars_have_no_violin_and_many_tensors_fewer_points():
    model = nn.Sequential(*(nn.Linear(3, 3) for _ in range(100)))
    found = summarize((name, value.detach().numpy()) for name, value in model.named_parameters())
    assert len(found) == 200
    assert {len(one.density) for one in found} == {40}
    assert summarize([("scale", np.array(1.0)), ("empty", np.empty((0, 3)))]) == ()
