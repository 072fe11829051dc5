"""What a document reports: last and best epoch, curves, and what is refused."""

import pytest

from budgetnet.commands.inspection import _reported_lines
from budgetnet.definition import Aim, Conclusion, Curve, DefinitionError, Mark, Reported, derive
from tests.own_catalogue import SMALL as STEP

CURVE = Curve("notebook", validation_accuracy=(98.0, 99.4, 99.3), train_accuracy=(97.0, 98.5, 98.4), validation_loss=(0.1, 0.03, 0.02))


def test_reported_of_curves_takes_the_last_epoch_and_finds_the_best():
    found = Reported.of_curves(CURVE, announces="best")
    assert (found.validation_accuracy, found.train_accuracy, found.validation_loss, found.train_loss) == (99.3, 98.4, 0.02, None)
    assert (found.best_validation_accuracy, found.best_train_accuracy, found.announced) == (99.4, 98.5, 99.4)
    assert Reported.of_curves(CURVE).announced == 99.3


def test_reported_without_a_curve_has_no_best_epoch():
    found = Reported(99.0)
    assert (found.best_validation_accuracy, found.best_train_accuracy, found.announced) == (None, None, 99.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Curve("x", validation_accuracy=(99.0, 101.0)), r"validation_accuracy is \(99.0, 101.0\); expected a tuple of percents"),
        (lambda: Curve("x", train_loss=(-0.1,)), r"Curve.train_loss is \(-0.1,\)"),
        (lambda: Curve("x", validation_accuracy=(99.0,), train_loss=(0.1, 0.2)), r"Curve 'x' has quantities of \[1, 2\] epochs"),
        (lambda: Reported(99.0, announces="best"), "Reported.announces is 'best'; expected a curve"),
        (lambda: Reported(99.0, announces="first"), "Reported.announces is 'first'; expected 'last' or 'best'"),
        (lambda: Reported(99.0, curves=[CURVE]), "Reported.curves"),
        (lambda: Reported.of_curves(Curve("x", train_loss=(0.1,))), "Curve 'x' has no validation accuracies"),
        (lambda: Reported.of_curves(), "Reported.of_curves got no curve"),
        (lambda: Reported(98.0, curves=(CURVE,)), "Reported.validation_accuracy is 98.0, and its curve ends with 99.3"),
        (lambda: Reported(99.3, train_accuracy=97.0, curves=(CURVE,)), "Reported.train_accuracy is 97.0, and its curve ends with 98.4"),
        (lambda: Reported(0.9917), r"Reported.validation_accuracy is 0.9917; expected percent in \(1, 100\]; multiply a fraction"),
        (lambda: Curve("x", validation_accuracy=(0.91, 0.99)), "Curve.validation_accuracy is .*; expected percents; multiply fractions"),
        (lambda: Curve(1, validation_accuracy=(91.0,)), "Curve.run is 1"),
        (lambda: Aim(0.994), "Aim.accuracy is 0.994; expected percent in"),
        (lambda: Aim(99.4, None), "Aim.text is None; expected the aim in words"),
        (lambda: Mark("recipe", "chosen", None), "Mark.why is None"),
        (lambda: derive(STEP, "again", same_as=STEP), "Experiment.same_as is Experiment.*; expected an experiment's name, or None"),
        (lambda: derive(STEP, "again", notes=None), "Experiment.notes is None; expected a text"),
        (lambda: Conclusion("paper", "a beats b", "speed", ("a",)), "Conclusion.measure is 'speed'; expected one of accuracy"),
        (lambda: Conclusion("paper", "a beats b", "accuracy", ()), "Conclusion.first"),
        (lambda: Conclusion("paper", "a beats b", "accuracy", ("a",), ("b",), "better"), "Conclusion.claim is 'better'"),
        (lambda: Conclusion("paper", "a beats b", "accuracy", ("a",)), r"Conclusion.second is \(\); expected the experiments that"),
        (lambda: Conclusion("paper", "a beats a", "accuracy", ("a",), ("a",)), r"Conclusion.second is \('a',\); expected other"),
        (lambda: Conclusion("paper", "a is best", "accuracy", (STEP,), ("b",)), "Conclusion.first"),
        (lambda: Conclusion("paper", "32 is best", "search", ("a", "b"), point=(32,)), "expected a tuple of one study's name"),
        (lambda: Conclusion("paper", "9 is confused with 4", "confused", ("a",), point=(9, 4)), r"Conclusion.point is \(9, 4\); expected"),
        (lambda: Conclusion("paper", None, "accuracy", ("a",), ("b",)), "Conclusion.sentence is None; expected a text"),
    ],
)
def test_reported_refuses_what_cannot_be(make, message):
    with pytest.raises(DefinitionError, match=message):
        make()


def test_show_passes_over_a_further_run_without_accuracies():
    reported = Reported.of_curves(CURVE, Curve("second", train_loss=(0.1, 0.05)))
    assert _reported_lines(reported)[-1] == "reported, highest of any epoch: validation accuracy 99.40 %, train accuracy 98.50 %"
