"""The pictures and the page of searches: every kind of study, every state, damaged records, nothing from elsewhere."""

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from budgetnet.report import sweep_tables
from budgetnet.report.sweep_axes import BEST, accuracy_ticks
from budgetnet.report.sweep_plots import draw_study
from budgetnet.report.sweeps import build_sweeps
from budgetnet.study_results import (
    AxisRecord,
    PointRecord,
    StudyRecordError,
    read_plan,
    read_study,
    to_json,
)
from tests import sweep_demo
from tests.test_report_build import check

ROOT = Path(__file__).parent.parent
STUDIES = (sweep_demo.demo_map(), sweep_demo.demo_curve(), sweep_demo.demo_table(), sweep_demo.demo_proposals())
NAMES = [study.name for study in STUDIES]


@pytest.mark.parametrize("study", STUDIES, ids=NAMES)
def test_records_survive_their_file(tmp_path, study):
    path = tmp_path / "study.json"
    path.write_text(to_json(study))
    assert read_study(path) == study


def test_a_plan_survives_its_file(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(to_json(sweep_demo.demo_plan()))
    assert read_plan(path) == sweep_demo.demo_plan()


@pytest.mark.parametrize("content", ["", "[]", '{"format": 1}', '{"format": 99}', '{"format": 1, "axes": [{}]}', "\udcff"])
def test_damaged_records_are_one_sentence(tmp_path, content):
    path = tmp_path / "study.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    for read in (read_study, read_plan):
        with pytest.raises(StudyRecordError, match=r"study\.json"):
            read(path)


def test_a_page_has_every_study_and_a_plan_s_end(tmp_path):
    sweep_demo.store_demo(tmp_path / "runs")
    broken = tmp_path / "runs" / "studies" / "broken" / "study.json"
    broken.parent.mkdir()
    broken.write_text("{")
    old = tmp_path / "out" / "sweeps" / "old.png"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"")
    files = build_sweeps([tmp_path / "nothing", tmp_path / "runs"], tmp_path / "out")
    written = {path.relative_to(tmp_path / "out").as_posix() for path in files}
    assert written == {*(f"sweeps/{name}.png" for name in NAMES), "sweeps.md", "sweeps.html"}
    assert not old.exists()
    page = check((tmp_path / "out" / "sweeps.html").read_text())
    assert set(NAMES) <= set(page.ids)
    assert len(page.sources) == len(NAMES)
    for said in (
        "99.24", "batch size 64, epochs 4, learning rate 0.001", "the loss is nan at step 12", "1 left",
        "broken/study.json is not a readable record", "one seed; as the highest of 23 values it is probably a little lucky",
        "the mean of 3 seeds", "reported, best first: batch normalization yes",
    ):  # fmt: skip
        assert said in page.text, said


def test_the_best_value_is_the_highest_of_different_points():
    points = [sweep_demo.demo_point(number, {"batch": number % 2, "lr": 0.1}, 90.0 + number) for number in range(5)]
    axes = (AxisRecord("batch", (0, 1)), AxisRecord("lr", low=0.1, high=0.2))
    assert "as the highest of 2 values it is probably" in sweep_tables.best_words(sweep_demo.demo_study("twice", axes, points))
    assert "highest" not in sweep_tables.best_words(sweep_demo.demo_study("once", axes, points[::2]))


def test_a_page_without_searches_says_how_to_make_one(tmp_path):
    (*_, path) = build_sweeps([tmp_path], tmp_path / "out")
    assert "There are no searches yet" in check(path.read_text()).text


def test_the_first_root_speaks_for_a_study(tmp_path):
    for root, notes in (("a", "mine"), ("b", "theirs")):
        folder = tmp_path / root / "studies" / "demo-batch"
        folder.mkdir(parents=True)
        (folder / "study.json").write_text(to_json(replace(STUDIES[0], notes=notes)))
    (*_, path) = build_sweeps([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    text = check(path.read_text()).text
    assert "mine" in text
    assert "theirs" not in text


@pytest.mark.parametrize("study", STUDIES, ids=NAMES)
def test_pictures_frame_the_best_point(study):
    pixels = np.asarray(Image.open(io.BytesIO(draw_study(study))).convert("RGB")).astype(int)
    frame = [int(BEST[place : place + 2], 16) for place in (1, 3, 5)]
    assert (abs(pixels - frame).sum(axis=2) < 24).sum() > 20


def test_odd_studies_are_drawn_or_left_out():
    rate = AxisRecord("recipe.optimizer.lr", (0.1,))
    one = sweep_demo.demo_study("one", (rate,), [sweep_demo.demo_point(0, {"recipe.optimizer.lr": 0.1}, 100.0)])
    assert draw_study(one)
    both = {"recipe.optimizer.lr": 0.1, "recipe.epochs": 2}
    assert draw_study(replace(one, axes=(rate, AxisRecord("recipe.epochs", None, 1, 3)), points=(replace(one.points[0], point=both),)))
    assert draw_study(replace(one, points=(PointRecord(0, "running", {"recipe.optimizer.lr": 0.1}),), best=None)) is None
    three = (rate, AxisRecord("recipe.epochs", (1,)), AxisRecord("model.norm", (True,)))
    point = sweep_demo.demo_point(0, {"recipe.optimizer.lr": 0.1, "recipe.epochs": 1, "model.norm": True}, 98.0)
    assert draw_study(sweep_demo.demo_study("three", three, [point]))
    assert "no point has a value" in sweep_tables.console_text(replace(one, points=(), best=None))


def test_a_proposed_map_shows_what_is_proposed_and_the_best_of_a_place():
    axes = (AxisRecord("recipe.batch_size", (32, 64)), AxisRecord("recipe.epochs", (1, 2)))
    values = [((32, 1), 98.5), ((32, 1), 98.7), ((32, 1), 98.6), ((64, 2), None), ((64, 2), 97.0)]
    points = [
        sweep_demo.demo_point(number, {"recipe.batch_size": size, "recipe.epochs": epochs}, value, reason=None if value else "diverged")
        for number, ((size, epochs), value) in enumerate(values)
    ]
    unfinished = [PointRecord(5, "running", {"recipe.batch_size": 64, "recipe.epochs": 1}), PointRecord(6, "waiting", {})]
    study = sweep_demo.demo_study("proposed-map", axes, [*points, *unfinished], sampler="tpe")
    assert sweep_tables.matrix(study)[1] == [("32", f"98.70 {sweep_tables.BEST}", "–"), ("64", "running", "97.00")]
    twice = replace(study, points=(*study.points, replace(study.points[1], number=7)))
    assert f"98.70 {sweep_tables.BEST}" in sweep_tables.console_text(twice)
    assert draw_study(study)
    assert "98.70" in sweep_tables.markdown(study)


def test_ticks_where_no_accuracy_is_telling():
    from budgetnet.report.axes import stretched

    assert accuracy_ticks(float(stretched(90.7)), float(stretched(94.4)), 0.05) == [91.0, 92.0, 93.0, 94.0]


def test_tables_for_a_terminal():
    text = sweep_tables.console_text(STUDIES[0]).splitlines()
    assert text[1].split() == ["batch", "size", "\\", "epochs", "1", "2", "3", "4", "5"]
    assert "failed" in text[3]
    assert text[4].endswith(sweep_tables.BEST)
    assert any("batch size 16, epochs 1 failed: seed 0: the loss is nan" in line for line in text)
    text = sweep_tables.console_text(STUDIES[2])
    assert "99.21 ± 0.02" in text
    assert "ours, best first: batch normalization yes, dropout 0.25 > batch normalization yes, dropout 0 >" in text
    assert [(line.rank, line.reported_rank) for line in sweep_tables.lines(STUDIES[2])] == [("1", "1"), ("2", "4"), ("4", "2"), ("3", "3")]
    assert "| 16 | failed |" in sweep_tables.markdown(STUDIES[0])


def test_reading_searches_imports_neither_torch_nor_optuna():
    code = (
        "import sys, budgetnet.report.sweeps, budgetnet.commands.sweeping, budgetnet.definition; "
        "heavy = {'torch', 'optuna', 'matplotlib.pyplot'} & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_each_state_is_called_by_its_name():
    states = ("waiting", "running", "interrupted", "failed")
    rates = tuple(10.0**-n for n in range(4))
    points = tuple(PointRecord(n, state, {"recipe.optimizer.lr": rates[n]}) for n, state in enumerate(states))
    points = (*points[:3], replace(points[3], reason="the loss is nan"))
    study = sweep_demo.demo_study("states", (AxisRecord("recipe.optimizer.lr", rates),), list(points))
    assert [line.note for line in sweep_tables.lines(study)] == ["waiting", "running", "interrupted", "failed: the loss is nan"]
    assert sweep_tables.status(study) == "4 points, 1 failed, 3 left"
    both = tuple(AxisRecord(field, (1, 2)) for field in ("recipe.batch_size", "recipe.epochs"))
    grid = [replace(p, point={"recipe.batch_size": 1 + n // 2, "recipe.epochs": 1 + n % 2}) for n, p in enumerate(points)]
    assert sweep_tables.matrix(sweep_demo.demo_study("map", both, grid))[1] == [("1", "waiting", "running"), ("2", "interrupted", "failed")]
