"""Reproduction like with like, and stability: the two tables, from results made for them."""

from dataclasses import replace
from importlib import resources

import pytest

from budgetnet.definition import Aim, Curve, Reported
from budgetnet.report import convergence_table, reproduction_table
from budgetnet.report.collect import Row
from budgetnet.report.page import tiles
from tests.report_demo import demo_catalogue, demo_result

STEP = demo_catalogue()["step-10"]


def row(accuracies, reported, parent=None):
    """Runs of three epochs that end at the accuracies; the second epoch is 0.1 points higher."""
    experiment = replace(STEP, reported=reported, recipe=replace(STEP.recipe, epochs=3), parent=None)
    results = []
    for seed, last in enumerate(accuracies):
        made = demo_result(experiment, seed, last)
        values = (98.0 + 0.01 * seed, last + 0.1, last)
        results.append(replace(made, epochs=tuple(replace(e, validation_accuracy=v) for e, v in zip(made.epochs, values, strict=True))))
    return Row(experiment, parent, "a machine", tuple(results), (), (), ())


def test_last_is_compared_with_last_and_best_with_best():
    found = row((99.30, 99.32, 99.34), Reported.of_curves(Curve("notebook", (98.0, 99.42, 99.33)), announces="best"))
    assert (found.reproduction.reported, found.reproduction.word) == (99.33, "reproduced")
    assert (found.best_reproduction.reported, found.best_reproduction.word) == (99.42, "reproduced")
    assert found.best_reproduction.mean == pytest.approx(99.42)
    ((_, texts),) = reproduction_table.lines([found])
    assert texts[:7] == ["step-10", "99.33", "99.32 ± 0.02", "reproduced", "**99.42**", "99.42 ± 0.02", "reproduced"]
    assert texts[-2:] == ["inside at 3 of 3 epochs", "3 of 3 runs"]


def test_best_epochs_that_reach_the_aim_are_counted():
    found = row((99.20, 99.31, 99.33), Reported(99.3))
    assert found.announcing == 2, "99.41 and 99.43 of an aim of 99.4"
    ((_, texts),) = reproduction_table.lines([found])
    assert (texts[1], texts[4], texts[-2]) == ("**99.30**", "–", "–"), "a document without a curve has a last epoch only"


def test_curve_outside_the_band_is_counted_as_outside():
    found = row((99.30, 99.32, 99.34), Reported.of_curves(Curve("notebook", (90.0, 99.42, 99.33))))
    assert reproduction_table.curve_text(found) == "inside at 2 of 3 epochs"
    assert reproduction_table.curve_text(row((99.30, 99.32), found.experiment.reported)) == "–", "two seeds have no interval"


def test_pages_and_markdown_hold_both_tables():
    found = row((99.30, 99.32, 99.34), Reported.of_curves(Curve("notebook", (98.0, 99.42, 99.33)), announces="best"))
    assert "<b>99.42</b>" in reproduction_table.html([found])
    assert "| **99.42** |" in "\n".join(reproduction_table.markdown([found]))
    assert "Stability and convergence" in convergence_table.html([found])
    assert (reproduction_table.html([]), convergence_table.html([]), convergence_table.markdown([])) == ("", "", [])


def test_convergence_stands_beside_the_document_s_and_the_parent_s():
    parent = row((99.30, 99.32, 99.34), None)
    parent = replace(parent, experiment=replace(parent.experiment, name="before"))
    child = row((99.31, 99.33, 99.35), Reported.of_curves(Curve("notebook", (98.0, 99.42, 99.33))))
    child = replace(child, experiment=replace(child.experiment, parent="before"))
    before, after = convergence_table.lines([parent, child])
    assert before[1:4] == ["1.0 ± 0.0", "–", "–"], "epochs at the aim; no document, no parent"
    assert after[1:3] == ["1.0 ± 0.0", "1"]
    assert after[7:] == ["2.0 ± 0.0", "2", "0.0 (0.0 … 0.0)"] or after[7] == "2.0 ± 0.0"


def test_curve_of_another_length_says_so():
    found = row((99.30, 99.32, 99.34), Reported.of_curves(Curve("notebook", (98.0, 99.42, 99.33, 99.35))))
    assert reproduction_table.curve_text(found) == "inside at 3 of 3 epochs (the document has 4, ours have 3)"


def test_shared_runs_are_counted_once():
    found = row((99.30, 99.32, 99.34), None)
    again = replace(found, experiment=replace(found.experiment, name="again", same_as=found.experiment.name))
    assert "have results, 3 finished runs" in tiles([found, again])


def test_epochs_at_two_aims_are_not_compared():
    parent = row((99.30, 99.32, 99.34), None)
    child = replace(row((99.31, 99.33, 99.35), None), experiment=replace(parent.experiment, name="child", parent=parent.experiment.name))
    assert convergence_table.lines([parent, child])[1][3] != "–"
    other = replace(child, experiment=replace(child.experiment, aim=Aim(99.0)))
    line = convergence_table.lines([parent, other])[1]
    assert line[3] == "–"
    assert line[9] != "–", "the first epoch near the last knows no aim"


def test_wide_tables_break_their_headers_and_no_cell_is_narrower_than_its_verdict():
    found = row((99.30, 99.32, 99.34), Reported(99.3))
    for part in (reproduction_table.html([found]), convergence_table.html([found])):
        assert 'class="scroll wrapped"' in part
    css = (resources.files("budgetnet.report") / "page.css").read_text(encoding="utf-8")
    assert "td.words { max-width" not in css, "'not reproduced' ran into the next cell"
