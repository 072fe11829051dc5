"""The README's and the documents' commands and code, exercised."""

import re
import subprocess
from pathlib import Path

import pytest

from budgetnet.arguments import build_parser
from budgetnet.catalogue import load, load_default
from budgetnet.cli import main

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(path, language):
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.DOTALL)


def commands(program):
    for path in DOCUMENTS:
        for block in blocks(path, "console"):
            for line in block.splitlines():
                words = line.split("#")[0].split()
                if words[:1] == [program]:
                    yield pytest.param(words[1:], id=f"{path.name}: {' '.join(words)}")


@pytest.mark.parametrize("words", list(commands("make")))
def test_every_make_command_is_a_target(words):
    targets = [word for word in words if "=" not in word]
    done = subprocess.run(["make", "--dry-run", "--always-make", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{targets}: {done.stderr}"


@pytest.mark.parametrize("words", list(commands("budgetnet")))
def test_every_budgetnet_command_parses(words):
    arguments = build_parser().parse_args(words)
    names = getattr(arguments, "names", None) or [name for name in (getattr(arguments, "name", None),) if name]
    if arguments.catalogue is not None or not names:
        return
    assert load_default().search(*names) if arguments.command == "sweep" else load_default().select(names)


def test_readme_and_document_show_the_same_example():
    examples = [[block for block in blocks(path, "python") if "CATALOGUE" in block] for path in DOCUMENTS]
    assert examples[0] == blocks(ROOT / "docs" / "own-experiments.md", "python")[:1]


def test_the_figures_in_the_documents_are_the_committed_results():
    from budgetnet.report import results_table
    from budgetnet.report.build import summarize
    from budgetnet.report.tables import readme_table

    rows = summarize(load_default(), sorted(path for path in (ROOT / "results").iterdir() if path.is_dir())).rows
    progression = readme_table([row for row in rows if not results_table.has_place(row)])
    ports = "\n".join(results_table.markdown(rows))
    assert progression in (ROOT / "README.md").read_text(), f"the README's table should be:\n{progression}"
    assert ports in (ROOT / "docs" / "keras-ports.md").read_text(), f"the table of docs/keras-ports.md should be:\n{ports}"


def test_the_example_of_one_s_own_is_short_and_works(tmp_path, monkeypatch, capsys):
    (code,) = (block for block in blocks(ROOT / "docs" / "own-experiments.md", "python") if "CATALOGUE" in block)
    assert len([line for line in code.splitlines() if line.strip() and not line.startswith("#")]) <= 20
    folder = tmp_path / "my_experiments"
    folder.mkdir()
    (folder / "__init__.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    assert load(str(folder)).names == ("tiny", "tinier")
    assert main(["check", "--catalogue", "my_experiments"]) == 0
    assert main(["diff", "tiny", "tinier", "--catalogue", "my_experiments"]) == 0
    assert "model.widths" in capsys.readouterr().out


def test_the_example_of_one_s_own_trains(tmp_path, monkeypatch, mnist, capsys):
    from budgetnet.data import arrays

    (code,) = (block for block in blocks(ROOT / "docs" / "own-experiments.md", "python") if "CATALOGUE" in block)
    (tmp_path / "my_trained.py").write_text(code)
    monkeypatch.setattr(arrays, "load", lambda *_: mnist)
    arguments = [
        "run",
        "tinier",
        "--catalogue",
        str(tmp_path / "my_trained.py"),
        "--epochs",
        "1",
        "--runs",
        str(tmp_path / "runs"),
        "--device",
        "cpu",
    ]
    assert main(arguments) == 0
    accuracy = float(re.search(r"epoch  1/15 .* validation +([\d.]+) %", capsys.readouterr().out)[1])
    assert accuracy > 90


def test_the_tree_of_the_readme_is_the_tree():
    (tree,) = [block for block in blocks(ROOT / "README.md", "text") if "budgetnet/" in block]
    for line in tree.splitlines():
        name = line.split("  ")[0].strip() if not line.startswith(" ") else None
        if name:
            assert (ROOT / name).exists(), name
    inside = [line.split()[0] for line in tree.splitlines() if line.startswith("  ") and line.split()]
    known = {path.name + ("/" if path.is_dir() else "") for path in (ROOT / "budgetnet").iterdir() if not path.name.startswith("__")}
    assert {name for name in known if not name.endswith(".pyc")} == set(inside)


def test_documents_refer_to_files_that_exist():
    for path in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name} refers to {target}"
