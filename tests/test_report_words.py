"""Definitions in words."""

from __future__ import annotations

import dataclasses

import pytest

from budgetnet.definition import SGD, Mark, Protocol, StepLR, change, derive
from budgetnet.report.words import (
    change_phrases,
    definition_lines,
    inherited_marks,
    marks_of,
    number_marks,
    record_kinds,
    record_lines,
    records_change,
    validation_label,
    value_text,
)  # fmt: skip
from tests.report_demo import DROPOUT, LR, MNIST, WIDTHS, Plain, Pointwise, demo_catalogue

CATALOGUE = demo_catalogue()


def said(name: str, budget: bool = False) -> str:
    experiment = CATALOGUE[name]
    parent = CATALOGUE[experiment.parent] if experiment.parent else None
    return ", ".join(phrase.text for phrase in change_phrases(experiment, parent, budget))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"), (True, "yes"), (False, "no"), (12345, "12,345"), (0.01, "0.01"), (7.0, "7"), ((14, 14, 10), "14-14-10"),
        ((), "()"), ((0.5, None), "(0.5, none)"), ("bf16", "bf16"), (MNIST, "mnist"), (StepLR(6), "StepLR(step_size=6)"),
        (SGD(0.1, momentum=0.9), "SGD(lr=0.1, momentum=0.9)"),
    ],
)  # fmt: skip
def test_values(value: object, text: str) -> None:
    assert value_text(value) == text


def test_changes_are_computed_and_compact() -> None:
    assert said("step-01") == "Plain(widths=32-32-32-32-32, bias=yes)"
    assert said("step-07") == "batch_size 128→64, augmentation.rotation 7→5"
    assert said("step-05") == "schedule none→StepLR(step_size=6)"
    assert said("step-07-pointwise") == "model Plain→Pointwise(widths=8-16-8-12-12)"
    assert said("step-02", budget=True).endswith("epochs 20→15, budget.bound none→10,000, budget.exact 40,202→8,442")


def test_a_child_that_only_renames_says_so() -> None:
    child = derive(CATALOGUE["step-07"], "same")
    assert [phrase.text for phrase in change_phrases(child, CATALOGUE["step-07"])] == ["nothing that shapes training"]


def test_marks_stand_at_the_values_they_are_about() -> None:
    step = CATALOGUE["step-09"]
    phrases = change_phrases(step, CATALOGUE["step-08"])
    assert {phrase.text.split(" ")[0]: phrase.marks for phrase in phrases} == {"widths": (), "optimizer.lr": (LR,)}
    assert inherited_marks(step, phrases) == (DROPOUT,)
    assert marks_of(step, "model") == (DROPOUT,)
    lines = {dotted: marks for dotted, _, marks in definition_lines(step)}
    assert lines["recipe.optimizer.lr"] == (LR,)
    assert lines["recipe.batch_size"] == ()


def test_a_mark_on_a_record_covers_its_fields() -> None:
    mark = Mark("recipe.optimizer", "chosen", "by convention")
    step = dataclasses.replace(CATALOGUE["step-02"], marks=(mark,))
    assert marks_of(step, "recipe.optimizer.lr") == (mark,)
    assert marks_of(step, "recipe") == (mark,)
    assert marks_of(step, "recipe.batch_size") == ()


def test_equal_marks_share_a_number() -> None:
    assert number_marks(CATALOGUE) == {DROPOUT: 1, LR: 2, WIDTHS: 3}


def test_what_validation_means() -> None:
    step = CATALOGUE["step-07"]
    assert validation_label(step) == "validation (= MNIST test set, every epoch, as the document does)"
    held = derive(step, "held", recipe=change(protocol=Protocol("holdout", 6000)))
    assert validation_label(held) == "validation (= 6,000 held-out MNIST training images; the test set is scored once, at the end)"
    alone = derive(held, "alone", recipe=change(protocol=change(test_at_end=False)))
    assert validation_label(alone).endswith("training images; the test set is left alone)")


def test_a_list_of_records_is_numbered_counted_and_compared() -> None:
    layers = (*(StepLR(6) for _ in range(9)), StepLR(7, 0.5))
    assert [record_lines(layers)[0], record_lines(layers)[9]] == [" 1  StepLR(step_size=6)", "10  StepLR(step_size=7, gamma=0.5)"]
    assert record_lines((1, 2)) == record_lines(()) == record_lines(StepLR(6)) == []
    assert value_text((*layers, SGD(0.1))) == "(10 StepLR, 1 SGD)"
    assert records_change(layers, layers[1:8]) == "− StepLR(step_size=6) ×2, − StepLR(step_size=7, gamma=0.5)"
    assert records_change(layers[8:], layers[:7:-1]) == "in another order"
    assert value_text(StepLR(1000)) == "StepLR(step_size=1000)", "a comma would read as two arguments"


def test_kinds_are_said_where_a_field_does_not() -> None:
    step = CATALOGUE["step-07"]
    assert record_kinds(step) == {"model": "Plain", "recipe.optimizer": "SGD", "recipe.schedule": "StepLR"}
    assert [line[:2] for line in definition_lines(step)][1:3] == [("model", "Plain"), ("model.widths", "14-14-14-14-14")]


def test_describing_builds_no_model() -> None:
    with pytest.raises(AssertionError):
        Plain((1,)).build((1, 28, 28), 10)
    with pytest.raises(AssertionError):
        Pointwise((1,)).build((1, 28, 28), 10)
