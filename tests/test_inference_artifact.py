"""Artifacts on disk: whole or not there, and refused with a sentence when anything about them is wrong."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from budgetnet.inference.artifact import SIDECAR, Sidecar, read_sidecar, replaced, verify_files
from budgetnet.inference.errors import ArtifactError
from budgetnet.inference.predictor import Predictor
from tests.inference_demo import compiled, images, trained


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("artifacts"), "onnx")


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original, tmp_path / "copy")


def edited(folder, **changes):
    path = folder / SIDECAR
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


def test_sidecar_says_what_it_is(folder):
    sidecar, own = read_sidecar(folder), trained()
    assert (sidecar.experiment, sidecar.seed, sidecar.backend, sidecar.precision) == ("tiny", 0, "onnx", "fp32")
    assert sidecar.weights_hash == own.digest
    assert sidecar.parameters == own.parameters
    assert (sidecar.contract.mean, sidecar.contract.std) == (0.1307, 0.3081)
    assert {"torch", "cpu", "date"} <= set(sidecar.environment)
    assert sidecar.parity["changed"] == 0
    assert sidecar.bytes == sum(path.stat().st_size for path in folder.iterdir() if path.name != SIDECAR)
    assert Sidecar.from_json(sidecar.to_json(), folder) == sidecar


def test_a_whole_one_predicts(folder):
    assert Predictor.load(folder).predict(images(3)).digits.shape == (3,)


def test_truncated(folder):
    model = folder / "model.onnx"
    model.write_bytes(model.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match=r"model.onnx has [\d,]+ bytes where [\d,]+ were written: truncated"):
        Predictor.load(folder)


def test_one_byte_of_the_weights_changed(folder):
    model = folder / "model.onnx"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    with pytest.raises(ArtifactError, match="has changed since it was written"):
        Predictor.load(folder)


def test_missing_file(folder):
    (folder / "model.onnx").unlink()
    with pytest.raises(ArtifactError, match=r"model.onnx cannot be read \(No such file"):
        Predictor.load(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1}', "null", '"x"'])
def test_sidecar_that_is_none(folder, text):
    (folder / SIDECAR).write_text(text)
    with pytest.raises(ArtifactError, match="is not a readable artifact"):
        Predictor.load(folder)


def test_no_artifact_at_all(tmp_path):
    with pytest.raises(ArtifactError, match=r"holds no artifact.json; make an artifact with: budgetnet compile"):
        Predictor.load(tmp_path)


def test_another_format(folder):
    with pytest.raises(ArtifactError, match="has format 99; this version of budgetnet reads 1"):
        Predictor.load(edited(folder, format=99))


def test_another_version_of_the_runtime(folder):
    with pytest.raises(ArtifactError, match=r"built with onnxruntime 0.1, and here is .*; compile it again here: budgetnet compile tiny"):
        Predictor.load(edited(folder, versions={"onnxruntime": "0.1"}))


def test_another_processor(folder):
    machine = {"cpu": "Some CPU", "instructions": ["avx1024_new"]}
    with pytest.raises(ArtifactError, match="built for Some CPU; this processor lacks avx1024_new"):
        Predictor.load(edited(folder, machine=machine))


def test_another_gpu(folder):
    with pytest.raises(ArtifactError, match="built for NVIDIA Z9, and here is no GPU"):
        Predictor.load(edited(folder, machine={"gpu": "NVIDIA Z9"}))


def test_a_backend_of_the_future(folder):
    with pytest.raises(ArtifactError, match="is of the backend 'quantum'"):
        Predictor.load(edited(folder, backend="quantum"))


def test_files_outside_of_the_folder_are_not_opened(folder, tmp_path):
    (tmp_path / "secret").write_text("x")
    with pytest.raises(ArtifactError, match="outside of itself"):
        Predictor.load(edited(folder, files={"../secret": [1, "0" * 64]}))


def test_verified_content_that_the_backend_cannot_read(folder):
    """A file that is what the sidecar says and still no model, as one written by another program."""
    (folder / "model.onnx").write_bytes(b"no model")
    from budgetnet.inference.artifact import described

    with pytest.raises(ArtifactError, match="cannot be loaded by ONNX Runtime; compile it again"):
        Predictor.load(edited(folder, files=described(folder)))


def test_replaced_whole_or_not_at_all(tmp_path):
    target = tmp_path / "deep" / "artifact"
    with replaced(target) as temporary:
        (temporary / "a").write_text("1")
        assert not target.exists()
    with pytest.raises(RuntimeError, match="on the way"):
        _write_and_break(target)
    assert (target / "a").read_text() == "1"
    with replaced(target) as temporary:
        (temporary / "b").write_text("3")
    assert [path.name for path in target.iterdir()] == ["b"]
    assert [path.name for path in target.parent.iterdir()] == ["artifact"]


def _write_and_break(target):
    with replaced(target) as temporary:
        (temporary / "a").write_text("2")
        raise RuntimeError("on the way")


KILLED = """
import os, signal, sys
from pathlib import Path
from budgetnet.inference.artifact import replaced
with replaced(Path(sys.argv[1])) as temporary:
    (temporary / "half").write_text("x")
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_replaced_removes_what_a_killed_process_left(tmp_path):
    other = tmp_path / "eager-fp32"
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, other], cwd=Path(__file__).parent.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"ready\n"
        with replaced(tmp_path / "onnx-fp32"):
            assert (tmp_path / f".eager-fp32.{process.pid}.tmp" / "half").exists(), "it is still at work"
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (tmp_path / f".eager-fp32.{process.pid}.tmp").exists()
    with replaced(tmp_path / "onnx-fp32") as temporary:
        assert sorted(path.name for path in tmp_path.iterdir()) == [temporary.name, "onnx-fp32"]


def test_replaced_keeps_folders_in_use_elsewhere(tmp_path):
    """Such as those of another container, whose process numbers mean nothing here."""
    import fcntl

    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    used, own = tmp_path / f".used.{dead.pid}.tmp", tmp_path / ".notes.tmp"
    used.mkdir()
    own.mkdir()
    descriptor = os.open(used, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with replaced(tmp_path / "artifact"):
        pass
    assert used.exists()
    os.close(descriptor)
    with replaced(tmp_path / "artifact"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [".notes.tmp", "artifact"]


def test_replaced_puts_back_an_artifact_that_was_moved_aside(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    old = tmp_path / f".artifact.{dead.pid}.old"
    old.mkdir()
    (old / "a").write_text("1")
    with pytest.raises(RuntimeError, match="on the way"):
        _write_and_break(tmp_path / "artifact")
    assert (tmp_path / "artifact" / "a").read_text() == "1"


def test_verify_names_the_file(folder):
    sidecar = read_sidecar(folder)
    verify_files(folder, sidecar)
    (folder / "model.onnx").write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"model\.onnx"):
        verify_files(folder, sidecar)
