"""What a start does not import or compute, and where worker processes come from; nothing here measures time."""

import os
import signal
import subprocess
import sys
import time
from argparse import Namespace
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path

import pytest
from torch import nn

from budgetnet import params
from budgetnet.catalogue import load_default
from budgetnet.definition import Budget, change, derive
from budgetnet.jobs import processes
from budgetnet.run import build_model, gate
from tests.own_catalogue import SMALL

ROOT = Path(__file__).parent.parent
CATALOGUE = load_default()
linux = pytest.mark.skipif(not processes.FORKED, reason="workers are forked on Linux only")


def imported_by(code: str, *arguments: object) -> set[str]:
    """The modules that a new interpreter has imported after ``code``."""
    code = f"{code}\nimport sys; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=True)
    return {*done.stdout.splitlines()}


def test_a_run_on_plain_torch_or_the_kernels_leaves_torch_s_compiler_alone(tmp_path):
    pytest.importorskip("sklearn")
    code = """
import sys
from budgetnet.cli import main
for engine in ("eager", "auto"):
    assert main(["run", "small", "--catalogue", "tests.own_catalogue", "--device", "cpu", "--runs", sys.argv[1] + engine,
                 "--engine", engine, "--epochs", "1"]) == 0
"""
    assert not imported_by(code, tmp_path) & {"torch._dynamo", "torch._inductor", "torchvision", "matplotlib", "torchsummary"}


def test_the_gate_leaves_torch_s_compiler_alone():
    code = (
        "from budgetnet.catalogue import load_default\nfrom budgetnet.run import gate\nassert all(gate(e).passed for e in load_default())"
    )
    assert not imported_by(code) & {"torch._dynamo", "torchvision", "matplotlib", "torchsummary"}


# --- the gate ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["step-01", "step-13", "mlp-2", "lenet", "explore-separable"])
def test_the_gate_counts_what_the_network_with_values_has(name):
    assert gate(CATALOGUE[name]).counts == params.count(build_model(CATALOGUE[name]))


def test_a_network_that_is_only_counted_has_no_values():
    with params.without_values():
        layer = nn.Linear(1_000_000, 1_000_000)
        nn.init.normal_(layer.weight)
        nn.init.normal_(tensor=layer.bias)
    assert layer.weight.is_meta
    assert params.count(layer).trainable == 1_000_001_000_000


@dataclass(frozen=True)
class Computing:
    """A network of someone else's that needs values while it is built, and to know where they are."""

    def build(self, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
        layer = nn.Linear(image_shape[1] * image_shape[2], classes)
        layer.scale = float(layer.weight.std().item())
        return nn.Sequential(nn.Flatten(), layer)


def test_a_network_that_computes_while_it_is_built_is_counted_too():
    computing = derive(SMALL, "computing", model=Computing(), budget=Budget(exact=7_850))
    assert gate(computing).passed
    assert not gate(derive(computing, "other", budget=change(exact=7_851))).passed


# --- worker processes -------------------------------------------------------------------------------------------------


def _tell(connection):
    threads = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("Threads"))
    connection.send((os.getppid(), signal.getsignal(signal.SIGINT) == signal.SIG_IGN, int(threads)))


@linux
def test_workers_are_forked_from_one_server_ignore_ctrl_c_and_inherit_no_thread():
    before = signal.getsignal(signal.SIGINT)
    context, told = processes.context(), []
    for _ in range(2):
        ours, its = context.Pipe()
        process = context.Process(target=_tell, args=(its,), daemon=True)
        with processes.interrupts_ignored():
            process.start()
        told.append(ours.recv())
        process.join()
    (server, ignores, threads), again = told
    assert server not in (os.getpid(), 1)
    assert ignores
    assert threads == 1
    assert again[0] == server
    assert signal.getsignal(signal.SIGINT) is before


@linux
def test_the_server_has_torch_and_ends_with_a_parent_that_is_killed():
    code = "from budgetnet.jobs import processes; processes.prepare(2, 'cpu', 2); print('ready', flush=True); import time; time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) as parent:
        try:
            parent.stdout.readline()
            wait(lambda: _server_of(parent.pid))  # a process's command line is empty for a moment after it is started
            server = _server_of(parent.pid)
            wait(lambda: "libtorch" in (server / "maps").read_text())
        finally:
            parent.kill()
    wait(lambda: not (server / "cmdline").exists() or not (server / "cmdline").read_text())


def _server_of(pid: int) -> Path | None:
    children = [Path(f"/proc/{child}") for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return next((child for child in children if "forkserver" in (child / "cmdline").read_text()), None)


def wait(until) -> None:
    deadline = time.monotonic() + 300
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@linux
@pytest.mark.parametrize(
    ("jobs", "device", "asked", "expected"),
    [
        (1, "cpu", None, False),
        (2, "cpu", None, True),
        (2, "cpu", 1, False),
        (2, "auto", None, True),
        (2, "cuda", None, False),
        (2, "cuda", 2, True),
    ],
)
def test_the_server_is_started_early_where_workers_will_be_wanted(monkeypatch, jobs, device, asked, expected):
    started = []
    monkeypatch.setattr(forkserver, "ensure_running", lambda: started.append(True))
    monkeypatch.setattr(processes, "usable_cores", lambda: 2)
    monkeypatch.setattr(processes.glob, "glob", lambda pattern: [])
    processes.prepare(jobs, device, asked)
    assert bool(started) is expected


def test_run_counts_jobs_before_anything_heavy(monkeypatch):
    from budgetnet.commands import launch, training

    prepared = []
    monkeypatch.setattr(launch, "prepare", lambda *given: prepared.append(given))
    monkeypatch.setattr(training, "run", lambda arguments, catalogue: 0)
    arguments = Namespace(names=["step-01", "step-13"], seeds=(0, 1, 2), device="auto", workers=None)
    assert launch.run(arguments, CATALOGUE) == 0
    assert prepared == [(6, "auto", None)]
