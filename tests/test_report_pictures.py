"""The pictures of a run that was looked at: geometry by property, pictures by their existence on every kind of input."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from budgetnet.diagnostics.record import Diagnostics
from budgetnet.diagnostics.weights import summarize
from budgetnet.report.experiment_page import confused_text
from budgetnet.report.layering import SIDE, Layout, lay_out, merge_chains
from budgetnet.report.mistakes import confusion_plot, errors_plot
from budgetnet.report.network import graph_plot
from budgetnet.report.violins import weights_plot
from budgetnet.structure import Layer
from tests.report_demo import demo_diagnostics, demo_layers, demo_result, demo_steps
from tests.test_report_plots import size

RECORD = demo_diagnostics(demo_result(demo_steps()[6], 0, 99.4))
WIDTH, GAP, TALLEST = 2.0, 0.3, 7.0


def layer(name: str, kind: str, *inputs: str, parameters: int = 0) -> Layer:
    return Layer(name, kind, (8, 4, 4), parameters, parameters, inputs)


@st.composite
def networks(draw: st.DrawFn) -> tuple[Layer, ...]:
    """Any network of up to twelve layers: each takes from one to three of those before it."""
    layers = [layer("0", "Input")]
    for number in range(1, draw(st.integers(1, 12))):
        sources = draw(st.sets(st.integers(0, number - 1), min_size=1, max_size=3))
        layers.append(layer(f"{number}", draw(st.sampled_from(["Conv2d", "ReLU", "add"])), *(f"{source}" for source in sorted(sources))))
    return tuple(layers)


def placed(layers: tuple[Layer, ...]) -> Layout:
    graph = merge_chains(layers)
    return lay_out(graph, WIDTH, [0.6] * len(graph.boxes), GAP, TALLEST)


@given(networks())
def test_every_layer_is_on_one_box_and_every_connection_kept(layers: tuple[Layer, ...]) -> None:
    graph = merge_chains(layers)
    assert sorted(member.name for box in graph.boxes for member in box.members) == sorted(one.name for one in layers)
    home = {member.name: number for number, box in enumerate(graph.boxes) for member in box.members}
    between = {(home[source], home[one.name]) for one in layers for source in one.inputs if home[source] != home[one.name]}
    assert between == set(graph.edges)
    for box in graph.boxes:
        assert all(tag.inputs == (before.name,) for before, tag in pairwise(box.members))


@given(networks())
def test_arrows_point_down_and_pass_beside_the_cards(layers: tuple[Layer, ...]) -> None:
    layout = placed(layers)
    rank = {vertex: number for number, row in enumerate(layout.ranks) for vertex in row}
    for path in layout.paths:
        assert all(rank[lower] == rank[upper] + 1 for upper, lower in pairwise(path))
        assert all(slot >= 0 for _, slot in path[1:-1])


@given(networks())
def test_nothing_in_a_rank_overlaps(layers: tuple[Layer, ...]) -> None:
    layout = placed(layers)
    for row in layout.ranks:
        for left, right in pairwise(row):
            room = sum(WIDTH / 2 if vertex[1] < 0 else 0.15 for vertex in (left, right))
            assert layout.x[right] - layout.x[left] >= room + SIDE - 1e-9


@given(networks())
def test_columns_hold_every_rank_once_and_are_joined_by_one_arrow(layers: tuple[Layer, ...]) -> None:
    layout = placed(layers)
    assert [row for column in layout.columns for row in column] == list(range(len(layout.ranks)))
    rank = {vertex: number for number, row in enumerate(layout.ranks) for vertex in row}
    for column in layout.columns[1:]:
        crossing = [path for path in layout.paths if rank[path[0]] < column.start <= rank[path[-1]]]
        assert len(crossing) == 1


def test_branches_stand_side_by_side() -> None:
    layout = placed(demo_layers(3))
    assert [len(row) for row in layout.ranks] == [1, 1, 3, 3, 1, 1]
    fork, convolutions, pools, join = (layout.ranks[number] for number in (1, 2, 3, 4))
    assert [layout.x[v] for v in convolutions] == pytest.approx([layout.x[v] for v in pools])
    assert layout.x[fork[0]] == pytest.approx(layout.x[convolutions[1]]) == pytest.approx(layout.x[join[0]])


def test_a_long_chain_is_wrapped_into_columns_of_about_one_height() -> None:
    layers = [layer("0", "Input"), *(layer(f"{n}", "Conv2d", f"{n - 1}", parameters=9) for n in range(1, 40))]
    layout = placed(tuple(layers))
    heights = [len(column) for column in layout.columns]
    assert sum(heights) == 40
    assert len(heights) == 6
    assert max(heights) - min(heights) <= 5
    width, height = size(graph_plot(layers))
    assert height / 144 < 9
    assert width > height


def test_activations_join_the_box_that_they_alone_follow() -> None:
    alone = merge_chains(
        [layer("0", "Input"), layer("c", "Conv2d", "0"), layer("r", "ReLU", "c"), layer("n", "BatchNorm2d", "r", parameters=32)]
    )
    assert [[member.name for member in box.members] for box in alone.boxes] == [["0"], ["c", "r", "n"]]
    shared = merge_chains([layer("0", "Input"), layer("c", "Conv2d", "0"), layer("r", "ReLU", "c"), layer("a", "add", "c", "r")])
    assert [[member.name for member in box.members] for box in shared.boxes] == [["0"], ["c"], ["r"], ["a"]]


# --- pictures ---------------------------------------------------------------------------------------------------------


@settings(max_examples=15)
@given(networks())
def test_any_network_is_drawn(layers: tuple[Layer, ...]) -> None:
    assert size(graph_plot(layers))


def test_a_layer_that_is_never_called_is_drawn_too() -> None:
    assert size(graph_plot([*demo_layers(), Layer("spare", "Linear", None, 12, 12, ())]))[0] > size(graph_plot(demo_layers()))[0]
    assert graph_plot([]) is None


@pytest.mark.parametrize(
    "tensors",
    [
        [("w", np.random.default_rng(0).normal(size=(8, 3)))],
        [("b", np.zeros(8))],
        [("w", np.ones((1, 1))), ("b", np.linspace(-1, 1, 9)), ("tiny", 1e-6 * np.linspace(-1, 1, 9))],
        [(f"a.rather.long.name.of.a.layer.{n}.weight", np.random.default_rng(n).normal(0, 10.0**-n, (30, 30))) for n in range(20)],
    ],
    ids=["one", "constant", "of different sizes", "many"],
)
def test_violins(tensors: list[tuple[str, np.ndarray]]) -> None:
    assert size(weights_plot(summarize(tensors)))
    assert weights_plot([]) is None


def confused(classes: int, errors: int) -> Diagnostics:
    table = np.diag([7] * classes)
    table[0, -1] += errors
    return dataclasses.replace(RECORD, confusion=tuple(tuple(map(int, row)) for row in table))


@pytest.mark.parametrize(("classes", "errors"), [(2, 0), (2, 3), (10, 1), (47, 12_345)])
def test_confusion_of_any_number_of_classes(classes: int, errors: int) -> None:
    assert size(confusion_plot(confused(classes, errors)))


def test_a_class_without_images_is_drawn() -> None:
    assert size(confusion_plot(dataclasses.replace(RECORD, confusion=((0, 0), (1, 2)))))


@pytest.mark.parametrize("number", [1, 5, 12])
def test_worst_errors(number: int) -> None:
    assert size(errors_plot(dataclasses.replace(RECORD, errors=RECORD.errors[:number])))


def test_no_error_is_no_picture_and_a_sentence() -> None:
    assert errors_plot(dataclasses.replace(RECORD, errors=())) is None
    assert confused_text(confused(10, 0)) == "No two classes are confused."
    assert confused_text(confused(10, 1)) == "0 and 9 are confused most: once (0 as 9: 1, 9 as 0: 0)."


def test_coloured_pictures_are_drawn() -> None:
    import base64

    pixels = base64.b64encode(bytes(range(192))).decode()
    errors = tuple(dataclasses.replace(error, pixels=pixels) for error in RECORD.errors)
    assert size(errors_plot(dataclasses.replace(RECORD, errors=errors, picture_shape=(3, 8, 8))))
