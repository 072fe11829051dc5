"""The contest: turns, ratios, and entrants that cannot take part or fall on the way."""

import multiprocessing
import subprocess
import sys
import time

import pytest

from benchmarks import contest, standing
from benchmarks.contest import Entrant, hold
from benchmarks.memory import LoaderWorkers, peak_mib


def steady(name, speed, **more):
    return Entrant(name, "tests.contestants:Steady", {"speed": speed}, **{"batch_size": 10} | more)


def ended():
    return not multiprocessing.active_children()


def test_ratios_are_to_the_fastest_peer_and_processes_add_up():
    entrants = [steady("slow", 100.0, peer=True), steady("fast", 200.0, peer=True), steady("ours", 400.0, processes=2, parameters=7)]
    said = []
    records, left_out = hold(entrants, rounds=2, seconds=3.0, say=said.append)
    found = standing.content(records, left_out)
    assert found["fastest_peer"] == "fast"
    assert [*found["entries"]] == ["ours", "fast", "slow"]
    ours, slow = found["entries"]["ours"], found["entries"]["slow"]
    assert ours["images_per_second"] == pytest.approx([800.0, 800.0])
    assert (ours["ratio_to_fastest_peer"], slow["ratio_to_fastest_peer"]) == pytest.approx((4.0, 0.5))
    assert ours["seconds_per_epoch"] == pytest.approx(75.0)
    assert (ours["images_a_turn"], slow["images_a_turn"]) == (2400, 300)
    assert ours["peak_mib"] > 1.5 * slow["peak_mib"] > 0
    assert not left_out
    assert ended()
    assert said[-1] == "round 2/2: slow 100  fast 200  ours 800"
    head, first, *_ = standing.table(found).splitlines()
    assert head.split() == ["images/s", "min", "max", "s/epoch", "ratio", "MiB"]
    assert first.split()[:6] == ["ours", "800", "800", "800", "75.0", "4.00"]


def test_a_turn_is_at_most_an_epoch_and_at_least_a_batch():
    records, _ = hold([steady("quick", 1e9, batch_size=64), steady("slow", 0.1)], rounds=1, seconds=3.0)
    assert [record.images for record in records] == [59_968, 10]


def test_who_cannot_take_part_is_left_out_with_a_sentence(capsys):
    entrants = [
        steady("missing", 1.0, needs=("no_such_library",)), steady("other", 1.0, parameters=5_854),
        Entrant("unavailable", "tests.contestants:unavailable", {}), steady("ours", 1.0),
    ]  # fmt: skip
    records, left_out = hold(entrants, rounds=1, seconds=1.0)
    assert [record.entrant.name for record in records] == ["ours"]
    assert left_out == {
        "missing": "not installed: no_such_library; pip install --editable '.[bench]'",
        "other": "its network has 7 parameters, not 5,854",
        "unavailable": "there is no track",
    }
    assert "left out: missing: not installed: no_such_library" in capsys.readouterr().out
    assert standing.content(records, left_out)["fastest_peer"] is None
    assert ended()


def test_who_falls_on_the_way_is_left_out_and_the_others_go_on(monkeypatch, capfd):
    monkeypatch.setattr(contest, "GRACE", 1.0)
    falling = [Entrant(how, "tests.contestants:Ending", {"how": how}, peer=True) for how in ("raises", "dies", "hangs")]
    records, left_out = hold([*falling, steady("ours", 100.0)], rounds=2, seconds=1.0, patience=10.0)
    assert [(record.entrant.name, len(record.speeds)) for record in records] == [("ours", 2)]
    assert left_out == {
        "raises": "ValueError: out of breath",
        "dies": "its process ended without a word (exit code 3)",
        "hangs": "no answer within 10 s",
    }
    assert "out of breath" in capfd.readouterr().err
    assert ended()


def test_memory_of_this_process_and_of_loader_workers():
    own = peak_mib()
    assert own > 10
    if not sys.platform.startswith("linux"):
        pytest.skip("loader workers are looked at through /proc")
    workers = LoaderWorkers()
    with workers.watched():
        child = subprocess.Popen([sys.executable, "-c", "import time; kept = bytearray(b'x' * 2**26); time.sleep(600)"])
        began = time.monotonic()
        while workers.peak_mib < 64 and time.monotonic() - began < 60:
            time.sleep(0.1)
        child.kill()
        child.wait()
    assert 64 < workers.peak_mib < 1024
