"""Stability and speed of convergence, against values worked out by hand and numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetnet.convergence import convergence


def test_convergence_of_a_curve_by_hand():
    found = convergence([98.0, 99.3, 99.41, 99.2, 99.40, 99.35, 99.38], aim=99.4)
    assert (found.at_aim, found.arrived) == (2, 2)
    assert found.last_sd == pytest.approx(np.std([99.41, 99.2, 99.40, 99.35, 99.38], ddof=1))


def test_convergence_counts_a_figure_that_is_equal_in_print():
    assert convergence([99.4, 99.3], aim=99.4).at_aim == 1
    assert convergence([99.2, 99.3], aim=None).arrived == 1


def test_convergence_of_a_short_run_has_no_deviation_and_of_none_is_refused():
    assert convergence([99.0, 99.1, 99.2, 99.3], aim=None).last_sd is None
    with pytest.raises(ValueError, match="at least one accuracy"):
        convergence([], aim=99.0)


@given(st.lists(st.floats(90, 100), min_size=1, max_size=20), st.floats(90, 100))
def test_convergence_stays_within_the_run(accuracies, aim):
    found = convergence(accuracies, aim)
    assert 0 <= found.at_aim <= len(accuracies)
    assert 1 <= found.arrived <= len(accuracies)
    assert (found.last_sd is None) == (len(accuracies) < 5)
