"""Networks of users' own on the way from a run to a prediction: compiled and verified, or refused with a sentence."""

import numpy as np
import pytest

from budgetnet.cli import main
from budgetnet.data import arrays
from budgetnet.data.specs import DIGITS
from tests.own_networks import catalogue

pytest.importorskip("sklearn")


@pytest.mark.filterwarnings("ignore:The tensor attribute:UserWarning")  # torch.export, of weights that hooks compute
@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        ("pruned", None),
        ("old weight norm", None),
        ("backwards", None),
        ("lock", "own: own cannot be copied (TypeError: cannot pickle '_thread.lock' object)"),
        ("scripted layers", "own: "),
        ("random projection", "own: the trained network cannot be computed in float64 for comparison (RuntimeError: "),
        ("dropout in evaluation", "own: the trained network gives other logits for the same images at every call"),
        ("batch size as a number", "own: forward makes the batch size a constant; take it from x.shape[0], not from len(x)"),
    ],
)
def test_network_is_compiled_or_refused_with_a_sentence_and_predicts(tmp_path, capsys, network, sentence):
    words = "--catalogue", catalogue(tmp_path, network), "--runs", tmp_path / "runs"
    assert main([*map(str, ("run", "own", *words, "--engine", "eager", "--device", "cpu"))]) == 0
    compiled = "--out", tmp_path / "compiled"
    status = main([*map(str, ("compile", "own", *words, *compiled, "--backend", "eager", "--device", "cpu"))])
    captured = capsys.readouterr()
    assert status == (0 if sentence is None else 1), captured.err
    assert f"budgetnet: {sentence}" in captured.err if sentence else "0 of 355 digits changed" in captured.out
    np.save(tmp_path / "digits.npy", arrays.load(DIGITS).test_images[:3].numpy())
    assert main([*map(str, ("predict", "--model", "own", *words, *compiled, tmp_path / "digits.npy"))]) == 0
    assert capsys.readouterr().out.count("digits.npy") == 3
