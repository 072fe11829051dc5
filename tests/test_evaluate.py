"""Scoring: loss, accuracy and confusion, whatever the batches."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from budgetnet.evaluate import evaluate, evaluate_stacked


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


def test_evaluation_of_many_classes_allocates_one_table():
    classes, images = 1000, 256
    labels = torch.arange(images)
    logits = functional.one_hot((labels + 1) % classes, classes).float()
    with torch.profiler.profile(profile_memory=True) as profile:
        scores = evaluate(lambda images: images, [(logits, labels)], classes)
    allocated = sum(max(0, event.self_cpu_memory_usage) for event in profile.events())
    assert allocated < 10 * 8 * classes**2  # one table of int64 and its copies; a table an image would be 256 times that
    assert scores.confusion[3][4] == 1
    assert sum(map(sum, scores.confusion)) == images


def test_stacked_evaluation_counts_each_network_s_own_pairs():
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(3, 20, 5, generator=generator), torch.randint(5, (3, 20), generator=generator)
    stacked = evaluate_stacked(lambda images: images, [(logits[:, :12], labels[:, :12]), (logits[:, 12:], labels[:, 12:])], 5)
    assert [scores.confusion for scores in stacked] == [
        evaluate(lambda images: images, [(own, its)], 5).confusion for own, its in zip(logits, labels, strict=True)
    ]
