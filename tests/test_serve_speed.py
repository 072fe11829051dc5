"""How long a batch will take, from those that were."""

import pytest

from budgetnet.serve.speed import Speed


def test_nothing_is_expected_to_be_quick_before_it_was_seen():
    assert Speed().expect(1) == float("inf")


def test_what_was_seen_is_expected_again():
    speed = Speed()
    speed.learn(1, 0.001)
    speed.learn(32, 0.0032)
    assert speed.expect(1) == pytest.approx(0.001)
    assert speed.expect(32) == pytest.approx(0.0032)


def test_other_sizes_cost_what_the_nearest_does_by_the_image():
    speed = Speed()
    speed.learn(1, 0.001)
    speed.learn(32, 0.0032)
    assert speed.expect(2) == pytest.approx(0.002)
    assert speed.expect(256) == pytest.approx(0.0256)
    assert speed.expect(1000) == pytest.approx(0.1)


def test_one_slow_batch_does_not_change_everything_and_many_do():
    speed = Speed()
    speed.learn(1, 0.001)
    speed.learn(1, 0.1)
    assert 0.001 < speed.expect(1) < 0.02
    for _ in range(100):
        speed.learn(1, 0.1)
    assert speed.expect(1) == pytest.approx(0.1, rel=0.01)
