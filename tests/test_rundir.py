"""Run directories: one process at a time, files whole or not at all, nothing lost."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from budgetnet.results import FINISHED, PARTIAL
from budgetnet.rundir import RunDirectoryError, open_run, write_atomically
from tests.test_results import result

ANOTHER_PROCESS = """
import sys
from pathlib import Path
from budgetnet.rundir import RunDirectoryError, open_run
try:
    with open_run(Path(sys.argv[1]), "step-01", 0):
        print("opened")
except RunDirectoryError as error:
    print(error)
"""


def another_process(root):
    command = [sys.executable, "-c", ANOTHER_PROCESS, str(root)]
    return subprocess.run(command, cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=True).stdout


def test_a_second_process_is_refused_and_told_who_holds_it(tmp_path):
    with open_run(tmp_path, "step-01", 0):
        assert f"in use by another budgetnet process (pid {os.getpid()})" in another_process(tmp_path)
    assert another_process(tmp_path) == "opened\n"


def test_unwritable_directory_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(RunDirectoryError, match=r"file/step-01/seed-0 cannot be written .*--runs DIR"),
        open_run(tmp_path / "file", "step-01", 0),
    ):
        pass


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "x"
    write_atomically(path, b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_checkpoint_round_trip_and_definition(tmp_path):
    with open_run(tmp_path, "step-01", 0) as directory:
        assert directory.load_checkpoint() is None
        directory.save_checkpoint({"definition_hash": "a", "x": torch.arange(3), "records": [{"epoch": 1}]})
        state = directory.load_checkpoint()
        assert (state["definition_hash"], state["records"]) == ("a", [{"epoch": 1}])
        assert torch.equal(state["x"], torch.arange(3))


def test_a_damaged_checkpoint_is_named(tmp_path):
    with open_run(tmp_path, "step-01", 0) as directory:
        directory.checkpoint_path.write_bytes(b"PK damaged")
        with pytest.raises(RunDirectoryError, match=r"checkpoint\.pt cannot be read .*delete it"):
            directory.load_checkpoint()


def test_finishing_replaces_the_partial_record(tmp_path):
    with open_run(tmp_path, "step-01", 0) as directory:
        directory.save_result(result(planned=9))
        assert (directory.path / PARTIAL).exists()
        directory.save_result(result())
        assert (directory.path / FINISHED).exists()
        assert not (directory.path / PARTIAL).exists()


def test_what_an_older_definition_left_is_set_aside_not_lost(tmp_path):
    for _ in range(2):
        with open_run(tmp_path, "step-01", 0) as directory:
            directory.save_result(result())
            directory.set_aside("abc")
            assert directory.result() is None
    names = sorted(path.relative_to(directory.path).as_posix() for path in directory.path.glob("stale-*/*"))
    assert names == ["stale-abc-2/result.json", "stale-abc/result.json"]


def test_weights_round_trip(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    with open_run(tmp_path, "step-01", 0) as directory:
        assert directory.save_weights({"a": torch.eye(2)})
        assert torch.equal(safetensors.load_file(directory.path / "weights.safetensors")["a"], torch.eye(2))
