"""Scoring: loss, accuracy and confusion, whatever the batches."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from budgetnet.evaluate import evaluate


@given(st.integers(1, 60), st.integers(1, 17), st.integers(2, 12))
def test_scores_do_not_depend_on_the_batches(count, batch_size, classes):
    generator = torch.Generator().manual_seed(count)
    logits = torch.randn(count, classes, generator=generator)
    labels = torch.randint(0, classes, (count,), generator=generator)
    scores = evaluate(lambda images: images, zip(logits.split(batch_size), labels.split(batch_size), strict=True), classes)
    predicted = logits.argmax(1)
    assert scores.images == count
    assert scores.accuracy == pytest.approx(100 * (predicted == labels).double().mean().item())
    assert scores.loss == pytest.approx(functional.cross_entropy(logits, labels).item(), rel=1e-5)
    for true in range(classes):
        for guess in range(classes):
            assert scores.confusion[true][guess] == int(((labels == true) & (predicted == guess)).sum())


def test_nothing_to_score_is_an_error():
    with pytest.raises(ValueError, match="no image"):
        evaluate(lambda images: images, [], 10)
