"""The table as records, CSV, Markdown and console text, and the lines after a run."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path

import pytest

from budgetnet.report.collect import Pair, Row, collect, twins
from budgetnet.report.tables import CSV_COLUMNS, console_text, csv_text, duration, markdown, record, spread, verdict_lines
from tests.report_demo import demo_catalogue, demo_result, store_demo

CATALOGUE = demo_catalogue()


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    base = tmp_path_factory.mktemp("demo")
    store_demo(CATALOGUE, base / "runs", base / "results" / "synthetic")
    return collect(CATALOGUE, [base / "runs", base / "results" / "synthetic"])


@pytest.fixture(scope="module")
def pairs(rows: list[Row]) -> list[Pair]:
    return twins(rows)


def test_numbers_in_words() -> None:
    assert spread(99.416, 0.0512) == "99.42 ± 0.05"
    assert (spread(99.4, None), spread(None, None)) == ("99.40", "–")
    assert (duration(None), duration(29.24), duration(1234.5)) == ("–", "29.2", "1,234")


def test_csv_reads_back(rows: list[Row]) -> None:
    lines = list(csv.DictReader(io.StringIO(csv_text(rows))))
    assert tuple(lines[0]) == CSV_COLUMNS
    assert CSV_COLUMNS[:15] == (
        "name", "parameters", "bound", "aim", "reported", "n", "mean", "sd", "best_mean", "aim_verdict", "reproduction_verdict",
        "seconds", "device", "status", "source",
    )  # fmt: skip
    assert [line["name"] for line in lines] == list(CATALOGUE.names)
    for line, row in zip(lines, rows, strict=True):
        assert line["mean"] == ("" if row.aim.mean is None else repr(row.aim.mean))
        assert int(line["n"]) == len(row.results)
        assert line["status"] == row.status


def test_records_are_json(rows: list[Row]) -> None:
    for row in rows:
        data = record(row)
        assert json.loads(json.dumps(data, allow_nan=False)) == data
    by_name = {row.experiment.name: record(row) for row in rows}
    assert by_name["step-07"]["seeds"] == [0, 1, 2, 3, 4]
    assert by_name["step-12"]["status"] == "unreadable"
    assert by_name["step-12"]["notes"]


def test_markdown_has_a_cell_for_every_column(rows: list[Row], pairs: list[Pair]) -> None:
    text = markdown(rows, pairs)
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in tables[: len(rows) + 2]}) == 1
    assert len(tables) == len(rows) + len(pairs) + 4
    assert "dropout 0.1→0.05†1" in text
    assert "- †1 `model.dropout`, chosen: a smaller dropout is mentioned, its rate is not" in text
    assert "- step-04: 1 stale run (synthetic): the definition has changed since; run again" in text


def test_markdown_escapes_bars(rows: list[Row]) -> None:
    row = dataclasses.replace(rows[0], experiment=dataclasses.replace(rows[0].experiment, source="a | b\nc"))
    assert "a \\| b c |" in markdown([row], [])


def test_console_columns_are_aligned(rows: list[Row]) -> None:
    lines = console_text(rows).splitlines()
    table = lines[: len(rows) + 1]
    assert [line.split("  ")[0] for line in table[1:]] == list(CATALOGUE.names)
    end = table[0].index("parameters") + len("parameters")
    assert all(line[end - 1] != " " and line[end] == " " for line in table)
    assert lines[len(rows) + 1] == ""
    assert lines[len(rows) + 2].startswith("step-04: 1 stale run")


def test_verdict_lines() -> None:
    step = CATALOGUE["step-07"]
    results = [demo_result(step, seed, final) for seed, final in enumerate((99.48, 99.50, 99.52))]
    stale = dataclasses.replace(demo_result(step, 8, 10.0), definition_hash="0" * 16)
    lines = verdict_lines(step, [*results, stale, demo_result(step, 9, 20.0, epochs=2)])
    assert len(lines) == 4
    assert lines[0].startswith("step-07: 99.50 ± 0.02 % over 3 seeds, last epoch (best epoch 99.5")
    assert lines[1].startswith("  aim 99.40 %: met; one-sided 95 % bounds of the mean 99.466 and 99.534 %")
    assert lines[2] == "  the best epoch reaches the aim in 3 of 3 runs"
    assert lines[3].startswith("  reported last epoch 99.42 %: reproduced; 95 % of single runs are expected in 99.401 … 99.599 %")


def test_verdict_lines_of_one_seed_and_of_none() -> None:
    step = CATALOGUE["step-07"]
    lines = verdict_lines(step, [demo_result(step, 0, 99.41)])
    assert lines[1:] == [
        "  aim 99.40 %: indicated: above", "  the best epoch reaches the aim in 1 of 1 run",
        "  reported last epoch 99.42 %: indicated: 0.01 below the report",
    ]  # fmt: skip
    assert verdict_lines(step, []) == ["step-07: no finished run of this definition"]
    twin = dataclasses.replace(CATALOGUE["step-07-pointwise"], aim=None)
    assert len(verdict_lines(twin, [demo_result(twin, 0, 99.41)])) == 1


def test_tables_write_no_paths_of_good_runs(rows: list[Row], tmp_path: Path) -> None:
    assert str(tmp_path.parent) not in csv_text(rows)
