"""One class for every backend: splitting, probabilities, threads, and mistakes that leave it usable."""

import threading

import numpy as np
import pytest
import torch

from budgetnet.inference.errors import InferenceError, InputError
from budgetnet.inference.predictor import Predictor
from tests.inference_demo import CONTRACT, compiled, images, trained


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return Predictor.load(compiled(tmp_path_factory.mktemp("artifacts"), "onnx"))


class Counting:
    """A session whose logits are the first ten pixels, which counts its batches and who is in it."""

    def __init__(self, concurrent=False):
        self.concurrent = concurrent
        self.batches = []
        self.inside = self.most = 0

    def __call__(self, pixels):
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.batches.append(len(pixels))
        threading.Event().wait(0.002)
        self.inside -= 1
        return pixels[:, 0, 0, :10].copy()

    def close(self):
        self.batches = None


def test_probabilities_are_the_softmax_of_the_trained_networks_logits(predictor):
    pictures = images(5)
    own = trained()
    with torch.no_grad():
        logits = own.model((torch.from_numpy(pictures).double().float() / 255 - 0.1307) / 0.3081)
    said = predictor.predict(pictures)
    assert np.abs(said.probabilities - logits.softmax(1).numpy()).max() < 1e-5
    assert said.digits.tolist() == logits.argmax(1).tolist()
    assert np.abs(said.probabilities.sum(1) - 1).max() < 1e-6


def test_uncompiled_says_the_same(predictor):
    pictures = images(5)
    said, plain = predictor.predict(pictures), Predictor.of(trained()).predict(pictures)
    assert said.digits.tolist() == plain.digits.tolist()
    assert np.abs(said.probabilities - plain.probabilities).max() < 1e-5


def test_more_than_the_largest_batch_is_split(predictor):
    pictures = images(1000)
    one_by_one = np.concatenate([predictor.logits(pictures[i : i + 1]) for i in range(0, 1000, 97)])
    assert np.abs(predictor.logits(pictures)[::97] - one_by_one).max() < 1e-5
    session = Counting()
    Predictor(session, CONTRACT, 256).predict(images(1000))
    assert session.batches == [256, 256, 256, 232]


def test_a_hundred_thousand_images():
    session = Counting(concurrent=True)
    pictures = np.zeros((100_000, 28, 28), np.uint8)
    pictures[:, 0, :10] = np.random.default_rng(0).integers(0, 256, (100_000, 10))
    said = Predictor(session, CONTRACT, 8192).predict(pictures)
    assert said.digits.shape == (100_000,)
    assert (said.digits == pictures[:, 0, :10].argmax(1)).all()


def test_a_mistake_leaves_it_usable(predictor):
    before = predictor.logits(images(2))
    shapes = [np.zeros((1, 27, 27), np.uint8), np.zeros((0, 28, 28))]
    for wrong in (*shapes, np.full((1, 28, 28), np.nan, np.float32), np.zeros((1, 28, 28), complex)):
        with pytest.raises(InputError):
            predictor.predict(wrong)
    assert np.array_equal(predictor.logits(images(2)), before)


@pytest.mark.parametrize("concurrent", [False, True])
def test_threads_wait_for_each_other_where_the_session_wants_it(concurrent):
    session = Counting(concurrent)
    shared = Predictor(session, CONTRACT, 4)
    together([lambda: shared.predict(images(8))] * 6)
    assert sum(session.batches) == 48
    assert (session.most > 1) == concurrent


def test_several_threads_get_their_own_answers(predictor):
    pictures = [images(3, seed) for seed in range(8)]
    alone = [predictor.logits(own) for own in pictures]
    found = [None] * 8

    def ask(place):
        for _ in range(20):
            found[place] = predictor.logits(pictures[place])
            assert np.array_equal(found[place], alone[place])

    together([lambda place=place: ask(place) for place in range(8)])
    assert all(logits is not None for logits in found)


def together(actions):
    errors = []

    def guarded(action):
        try:
            action()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors


def test_very_large_logits_do_not_overflow():
    class Huge(Counting):
        def __call__(self, pixels):
            return np.full((len(pixels), 10), 3e38, np.float32)

    assert np.allclose(Predictor(Huge(), CONTRACT, 8).predict(images(1)).probabilities, 0.1)


def test_a_closed_predictor_says_so():
    predictor = Predictor.of(trained())
    predictor.close()
    predictor.close()
    with pytest.raises(InferenceError, match="the predictor is closed and cannot predict any more; load another one"):
        predictor.predict(images(1))
