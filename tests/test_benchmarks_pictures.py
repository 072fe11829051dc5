"""benchmarks.pictures: refused pictures count as wrong answers."""

import numpy as np

from benchmarks import pictures
from budgetnet.catalogue import load_default


def test_forms_keeps_a_place_for_a_refused_picture():
    seen, kinds = pictures.forms(np.zeros((2, 28, 28), np.uint8), 2)  # seed 2: without noise
    assert seen == [None, None]
    assert len(kinds) == 2


def test_judge_counts_a_refusal_as_wrong(mnist, capsys):
    images, labels = mnist.test_images[:3, 0].numpy(), mnist.test_labels[:3].numpy()
    trained = pictures.networks(load_default().select(["step-13"]))[0]
    own = pictures.judge(trained, images, [images[0], None, images[2]], labels, [frozenset(), frozenset(), frozenset()])
    assert (own["all pictures"]["pictures"], own["all pictures"]["right"]) == (3, 2)
    assert own["as the data set has them"]["right"] == 3
    assert "all pictures" in capsys.readouterr().out
