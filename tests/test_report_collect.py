"""Rows: which results stand for an experiment, and which are shown but never judged."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from budgetnet.catalogue import Catalogue
from budgetnet.report.collect import Row, collect, place_name, twins
from tests.report_demo import demo_catalogue, demo_result, demo_steps, store, store_seeds

STEP, OTHER = demo_steps()[6], demo_steps()[7]
CATALOGUE = Catalogue([dataclasses.replace(STEP, parent=None), OTHER])
STALE = "0" * 16


def row_of(*roots: Path) -> Row:
    return collect(CATALOGUE, list(roots))[0]


def test_nothing_there_is_missing(tmp_path: Path) -> None:
    row = row_of(tmp_path / "runs", tmp_path / "not-there")
    assert (row.status, row.place, row.results, row.aim.word, row.reproduction.word) == ("missing", None, (), "missing", "missing")
    assert row.parameters == 8582  # the definition demands it
    assert row.best_mean is None
    assert row.seconds is None


def test_finished_seeds_are_judged_by_their_last_epoch(tmp_path: Path) -> None:
    store_seeds(tmp_path / "runs", STEP, [99.40, 99.44, 99.42], parameters=8000)
    row = row_of(tmp_path / "runs")
    assert (row.status, row.place, row.parameters) == ("3 seeds", "your runs", 8000)
    assert row.accuracies == [99.40, 99.44, 99.42]
    assert row.aim.mean == pytest.approx(99.42)
    assert row.best_mean is not None
    assert row.best_mean >= 99.42
    assert row.seconds == pytest.approx(15 * 1.95, abs=1)
    assert row.setup == "cpu, 1 thread, kernels, fp32"
    assert row.notes == ()


def test_seeds_stand_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for seed in (10, 2, 0):
        store(tmp_path / "runs", demo_result(STEP, seed, 99.4))
    assert [result.seed for result in row_of(tmp_path / "runs").results] == [0, 2, 10]


def test_one_root_is_used_alone_the_first_that_can_be_judged(tmp_path: Path) -> None:
    roots = [tmp_path / "runs", *(tmp_path / "results" / name for name in ("one", "two", "three"))]
    store(roots[0], demo_result(STEP, 0, 99.4, epochs=3))
    store_seeds(roots[1], STEP, [99.41, 99.42])
    assert row_of(*roots).accuracies == [99.41, 99.42]
    store_seeds(roots[2], STEP, [99.1, 99.2, 99.3])
    store_seeds(roots[3], STEP, [99.0] * 4)
    row = row_of(*roots)
    assert (row.place, row.accuracies) == ("two", [99.1, 99.2, 99.3])
    assert row.notes == (
        "1 unfinished run (your runs), not counted", "2 more seeds on one, not counted here", "4 more seeds on three, not counted here",
    )  # fmt: skip


def test_ones_own_runs_come_before_those_that_can_be_judged(tmp_path: Path) -> None:
    store_seeds(tmp_path / "results" / "one", STEP, [99.1, 99.2, 99.3])
    store_seeds(tmp_path / "runs", STEP, [99.41])
    assert row_of(tmp_path / "results" / "one", tmp_path / "runs").accuracies == [99.41]


def test_stale_results_are_shown_and_never_mixed_in(tmp_path: Path) -> None:
    stale = dataclasses.replace(demo_result(STEP, 5, 10.0), definition_hash=STALE)
    store(tmp_path / "runs", stale)
    row = row_of(tmp_path / "runs")
    assert (row.status, row.results, row.stale, row.aim.word) == ("stale", (), (stale,), "missing")
    store_seeds(tmp_path / "runs", STEP, [99.4] * 3)
    row = row_of(tmp_path / "runs")
    assert (row.status, row.accuracies) == ("3 seeds", [99.4] * 3)
    assert row.notes == ("1 stale run (your runs): the definition has changed since; run again",)


def test_stale_in_one_root_does_not_hide_current_in_the_next(tmp_path: Path) -> None:
    store(tmp_path / "runs", dataclasses.replace(demo_result(STEP, 0, 99.0), definition_hash=STALE))
    store_seeds(tmp_path / "hardware", STEP, [99.4])
    assert row_of(tmp_path / "runs", tmp_path / "hardware").place == "hardware"


def test_a_partial_run_is_never_judged(tmp_path: Path) -> None:
    store(tmp_path / "runs", demo_result(STEP, 0, 99.9, epochs=2))
    row = row_of(tmp_path / "runs")
    assert (row.status, row.results, row.aim.word, row.best_mean) == ("partial (2 of 15 epochs)", (), "missing", None)
    unfinished = demo_result(STEP, 1, 99.9, epochs=4)
    directory = store(tmp_path / "runs", unfinished)
    (directory / "partial.json").rename(directory / "result.json")  # what counts is what it holds
    assert row_of(tmp_path / "runs").status == "partial (4 of 15 epochs)"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 99}', b"\xff\xfe", b'{"format": 1, "epochs": []}'])
def test_an_unreadable_record_is_a_note(tmp_path: Path, content: bytes) -> None:
    directory = store(tmp_path / "runs", demo_result(STEP, 0, 99.4))
    (directory / "result.json").write_bytes(content)
    row = row_of(tmp_path / "runs")
    assert row.status == "unreadable"
    assert len(row.notes) == 1
    assert row.notes[0].startswith("unreadable (your runs): ")
    store(tmp_path / "runs", demo_result(STEP, 1, 99.4))
    assert row_of(tmp_path / "runs").status == "1 seed"


def test_a_copied_run_directory_does_not_count_twice(tmp_path: Path) -> None:
    directory = store(tmp_path / "runs", demo_result(STEP, 0, 99.4))
    shutil.copytree(directory, directory.with_name("seed-1"))
    row = row_of(tmp_path / "runs")
    assert len(row.results) == 1
    assert "seed-1 holds the result of step-07/seed-0" in row.notes[0]


def test_figures_that_cannot_be_are_a_note(tmp_path: Path) -> None:
    directory = store(tmp_path / "runs", demo_result(STEP, 0, 99.4))
    text = (directory / "result.json").read_text()
    (directory / "result.json").write_text(text.replace('"validation_accuracy": 99.4,', '"validation_accuracy": NaN,'))
    assert "expected a finite number" in row_of(tmp_path / "runs").notes[0]


def test_two_devices_in_one_root_are_said(tmp_path: Path) -> None:
    store(tmp_path / "runs", demo_result(STEP, 0, 99.4))
    store(tmp_path / "runs", demo_result(STEP, 1, 99.4, device="cuda", engine="eager"))
    row = row_of(tmp_path / "runs")
    assert row.setup == "cpu, 1 thread, kernels, fp32; cuda, eager, fp32"
    assert row.notes == ("the runs of your runs differ in device (cpu, cuda), engine (kernels, eager)",)


def test_two_precisions_in_one_row_are_a_note(tmp_path: Path) -> None:
    store(tmp_path / "runs", demo_result(STEP, 0, 99.4, engine="eager"))
    store(tmp_path / "runs", demo_result(STEP, 1, 99.4, engine="eager"))
    assert row_of(tmp_path / "runs").notes == ()
    store(tmp_path / "runs", dataclasses.replace(demo_result(STEP, 2, 99.4, engine="eager"), precision="bf16"))
    assert row_of(tmp_path / "runs").notes == ("the runs of your runs differ in precision (fp32, bf16)",)


def test_names_of_places() -> None:
    assert place_name(Path("runs")) == "your runs"
    assert place_name(Path("results/h200")) == "h200"
    assert place_name(Path(".")) == Path.cwd().name


def test_twins_stand_beside_their_steps(tmp_path: Path) -> None:
    catalogue = demo_catalogue()
    steps, others = tmp_path / "one", tmp_path / "two"
    store_seeds(steps, catalogue["step-07"], [99.40, 99.41, 99.42])
    store_seeds(steps, catalogue["step-07-pointwise"], [99.50, 99.51, 99.52])
    store_seeds(steps, catalogue["step-08"], [99.40, 99.41])
    store_seeds(others, catalogue["step-08-pointwise"], [99.50, 99.51])
    store_seeds(steps, catalogue["step-09"], [99.40])
    store_seeds(steps, catalogue["step-09-pointwise"], [99.50, 99.51])
    pairs = {pair.step.experiment.name: pair for pair in twins(collect(catalogue, [steps, others]))}
    assert len(pairs) == 13
    assert pairs["step-07"].text == "step-07-pointwise is better"
    assert pairs["step-07"].comparison.difference == pytest.approx(0.1)
    assert pairs["step-08"].text == "not compared: two machines"
    assert pairs["step-09"].text == "too few seeds"
    assert pairs["step-10"].text == "missing"
