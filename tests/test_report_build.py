"""The report as a whole: what lies on disk afterwards, and what must never happen on the way."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Collection
from html.parser import HTMLParser
from pathlib import Path

import pytest

from budgetnet.catalogue import Catalogue
from budgetnet.definition import Aim, Experiment, Mark
from budgetnet.diagnostics.record import DIAGNOSTICS
from budgetnet.report import page
from budgetnet.report.build import build, summarize
from tests.report_demo import MNIST, Plain, demo_catalogue, demo_diagnostics, demo_result, demo_steps, store, store_seeds

PAGES = ("step-07.html", "step-08.html", "step-07-pointwise.html")
MATPLOTLIB_USERS = ("axes", "curves", "overview", "plots", "network", "violins", "mistakes")
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Checker(HTMLParser):
    """Every element closed in order, every link inside the page, nothing loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.alternatives: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        found = dict(attrs)
        self.ids += [value for value in [found.get("id")] if value]
        self.links += [value for value in [found.get("href")] if value]
        self.sources += [value for value in [found.get("src")] if value]
        self.alternatives += [found.get("alt") or ""] if tag == "img" else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def check(html: str, pages: Collection[str] = ()) -> Checker:
    checker = Checker()
    checker.feed(html)
    checker.close()
    assert checker.open == []
    assert len(checker.ids) == len(set(checker.ids))
    assert all((link.startswith("#") and link[1:] in checker.ids) or link.partition("#")[0] in pages for link in checker.links)
    assert all(source.startswith("data:image/png;base64,") for source in checker.sources)
    assert not re.search(r"https?://|url\(|@import", html)
    return checker


@pytest.fixture
def catalogue() -> Catalogue:
    first, second = demo_steps()[6:8]
    twin = next(e for e in demo_catalogue() if e.name == "step-07-pointwise")
    return Catalogue([dataclasses.replace(first, parent=None), second, twin])


def test_a_report_is_complete(tmp_path: Path, catalogue: Catalogue) -> None:
    store_seeds(tmp_path / "runs", catalogue["step-07"], [99.48, 99.50, 99.52])
    store_seeds(tmp_path / "runs", catalogue["step-07-pointwise"], [99.3, 99.31])
    out = tmp_path / "report"
    summary = build(catalogue, [tmp_path / "runs"], out)
    written = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert written == sorted([
        "index.html", "summary.csv", "summary.md", "plots/overview.png", "plots/parameters.png", "plots/step-07/curves.png",
        "plots/step-07-pointwise/curves.png", "step-07.html", "step-08.html", "step-07-pointwise.html",
    ])  # fmt: skip
    assert sorted(str(path.relative_to(out)) for path in summary.files) == written
    found = check((out / "index.html").read_text(encoding="utf-8"), written)
    assert len(found.sources) == 4
    validation = "validation (= MNIST test set, every epoch, as the document does)"
    for words in ("2 of 3 experiments", "99.50 ± 0.02", "step-07 is better", validation):
        assert words in found.text
    assert "†1" in found.text
    assert len(json.loads(json.dumps(summary.as_json(), allow_nan=False))) == 3
    assert len(list(csv.DictReader((out / "summary.csv").read_text(encoding="utf-8").splitlines()))) == 3
    assert summary.text().startswith("experiment")


def test_where_results_come_from_is_told_by_place(tmp_path: Path, catalogue: Catalogue) -> None:
    store_seeds(tmp_path / "xeon", catalogue["step-07"], [99.48])
    build(catalogue, [tmp_path / "xeon"], tmp_path / "a")
    one = check((tmp_path / "a" / "index.html").read_text(encoding="utf-8"), PAGES).text
    store_seeds(tmp_path / "epyc", catalogue["step-08"], [99.48])
    build(catalogue, [tmp_path / "xeon", tmp_path / "epyc"], tmp_path / "b")
    two = check((tmp_path / "b" / "index.html").read_text(encoding="utf-8"), PAGES).text
    assert "where the results come from: cpu" in one
    assert "2 results folders" not in one
    assert all(words in two for words in ("2 results folders", "xeon: 1", "epyc: 1"))


def test_no_results_and_no_experiments_are_reports_too(tmp_path: Path, catalogue: Catalogue) -> None:
    build(catalogue, [tmp_path / "none"], tmp_path / "a")
    assert "0 of 3 experiments" in check((tmp_path / "a" / "index.html").read_text(encoding="utf-8"), PAGES).text
    build(Catalogue([]), [], tmp_path / "b")
    assert "0 of 0 experiments" in check((tmp_path / "b" / "index.html").read_text(encoding="utf-8")).text


def test_what_others_wrote_is_escaped(tmp_path: Path) -> None:
    hostile = "<script>alert('1')</script> & \"quotes\" $css ${x}"
    recipe = demo_steps()[0].recipe
    marks = (Mark("recipe.batch_size", "chosen", hostile),)
    experiment = Experiment("odd", MNIST, Plain((1,)), recipe, aim=Aim(99.0, hostile), source=hostile, notes=hostile, marks=marks)
    directory = store(tmp_path / "runs", demo_result(experiment, 0, 99.0, environment={"cpu": hostile}))
    store(tmp_path / "runs", demo_result(experiment, 1, 99.0, engine=hostile))
    (directory.parent / "seed-2").mkdir()
    (directory.parent / "seed-2" / "result.json").write_text("{" + hostile)
    build(Catalogue([experiment]), [tmp_path / "runs"], tmp_path / "out")
    html = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert html.count("<script>") == 1
    assert hostile in check(html, ["odd.html"]).text
    own = (tmp_path / "out" / "odd.html").read_text(encoding="utf-8")
    assert "<script" not in own
    assert hostile in check(own, ["index.html"]).text


def test_a_report_that_fails_leaves_the_old_one(tmp_path: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "report"
    build(catalogue, [], out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}

    def fail(*_: object) -> str:
        raise RuntimeError("no page today")

    monkeypatch.setattr(page, "render", fail)
    store_seeds(tmp_path / "runs", catalogue["step-07"], [99.4])
    with pytest.raises(RuntimeError, match="no page today"):
        build(catalogue, [tmp_path / "runs"], out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_new_report_replaces_old_files_and_leaves_those_of_others(tmp_path: Path, catalogue: Catalogue) -> None:
    out = tmp_path / "report"
    gone = dataclasses.replace(catalogue["step-07"], name="gone")
    store_seeds(tmp_path / "runs", gone, [99.4])
    build(Catalogue([gone]), [tmp_path / "runs"], out)
    (out / "plots" / "curves-gone.png").write_bytes(b"of an earlier version")
    mine = [out / "mine.txt", out / "mine.html", out / "plots" / "mine.png", out / "plots" / "step-07" / "mine.png"]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("keep")
    build(catalogue, [], out)
    assert not [path for path in out.rglob("*") if "gone" in str(path.relative_to(out))]
    assert [path.read_text() for path in mine] == ["keep"] * 4


def test_without_matplotlib_there_is_a_sentence(tmp_path: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("matplotlib", "budgetnet.report."))]:
        if name.startswith("matplotlib") or name.rpartition(".")[2] in MATPLOTLIB_USERS:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.axes", None)
    build(catalogue, [], tmp_path / "out")
    html = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "There are no plots: matplotlib is not installed." in html
    assert not list((tmp_path / "out").rglob("*.png"))


def test_a_report_loads_neither_torch_nor_pyplot_nor_the_engine(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.report_demo import demo_catalogue\n"
        "from budgetnet.report.build import build, summarize\n"
        "assert 'matplotlib' not in sys.modules\n"
        "summarize(demo_catalogue(), []).text()\n"
        f"build(demo_catalogue(), [], Path({str(tmp_path / 'out')!r}))\n"
        "for name in ('torch', 'matplotlib.pyplot', 'budgetnet.engine'): assert name not in sys.modules, name\n"
    )
    here = Path(__file__).resolve().parent
    environment = {"PYTHONPATH": str(here.parent), "PATH": "", "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_summary_alone_writes_nothing(tmp_path: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    summary = summarize(catalogue, [Path("runs")])
    assert (len(summary.rows), len(summary.pairs), summary.files) == (3, 1, ())
    assert list(tmp_path.iterdir()) == []


# --- the page of an experiment ----------------------------------------------------------------------------------------


def page_of(out: Path, name: str) -> Checker:
    return check((out / f"{name}.html").read_text(encoding="utf-8"), ["index.html"])


def test_the_page_of_a_run_that_was_looked_at(tmp_path: Path, catalogue: Catalogue) -> None:
    results = [demo_result(catalogue["step-07"], seed, 99.4) for seed in (0, 1)]
    directories = [store(tmp_path / "runs", result) for result in results]
    (directories[1] / DIAGNOSTICS).write_text(demo_diagnostics(results[1]).to_json())
    summary = build(catalogue, [tmp_path / "runs"], tmp_path / "out")
    kinds = ("curves", "graph", "weights", "confusion", "errors")
    assert {tmp_path / "out" / "plots" / "step-07" / f"{kind}.png" for kind in kinds} <= set(summary.files)
    found = page_of(tmp_path / "out", "step-07")
    assert len(found.sources) == 5
    assert all(found.alternatives)
    assert "branches meet in cat (cat)" in found.alternatives[0]
    for words in (
        "With seed 1, 98.10 % of 1,019 test images are right", "4 and 9 are confused most: 12 times (4 as 9: 6, 9 as 4: 6)",
        "branch0.pool, branch1.pool", "model.widths", "14-14-14-14-14",
    ):  # fmt: skip
        assert words in found.text
    assert "budgetnet inspect" not in found.text


def test_the_page_of_a_run_that_was_not_says_what_to_do(tmp_path: Path, catalogue: Catalogue) -> None:
    store_seeds(tmp_path / "runs", catalogue["step-07"], [99.4])
    build(catalogue, [tmp_path / "runs"], tmp_path / "out")
    found = page_of(tmp_path / "out", "step-07")
    assert "budgetnet inspect step-07" in found.text
    assert len(found.sources) == 1  # its curves
    assert "budgetnet run step-08" in page_of(tmp_path / "out", "step-08").text


@pytest.mark.parametrize("fields", [{"definition_hash": "0" * 16}, {"seed": 5}, {"experiment": "other"}])
def test_a_record_of_another_run_is_a_note(tmp_path: Path, catalogue: Catalogue, fields: dict[str, object]) -> None:
    result = demo_result(catalogue["step-07"], 0, 99.4)
    directory = store(tmp_path / "runs", result)
    (directory / DIAGNOSTICS).write_text(demo_diagnostics(result, **fields).to_json())
    (row, *_) = summarize(catalogue, [tmp_path / "runs"]).rows
    assert row.diagnostics is None
    assert row.status == "1 seed"
    assert "make it anew with budgetnet inspect step-07" in row.notes[0]


def test_an_experiment_named_index_does_not_take_the_report_s_page(tmp_path: Path, catalogue: Catalogue) -> None:
    own = dataclasses.replace(catalogue["step-07"], name="index")
    build(Catalogue([own]), [], tmp_path / "out")
    assert "0 of 1 experiment" in check((tmp_path / "out" / "index.html").read_text(encoding="utf-8"), ["index_.html"]).text
    assert page_of(tmp_path / "out", "index_").links[0] == "index.html#index"
