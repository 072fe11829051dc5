"""Records: written and read; damage is named."""

import dataclasses

import pytest

from budgetnet.metrics import EpochRecord
from budgetnet.results import FINISHED, PARTIAL, Result, ResultError, read_result


def result(seed=0, accuracies=(98.0, 99.5, 99.1), planned=3, name="step-01"):
    epochs = tuple(EpochRecord(n, 0.1, 0.5 / n, 90.0 + n, 0.4 / n, accuracy, 1.5) for n, accuracy in enumerate(accuracies, start=1))
    return Result(
        experiment=name, definition_hash="0123456789abcdef", seed=seed, definition={"name": name}, parameters={"trainable": 5},
        epochs_planned=planned, epochs=epochs, validation="test", device="cpu", engine="eager", precision="fp32", threads=1,
    )  # fmt: skip


def test_the_figure_of_a_run_is_its_last_epoch_not_its_best():
    assert result().last.validation_accuracy == 99.1
    assert result().best.validation_accuracy == 99.5
    assert result().seconds == 4.5


def test_round_trip():
    assert Result.from_json(result().to_json()) == result()


def test_finished_means_every_planned_epoch():
    assert result().finished
    assert not result(planned=4).finished


def test_a_figure_that_is_not_finite_is_never_written():
    with pytest.raises(ValueError, match="Out of range float"):
        result(accuracies=(float("nan"),)).to_json()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 1}', result().to_json()[:-20], '{"format": 1, "epochs": []}'])
def test_damage_is_named(text):
    with pytest.raises(ResultError, match=r"file\.json"):
        Result.from_json(text, "file.json")


def test_another_format_is_named():
    text = dataclasses.replace(result(), format=99).to_json()
    with pytest.raises(ResultError, match="has format 99; this version of budgetnet reads 1"):
        Result.from_json(text)


def write(root, record, name=FINISHED):
    directory = root / record.experiment / f"seed-{record.seed}"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_text(record.to_json())
    return directory


def test_a_finished_record_goes_before_a_partial_one(tmp_path):
    directory = write(tmp_path, result(accuracies=(97.0,)), PARTIAL)
    assert read_result(directory).last.validation_accuracy == 97.0
    write(tmp_path, result())
    assert read_result(directory).last.validation_accuracy == 99.1


def test_bytes_that_are_no_text_are_named(tmp_path):
    directory = write(tmp_path, result())
    (directory / FINISHED).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ResultError, match=r"result\.json cannot be read"):
        read_result(directory)
