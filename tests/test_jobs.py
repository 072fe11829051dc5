"""Many runs: the same results in workers as alone; one that fails takes no other with it."""

import os
import signal

import pytest
import torch

from budgetnet.catalogue import Catalogue
from budgetnet.engine.choice import Settings
from budgetnet.engine.loop import Diverged
from budgetnet.jobs.running import Failure, Job, WorkerDied, run_all, workers_for
from budgetnet.progress import ConsoleProgress
from budgetnet.results import Result
from budgetnet.run import Options
from tests.own_catalogue import CATALOGUE

pytest.importorskip("sklearn")
EXPERIMENTS = Catalogue(CATALOGUE)


def test_workers_give_what_one_process_gives_and_a_failure_stays_alone(tmp_path, capsys):
    jobs = [Job(EXPERIMENTS[name], seed) for name, seed in [("small", 0), ("diverging", 0), ("small", 1)]]
    roots = [tmp_path / "one", tmp_path / "two"]
    outcomes = [
        run_all(jobs, Options(root, Settings(engine="eager"), epochs=2), workers, ConsoleProgress(bars=False))
        for root, workers in zip(roots, (1, 2), strict=True)
    ]
    for one, two in zip(*outcomes, strict=True):
        if isinstance(one, Failure):
            assert isinstance(two, Failure)
            assert type(one.error) is type(two.error) is Diverged
            assert str(one.error) == str(two.error)
        else:
            assert isinstance(two, Result)
            assert [r.validation_loss for r in one.epochs] == [r.validation_loss for r in two.epochs]
    assert [type(outcome) for outcome in outcomes[0]] == [Result, Failure, Result]
    states = [torch.load(root / "small" / "seed-1" / "checkpoint.pt", weights_only=True)["model"] for root in roots]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    output = capsys.readouterr().out
    assert "small seed 0  epoch  2/4" in output
    assert "diverging seed 0  failed: the loss is" in output
    assert output.count("small seed 1  trains on plain torch, fp32, 1 thread") == 2


class Killer(ConsoleProgress):
    """Kills the worker of one job after its second epoch, as a machine that is out of memory does."""

    def __init__(self, root):
        super().__init__(bars=False)
        self.root = root

    def epoch(self, job, record, epochs):
        super().epoch(job, record, epochs)
        if (job, record.epoch) == ("long seed 0", 2):
            os.kill(int((self.root / "long" / "seed-0" / "lock").read_text()), signal.SIGKILL)


def test_a_killed_worker_is_reported_and_all_other_jobs_go_on(tmp_path, capsys):
    jobs = [Job(EXPERIMENTS[name], seed) for name, seed in [("long", 0), ("small", 0), ("small", 1), ("small", 2)]]
    outcomes = run_all(jobs, Options(runs=tmp_path, epochs=4), 2, Killer(tmp_path))
    assert isinstance(outcomes[0], Failure)
    assert isinstance(outcomes[0].error, WorkerDied)
    assert [type(outcome) for outcome in outcomes[1:]] == [Result] * 3
    assert "long seed 0  failed: its worker process ended without a word" in capsys.readouterr().out
    (resumed,) = run_all(jobs[:1], Options(runs=tmp_path, epochs=4), 1, ConsoleProgress(bars=False))
    assert len(resumed.epochs) == 4


def test_workers_have_the_environment_of_when_they_are_hired(tmp_path, monkeypatch):
    monkeypatch.setenv("BUDGETNET_KERNELS", "0")  # where the tests before have started the server without it
    jobs = [Job(EXPERIMENTS["small"], seed) for seed in range(2)]
    outcomes = run_all(jobs, Options(runs=tmp_path, epochs=1), 2, ConsoleProgress(bars=False))
    assert "kernels" not in {outcome.engine for outcome in outcomes}


@pytest.mark.parametrize(
    ("jobs", "device", "asked", "expected"),
    [(1, "cpu", None, 1), (9, "cuda", None, 1), (9, "cpu", 3, 3), (2, "cpu", 5, 2), (3, "cuda", 2, 2)],
)
def test_number_of_workers(jobs, device, asked, expected):
    assert workers_for(jobs, device, asked) == expected
