"""Sweeps that are killed, interrupted, or run twice at once: no trial lost, none repeated, the same values bit for bit."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

optuna = pytest.importorskip("optuna")
pytest.importorskip("sklearn")

from budgetnet import cli  # noqa: E402
from budgetnet.study_results import read_study  # noqa: E402

ROOT = Path(__file__).parent.parent
OWN = ["--catalogue", "tests.own_studies", "--device", "cpu", "--threads", "1", "--engine", "eager"]
NAME, TRIALS = "long", 12


def start(root, *more):
    """The real command in a process of its own."""
    arguments = ["sweep", NAME, *OWN, "--runs", root / "runs", "--out", root / "report", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "budgetnet", *map(str, arguments)], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job inherits it ignored
    )  # fmt: skip


def until(process, happened, what):
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        if happened():
            return
        time.sleep(0.005)
    pytest.fail(f"{what} was never reached: {process.communicate()}")


def epochs_logged(root):
    return {path: [int(n) for n in re.findall(r"epoch (\d+):", path.read_text())] for path in (root / "runs").rglob("log.txt")}


def complete(root):
    path = root / "runs" / "studies" / NAME / "study.json"
    return len(read_study(path).complete) if path.exists() else 0


def values(root):
    return [(point.point, point.value) for point in read_study(root / "runs" / "studies" / NAME / "study.json").points]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The values of a sweep that nothing interrupted."""
    root = tmp_path_factory.mktemp("whole")
    assert cli.main([str(a) for a in ["sweep", NAME, *OWN, "--workers", "1", "--runs", root / "runs", "--out", root / "report"]]) == 0
    return values(root)


def assert_each_trial_once(root, whole, storage=None):
    """Every point is there, told once, with the value of the uninterrupted sweep; no epoch was trained twice."""
    found = optuna.load_study(study_name=None, storage=storage or f"sqlite:///{root}/runs/studies/{NAME}/trials.db")
    complete = [trial for trial in found.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    assert sorted(trial.user_attrs["ticket"] for trial in complete) == list(range(TRIALS))
    assert values(root) == whole
    for path, epochs in epochs_logged(root).items():
        assert epochs == sorted(set(epochs)), path


def test_killed_twice_and_continued(tmp_path, whole):
    workers = 2
    process = start(tmp_path, "--workers", workers)
    until(process, lambda: any(max(epochs, default=0) >= 3 for epochs in epochs_logged(tmp_path).values()), "epoch 3")
    process.kill()
    process.communicate()
    assert complete(tmp_path) == 0
    process = start(tmp_path, "--workers", workers)
    until(process, lambda: complete(tmp_path) >= 3, "a told run")
    process.kill()
    process.communicate()
    assert 3 <= complete(tmp_path) < TRIALS
    process = start(tmp_path, "--workers", workers)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "12 points, 12 complete" in output
    assert_each_trial_once(tmp_path, whole)
    assert not [*(tmp_path / "runs").rglob("checkpoint.pt")]


def test_ctrl_c_and_continued(tmp_path, whole):
    process = start(tmp_path, "--workers", 2)
    until(process, lambda: any(max(epochs, default=0) >= 2 for epochs in epochs_logged(tmp_path).values()), "epoch 2")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip() == "budgetnet: interrupted; the same command resumes from the last whole epoch"
    process = start(tmp_path, "--workers", 1)
    assert "resumes after epoch" in process.communicate()[0]
    assert process.returncode == 0
    assert_each_trial_once(tmp_path, whole)


@pytest.mark.parametrize("kind", ["default", "journal"])
def test_two_sweeps_at_once_share_the_trials(tmp_path, whole, kind):
    more = ["--storage", f"journal:{tmp_path}/trials.log"] if kind == "journal" else []
    processes = [start(tmp_path, "--workers", 1, *more) for _ in range(2)]
    outputs = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert all("12 points, 12 complete" in output for output, _ in outputs)
    journal = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(f"{tmp_path}/trials.log")) if more else None
    assert_each_trial_once(tmp_path, whole, journal)
