"""The comparison of paths: turns, which cost counts, and when the outcome is trusted. All clocks are simulated."""

import itertools

import pytest

from budgetnet.engine import probe
from budgetnet.engine.probe import Reading, compare


class Machine:
    """A machine whose candidates take what a test says; ``order`` lists the turns."""

    def __init__(self):
        self.wall = self.processor = self.thread = 0.0
        self.order = []

    def clock(self):
        return Reading(self.wall, self.processor, self.thread)

    def candidate(self, name, *costs):
        """A step that takes ``costs`` in turn, the last one for ever: busy seconds, or (wall, processor, calling thread) seconds."""
        remaining = itertools.chain(costs, itertools.repeat(costs[-1]))

        def step():
            cost = next(remaining)
            wall, processor, thread = cost if isinstance(cost, tuple) else (cost, cost, cost)
            self.order.append(name)
            self.wall, self.processor, self.thread = self.wall + wall, self.processor + processor, self.thread + thread

        return step

    def compare(self, threads=1, **costs):
        steps = {name: self.candidate(name, *(own if isinstance(own, list) else [own])) for name, own in costs.items()}
        return compare(steps, threads, self.clock)


def busy(processor, share=0.5):
    """A step on a machine where this process gets ``share`` of the time."""
    return processor / share, processor, processor


def test_a_quiet_machine_is_decided_after_three_rounds_in_turns():
    machine = Machine()
    outcome = machine.compare(a=0.03, b=0.02, c=0.025)
    assert machine.order == ["a", "b", "c"] * 3
    assert (outcome.fastest, outcome.trusted) == ("b", True)
    assert outcome.seconds == pytest.approx({"a": 0.03, "b": 0.02, "c": 0.025})


def test_the_smallest_cost_of_the_rounds_counts():
    outcome = Machine().compare(a=[0.9, 0.01, 0.01], b=[0.02, 0.02, 0.02])
    assert (outcome.fastest, outcome.trusted) == ("a", True)
    assert outcome.seconds["a"] == pytest.approx(0.01)


def test_one_thread_is_compared_by_processor_time():
    """A load that hits one candidate only does not change the order."""
    outcome = Machine().compare(a=busy(0.02, share=0.2), b=0.03)
    assert outcome.fastest == "a"
    assert outcome.seconds["a"] == pytest.approx(0.02)


def test_several_threads_are_compared_by_wall_time():
    outcome = Machine().compare(threads=4, spins=(0.01, 0.04, 0.01), single=(0.02, 0.02, 0.02))
    assert (outcome.fastest, outcome.trusted) == ("spins", True)
    assert outcome.seconds == pytest.approx({"spins": 0.01, "single": 0.02})


@pytest.mark.parametrize("threads", [1, 2])
def test_a_busy_machine_is_measured_up_to_the_bound_and_not_trusted(threads):
    machine = Machine()
    outcome = machine.compare(threads, a=busy(0.01), b=busy(0.02))
    assert (outcome.fastest, outcome.trusted) == ("a", False)
    assert len(machine.order) == 2 * probe.MOST_ROUNDS


def test_slow_steps_end_at_the_time_bound_on_a_busy_machine_and_after_three_turns_on_a_quiet_one():
    machine = Machine()
    assert not machine.compare(a=busy(1.0), b=busy(2.0)).trusted
    assert machine.order == ["a", "b"]
    machine = Machine()
    assert machine.compare(a=1.0, b=1.5).trusted
    assert machine.order == ["a", "b"] * 3


def test_a_load_that_ends_costs_rounds_and_not_the_trust():
    machine = Machine()
    loaded = [busy(0.02)] * 4
    outcome = machine.compare(a=[*loaded, 0.01], b=[*loaded, 0.015])
    assert (outcome.fastest, outcome.trusted) == ("a", True)
    assert len(machine.order) == 2 * (4 + 3)


def test_several_threads_that_wait_for_the_processor_are_seen():
    """Half of the wall time the calling thread did not run, although the other threads' spinning adds up to as much."""
    assert not Machine().compare(2, a=(0.04, 0.04, 0.02), b=(0.08, 0.08, 0.04)).trusted
    assert Machine().compare(2, a=(0.04, 0.08, 0.04), b=(0.06, 0.06, 0.06)).trusted


def test_costs_that_spread_over_the_lead_are_measured_again_and_not_trusted():
    machine = Machine()
    outcome = machine.compare(a=[0.010, *[0.012, 0.013] * 20], b=[0.0105, *[0.0125, 0.0135] * 20])
    assert not outcome.trusted
    assert len(machine.order) == 2 * probe.MOST_ROUNDS
    assert Machine().compare(a=[0.010, 0.012, 0.013], b=[0.02, 0.03]).trusted  # as much spread, and a lead that is larger


def test_a_tie_on_a_quiet_machine_is_trusted():
    outcome = Machine().compare(a=[0.0101, 0.0102, 0.0101], b=[0.0100, 0.0103, 0.0102])
    assert (outcome.fastest, outcome.trusted) == ("b", True)


def test_a_candidate_without_a_chance_takes_no_further_turns():
    machine = Machine()
    outcome = machine.compare(slow=0.09, a=[0.010, 0.013, 0.013, 0.010], b=[0.011, 0.013])
    assert machine.order.count("slow") == 3
    assert machine.order.count("a") > 3
    assert outcome.fastest == "a"
    assert outcome.seconds["slow"] == pytest.approx(0.09)


def test_slow_turns_of_a_busy_machine_put_no_candidate_out():
    machine = Machine()
    outcome = machine.compare(2, a=[(0.1, 0.04, 0.03)] * 5 + [(0.01, 0.02, 0.01)], b=(0.04, 0.08, 0.04))
    assert (outcome.fastest, outcome.trusted) == ("a", True)


def test_an_untrusted_near_tie_takes_the_first_so_that_runs_choose_alike():
    assert Machine().compare(a=busy(0.012), b=busy(0.010)).fastest == "a"
    assert Machine().compare(a=busy(0.010), b=busy(0.012)).fastest == "a"
    assert Machine().compare(a=busy(0.013), b=busy(0.010)).fastest == "b"


def test_a_clock_too_coarse_for_a_step_falls_back_to_wall_time():
    outcome = Machine().compare(a=(0.002, 0.0, 0.0), b=(0.001, 0.0, 0.0))
    assert (outcome.fastest, outcome.trusted) == ("b", False)
    assert outcome.seconds == pytest.approx({"a": 0.002, "b": 0.001})


def test_the_real_clocks_run():
    before, after = probe.read_clocks(), probe.read_clocks()
    assert all(getattr(after, name) >= getattr(before, name) for name in ("wall", "processor", "thread"))
