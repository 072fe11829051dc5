"""The results table of the Keras documents: ours beside the reported, and nothing judged that is not finished."""

import pytest

from budgetnet.catalogue import load_default
from budgetnet.report import results_table
from budgetnet.report.collect import collect
from tests.report_demo import demo_result, store

CATALOGUE = load_default()


@pytest.fixture
def rows(tmp_path):
    def stored(name, seed, final, **fields):
        store(tmp_path, demo_result(CATALOGUE[name], seed, final, **fields))

    for seed, final in enumerate((97.80, 97.90, 98.00)):
        stored("mlp-2", seed, final)
    stored("explore-separable", 0, 97.5, test_accuracy=97.6, test_loss=0.1)
    stored("lenet", 0, 99.0, epochs=2)
    stored("step-13", 0, 99.4)
    return collect(CATALOGUE, [tmp_path])


COLUMNS = (
    "name", "layers", "train loss", "reported train loss", "train", "reported train", "loss", "reported loss",
    "accuracy", "reported accuracy", "test loss", "test", "reported test", "verdict",
)  # fmt: skip


def lines(rows):
    return {row.experiment.name: dict(zip(COLUMNS, results_table.cells(row), strict=True)) for row in rows}


def test_it_has_the_networks_that_name_their_hidden_layers_and_were_trained(rows):
    assert [row.experiment.name for row in rows if results_table.has_place(row)] == ["explore-separable", "lenet", "mlp-2"]


def test_figures_stand_beside_the_reported_ones(rows):
    line = lines(row for row in rows if row.experiment.name == "mlp-2")["mlp-2"]
    assert line["layers"] == "2: dense 256, dense 64"
    accuracies = [result.last.train_accuracy for row in rows if row.experiment.name == "mlp-2" for result in row.results]
    assert line["train"].startswith(f"{sum(accuracies) / 3:.2f} ± ")
    assert (line["reported train loss"], line["reported train"], line["reported loss"]) == ("0.0066", "99.76", "0.0967")
    assert (line["accuracy"], line["reported accuracy"]) == ("97.90 ± 0.10", "97.87")
    assert [line[name] for name in COLUMNS[-4:]] == ["–", "–", "–", "reproduced, 3 seeds"]


def test_the_test_set_stands_apart_where_held_out_images_validate(rows):
    line = lines(row for row in rows if row.experiment.name == "explore-separable")["explore-separable"]
    assert [line[name] for name in COLUMNS[8:13]] == ["97.50", "97.81", "0.1000", "97.60", "97.87"]


def test_an_unfinished_run_is_shown_and_not_judged(rows):
    line = lines(row for row in rows if row.experiment.name == "lenet")["lenet"]
    assert line["verdict"] == "partial (2 of 15 epochs), not judged"


def test_markdown_and_html_hold_the_same_texts(rows):
    text, page = "\n".join(results_table.markdown(rows)), results_table.html(rows)
    for line in lines(row for row in rows if results_table.has_place(row)).values():
        for cell in line.values():
            assert cell in text
            assert cell in page


def test_nothing_without_a_place(rows):
    steps = [row for row in rows if row.experiment.name.startswith("step")]
    assert (results_table.markdown(steps), results_table.html(steps)) == ([], "")
