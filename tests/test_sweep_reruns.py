"""Sweeps that meet what they cannot have alone: impossible points, weights that were kept, another process at the final run."""

import shutil
import threading

import pytest

pytest.importorskip("optuna")
pytest.importorskip("sklearn")

from budgetnet.rundir import open_run
from budgetnet.study_results import read_plan
from budgetnet.sweep import chain
from tests.test_sweep_search import OWN, main, study, sweep

IMPOSSIBLE = """
from budgetnet.definition import Choices, Study
from tests.own_studies import BASE

SGD = "recipe.optimizer."
CATALOGUE = (BASE,)
STUDIES = (Study("impossible", BASE, ((SGD + "momentum", Choices((0.0,))), (SGD + "nesterov", Choices((False, True)))), "tpe", 6),)
"""


def test_a_proposal_that_cannot_be_fails_and_the_search_goes_on(tmp_path, capsys):
    catalogue = tmp_path / "impossible_combinations.py"
    catalogue.write_text(IMPOSSIBLE)
    arguments = ["sweep", "impossible", *OWN, "--catalogue", catalogue, "--runs", tmp_path / "runs", "--out", tmp_path / "report"]
    assert main(*arguments) == 0
    points = study(tmp_path, "impossible").points
    failed = [point for point in points if point.state == "failed"]
    assert {tuple(point.point.values()) for point in failed} == {(0.0, True)}
    assert 0 < len(failed) < 6
    assert {point.reason for point in failed} == {"SGD.nesterov is True; expected True (with a momentum above 0) or False"}
    assert {point.run for point in failed} == {None}
    assert all(point.state == "complete" for point in points if point not in failed)
    assert f"6 points, {6 - len(failed)} complete, {len(failed)} failed" in capsys.readouterr().out
    assert main(*arguments) == 0
    assert "starts" not in capsys.readouterr().out


def test_a_grid_that_earlier_studies_made_partly_impossible_goes_on(tmp_path):
    """The earlier study leaves momentum 0 as the only choice; with it nesterov cannot be."""
    catalogue = tmp_path / "impossible_after.py"
    after = 'Study("after", BASE, ((SGD + "nesterov", Choices((False, True))), ("recipe.epochs", Choices((1, 2)))), after="first")'
    first = 'Study("first", BASE, ((SGD + "momentum", Choices((0.0,))),))'
    catalogue.write_text(IMPOSSIBLE.replace("STUDIES = ", f"STUDIES = ({first}, {after})\nOTHERS = "))
    assert main("sweep", "after", *OWN, "--catalogue", catalogue, "--runs", tmp_path / "runs", "--out", tmp_path / "report") == 0
    assert [point.state for point in study(tmp_path, "after").points] == ["complete", "complete", "failed", "failed"]


MENDED = """
from dataclasses import dataclass
from pathlib import Path
from torch import nn
from budgetnet.definition import Choices, Range, Study, derive
from tests.own_studies import BASE

@dataclass(frozen=True)
class Own:
    width: int = 4

    def build(self, image_shape, classes):
        if self.width > 4 and not Path(__file__).with_name("mended").exists():
            raise KeyError("a bug")
        return nn.Sequential(nn.Flatten(), nn.Linear(784, self.width), nn.ReLU(), nn.Linear(self.width, classes))

OWN = derive(BASE, "own", model=Own())
CATALOGUE = (BASE, OWN)
STUDIES = (
    Study("mended-grid", OWN, (("model.width", Choices((4, 5))), ("recipe.epochs", Choices((1, 2))))),
    Study("mended-tpe", OWN, (("model.width", Choices((5,))), ("recipe.optimizer.lr", Range(0.01, 0.1))), "tpe", 2),
)
"""


@pytest.mark.parametrize(("name", "complete"), [("mended-grid", 2), ("mended-tpe", 0)])
def test_points_whose_build_raised_are_tried_again_once_it_is_mended(tmp_path, monkeypatch, name, complete):
    catalogue = tmp_path / f"{name.replace('-', '_')}_catalogue.py"
    catalogue.write_text(MENDED)
    arguments = ["sweep", name, *OWN, "--catalogue", catalogue, "--runs", tmp_path / "runs", "--out", tmp_path / "report"]
    main(*arguments)
    before = study(tmp_path, name)
    failed = [point for point in before.points if point.state == "failed"]
    assert len(before.complete) == complete
    assert len(failed) == 2
    assert all("cannot be built: Own.build raises KeyError: 'a bug'" in point.reason for point in failed)
    main(*arguments)
    assert [point.state for point in study(tmp_path, name).points] == [point.state for point in before.points]
    (tmp_path / "mended").touch()
    assert main(*arguments) == 0
    after = study(tmp_path, name)
    assert [point.point for point in after.points] == [point.point for point in before.points]
    assert {point.state for point in after.points} == {"complete"}


def weights(root):
    return {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.name in ("checkpoint.pt", "weights.safetensors")}


def test_weights_that_were_kept_once_stay(tmp_path):
    assert sweep(tmp_path, "scheduled", "--keep-weights") == 0
    kept = weights(tmp_path)
    assert len(kept) == 4
    assert sweep(tmp_path, "scheduled") == 0
    assert weights(tmp_path) == kept


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    root = tmp_path_factory.mktemp("planned")
    assert sweep(root, "again") == 0
    return root


@pytest.mark.parametrize("trained", [True, False], ids=["trained by the other", "taken over"])
def test_a_final_run_that_another_process_has_is_waited_for(planned, tmp_path, capsys, monkeypatch, trained):
    """The other one ends with its result, or is killed without one: the sweep has the plan's end in both cases."""
    monkeypatch.setattr(chain, "POLL", 0.05)
    shutil.copytree(planned / "runs", tmp_path / "runs")
    folder = tmp_path / "runs" / "studies" / "again"
    (folder / "plan.json").unlink()
    result = folder / "again-final" / "seed-0" / "result.json"
    finished = result.read_bytes()
    if trained:
        result.unlink()
    else:
        shutil.rmtree(result.parent)
    asked = threading.Event()
    say = chain.Chain._wait_for

    def noted(*arguments):
        asked.set()
        say(*arguments)

    monkeypatch.setattr(chain.Chain, "_wait_for", noted)

    def other():
        with open_run(folder, "again-final", 0):
            held.set()
            asked.wait(60)
            released.wait(0.5)
            if trained:
                result.write_bytes(finished)

    held, released = threading.Event(), threading.Event()
    thread = threading.Thread(target=other)
    thread.start()
    held.wait(60)
    assert sweep(tmp_path, "again") == 0
    thread.join()
    output = capsys.readouterr().out
    waits = [line for line in output.splitlines() if "waits for again-final seed 0" in line]
    assert len(waits) == 1
    assert "is in use by another budgetnet process (pid" in waits[0]
    assert ("starts" in output) == (not trained)
    assert [run.seed for run in read_plan(folder / "plan.json").final] == [0]
