"""The command line as a user meets it: exit statuses, sentences instead of tracebacks, machine-readable output."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from budgetnet.arguments import types
from budgetnet.catalogue import load_default
from tests.command_line import OWN, main

ROOT = Path(__file__).parent.parent
COMMANDS = ("list", "show", "diff", "check", "run", "eval", "inspect", "report", "sweep", "compile", "predict")


def start(*arguments, cwd=ROOT, **environment):
    """The real command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "budgetnet", *map(str, arguments)], cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job inherits it ignored
    )  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(command, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(command, "--help")
    assert exit_.value.code == 0
    assert f"examples:\n  budgetnet {command}" in capsys.readouterr().out


def test_list_imports_no_torch():
    code = "import sys; from budgetnet.cli import main; main(['list']); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert sum(line.startswith("step-") for line in done.stdout.splitlines()) == 26


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "step-7"],
        ["diff", "step-06", "step-7"],
        ["check", "step-7"],
        ["run", "step-7"],
        ["eval", "step-7"],
        ["inspect", "step-7"],
        ["compile", "step-7"],
    ],
    ids=" ".join,
)
def test_unknown_name_is_a_usage_error_with_near_names(arguments, capsys):
    assert main(*arguments) == 2
    assert "there is no experiment 'step-7' in the catalogue; did you mean step-07" in capsys.readouterr().err


@pytest.mark.parametrize("seeds", ["", "a", "3-1", "-1", "1,,2"])
def test_seeds_that_are_none_are_a_usage_error(seeds, capsys):
    with pytest.raises(SystemExit) as exit_:
        main("run", "step-01", f"--seeds={seeds}")
    assert exit_.value.code == 2
    assert "names no seeds; expected for example 0, 0-4 or 0,2,5" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "seeds"), [("3", (3,)), ("0-2", (0, 1, 2)), ("5,0-1,1", (0, 1, 5))])
def test_seeds(text, seeds):
    assert types.parse_seeds(text) == seeds


def test_check_prints_one_aligned_table(capsys):
    assert main("check") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["experiment", "exact", "counted", "as", "Keras", "Keras", "counts", "bound", "head-room", "verdict"]
    assert len({line.index("ok") for line in lines[2:47]}) == 1
    assert lines[-1] == "45 experiments, 45 within their budgets"
    (normalized,) = (line.split() for line in lines if line.startswith("mlp-2-bn "))
    assert normalized == ["mlp-2-bn", "218,698", "218,698", "219,338", "219,338", "–", "–", "ok"]


def test_check_as_json(capsys):
    assert main("check", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    counts = {"trainable", "non_trainable", "keras_total"}
    assert [set(row) for row in rows] == [{"name", *counts, "budget", "verdict"}] * 45
    assert rows[12] == {
        "name": "step-13", "trainable": 5_854, "non_trainable": 0, "keras_total": 5_854 + 2 * 56,
        "budget": {"bound": 6_000, "exact": 5_854, "keras_total": None}, "verdict": "ok",
    }  # fmt: skip


def test_check_of_a_broken_budget(capsys):
    assert main("check", *OWN) == 3
    output = capsys.readouterr().out
    assert "over the bound" in output
    assert output.splitlines()[-1] == "6 experiments, 5 within their budgets; broken: broken"


def test_diff_names_batch_size_and_rotation_and_nothing_else(capsys):
    assert main("diff", "step-06", "step-07", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"recipe.batch_size": [128, 64], "recipe.augmentation.rotation": [7, 5]}
    assert main("diff", "step-06", "step-07") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:]] == ["recipe.batch_size", "recipe.augmentation.rotation"]


def test_diff_of_equals(capsys):
    assert main("diff", "step-06", "step-06") == 0
    assert capsys.readouterr().out == "step-06 and step-06 train the same network in the same way\n"


def test_diff_of_step_10_and_step_13_shows_the_reported_figures_alone(capsys):
    assert main("diff", "step-10", "step-13") == 0
    first, _, _, *rows = capsys.readouterr().out.splitlines()
    assert first == "step-10 and step-13 train the same network in the same way"
    assert rows[0].split()[-4:] == ["99.38", "%", "99.35", "%"]
    assert all(row.startswith("reported ") for row in rows)


def test_show_has_marks_and_the_layer_table(capsys):
    assert main("show", "step-08") == 0
    output = capsys.readouterr().out
    assert "chosen: no bound is given for this step" in output
    assert "reported, highest of any epoch: validation accuracy 99.44 %, train accuracy 99.04 %, which the source announces" in output
    assert "conv1 (Conv2d)" in output
    assert "8,582 trainable" in output
    assert main("show", "step-08", "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert content["parameters"]["trainable"] == sum(row["parameters"] for row in content["layers"]) == 8_582
    assert content["layers"][2] == {
        "layer": "relu1", "kind": "ReLU", "output_shape": [14, 28, 28], "parameters": 0, "connected_to": ["conv1"],
    }  # fmt: skip


def test_show_totals_are_those_of_the_counts_above_them(capsys):
    assert main("show", "step-08") == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["total", "8,582"]
    assert main("show", "cnn3-lenet-bn") == 0
    totals = [line.split()[-1] for line in capsys.readouterr().out.splitlines()[-2:]]
    assert totals == ["717,002", "717,770"]


def test_show_numbers_the_layers_of_a_long_definition(capsys):
    assert main("show", "lenet") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "recipe.optimizer Adam" in lines
    assert "1 Conv2D(filters=32)" in lines
    assert "4 Dropout(rate=0.25)" in lines


def test_show_of_a_network_that_cannot_be_traced_falls_back(capsys, monkeypatch):
    from budgetnet import tracing

    def refuse(*_):
        raise tracing.StructureUnavailable("it depends on the weather")

    monkeypatch.setattr(tracing, "trace", refuse)
    assert main("show", "step-13") == 0
    output = capsys.readouterr().out
    assert "no connections can be shown: it depends on the weather" in output
    assert "Conv2d-1" in output
    assert main("show", "step-13", "--json") == 0
    assert json.loads(capsys.readouterr().out)["layers"] is None


def test_list_as_json(capsys):
    assert main("list", "--json") == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == list(load_default().names)


def test_a_channel_too_many_stops_before_any_data_is_read(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from dataclasses import replace\n"
        "from budgetnet.catalogue import load_default\n"
        "step = load_default()['step-10']\n"
        "CATALOGUE = (replace(step, parent=None, model=replace(step.model, widths=(10, 10, 12, 12, 13))),)\n"
    )
    process = start("run", "step-10", "--catalogue", tmp_path / "mine.py", "--data", tmp_path / "no-data-here", "--runs", tmp_path / "runs")
    output, errors = process.communicate()
    assert process.returncode == 3
    assert "step-10 has 6,054 trainable parameters, over the bound: its budget is at most 6,000" in errors
    assert "Conv2d" in errors
    assert "Traceback" not in output + errors
    assert not (tmp_path / "runs").exists()


pytest.importorskip("sklearn")


def test_run_eval_and_report_from_a_catalogue_of_one_s_own(tmp_path, capsys):
    where = ["--runs", tmp_path / "runs"]
    assert main("run", "small", *OWN, *where, "--seeds", "0-2", "--device", "cpu") == 0
    output = capsys.readouterr().out
    assert "small seed 2  epoch  4/4" in output
    assert "met" in output
    assert main("eval", "small", *OWN, *where, "--seed", "1", "--device", "cpu") == 0
    scored = capsys.readouterr().out
    result = json.loads((tmp_path / "runs" / "small" / "seed-1" / "result.json").read_text())
    assert f"test accuracy {result['epochs'][-1]['validation_accuracy']:.2f} %" in scored
    record = tmp_path / "runs" / "small" / "seed-1" / "diagnostics.json"
    written = json.loads(record.read_text())
    record.unlink()
    assert main("inspect", "small", *OWN, *where, "--seed", "1", "--device", "cpu") == 0
    looked_at = capsys.readouterr().out
    assert "confused most: " in looked_at
    assert "errors, the most confident first:" in looked_at
    assert f"kept as {record}" in looked_at
    assert json.loads(record.read_text())["confusion"] == written["confusion"]
    assert main("report", *OWN, *where, "--out", tmp_path / "report", "--json") == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["small"]["n"] == 3
    assert rows["hopeless"]["status"] == "missing"
    assert (tmp_path / "report" / "index.html").exists()
    assert (tmp_path / "report" / "plots" / "small" / "graph.png").exists()


def test_a_closer_look_that_cannot_be_kept_is_printed(tmp_path, capsys, monkeypatch):
    from budgetnet import rundir

    def refuse(path, content):
        raise PermissionError(13, "Permission denied", str(path))

    assert main("run", "small", *OWN, "--runs", tmp_path, "--device", "cpu") == 0
    monkeypatch.setattr(rundir, "write_atomically", refuse)
    assert main("inspect", "small", *OWN, "--runs", tmp_path, "--device", "cpu") == 0
    output = capsys.readouterr().out
    assert "true \\ predicted" in output
    assert "not kept: " in output
    assert "cannot be written (Permission denied)" in output


def test_a_missed_aim_is_status_4_only_when_asserted(tmp_path, capsys):
    run = ["run", "hopeless", *OWN, "--runs", tmp_path, "--seeds", "0-2", "--device", "cpu", "--workers", "1"]
    assert main(*run) == 0
    assert "missed" in capsys.readouterr().out
    assert main(*run, "--assert-aim") == 4


def test_a_partial_run_is_never_judged(tmp_path, capsys):
    assert (
        main(
            "run",
            "hopeless",
            *OWN,
            "--runs",
            tmp_path,
            "--seeds",
            "0-2",
            "--epochs",
            "1",
            "--device",
            "cpu",
            "--assert-aim",
            "--workers",
            "1",
        )
        == 0
    )
    assert "missed" not in capsys.readouterr().out


def test_a_run_names_its_engine(tmp_path, capsys):
    command = ["run", "small", *OWN, "--runs", tmp_path, "--device", "cpu", "--threads", "1", "--epochs", "1", "--engine", "eager"]
    assert main(*command) == 0
    assert "small seed 0  trains on plain torch, fp32, 1 thread" in capsys.readouterr().out
    assert main(*command, "--seeds", "1", "--precision", "bf16") == 0
    assert "small seed 1  trains on plain torch, bf16, 1 thread" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["run", "sweep"])
def test_options_of_the_probe(command, monkeypatch):
    from budgetnet.arguments import build_parser
    from budgetnet.commands import training

    monkeypatch.setattr(training.time, "time", lambda: 1234.5)
    default, again = (
        training.options_from(build_parser().parse_args([command, "small", "--device", "cpu", *more])).settings
        for more in ([], ["--reprobe", "--precision", "auto"])
    )
    assert (default.precision, default.probed_since) == ("recipe", 0.0)
    assert (again.precision, again.probed_since) == ("auto", 1234.5)


def test_help_names_the_precisions(capsys):
    with pytest.raises(SystemExit):
        main("run", "--help")
    text = " ".join(capsys.readouterr().out.split())
    assert "--precision {recipe,fp32,bf16,auto}" in text
    assert "auto is the fastest of fp32 and bf16 on this CPU" in text


def test_weights_that_are_not_there_are_asked_for_with_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in ("eval", "inspect"):
        assert main(command, "small", *OWN, "--device", "cpu") == 1
        assert "make them with: budgetnet run small" in capsys.readouterr().err


def test_damaged_and_stale_weights_are_named(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    evaluate = ["eval", "small", *OWN, "--runs", tmp_path, "--device", "cpu"]
    assert main("run", "small", *OWN, "--runs", tmp_path, "--device", "cpu") == 0
    directory = tmp_path / "small" / "seed-0"
    (directory / "weights.safetensors").write_bytes(b"not weights")
    assert main(*evaluate) == 1
    assert "weights.safetensors does not hold weights of this definition" in capsys.readouterr().err
    record = json.loads((directory / "result.json").read_text())
    (directory / "result.json").write_text(json.dumps(record | {"definition_hash": "0" * 16}))
    assert main(*evaluate) == 1
    assert "(1 of an older definition)" in capsys.readouterr().err


def test_diverged_runs_are_one_sentence_and_status_1(tmp_path, capsys):
    assert main("run", "diverging", *OWN, "--runs", tmp_path, "--device", "cpu") == 1
    errors = capsys.readouterr().err
    assert "diverging seed 0: the loss is" in errors
    assert "Traceback" not in errors


def test_missing_data_is_status_5(tmp_path, capsys):
    assert main("run", "step-13", "--data", tmp_path, "--runs", tmp_path / "runs", "--device", "cpu") == 5
    assert str(tmp_path) in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_damaged_data_is_status_5_even_where_a_fallback_is_allowed(tmp_path, capsys, mnist, damage):
    from budgetnet.data.files import find_data
    from budgetnet.data.specs import MNIST

    source = find_data(MNIST, download=False) / MNIST.folder
    target = tmp_path / MNIST.folder
    shutil.copytree(source, target)
    (path,) = target.glob("train-images*")
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        del content[len(content) // 2 :]
    else:
        content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert main("run", "step-13", "--digits-fallback", "--data", tmp_path, "--runs", tmp_path / "runs", "--device", "cpu") == 5
    errors = capsys.readouterr().err
    assert str(path) in errors
    assert MNIST.files[0].sha256 in errors
    assert not (tmp_path / "runs").exists()


def test_results_that_are_no_folder_are_a_usage_error(tmp_path, capsys):
    assert main("report", "--results", tmp_path / "typo", "--out", tmp_path / "report") == 2
    assert "expected a folder with results" in capsys.readouterr().err


def test_cuda_that_is_not_there_is_a_sentence(capsys):
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    assert main("run", "step-13", "--device", "cuda") == 1
    assert "use --device cpu or auto" in capsys.readouterr().err


def test_unwritable_runs_folder_is_a_sentence(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main("run", "small", *OWN, "--runs", tmp_path / "file", "--device", "cpu") == 1
    assert "cannot be written" in capsys.readouterr().err


def test_a_failing_output_pipe_is_quiet():
    process = subprocess.run(
        f"{sys.executable} -m budgetnet list | head -1", shell=True, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in process.stderr


def _wait_for_epoch(process, directory, epoch):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        log = directory / "log.txt"
        if log.exists() and f"epoch {epoch}:" in log.read_text():
            return
        time.sleep(0.01)
    pytest.fail(f"epoch {epoch} was never reached: {process.communicate()}")


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)], ids=["kill -9", "Ctrl-C"])
def test_interrupted_then_the_same_command_ends_bit_identical(tmp_path, sent, status):
    interrupted, whole = tmp_path / "interrupted", tmp_path / "whole"
    command = ["run", "long", *OWN, "--device", "cpu", "--threads", "1", "--engine", "eager"]
    process = start(*command, "--runs", interrupted)
    _wait_for_epoch(process, interrupted / "long" / "seed-0", 3)
    process.send_signal(sent)
    _, errors = process.communicate()
    assert process.returncode == status
    assert "Traceback" not in errors
    assert not (interrupted / "long" / "seed-0" / "result.json").exists()
    processes = [start(*command, "--runs", interrupted), start(*command, "--runs", whole)]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert "long seed 0  resumes after epoch" in outputs[0]
    a, b = (torch.load(root / "long" / "seed-0" / "checkpoint.pt", weights_only=True) for root in (interrupted, whole))
    assert all(torch.equal(a["model"][name], b["model"][name]) for name in a["model"])
    without_time = [[{k: v for k, v in record.items() if k != "seconds"} for record in state["records"]] for state in (a, b)]
    assert without_time[0] == without_time[1]


def test_ctrl_c_ends_the_workers_too(tmp_path):
    process = start("run", "long", *OWN, "--seeds", "0-3", "--workers", "2", "--runs", tmp_path, "--device", "cpu")
    _wait_for_epoch(process, tmp_path / "long" / "seed-0", 1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.strip() == "budgetnet: interrupted; the same command resumes from the last whole epoch"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_is_a_sentence_and_earlier_results_stay(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)], capture_output=True, check=False).returncode != 0:
        pytest.skip("this system allows no mount")
    try:
        command = ["run", "small", *OWN, "--runs", disk, "--device", "cpu", "--threads", "1"]
        first = start(*command)
        assert first.communicate()[0]
        assert first.returncode == 0
        kept = (disk / "small" / "seed-0" / "result.json").read_bytes()
        free = os.statvfs(disk)
        (disk / "filler").write_bytes(b"x" * max(0, free.f_bavail * free.f_frsize - 8192))
        second = start(*command, "--seeds", "1")
        output, errors = second.communicate()
        assert second.returncode == 1
        assert "No space left on device" in errors
        assert "Traceback" not in output + errors
        assert (disk / "small" / "seed-0" / "result.json").read_bytes() == kept
        assert not (disk / "small" / "seed-1" / "result.json").exists()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_digits_fallback_is_loud_and_unjudged(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("BUDGETNET_DATA", str(tmp_path))
    assert main("run", "step-13", "--digits-fallback", "--epochs", "1", "--runs", tmp_path / "runs", "--device", "cpu") == 0
    captured = capsys.readouterr()
    assert "this is NOT MNIST" in captured.err
    assert "step-13-digits seed 0  epoch  1/14" in captured.out
    assert "met" not in captured.out


def test_an_interrupted_command_that_trains_nothing_promises_no_resumption(monkeypatch, capsys):
    def interrupted(arguments, catalogue):
        raise KeyboardInterrupt

    monkeypatch.setattr("budgetnet.commands.inspection.check", interrupted)
    assert main("check") == 130
    assert capsys.readouterr().err == "budgetnet: interrupted\n"
