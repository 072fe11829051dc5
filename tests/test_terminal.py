"""What terminals of little see: the same words, in ASCII."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from budgetnet.commands.evaluation import confusion_text
from budgetnet.terminal import spell_out

ROOT = Path(__file__).parent.parent
COMMANDS = ("list", "show", "diff", "check", "run", "eval", "inspect", "report", "sweep", "compile", "predict", "serve")


def written(text, encoding, monkeypatch):
    """The bytes of ``text`` printed on a stdout of this encoding."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    spell_out()
    print(text, end="", flush=True)
    return stream.buffer.getvalue()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("99.31 ± 0.01 %, 1×1 …", b"99.31 +/- 0.01 %, 1x1 ..."),
        ("step‑06 → step‑07", b"step-06 -> step-07"),
        ("10⁻⁶ ≤ β₂ · √2", b"10-6 <= beta2 . sqrt2"),
        ("Größe 七", b"Gro\\xdfe \\u4e03"),
        ("plain", b"plain"),
    ],
)
def test_spell_out_writes_ascii(text, expected, monkeypatch):
    assert written(text, "ascii", monkeypatch) == expected


def test_spell_out_keeps_signs_that_the_encoding_has(monkeypatch):
    assert written("± …", "latin-1", monkeypatch) == "± ".encode("latin-1") + b"..."
    assert written("± …", "utf-8", monkeypatch) == "± …".encode()


def test_spell_out_writes_file_names_of_any_bytes(monkeypatch):
    assert written(os.fsdecode(b"\xff.png"), "utf-8", monkeypatch) == b"\\udcff.png"


def test_eval_confusion_keeps_its_columns_in_ascii(monkeypatch):
    lines = written(confusion_text([[5, 0], [0, 7]]), "ascii", monkeypatch).decode().splitlines()
    assert len(set(map(len, lines))) == 1
    assert lines[1].split() == ["0", "5", "."]


def test_help_of_every_command_is_readable_in_ascii():
    code = f"""
import contextlib
from budgetnet.cli import main
for command in {COMMANDS!r}:
    with contextlib.suppress(SystemExit):
        main([command, "--help"])
"""
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    said = done.stdout.decode("ascii")
    assert said.count("usage: ") == len(COMMANDS)
    assert "?" not in said
    assert "BUDGETNET_DATA, ./data, ..." in said
