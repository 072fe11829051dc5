"""budgetnet.data.splits: nothing is lost, nothing counts twice, and only the seed decides."""

import pytest
import torch

from budgetnet.data.arrays import Arrays
from budgetnet.data.splits import split
from budgetnet.definition import DefinitionError, Protocol

given = pytest.importorskip("hypothesis").given
st = pytest.importorskip("hypothesis.strategies")


def numbered(count: int, test: int = 3) -> Arrays:
    """Images and labels that say which they are."""
    images = torch.arange(count).view(-1, 1, 1, 1).to(torch.uint8)
    return Arrays(images, torch.arange(count), torch.full((test, 1, 1, 1), 255, dtype=torch.uint8), torch.arange(test))


def test_the_test_protocol_validates_on_the_test_set():
    arrays = numbered(10)
    parts = split(arrays, Protocol(), seed=1)
    assert parts.train_images is arrays.train_images
    assert parts.train_labels is arrays.train_labels
    assert parts.validation_images is arrays.test_images
    assert parts.validation_labels is arrays.test_labels
    assert parts.test_images is None
    assert parts.test_labels is None


@given(st.integers(2, 200), st.data(), st.integers(0, 2**31))
def test_a_holdout_is_disjoint_and_complete(count, data, seed):
    holdout = data.draw(st.integers(1, count - 1))
    arrays = numbered(count)
    parts = split(arrays, Protocol("holdout", holdout), seed)
    held, kept = parts.validation_labels.tolist(), parts.train_labels.tolist()
    assert len(held) == holdout
    assert sorted(held + kept) == list(range(count))
    assert kept == sorted(kept)
    assert held == sorted(held)
    assert parts.train_images.flatten().tolist() == kept
    assert parts.validation_images.flatten().tolist() == held
    assert parts.test_images is arrays.test_images
    assert parts.test_labels is arrays.test_labels


@given(st.integers(0, 2**31), st.integers(0, 2**31))
def test_a_holdout_depends_on_the_seed_only(seed, other):
    arrays, protocol = numbered(200), Protocol("holdout", 100)
    torch.manual_seed(other)
    before = torch.get_rng_state()
    first = split(arrays, protocol, seed).validation_labels
    assert torch.equal(torch.get_rng_state(), before), "the global generator is not touched"
    torch.manual_seed(other + 1)
    assert torch.equal(split(arrays, protocol, seed).validation_labels, first)
    if seed != other:
        assert not torch.equal(split(arrays, protocol, other).validation_labels, first)


def test_a_holdout_of_everything_is_refused():
    with pytest.raises(DefinitionError, match=r"Protocol\.holdout is 10; expected fewer than the 10 training images"):
        split(numbered(10), Protocol("holdout", 10), seed=0)
