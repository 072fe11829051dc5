"""The rooms and who may import whom; importing starts nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(path for folder in ("budgetnet", "experiments") for path in (ROOT / folder).rglob("*.py"))


def imported(path):
    """Modules that a file imports, at whatever depth, except under TYPE_CHECKING."""
    tree = ast.parse(path.read_text())
    for node in [n for n in ast.walk(tree) if isinstance(n, ast.If) and getattr(n.test, "id", "") == "TYPE_CHECKING"]:
        node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[1] if parts[0] == "budgetnet" and len(parts) > 1 else parts[0]


# What a room may import of budgetnet; None: anything. A room that is not listed fails the test below.
ALLOWED = {
    "cache": set(), "seeds": set(), "terminal": set(), "uncompiled": set(),
    "experiments": {"definition", "models", "layers", "data.specs"},
    "__init__": set(), "__main__": {"cli"},
    "activations": set(), "convergence": {"verdict"}, "fingerprint": {"building", "definition", "seeds", "tracing"},
    "definition": {"definition"}, "metrics": set(), "progress": {"metrics"}, "verdict": set(), "layers": {"layers"}, "environment": set(),
    "catalogue": {"definition", "dotted_names"}, "dotted_names": set(), "models": {"definition", "layers", "models"},
    "building": {"definition", "params", "seeds"},
    "params": {"definition"}, "optim": {"definition", "uncompiled"}, "data": {"cache", "definition", "data"}, "evaluate": {"metrics"},
    "results": {"metrics"}, "rundir": {"results", "diagnostics.record"},
    "structure": set(), "tracing": {"params", "structure"}, "events": {"metrics", "structure"},
    "diagnostics": {"data", "definition", "diagnostics", "evaluate", "results", "structure", "tracing"},
    "engine": {"cache", "definition", "engine", "layers", "optim", "evaluate", "metrics", "seeds", "uncompiled"},
    "report": {
        "catalogue", "convergence", "definition", "diagnostics.record", "fingerprint", "metrics", "report", "results", "structure",
        "study_results", "verdict",
    },
    "run": None, "jobs": {"definition", "dotted_names", "engine.cpu", "environment", "jobs", "progress", "results", "run"},
    "weights": {"building", "definition", "fingerprint", "results"},
    "inference": {"cache", "data.idx", "data.pixels", "data.resident", "definition", "environment", "inference", "weights"},
    "serve": {"dotted_names", "inference", "serve"},
    "study_results": set(),
    "sweep": {
        "definition", "data.files", "engine.loop", "engine.choice", "environment", "jobs", "metrics", "progress", "results", "run",
        "rundir", "study_results", "sweep",
    },
    "arguments": {"arguments"}, "cli": {"arguments", "catalogue", "definition", "commands", "terminal"}, "commands": None,
}  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_room_imports_only_what_it_may(path):
    allowed = ALLOWED[room(path)]
    own = {name.removeprefix("budgetnet.") for name in imported(path) if name.startswith("budgetnet.") and name != "budgetnet.__version__"}
    if allowed is not None:
        strangers = {name for name in own if not any(name == a or name.startswith(f"{a}.") for a in allowed)}
        assert not strangers


@pytest.mark.parametrize(
    "path", [p for p in FILES if room(p) not in ("cli", "commands")], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_experiments_are_imported_by_name_only(path):
    assert not any(name.split(".")[0] in ("experiments", "budgetnet_experiments") for name in imported(path))


@pytest.mark.parametrize(
    "module",
    [
        "budgetnet",
        "budgetnet.cli",
        "budgetnet.commands.launch",
        "budgetnet.jobs.processes",
        "budgetnet.definition",
        "budgetnet.results",
        "budgetnet.report.build",
        "budgetnet.verdict",
        "budgetnet.structure",
        "budgetnet.diagnostics.record",
        "budgetnet.events",
    ],
)
def test_importing_starts_nothing_heavy(module):
    code = (
        f"import {module}, sys, threading; "
        "heavy = {'torch', 'torchvision', 'matplotlib.pyplot', 'tensorboard', 'sklearn'} & set(sys.modules); "
        "sys.exit(f'{heavy} {threading.active_count()}' if heavy or threading.active_count() > 1 else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
