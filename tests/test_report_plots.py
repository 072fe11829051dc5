"""The plots: geometry by property, pictures by their existence on every kind of input."""

from __future__ import annotations

import dataclasses
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetnet.definition import Aim, Budget, Reported
from budgetnet.report.axes import LEAST_ERROR, chosen_ticks, stretched, unstretched
from budgetnet.report.collect import Row, collect
from budgetnet.report.curves import curves
from budgetnet.report.overview import overview_plot
from budgetnet.report.placing import Box, around, label_spots, side_by_side
from budgetnet.report.plots import FEW_AIMS, aim_lines, dots, parameters_plot, split
from tests.report_demo import demo_catalogue, demo_result, demo_steps, store_demo

STEP = demo_steps()[6]
FRAME = Box(0, 0, 1000, 600)
positions = st.floats(50, 950, allow_nan=False)
heights = st.floats(50, 500, allow_nan=False)
boxes = st.lists(st.builds(lambda x, y, h: Box(x - 7, y, x + 7, y + h), positions, heights, st.floats(14, 80)), max_size=8)


def row_of(*finals: float, **changes: object) -> Row:
    experiment = dataclasses.replace(STEP, **changes)  # type: ignore[arg-type]
    results = tuple(demo_result(experiment, seed, final) for seed, final in enumerate(finals))
    return Row(experiment, None, "synthetic", results, (), (), ())


def size(png: bytes | None) -> tuple[int, int]:
    assert png is not None
    assert png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


# --- geometry ---------------------------------------------------------------------------------------------------------


@given(boxes)
def test_moved_dots_never_hide_each_other(found: list[Box]) -> None:
    moved = [box.moved(shift) for box, shift in zip(found, side_by_side(found, 15), strict=True)]
    assert not any(a.overlaps(b) for i, a in enumerate(moved) for b in moved[:i])


@given(boxes, st.lists(positions, max_size=3))
def test_no_dot_is_moved_across_a_budget(found: list[Box], walls: list[float]) -> None:
    for box, shift in zip(found, side_by_side(found, 15, walls), strict=True):
        assert all((box.x <= wall) == (box.x + shift <= wall) for wall in walls)


@given(boxes)
def test_labels_overlap_neither_dots_nor_labels(found: list[Box]) -> None:
    moved = [box.moved(shift) for box, shift in zip(found, side_by_side(found, 15), strict=True)]
    spots = label_spots([(50, 14)] * len(moved), moved, moved, Box(-500, -500, 1500, 1500))
    assert not any(spot.overlaps(box) for spot in spots for box in moved)
    assert not any(a.overlaps(b) for i, a in enumerate(spots) for b in spots[:i])


def test_labels_stay_in_the_frame_or_hide_least() -> None:
    corner = Box(990, 590, 1000, 600)
    assert label_spots([(60, 14)], [corner], [corner], FRAME)[0].within(FRAME)
    full = label_spots([(60, 14)], [Box(500, 300, 510, 310)], [FRAME], FRAME)
    assert full[0].within(FRAME)


def test_around_begins_with_the_nearest() -> None:
    owner = Box(100, 100, 110, 110)
    spots = around(owner, (40, 10))
    assert spots[0] == Box(85, 113, 125, 123)
    assert not any(spot.overlaps(owner) for spot in spots if spot.x == owner.x or spot.y == owner.y)


@given(st.floats(0, 99.99))
def test_the_accuracy_axis_can_be_read_back(accuracy: float) -> None:
    assert unstretched(stretched(accuracy)) == pytest.approx(accuracy, abs=1e-9)


def test_the_accuracy_axis_rises_and_ends() -> None:
    assert np.all(np.diff(stretched([50, 90, 99, 99.4, 99.9])) > 0)
    assert unstretched(stretched(100)) == pytest.approx(100 - LEAST_ERROR)


@pytest.mark.parametrize(("low", "high"), [(98.8, 99.5), (80, 99.9), (99.38, 99.46), (10, 100)])
def test_ticks_lie_within_and_apart(low: float, high: float) -> None:
    ticks = chosen_ticks(float(stretched(low)), float(stretched(high)), 0.06)
    assert 2 <= len(ticks) <= 17
    assert all(low - 1e-9 <= tick <= high for tick in ticks)


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_far_counts_stand_apart() -> None:
    rows = [row_of(99.4, name=f"n-{count}", budget=Budget(exact=count)) for count in (6000, 8000, 40202, 887530)]
    near, far = split(dots(rows))
    assert ([dot.parameters for dot in near], [dot.parameters for dot in far]) == ([6000, 8000], [40202, 887530])
    assert size(parameters_plot(rows))[0] > 1000


def test_pictures_of_the_whole_catalogue(tmp_path: Path) -> None:
    catalogue = demo_catalogue()
    store_demo(catalogue, tmp_path / "runs", tmp_path / "synthetic")
    rows = collect(catalogue, [tmp_path / "runs", tmp_path / "synthetic"])
    assert size(parameters_plot(rows))[0] > size(overview_plot(rows))[0] > 800
    assert curves(next(row for row in rows if row.status.startswith("partial"))) is not None
    assert curves(next(row for row in rows if row.status == "missing")) is None


def test_reported_figures_alone_are_worth_a_picture() -> None:
    rows = collect(demo_catalogue(), [])
    assert size(parameters_plot(rows))
    assert size(overview_plot(rows))


def test_nothing_to_show_is_no_picture() -> None:
    row = row_of(reported=None)
    assert (parameters_plot([row]), overview_plot([row]), curves(row)) == (None, None, None)
    assert (parameters_plot([]), overview_plot([])) == (None, None)


@pytest.mark.parametrize("final", [0.0, 9.8, 100.0])
def test_extreme_accuracies_are_drawn(final: float) -> None:
    row = row_of(final, final, reported=None, aim=None)
    flat = [dataclasses.replace(record, train_loss=0.0, validation_loss=0.0) for record in row.results[0].epochs]
    row = dataclasses.replace(row, results=(dataclasses.replace(row.results[0], epochs=tuple(flat)), row.results[1]))
    for picture in (parameters_plot([row]), overview_plot([row]), curves(row)):
        assert size(picture)


def test_a_single_epoch_is_drawn() -> None:
    row = row_of(99.0, recipe=dataclasses.replace(STEP.recipe, epochs=1), reported=Reported(99.0))
    assert size(curves(row))


def test_aim_lines_are_all_of_a_few_aims_and_the_shared_ones_of_many() -> None:
    own = [row_of(99.0, aim=Aim(90.0 + number)) for number in range(FEW_AIMS)]
    shared = [row_of(99.0, aim=Aim(99.4))] * 2
    assert aim_lines(own) == [90.0, 91.0, 92.0, 93.0]
    assert aim_lines([*own, *shared]) == [99.4]
    assert aim_lines([row_of(99.0, aim=None)]) == []


def test_aim_lines_do_not_count_a_twin_as_a_second_step() -> None:
    rows = [row_of(99.0, aim=Aim(90.0 + number)) for number in range(FEW_AIMS + 1)]
    twin = row_of(99.0, aim=Aim(90.0), twin_of=STEP.name, name="twin")
    assert aim_lines([*rows, twin]) == []
