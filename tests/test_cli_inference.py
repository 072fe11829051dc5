"""``compile`` and ``predict`` as a user meets them, on a small network that was really trained."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from budgetnet.catalogue import load
from budgetnet.data import arrays
from budgetnet.data.specs import DIGITS
from budgetnet.inference.artifact import read_sidecar
from budgetnet.inference.store import best_artifact
from tests.command_line import OWN, SOURCE, main
from tests.photographs import drawn

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def artifacts(runs, tmp_path_factory):
    root = tmp_path_factory.mktemp("compiled")
    assert main("compile", "small", *OWN, "--runs", runs, "--out", root) == 0
    return root


@pytest.fixture(scope="module")
def digits():
    data = arrays.load(DIGITS)
    return data.test_images.numpy(), data.test_labels.numpy()


def test_compile_says_what_it_wrote_and_how_near_it_is(runs, tmp_path, capsys):
    assert (
        main("compile", "small", *OWN, "--runs", runs, "--out", tmp_path, "--backend", "eager", "--batch", "8,32", "--max-batch", 16) == 0
    )
    said = capsys.readouterr().out
    folder = tmp_path / "small" / "seed-0" / "eager-fp32"
    sidecar = read_sidecar(folder)
    assert "small, seed 0, 1,950 parameters, weights of" in said
    assert "eager fp32 on cpu:" in said
    assert "batches of 1 to 32" in said
    assert "0 of 355 digits changed" in said
    assert f"written to {folder}" in said
    assert (sidecar.max_batch, sidecar.optimum_batch) == (32, 32)
    assert sidecar.definition_hash == json.loads((runs / "small/seed-0/result.json").read_text())["definition_hash"]


def test_auto_takes_onnx_runtime_on_a_processor(artifacts):
    assert [path.name for path in (artifacts / "small" / "seed-0").iterdir()] == ["onnx-fp32"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--backend", "tensorrt"], "small: .*CUDA"),
        (["--backend", "openvino", "--precision", "int8"], "small: OpenVINO has no int8 on cpu; it has"),
        (["--seed", "7"], "has no weights of a finished run of seed 7"),
        (["--device", "cuda"], "device 'cuda' was asked for"),
    ],
)
def test_what_cannot_be_compiled_is_a_sentence(runs, tmp_path, arguments, sentence, capsys):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    assert main("compile", "small", *OWN, "--runs", runs, "--out", tmp_path, *arguments) == 1
    assert re.search(sentence, capsys.readouterr().err)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_one_that_cannot_be_compiled_does_not_keep_the_others_from_it(runs, tmp_path, capsys):
    assert main("compile", "long", "small", *OWN, "--runs", runs, "--out", tmp_path, "--backend", "eager") == 1
    said = capsys.readouterr()
    assert "long: long has no weights of a finished run" in said.err
    assert "small, seed 0" in said.out


@pytest.mark.parametrize("sizes", ["0", "1,,2", "x", "-1", ""])
def test_batch_sizes_that_are_none(sizes, capsys):
    with pytest.raises(SystemExit) as exit_:
        main("compile", "small", f"--batch={sizes}")
    assert exit_.value.code == 2
    assert "names no batch sizes; expected for example 64 or 1,64" in capsys.readouterr().err


def predict(artifacts, runs, *arguments):
    return main("predict", *OWN, "--model", "small", "--out", artifacts, "--runs", runs, *arguments)


def test_predict_reads_arrays_and_pictures(artifacts, runs, digits, tmp_path, capsys):
    images, labels = digits
    np.save(tmp_path / "many.npy", images[:50, 0])
    Image.fromarray(np.kron(255 - images[0, 0], np.ones((8, 8), np.uint8))).save(tmp_path / "one.png")
    assert predict(artifacts, runs, tmp_path / "many.npy", tmp_path / "one.png", "--json") == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert len(found) == 51
    assert np.mean([row["digit"] == label for row, label in zip(found[:50], labels[:50], strict=True)]) > 0.8
    assert all(abs(sum(row["probabilities"]) - 1) < 1e-4 for row in found)
    assert "predicting with small, onnx-fp32, of" in said.err


def test_predict_says_when_a_picture_is_in_doubt(artifacts, runs, tmp_path, capsys):
    Image.fromarray(np.hstack([drawn(5, 12), drawn(3, 12)])).save(tmp_path / "two.png")
    assert predict(artifacts, runs, tmp_path / "two.png") == 0
    said = capsys.readouterr()
    assert "two.png: there may be several digits" in said.err
    assert len(said.out.splitlines()) == 1
    assert predict(artifacts, runs, tmp_path / "two.png", "--json") == 0
    assert "several digits" in json.loads(capsys.readouterr().out)[0]["warning"]


def test_predict_in_words(artifacts, runs, digits, tmp_path, capsys):
    np.save(tmp_path / "many.npy", digits[0][:3])
    assert predict(artifacts, runs, tmp_path / "many.npy", "--save-seen", tmp_path / "seen.png") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all("many.npy" in line and "%" in line for line in lines)
    with Image.open(tmp_path / "seen.png") as sheet:
        assert sheet.size == (3 * 28 * 3, 28 * 3)


def test_predict_without_an_artifact_takes_the_trained_network(artifacts, runs, digits, tmp_path, capsys):
    np.save(tmp_path / "many.npy", digits[0][:20])
    assert predict(artifacts, runs, tmp_path / "many.npy", "--json") == 0
    compiled = json.loads(capsys.readouterr().out)
    assert predict(tmp_path / "nothing", runs, tmp_path / "many.npy", "--json") == 0
    said = capsys.readouterr()
    assert "not compiled" in said.err
    plain = json.loads(said.out)
    assert [row["digit"] for row in plain] == [row["digit"] for row in compiled]
    assert np.abs(np.subtract([row["probabilities"] for row in plain], [row["probabilities"] for row in compiled])).max() < 1e-4


def test_a_damaged_artifact_is_said_and_passed_over(runs, digits, tmp_path, capsys):
    assert main("compile", "small", *OWN, "--runs", runs, "--out", tmp_path / "own", "--backend", "eager") == 0
    model = tmp_path / "own" / "small" / "seed-0" / "eager-fp32" / "model.pt2"
    model.write_bytes(model.read_bytes()[:-7])
    np.save(tmp_path / "many.npy", digits[0][:2])
    capsys.readouterr()
    assert predict(tmp_path / "own", runs, tmp_path / "many.npy") == 0
    said = capsys.readouterr()
    assert "truncated or replaced; compile it again; going on with the trained network itself" in said.err
    assert len(said.out.splitlines()) == 2
    assert predict(tmp_path / "own", runs, "--artifact", model.parent, tmp_path / "many.npy") == 1
    assert "truncated or replaced" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda text: text[:-40], "is not a readable artifact"),
        (lambda text: text.replace('"format": 1', '"format": 99'), "has format 99; this version of budgetnet reads 1: compile it again"),
        (
            lambda text: re.sub(r'"definition_hash": "....', '"definition_hash": "ffff', text),
            "was compiled from another definition of small than the catalogue's; compile it again",
        ),
    ],
    ids=["damaged", "another version", "another definition"],
)
def test_an_artifact_that_cannot_be_used_is_said_and_another_is_taken(change, sentence, artifacts, runs, digits, tmp_path, capsys):
    shutil.copytree(artifacts, tmp_path / "own")
    folder = tmp_path / "own/small/seed-0"
    shutil.copytree(folder / "onnx-fp32", folder / "aoti-fp32")
    sidecar = folder / "aoti-fp32/artifact.json"
    changed = change(sidecar.read_text())
    assert changed != sidecar.read_text()
    sidecar.write_text(changed)
    np.save(tmp_path / "many.npy", digits[0][:2])
    assert predict(tmp_path / "own", runs, tmp_path / "many.npy") == 0
    said = capsys.readouterr()
    assert "aoti-fp32" in said.err
    assert re.search(f"{sentence}.*; passed over", said.err)
    assert len(said.out.splitlines()) == 2


def test_the_artifact_of_the_seed_that_was_asked_for(artifacts, tmp_path):
    shutil.copytree(artifacts, tmp_path / "own")
    other = tmp_path / "own/small/seed-3/onnx-fp32"
    shutil.copytree(tmp_path / "own/small/seed-0/onnx-fp32", other)
    sidecar = other / "artifact.json"
    sidecar.write_text(sidecar.read_text().replace('"seed": 0', '"seed": 3'))
    small, said = load(str(SOURCE))["small"], []
    found = [best_artifact(tmp_path / "own", small, "cpu", said.append, seed) for seed in (None, 0, 3, 4)]
    assert [one and one[1].seed for one in found] == [0, 0, 3, None]
    assert not said


def test_a_file_that_is_none_does_not_keep_the_others_from_it(artifacts, runs, digits, tmp_path, capsys):
    np.save(tmp_path / "good.npy", digits[0][:1])
    np.save(tmp_path / "small.npy", np.zeros((1, 27, 27), np.uint8))
    (tmp_path / "text.png").write_text("no picture")
    assert predict(artifacts, runs, tmp_path / "gone.png", tmp_path / "text.png", tmp_path / "small.npy", tmp_path / "good.npy") == 1
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 1
    complaints = [line for line in said.err.splitlines() if "predicting with" not in line]
    assert len(complaints) == 3
    assert "gone.png" in complaints[0]
    assert "text.png" in complaints[1]
    assert "(1, 27, 27); expected (N, 28, 28) or (N, 1, 28, 28)" in complaints[2]


def test_predict_refuses_blank_images_of_an_array_and_predicts_the_others(artifacts, runs, digits, tmp_path, capsys):
    np.save(tmp_path / "some.npy", np.concatenate([np.zeros_like(digits[0][:1]), digits[0][:2], np.full_like(digits[0][:1], 255)]))
    assert predict(artifacts, runs, tmp_path / "some.npy", "--json") == 1
    said = capsys.readouterr()
    assert [row["image"].rpartition("/")[2] for row in json.loads(said.out)] == ["some.npy[1]", "some.npy[2]"]
    complaints = [line for line in said.err.splitlines() if "is blank" in line]
    assert ["some.npy[0]" in complaints[0], "some.npy[3]" in complaints[1]] == [True, True]
    assert "expected an image with something on it" in complaints[0]


@pytest.mark.parametrize(
    ("scaled", "options", "said"),
    [
        (lambda ones: ones, (), "no pixel is above 1, and it is not said what white is; say it with --scale 1 or --scale 255"),
        (lambda ones: ones.astype(np.int64), ("--scale", 255), "is blank"),
        (lambda ones: 255 * ones, ("--scale", 1), "whole numbers up to 255, and --scale is 1; expected --scale 255, or none"),
        (lambda ones: ones, ("--scale", 1), None),
        (lambda ones: ones.astype(np.int64), ("--scale", 1), None),
        (lambda ones: 255 * ones.astype(np.int64), (), None),
        (lambda ones: ones.astype(np.float64) * 1.0000001, (), None),
        (lambda ones: 255.0 * ones, ("--scale", 255), None),
        (lambda ones: 255.0 * ones, (), "expected floats from 0 to 1 (not normalized), or uint8 from 0 to 255"),
    ],
)
def test_predict_takes_arrays_of_any_type_once_white_is_known(scaled, options, said, artifacts, runs, digits, tmp_path, capsys):
    ones = (digits[0][:4] > 127).astype(np.uint8)
    np.save(tmp_path / "white.npy", 255 * ones)
    np.save(tmp_path / "given.npy", scaled(ones))
    assert predict(artifacts, runs, tmp_path / "given.npy", "--json", *options) == (0 if said is None else 1)
    found = capsys.readouterr()
    if said is not None:
        assert said in found.err
        return
    assert predict(artifacts, runs, tmp_path / "white.npy", "--json") == 0
    expected = json.loads(capsys.readouterr().out)
    assert [row["digit"] for row in json.loads(found.out)] == [row["digit"] for row in expected]


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("seen.txt", 2, "whose ending names no picture; expected one such as seen.png"),
        ("seen", 2, "whose ending names no picture; expected one such as seen.png"),
        ("no-such-folder/seen.png", 1, "cannot be written (No such file or directory); the predictions stand"),
    ],
)
def test_a_sheet_that_cannot_be_saved_is_a_sentence(name, status, said, artifacts, runs, digits, tmp_path, capsys):
    np.save(tmp_path / "many.npy", digits[0][:2])
    assert predict(artifacts, runs, tmp_path / "many.npy", "--save-seen", tmp_path / name) == status
    found = capsys.readouterr()
    assert said in found.err
    assert len(found.out.splitlines()) == (0 if status == 2 else 2)


def test_a_dash_reads_standard_input(artifacts, runs, digits, tmp_path):
    picture, array = tmp_path / "one.png", tmp_path / "many.npy"
    Image.fromarray(np.kron(255 - digits[0][0, 0], np.ones((8, 8), np.uint8))).save(picture)
    np.save(array, digits[0][:3])
    command = [sys.executable, "-m", "budgetnet", "predict", "-", *OWN, "--model", "small", "--out", artifacts, "--runs", runs, "--json"]
    for path, count in ((picture, 1), (array, 3)):
        done = subprocess.run(list(map(str, command)), input=path.read_bytes(), capture_output=True)
        assert done.returncode == 0, done.stderr
        assert len(json.loads(done.stdout)) == count


def test_predicting_with_an_artifact_starts_without_torch(artifacts, runs, digits, tmp_path):
    np.save(tmp_path / "many.npy", digits[0][:2])
    arguments = ["predict", *OWN, "--model", "small", "--out", str(artifacts), "--runs", str(runs), str(tmp_path / "many.npy")]
    code = f"import sys; from budgetnet.cli import main; status = main({arguments!r}); sys.exit(status or 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
