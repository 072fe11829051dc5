"""The two paths side by side: what counts as a changed verdict, and that both are really trained."""

import json
import sys
from dataclasses import replace

import pytest

from benchmarks import task, verdicts
from benchmarks.verdicts import Pair
from budgetnet.catalogue import Catalogue, load_default
from budgetnet.data import arrays
from budgetnet.data.specs import DIGITS
from tests.report_demo import demo_result

STEP = load_default()["step-10"]


def pair(reference, fast):
    def results(accuracies):
        made = (demo_result(STEP, seed, accuracy) for seed, accuracy in enumerate(accuracies))
        return [replace(result, engine="eager", precision="fp32") for result in made]

    return Pair(verdicts.row(STEP, "reference", results(reference)), verdicts.row(STEP, "fast", results(fast)))


def test_another_word_is_a_changed_verdict():
    assert not pair((99.5, 99.51, 99.52), (99.49, 99.51, 99.53)).changed
    assert pair((99.5, 99.51, 99.52), (99.2, 99.21, 99.22)).changed
    assert pair((99.3, 99.4, 99.5), (99.5, 99.51, 99.52)).changed


def test_table_and_figures_name_both_paths():
    found = pair((99.3, 99.4, 99.5), (99.4, 99.5, 99.6))
    first, second = verdicts.table([found]).splitlines()[2:]
    assert "reference (eager fp32)" in first
    assert "99.40 ± 0.10" in first
    assert "99.50 ± 0.10" in second
    assert "+0.100 (-0.127 to +0.327)" in second
    figures = json.loads(json.dumps(verdicts.content([found])))["step-10"]
    assert figures["comparison"]["word"] == "undecided"
    assert figures["reference"]["accuracies"] == [99.3, 99.4, 99.5]


def test_what_a_path_adds_is_pooled_about_each_experiments_mean():
    # the second experiment is ten points lower on both paths, which is no difference of the paths
    found = verdicts.pooled([pair((99.3, 99.4, 99.5), (99.4, 99.5, 99.6)), pair((89.3, 89.4, 89.5), (89.4, 89.5, 89.6))])
    assert found.difference == pytest.approx(0.1)
    assert found.lower == pytest.approx(0.1 - 2.228 * 0.0894427 * (2 / 6) ** 0.5, abs=1e-4)  # Student's t with 10 degrees of freedom


def test_words_by_choice_of_the_seeds():
    found = pair((99.5, 99.51, 99.52, 99.53, 99.54, 99.55), (99.2, 99.21, 99.22, 99.23, 99.24))
    assert verdicts.by_choice(found.reference) == {"met": 6}
    assert verdicts.by_choice(found.fast) == {"missed": 1}
    assert verdicts.choices([found]).splitlines() == [
        "step-10 reference: met 6 of all choices of 5 seeds",
        "step-10 fast: missed 1 of all choices of 5 seeds",
    ]


def test_trains_both_paths_and_keeps_what_is_finished(tmp_path, monkeypatch, capsys):
    small = replace(STEP, name="small", parent=None, data_set=DIGITS, recipe=replace(STEP.recipe, epochs=1))
    monkeypatch.setattr(task, "require_data", lambda: arrays.load(DIGITS, None))
    monkeypatch.setattr(verdicts, "load_default", lambda: Catalogue([small]))
    monkeypatch.setattr(sys, "argv", ["verdicts", "small", "--seeds", "0", "--runs", str(tmp_path), "--json", str(tmp_path / "found.json")])
    verdicts.main()
    said = capsys.readouterr().out
    assert "reference (eager fp32)" in said
    assert "verdicts that differ:" in said
    assert (tmp_path / "fast" / "small" / "seed-0" / "result.json").exists()
    first = json.loads((tmp_path / "found.json").read_text())["experiments"]
    verdicts.main()
    assert json.loads((tmp_path / "found.json").read_text())["experiments"] == first
