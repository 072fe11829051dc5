"""What a document reports: last and best epoch, curves, and what is refused."""

import pytest

from budgetnet.definition import Conclusion, Curve, DefinitionError, Reported

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
        (lambda: Conclusion("paper", "a beats b", "speed", ("a",)), "Conclusion.measure is 'speed'; expected one of accuracy"),
        (lambda: Conclusion("paper", "a beats b", "accuracy", ()), "Conclusion.first"),
        (lambda: Conclusion("paper", "a beats b", "accuracy", ("a",), ("b",), "better"), "Conclusion.claim is 'better'"),
    ],
)
def test_reported_refuses_what_cannot_be(make, message):
    with pytest.raises(DefinitionError, match=message):
        make()
