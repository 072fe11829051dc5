"""``serve`` as a user meets it: what it serves and whose it is, what it refuses with a sentence, and that it answers."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from budgetnet.arguments import build_parser
from budgetnet.catalogue import load
from budgetnet.commands import served_networks, serving, weight_origins
from budgetnet.data import arrays
from budgetnet.data.specs import DIGITS, MNIST
from budgetnet.inference.artifact import read_sidecar
from budgetnet.inference.predictor import Predictor
from budgetnet.weights import WeightsError, find_weights, load_trained
from tests.command_line import OWN, SOURCE, main
from tests.report_demo import demo_result, store
from tests.serve_demo import connect, read_answer, request_bytes

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory, runs):
    """Where 'small' is compiled once for all tests: the cache."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def cache(folder, monkeypatch):
    monkeypatch.setenv("BUDGETNET_CACHE", str(folder))
    return folder


@pytest.fixture(scope="module")
def small():
    return load(str(SOURCE))["small"]


@pytest.fixture(scope="module")
def digits():
    data = arrays.load(DIGITS)
    return data.test_images.numpy(), data.test_labels.numpy()


def arguments_for(runs, *more):
    return build_parser().parse_args(["serve", "small", *OWN, "--runs", str(runs), "--device", "cpu", *map(str, more)])


# --- what is served ---------------------------------------------------------------------------------------------------


def test_a_run_is_compiled_once_and_served_from_the_cache(runs, cache, small, digits, tmp_path):
    said = []
    offer = served_networks.offer(small, arguments_for(runs, "--out", tmp_path), "cpu", said.append)
    again = served_networks.offer(small, arguments_for(runs, "--out", tmp_path), "cpu", said.append)
    assert said == ["compiling small, once"]
    assert offer.facts == again.facts
    assert (offer.facts.name, offer.facts.parameters, offer.facts.seed, offer.facts.own) == ("small", 1950, 0, True)
    assert offer.facts.budget == 2000
    assert offer.facts.budget_text == "1,950 of at most 2,000 parameters"
    assert offer.facts.source == f"weights of {runs / 'small' / 'seed-0'}; a run of your own"
    predictor = offer.load()
    assert (predictor.sidecar.backend, predictor.sidecar.precision) == ("onnx", "fp32")
    images, labels = digits
    accuracy = 100 * float((predictor.predict(images).digits == labels).mean())
    assert offer.facts.accuracy == pytest.approx(accuracy, abs=1e-3)
    assert not (tmp_path / "small").exists()
    assert list((cache / "served").glob("*/small/seed-0/onnx-fp32/artifact.json"))


def test_without_compiling_it_is_torch(runs, small, digits, tmp_path):
    offer = served_networks.offer(small, arguments_for(runs, "--no-compile", "--out", tmp_path), "cpu", print)
    predictor = offer.load()
    assert predictor.sidecar is None
    result = json.loads((runs / "small/seed-0/result.json").read_text())
    assert offer.facts.accuracy == pytest.approx(result["epochs"][-1]["validation_accuracy"], abs=1e-3)
    assert offer.facts.parameters == 1950
    assert (predictor.predict(digits[0]).digits == digits[1]).mean() > 0.5


def test_an_artifact_of_one_s_own_comes_first(runs, small, tmp_path):
    assert main("compile", "small", *OWN, "--runs", runs, "--out", tmp_path, "--backend", "eager") == 0
    offer = served_networks.offer(small, arguments_for(runs, "--out", tmp_path), "cpu", print)
    assert offer.load().sidecar.backend == "eager"
    assert (offer.facts.own, offer.facts.source) == (True, f"weights of {runs / 'small' / 'seed-0'}; a run of your own")
    sidecar = read_sidecar(tmp_path / "small/seed-0/eager-fp32")
    assert offer.facts.accuracy == pytest.approx(sidecar.parity["accuracy"], abs=1e-3)


def test_a_damaged_artifact_is_said_and_passed_over(runs, cache, small, tmp_path):
    assert main("compile", "small", *OWN, "--runs", runs, "--out", tmp_path, "--backend", "eager") == 0
    model = tmp_path / "small/seed-0/eager-fp32/model.pt2"
    model.write_bytes(model.read_bytes()[:-7])
    said = []
    offer = served_networks.offer(small, arguments_for(runs, "--out", tmp_path), "cpu", said.append)
    assert "truncated or replaced; compile it again; going on without it" in said[0]
    assert offer.load().sidecar.backend == "onnx"


def test_an_artifact_whose_run_is_gone_says_so(runs, small, tmp_path, monkeypatch):
    assert main("compile", "small", *OWN, "--runs", runs, "--out", tmp_path, "--backend", "eager") == 0
    monkeypatch.setattr(weight_origins, "weight_roots", lambda _: [tmp_path / "nothing"])
    offer = served_networks.offer(small, arguments_for(runs, "--out", tmp_path), "cpu", print)
    assert "their run is no longer here" in offer.facts.source


def test_weights_are_told_apart_without_torch(runs, small):
    (weights,) = (runs / "small/seed-0").glob("weights.safetensors")
    assert weight_origins.weights_digest(small, weights) == load_trained(small, weights).digest


def test_committed_weights_say_whose_they_are(tmp_path):
    from budgetnet.catalogue import load_default

    experiment = load_default()["step-13"]
    arguments = build_parser().parse_args(["serve", "--runs", str(tmp_path), "--out", str(tmp_path), "--no-compile"])
    offer = served_networks.offer(experiment, arguments, "cpu", print)
    assert not offer.facts.own
    assert re.fullmatch(
        r"weights of .*results.cpu-.*.step-10.seed-0; of this project's committed results, trained on cpu-\S+", offer.facts.source
    )
    assert (offer.facts.parameters, offer.facts.budget) == (5854, 6000)
    assert offer.facts.accuracy > 99
    assert offer.facts.title


def test_without_the_test_set_it_is_torch_and_that_is_said(tmp_path, monkeypatch):
    from budgetnet.catalogue import load_default

    monkeypatch.setenv("BUDGETNET_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    arguments = build_parser().parse_args(["serve", "--runs", str(tmp_path), "--out", str(tmp_path), "--data", str(tmp_path / "data")])
    said = []
    offer = served_networks.offer(load_default()["step-13"], arguments, "cpu", said.append)
    assert "step-13 is not compiled for cpu: that is checked on the test set" in said[0]
    assert said[1:] == ["step-13 is served by torch, which takes about five times as long"]
    assert offer.load().sidecar is None
    with pytest.raises(LookupError, match="there is no gallery without the test set"):
        offer.test_set()


def test_a_cache_that_cannot_be_written_is_done_without(runs, small, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BUDGETNET_CACHE", str(tmp_path / "file"))
    offer = served_networks.offer(small, arguments_for(runs, "--out", tmp_path), "cpu", print)
    assert offer.load().sidecar.backend == "onnx"


def test_the_test_set_of_the_gallery_is_the_data_set_s(digits, mnist):
    images, labels = served_networks.test_set(DIGITS, None)
    assert np.array_equal(images, digits[0])
    assert np.array_equal(labels, digits[1])
    images, labels = served_networks.test_set(MNIST, None)
    assert np.array_equal(images, mnist.test_images.numpy())
    assert np.array_equal(labels, mnist.test_labels.numpy())


# --- what is refused --------------------------------------------------------------------------------------------------


def test_a_network_without_weights_is_refused_with_the_command_that_makes_them(tmp_path, capsys):
    assert main("serve", "small", *OWN, "--runs", tmp_path, "--out", tmp_path, "--port", 0, "--device", "cpu") == 1
    assert "make them with: budgetnet run small" in capsys.readouterr().err


def test_a_network_without_weights_says_how_long_they_took_elsewhere(tmp_path):
    small = load(SOURCE)["small"]
    done = demo_result(small, 0, 90.0)
    done = replace(done, epochs=tuple(replace(record, seconds=600.0) for record in done.epochs))
    store(tmp_path / "hardware", done)
    with pytest.raises(WeightsError, match=r"make them with: budgetnet run small, which took 40 minutes on hardware$"):
        find_weights([tmp_path / "runs", tmp_path / "hardware"], small, None)


def test_an_unknown_network_is_a_usage_error(capsys):
    assert main("serve", "smal", *OWN) == 2
    assert "small" in capsys.readouterr().err


def test_a_port_in_use_is_a_sentence(runs, tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main("serve", "small", *OWN, "--runs", runs, "--port", port) == 1
    said = capsys.readouterr().err
    assert f"port {port} of 127.0.0.1 is in use already" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("missing", ["fastapi", "uvicorn", "orjson"])
def test_a_missing_package_is_a_sentence_that_says_how_to_get_it(missing, monkeypatch, capsys):
    found = serving.importlib.util.find_spec
    monkeypatch.setattr(serving.importlib.util, "find_spec", lambda name: None if name == missing else found(name))
    assert main("serve", "small", *OWN) == 1
    assert f"serving needs {missing}, which is not installed: pip install 'budgetnet[serve]'" in capsys.readouterr().err


def test_importing_the_command_line_imports_no_web_framework():
    code = "import budgetnet.cli, budgetnet.commands.serving, sys; sys.exit(bool({'fastapi', 'uvicorn', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--port", "70000"], "'70000' is no port"), (["--port", "http"], "is no port"), (["--max-body", "8X"], "'8X' is no size"),
        (["--max-body", "0"], "is no size"), (["--timeout", "0"], "no number of seconds above 0"), (["--timeout", "nan"], "no number"),
        (["--grace", "soon"], "no number"), (["--models", "a,,b"], "has an empty name"), (["--workers", "0"], "whole number of at least 1"),
        (["--queue", "-1"], "argument --queue"), (["--log-format", "xml"], "invalid choice"),
    ],
)  # fmt: skip
def test_wrong_values_are_usage_errors(arguments, told, capsys):
    with pytest.raises(SystemExit) as found:
        main("serve", *arguments)
    assert found.value.code == 2
    assert told in capsys.readouterr().err


def test_sizes_have_units():
    for text, expected in (("8M", 8 * 2**20), ("500k", 500 * 1024), ("100", 100), ("1G", 2**30)):
        assert build_parser().parse_args(["serve", "--max-body", text]).max_body == expected


def test_settings_are_what_was_asked_for(tmp_path):
    key = tmp_path / "key"
    key.write_text("secret-1\n")
    found = serving._settings(
        build_parser().parse_args(
            ["serve", "--queue", "7", "--max-body", "1M", "--timeout", "2.5", "--grace", "9", "--connections", "11",
             "--api-key-file", str(key), "--cors-origin", "https://a.example", "--cors-origin", "https://b.example", "--log-format", "text"]
        )
    )  # fmt: skip
    assert (found.queue, found.max_body, found.timeout, found.grace, found.connections) == (7, 2**20, 2.5, 9.0, 11)
    assert (found.api_key, found.cors_origins, found.log_format) == (b"secret-1", ("https://a.example", "https://b.example"), "text")


def test_hosts_are_bounded_on_loopback_only():
    def allowed(*arguments):
        return serving._settings(build_parser().parse_args(["serve", *arguments])).allowed_hosts

    assert "localhost" in allowed()
    assert "digits.example.org" in allowed("--allowed-host", "Digits.Example.org")
    assert allowed("--host", "0.0.0.0") == ()


def test_the_key_may_be_in_the_environment_and_a_file_comes_first(tmp_path, monkeypatch):
    monkeypatch.setenv("BUDGETNET_API_KEY", "of-the-environment")
    assert serving._key(None) == b"of-the-environment"
    (tmp_path / "key").write_text("of-the-file")
    assert serving._key(tmp_path / "key") == b"of-the-file"
    monkeypatch.setenv("BUDGETNET_API_KEY", "")
    assert serving._key(None) is None


def test_a_key_in_the_environment_that_is_no_text_is_refused(monkeypatch):
    monkeypatch.setenv("BUDGETNET_API_KEY", "k\udcff")
    with pytest.raises(serving.KeyFileError, match="the API key of BUDGETNET_API_KEY holds blanks or other signs than ASCII"):
        serving._key(None)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read"),
        ("", "is empty"),
        (" \n", "is empty"),
        ("two words", "holds blanks"),
        ("schlüssel", "other signs than ASCII"),
    ],
)
def test_a_key_file_that_holds_no_key_is_a_sentence(content, told, tmp_path, capsys):
    path = tmp_path / "key"
    if content is not None:
        path.write_text(content)
    assert main("serve", "step-13", "--api-key-file", path, "--port", 0) == 1
    said = capsys.readouterr().err
    assert told in said
    assert not content or content.strip() not in said or not content.strip()


# --- the whole --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_it_serves_until_it_is_told_to_end(workers, runs, folder, digits, tmp_path):
    command = [
        sys.executable,
        "-m",
        "budgetnet",
        "serve",
        "small",
        *OWN,
        "--runs",
        runs,
        "--out",
        tmp_path,
        "--port",
        "0",
        "--device",
        "cpu",
    ]
    process = subprocess.Popen(
        [*map(str, command), "--workers", str(workers)], cwd=ROOT, env=os.environ | {"BUDGETNET_CACHE": str(folder)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        line = process.stdout.readline()
        assert line.startswith("budgetnet: serving small at http://127.0.0.1:"), process.stderr.read()
        port = int(line.split("127.0.0.1:")[1].split()[0])
        images = digits[0][:64, 0]
        with connect(port) as connection:
            connection.sendall(request_bytes(images))
            status, _, body = read_answer(connection)
        said = json.loads(body)
        assert (status, said["model"], said["parameters"]) == (200, "small", 1950)
        (artifact,) = folder.glob("served/*/small/seed-0/onnx-fp32")
        expected = Predictor.load(artifact).predict(images)
        assert [one["digit"] for one in said["predictions"]] == expected.digits.tolist()
        found = np.array([one["probabilities"] for one in said["predictions"]])
        assert np.abs(found - expected.probabilities).max() < 2e-6
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=30)
        assert process.returncode == 0, log
        events = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
        assert [event["images"] for event in events if event["event"] == "request"] == [64]
    finally:
        process.kill()
        process.communicate()
