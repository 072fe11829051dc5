"""The benchmarks of the server: what they make of their measurements, and that they measure what they say."""

import json
import socket
import sys

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="fastapi is not installed: pip install 'budgetnet[serve]'")
from PIL import Image

from benchmarks import (
    serving,
    serving_client,
    serving_course,
    serving_ending,
    serving_judge,
    serving_payloads,
    serving_soak,
    serving_standing,
)
from benchmarks.serving_apart import Apart, Fallen
from benchmarks.serving_client import Turn
from benchmarks.serving_judge import Outcome
from benchmarks.serving_open_loop import Course, Fate, Plan, load
from benchmarks.serving_processes import Server, free_port
from benchmarks.serving_traffic import Ask, Traffic, traffic
from budgetnet.catalogue import load_default
from budgetnet.commands.reporting import result_roots
from budgetnet.inference.predictor import Predictor
from budgetnet.weights import find_weights, load_trained
from tests.inference_demo import compiled
from tests.serve_demo import images_of, server, slow_predictor

STEP_13 = load_default()["step-13"]


def sevens(number):
    """(number, 28, 28) uint8, at other places each."""
    image = np.zeros((28, 28), dtype=np.uint8)
    image[6:9, 8:20] = 255
    for row in range(9, 23):
        column = 18 - (row - 9) // 2
        image[row, column : column + 3] = 255
    return np.stack([np.roll(image, (place % 5 - 2, place // 5 % 5 - 2), (0, 1)) for place in range(number)])


@pytest.fixture(scope="module")
def predictor():
    """Step 13 as torch runs it."""
    return Predictor.of(load_trained(STEP_13, find_weights(result_roots(), STEP_13, None)))


def command(port, folder, *more):
    """The command that serves it so."""
    serve = [sys.executable, "-m", "budgetnet", "serve", "step-13", "--no-compile", "--port", str(port), *more]
    return [*serve, "--runs", str(folder / "runs"), "--out", str(folder / "compiled")]


# --- figures ----------------------------------------------------------------------------------------------------------


def turn(latency, model=0.1, queue=0.2, number=100, answers=200):
    latencies = np.full(number, latency)
    latencies[-2:] *= 10
    return Turn(latencies, np.full(number, model), np.full(number, queue), np.full(number, np.nan), number * latency, 0.25, answers)


def test_ratios_are_to_the_best_peer_round_by_round():
    rounds = {
        "budgetnet": [(turn(0.001), 0.1), (turn(0.002), 0.1)],
        "slow": [(turn(0.004, queue=np.nan), 0.1), (turn(0.004, queue=np.nan), 0.1)],
        "slower": [(turn(0.016), 0.1), (turn(0.016), 0.1)],
    }
    found = serving_standing.content(rounds, 64, ["slow", "slower"])
    own = found["budgetnet"]
    assert own["ratio_requests"] == pytest.approx((4 + 2) / 2)
    assert own["ratio_p50"] == pytest.approx((4 + 2) / 2)
    assert own["images_per_second"] == pytest.approx(64 * own["requests_per_second"])
    assert (own["model_ms"], own["queue_ms"], own["processor_ms"]) == pytest.approx((0.1, 0.2, 0.5))
    assert found["slow"]["rest_ms"] == pytest.approx(4 - 0.1)
    assert found["slow"]["queue_ms"] is None
    assert "ratio_p50" not in found["slow"]
    json.dumps(found)


def test_table_and_plot(tmp_path):
    rounds = {"budgetnet": [(turn(0.001), 0.1)], "slow": [(turn(0.004, queue=np.nan), 0.1)]}
    found = {clients: serving_standing.content(rounds, 1, ["slow"]) for clients in (1, 8)}
    lines = serving_standing.table(found).splitlines()
    assert lines[2].split()[:3] == ["1", "budgetnet", "1.00"]
    assert lines[3].split().count("–") == 3
    serving_standing.plot({"1 image": found, "64 images": found}, "a machine", tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as drawn:
        assert drawn.width > 500


# --- answers ----------------------------------------------------------------------------------------------------------


def answer(probabilities, digits, **more):
    predictions = [{"digit": digit, "probabilities": own.tolist()} for digit, own in zip(digits, probabilities, strict=True)]
    found = {"model": "step-13", "parameters": 1, "predictions": predictions, "milliseconds": {"model": 1.5}} | more
    return json.dumps(found, separators=(",", ":")).encode()


def test_a_wrong_answer_is_seen():
    expected = np.eye(10, dtype=np.float32)[[7, 3]]
    times = serving_payloads.checked(answer(expected, [7, 3]), expected)
    assert times.model == 1.5
    assert np.isnan(times.queue)
    near = np.eye(10)[[7, 3]] + 2e-5
    for wrong in (
        answer(expected, [7, 5]),
        answer(near, [7, 3]),
        answer(expected[:1], [7]),
        b"{}",
        b"<html>",
        answer(expected, [7, 3])[:-1],
    ):
        with pytest.raises(serving_payloads.Wrong):
            serving_payloads.checked(wrong, expected)


def judged(ask, status, content, head=""):
    return serving_judge.judged(ask, f"http/1.1 {status} x\r\ncontent-type: y{head}".encode(), content)[0]


def test_what_may_be_answered():
    good = Ask("good", b"", "step-13", np.eye(10, dtype=np.float32)[[7]])
    bad = Ask("malformed", b"", statuses=frozenset({422}))
    right = answer(good.expected, [7])
    error, busy = (json.dumps({"error": {"code": code, "field": None, "message": "a sentence"}}) for code in ("invalid", "busy"))
    assert judged(good, 200, right) == judged(good, 200, right) == Outcome.RIGHT
    assert len(good.known) == 1
    assert judged(good, 200, answer(good.expected, [7], model="step-09")) == Outcome.WRONG
    assert judged(good, 422, error.encode()) == judged(bad, 200, right) == judged(bad, 400, error.encode()) == Outcome.WRONG
    assert judged(bad, 422, error.encode()) == Outcome.REFUSED
    assert judged(bad, 422, b"Internal Server Error") == Outcome.WRONG
    assert judged(good, 503, busy.encode(), "\r\nretry-after: 1") == judged(bad, 503, busy.encode(), "\r\nretry-after: 1") == Outcome.BUSY
    assert judged(good, 503, busy.encode()) == Outcome.WRONG
    assert judged(good, 503, busy.replace("busy", "failed").encode(), "\r\nretry-after: 1") == Outcome.WRONG


# --- the client of the contest ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def port():
    """Of a server in a thread, with a network that reads the digit off the first pixels."""
    with server() as (_, port, _):
        yield port


def payloads():
    predictor = slow_predictor()
    images = images_of(*range(10), *range(10))
    return {"one": serving_payloads.single_images(images, predictor), "five": serving_payloads.lists(images, 5, predictor)}


@pytest.mark.parametrize(("name", "clients"), [("one", 1), ("one", 5), ("five", 3)])
def test_every_client_asks_again_and_again(port, name, clients):
    found = serving_client.turn(payloads(), port, name, clients, 0.2)
    assert found.answers > len(found.latencies) >= 2 * clients
    assert (found.latencies > 0).all()
    assert (found.total >= found.model).all()
    assert (1e3 * found.latencies >= found.total).all()
    assert 0 < found.rate <= len(found.latencies) / 0.2
    assert 0 < found.busy <= 1.1


def test_a_wrong_answer_ends_the_turn(port):
    one = payloads()["one"]
    turned = serving_payloads.Payload("one", 1, one.requests, one.expected[1:] + one.expected[:1])
    with pytest.raises(Fallen, match="a wrong answer to one number"):
        serving_client.turn({"one": turned}, port, "one", 1, 0.05)
    refused = serving_payloads.Payload("one", 1, (serving_payloads.request(b"{}"),), one.expected)
    with pytest.raises(Fallen, match=r"status 422.*neither image nor images"):
        serving_client.turn({"one": refused}, port, "one", 1, 0.05)


def test_work_apart(port):
    with Apart(serving_client.turn, payloads()) as client:
        assert client.ask(port, "one", 2, 0.05).answers > 2
        with pytest.raises(Fallen, match="refused"):
            client.ask(free_port(), "one", 1, 0.05)


def test_lengths():
    assert serving_client.length_of(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nX: y") == 12
    assert serving_client.length_of(b"HTTP/1.1 200 OK\r\ncontent-length:7") == 7


# --- the contest ------------------------------------------------------------------------------------------------------


def test_a_contest(tmp_path, monkeypatch, predictor, capsys):
    """Against itself, so that it takes no LitServe."""

    def commands(experiment, root, artifact):
        ports = {"budgetnet": free_port(), "LitServe": free_port()}
        return {name: (command(port, tmp_path), port, "/readyz") for name, port in ports.items()}

    monkeypatch.setattr(serving, "commands", commands)
    monkeypatch.setattr(serving, "version_of", lambda name: "0")
    monkeypatch.setattr(serving, "HEAT", 0.05)
    made = serving_payloads.single_images(sevens(8), predictor), serving_payloads.lists(sevens(8), 4, predictor)
    by_name = {payload.name: payload for payload in made}
    found = serving.measure(STEP_13, tmp_path, by_name, tmp_path, (1, 2), 2, 0.05)
    assert [*found] == ["1 image", "4 images"]
    for entries in (entries for own in found.values() for entries in own.values()):
        assert [*entries] == ["budgetnet", "LitServe"]
        assert entries["budgetnet"]["ratio_requests"] > 0
        assert entries["budgetnet"]["cores"] == sorted(serving.Cores.found().own)
        assert len(entries["LitServe"]["rates"]) == 2
    assert "4 images a request" in capsys.readouterr().out
    json.dumps(found)


def test_commands():
    found = serving.commands(STEP_13, "root", "root/step-13/seed-0/onnx-fp32")
    assert [*found] == ["budgetnet", "LitServe", "LitServe, batches of 32"]
    assert len({port for _, port, _ in found.values()}) == 3
    assert int(found["budgetnet"][0][found["budgetnet"][0].index("--queue") + 1]) >= 128 * 64


@pytest.mark.parametrize("batch", [1, 32])
def test_the_peer_gives_the_same_answers(tmp_path, batch):
    pytest.importorskip("litserve", reason="litserve is not installed: pip install 'budgetnet[bench]'")
    artifact = compiled(tmp_path, "onnx")
    offline = Predictor.load(artifact)
    images = np.random.default_rng(0).integers(0, 256, (8, 28, 28), dtype=np.uint8)
    asked = {"one": serving_payloads.single_images(images, offline), "four": serving_payloads.lists(images, 4, offline)}
    port = free_port()
    peer = [sys.executable, "-m", "benchmarks.serving_litserve", str(artifact), "--port", str(port), "--batch", str(batch)]
    with Server(peer, port, "/health") as server:
        server.ready()
        for name in asked:
            assert serving_client.turn(asked, port, name, 3, 0.1).answers > 3


def test_a_server_that_does_not_start():
    with (
        Server([sys.executable, "-c", "raise SystemExit(3)"], free_port(), "/readyz") as server,
        pytest.raises(Fallen, match="exit status 3"),
    ):
        server.ready()


# --- the soak ---------------------------------------------------------------------------------------------------------


def fate(outcome, sent=1.0, ended=2.0, kind="bytes", due=0.9):
    return Fate(kind, due, sent, ended, outcome)


def test_accounts_of_an_ending():
    fates = [
        fate(Outcome.RIGHT, 0.1, 0.5),  # before the signal
        fate(Outcome.RIGHT, 0.9, 1.5), fate(Outcome.BUSY, 1.2, 1.6), fate(Outcome.CLOSED, 1.9, 2.0), fate(Outcome.UNANSWERED, 1.0, 22.0),
        fate(Outcome.GONE, 1.9, 1.95), fate(Outcome.UNCONNECTED, None, 2.2), fate(Outcome.CLOSED, 2.1, 2.2), fate(Outcome.RIGHT, 2.1, 2.5),
    ]  # fmt: skip
    found = serving_ending.accounts(Course(fates, 1.0, 2.0, 0.0, 9))
    assert (found["accepted"], found["answered"], found["lost"]) == (4, 2, 2)
    assert (found["came_later"], found["answered_too"], found["refused"]) == (3, 1, 2)
    assert [kind for _, kind, *_ in found["lost_ones"]] == ["closed", "no answer"]
    assert found["last_answer_seconds"] == pytest.approx(0.6)


def test_what_is_sustained():
    quick = [fate(Outcome.RIGHT, ended=1.0)] * 99
    assert serving_course.sustains(Course([*quick, fate(Outcome.REFUSED), fate(Outcome.GONE)], None, None, 0.0, 1))
    assert not serving_course.sustains(Course([*quick, fate(Outcome.BUSY)], None, None, 0.0, 1))
    assert not serving_course.sustains(Course([*quick[:90], *[fate(Outcome.RIGHT, ended=3.0)] * 9], None, None, 0.0, 1))
    assert serving_course.sustains(Course([*quick, fate(Outcome.RIGHT, ended=9.0, kind="slow client")] * 2, None, None, 0.0, 1))


def test_what_is_broken_is_said():
    course = Course([fate(Outcome.RIGHT), fate(Outcome.WRONG), fate(Outcome.CLOSED)], 1.0, 2.0, 0.0, 1)
    own = serving_course.figures(course, [100, 100, 104, 106], 1.0)
    assert own["growth_percent"] == pytest.approx(6)
    assert serving_course.table(own).splitlines()[-1].split() == ["all", "1", "1", "1"]
    fine = serving_course.figures(Course([fate(Outcome.RIGHT)], None, None, 0.0, 1), [100, 104], 1.0)
    ending = {"lost": 0, "exit_status": 0}
    assert serving_soak.broken({"malformed": fine, "soak": fine, "endings": [ending], "errors_logged": 0}) == []
    said = serving_soak.broken({"malformed": fine, "soak": own, "endings": [ending, {"lost": 2, "exit_status": 1}], "errors_logged": 3})
    assert len(said) == 6


def test_traffic_is_what_the_server_knows(predictor):
    mixed = traffic(sevens(64), {"step-13": predictor, "other": predictor}, 10.0)
    assert {"bytes", "form, 3 pictures", "malformed", "slow client", "gone client", "bytes, other"} <= mixed.kinds.keys()
    drawn = mixed.asks(1)
    asks = [next(drawn) for _ in range(2000)]
    assert {ask.kind for ask in asks} == mixed.kinds.keys()
    again = mixed.asks(1)
    assert all(next(again) is ask for ask in asks)
    assert next(ask for ask in asks if ask.kind == "form, 3 pictures").expected.shape == (3, 10)
    assert not any("picture" in name for name in mixed.without(["picture", "slow"]).kinds)
    assert b"?model=other" in next(ask for ask in asks if ask.kind == "bytes, other").content


def test_requests_come_at_their_times_whatever_the_server_does():
    """It accepts, and never answers; then it closes."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mixed = Traffic({"bytes": (1, [Ask("bytes", b"x" * 100)]), "gone client": (1, [Ask("gone client", b"x", gone=True)])})
        with Apart(load, mixed) as client:
            client.begin(Plan(silent.getsockname()[1], 100.0, 0.3))
            accepted = [silent.accept()[0] for _ in range(10)]
            for one in accepted:
                one.close()
            silent.close()
            course = client.answer()
    outcomes = {one.outcome for one in course.fates}
    assert outcomes <= {Outcome.CLOSED, Outcome.GONE, Outcome.UNCONNECTED}
    assert Outcome.CLOSED in outcomes
    assert 10 < len(course.fates) < 60


def test_a_short_soak(tmp_path, predictor, capsys):
    """Everything but the memory, which is not warm after half a second."""
    port, log = free_port(), tmp_path / "server.log"
    mixed = traffic(sevens(64), {"step-13": predictor}, 1.0)
    wish = serving_soak.Wish(seconds=2.0, warm=0.5, rate=15.0, malformed=60, endings=1)
    found = serving_soak.run(command(port, tmp_path, "--timeout", "1"), port, mixed, log, wish)
    assert [said for said in serving_soak.broken(found) if "memory" not in said] == []
    assert serving_course.total(found["malformed"], Outcome.REFUSED) >= 40
    assert serving_course.total(found["soak"], Outcome.RIGHT) >= 20
    assert found["endings"][0]["refused"] > 0
    assert found["soak"]["first_mib"] > 10
    assert "exit status 0" in capsys.readouterr().out
    json.dumps(found)
