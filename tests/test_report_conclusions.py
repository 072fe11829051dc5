"""The documents' conclusions against runs: every word, from results made for it."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from budgetnet.definition import Conclusion
from budgetnet.report.collect import Row
from budgetnet.report.conclusions import answers, around_zero, html, markdown, normal
from budgetnet.study_results import AxisRecord, PointRecord, StudyRecord
from tests.report_demo import demo_catalogue, demo_result

CATALOGUE = demo_catalogue()
HIGH, LOW, MIXED = (99.50, 99.52, 99.51), (99.10, 99.12, 99.11), (99.2, 99.9, 99.0)


def row(name, accuracies, place="a machine", diagnostics=None):
    experiment = CATALOGUE[name]
    results = tuple(demo_result(experiment, seed, accuracy) for seed, accuracy in enumerate(accuracies))
    return Row(experiment, None, place if accuracies else None, results, (), (), (), diagnostics=diagnostics)


def answer(conclusion, *rows):
    ((_, found),) = answers([conclusion], rows)
    return found


def claim(*names, second=("step-10",), **fields):
    return Conclusion("paper", "sentence", "accuracy", names, second, **fields)


@pytest.mark.parametrize(
    ("first", "second", "fields", "word"),
    [
        (HIGH, LOW, {}, "holds"), (LOW, HIGH, {}, "does not hold"), (MIXED, LOW, {}, "open"),
        (LOW, HIGH, {"claim": "lower"}, "holds"), (HIGH, LOW, {"claim": "lower"}, "does not hold"),
        (HIGH, LOW, {"claim": "within", "margin": 0.5}, "holds"), (HIGH, LOW, {"claim": "within", "margin": 0.1}, "does not hold"),
        (MIXED, LOW, {"claim": "within", "margin": 0.1}, "open"), (HIGH[:1], LOW, {}, "cannot say yet"), ((), LOW, {}, "cannot say yet"),
    ],
)  # fmt: skip
def test_comparison_says_on_which_side_the_interval_lies(first, second, fields, word):
    found = answer(claim("step-11", **fields), row("step-11", first), row("step-10", second))
    assert found.word == word
    assert ("step-11 − step-10: " in found.figures) == (word != "cannot say yet")


def test_comparison_with_one_of_several_against_it_does_not_hold():
    rows = [row("step-09", HIGH), row("step-10", MIXED), row("step-11", LOW)]
    assert answer(claim("step-11", second=("step-09", "step-10")), *rows).word == "does not hold"


def test_comparison_of_two_machines_is_not_made():
    found = answer(claim("step-11"), row("step-11", HIGH), row("step-10", LOW, place="another machine"))
    assert (found.word, found.figures) == ("cannot say yet", "results of two machines: step-11 and step-10")


def test_loss_gap_compares_a_network_with_its_own_counterpart():
    conclusion = Conclusion("paper", "sentence", "loss gap", ("step-11-pointwise",), ("step-11",), "lower")
    twin = CATALOGUE["step-11-pointwise"]
    results = [demo_result(twin, seed, accuracy) for seed, accuracy in enumerate(HIGH)]
    closer = [replace(r, epochs=tuple(replace(e, train_loss=e.validation_loss + 1e-4 * (1 + r.seed)) for e in r.epochs)) for r in results]
    found = answer(conclusion, Row(twin, None, "a machine", tuple(closer), (), (), ()), row("step-11", LOW))
    assert found.word == "holds"


def look(**fields):
    return SimpleNamespace(experiment="step-11", seed=0, error_count=20, name=str, **fields)


def test_confusion_of_one_run_only_indicates():
    confusion = [[0] * 10 for _ in range(10)]
    confusion[4][9], confusion[9][4], confusion[1][7] = 5, 4, 3
    record = look(confusion=tuple(map(tuple, confusion)))
    conclusion = Conclusion("paper", "sentence", "confused", ("step-11",), point=(4, 9))
    found = answer(conclusion, row("step-11", HIGH, diagnostics=record))
    assert (found.word, found.figures) == ("indicated", "seed 0: 4 and 9, 9 of 20 errors")
    assert answer(replace(conclusion, point=(3, 5)), row("step-11", HIGH, diagnostics=record)).word == "not indicated"
    assert answer(conclusion, row("step-11", HIGH)).figures == "no run was looked at: budgetnet inspect step-11"


def test_shape_of_weights():
    normal_one = SimpleNamespace(mean=0.01, sd=1.0, lower_quartile=-0.66, upper_quartile=0.68, count=500, shape=(10, 50))
    heavy = SimpleNamespace(mean=0.4, sd=1.0, lower_quartile=-0.2, upper_quartile=0.3, count=500, shape=(10, 50))
    assert (normal(normal_one), around_zero(normal_one), normal(heavy), around_zero(heavy)) == (True, True, False, False)
    record = look(weights=(normal_one, normal_one, heavy, SimpleNamespace(count=10, shape=(10,))))
    found = answer(Conclusion("paper", "s", "weights normal", ("step-11",)), row("step-11", HIGH, diagnostics=record))
    assert (found.word, found.figures) == ("indicated", "step-11: 2 of 3 tensors")


def test_table_escapes_and_is_absent_without_conclusions():
    conclusion = replace(claim("step-11"), sentence="a < b | c")
    rows = [row("step-11", HIGH), row("step-10", LOW)]
    answered = answers([conclusion], rows)
    assert "a &lt; b | c" in html(answered)
    assert "a < b \\| c" in "\n".join(markdown(answered))
    assert (html([]), markdown([])) == ("", [])


def test_search_is_indicated_where_its_best_point_is_the_document_s():
    axes = (AxisRecord("recipe.batch_size", (32, 64)), AxisRecord("recipe.epochs", (3, 4)))
    points = tuple(
        PointRecord(number, "complete", {"recipe.batch_size": 32, "recipe.epochs": epochs}, value)
        for number, (epochs, value) in enumerate(((3, 97.75), (4, 98.49)))
    )
    study = StudyRecord("batches", "digest", "grid", axes, (0,), points, best=1)
    conclusion = Conclusion("paper", "32 and 3 are the best", "search", ("batches",), point=(32, 3))
    ((_, found),) = answers([conclusion], [], [study])
    assert found.word == "not indicated"
    assert found.figures == "best: batch_size 32, epochs 4: 98.49 %; the document's point: batch_size 32, epochs 3: 97.75 %; 1 seed a point"
    ((_, found),) = answers([replace(conclusion, point=(32, 4))], [], [study])
    assert (found.word, found.figures) == ("indicated", "best: batch_size 32, epochs 4: 98.49 %; 1 seed a point")
    tied = replace(study, points=(replace(points[0], value=98.49), points[1]))
    assert answers([conclusion], [], [tied])[0][1].word == "indicated", "no point is better"
    unfinished = replace(study, points=(*points, PointRecord(2, "waiting", {"recipe.batch_size": 64, "recipe.epochs": 3})))
    ((_, found),) = answers([conclusion], [], [unfinished])
    assert (found.word, found.figures) == ("cannot say yet", "the search is not finished: budgetnet sweep batches")


def test_runs_that_are_shared_are_not_compared():
    first, second = row("step-10", HIGH), row("step-11", HIGH)
    shared = replace(second, experiment=replace(second.experiment, same_as="step-10"))
    found = answer(claim("step-11"), first, shared)
    assert (found.word, found.figures) == ("cannot say yet", "the same runs: step-11 and step-10")


def test_stability_of_short_runs_is_not_said_to_lack_seeds():
    rows = (row("step-11", HIGH), row("step-10", LOW))
    short = [replace(r, results=tuple(replace(one, epochs=one.epochs[-3:]) for one in r.results)) for r in rows]
    found = answer(replace(claim("step-11"), measure="last sd"), *short)
    assert (found.word, found.figures) == ("cannot say yet", "runs of fewer than 5 epochs of step-11 or step-10")


def test_rounding_decides_nothing():
    nearly = (99.4 + 1e-13,) * 3
    assert answer(claim("step-11"), row("step-11", nearly), row("step-10", (99.4,) * 3)).word == "open"
    assert answer(claim("step-11", claim="within"), row("step-11", nearly), row("step-10", (99.4,) * 3)).word == "holds"


def test_weights_of_some_of_the_networks_indicate_nothing():
    record = look(weights=(SimpleNamespace(count=10, shape=(2, 5)),))
    conclusion = Conclusion("paper", "s", "weights normal", ("step-11", "step-10"))
    found = answer(conclusion, row("step-11", HIGH, diagnostics=record), row("step-10", LOW))
    assert (found.word, found.figures) == ("cannot say yet", "no run was looked at: budgetnet inspect step-10")
    found = answer(replace(conclusion, first=("step-11",)), row("step-11", HIGH, diagnostics=record))
    assert (found.word, found.figures) == ("cannot say yet", "no tensor of 100 weights or more")


def test_search_over_words_and_records_is_answered():
    axes = (AxisRecord("model.widths", ("(1, 2)",)), AxisRecord("recipe.precision", ("fp32", "bf16")))
    points = tuple(
        PointRecord(n, "complete", {"model.widths": "(1, 2)", "recipe.precision": word}, 97.0 + n)
        for n, word in enumerate(("fp32", "bf16"))
    )
    study = StudyRecord("words", "digest", "grid", axes, (0,), points, best=1)
    conclusion = Conclusion("paper", "s", "search", ("words",), point=((1, 2), "bf16"))
    ((_, found),) = answers([conclusion], [], [study])
    assert (found.word, found.figures) == ("indicated", "best: widths (1, 2), precision bf16: 98.00 %; 1 seed a point")
