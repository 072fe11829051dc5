"""Several processes on one port: all answer, the dead are replaced, their metrics are one, and all end together."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.serve_demo import connect, images_of, read_answer, request_bytes

ROOT = Path(__file__).parent.parent
SERVER = """
import sys
from tests import serve_demo
from budgetnet.inference.errors import InferenceError
from budgetnet.serve.server import run
from budgetnet.serve.settings import Settings
from budgetnet.serve.sockets import listen

if __name__ == "__main__":
    offer = serve_demo.offer(load=getattr(serve_demo, sys.argv[1]))
    try:
        run([offer], Settings(), listen("127.0.0.1", 0), 2, sys.argv[2:])
    except InferenceError as error:
        sys.exit(f"{type(error).__name__}: {error}")
"""


@pytest.fixture
def started(tmp_path):
    """Starts a parent with two workers: (process, port, its log's path)."""
    script = tmp_path / "parent.py"
    script.write_text(SERVER)
    processes = []

    def start(load="slow_predictor", *gpus, waits=True):
        log = tmp_path / f"log-{len(processes)}"
        with open(log, "w") as stream:
            process = subprocess.Popen(
                [sys.executable, str(script), load, *gpus], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE,
                stderr=stream, text=True, start_new_session=True,
            )  # fmt: skip
        processes.append(process)
        if not waits:
            return process, None, log
        line = process.stdout.readline()
        assert "serving demo at" in line, log.read_text()
        return process, int(line.split("127.0.0.1:")[1].split()[0]), log

    yield start
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def get(port, path):
    with connect(port) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n".encode())
        return read_answer(connection)[2].decode()


def predict(port, digit):
    with connect(port) as connection:
        connection.sendall(request_bytes(images_of(digit)))
        return json.loads(read_answer(connection)[2])["predictions"][0]["digit"]


def workers_of(process):
    """The pids of the processes that serve, which are those that have torn no file of the parent's: its children with a socket."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.05)
    return found


pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers in /proc")


def test_two_workers_answer_count_together_and_end_together(started):
    process, port, log = started()
    assert len(workers_of(process)) == 2
    for number in range(40):
        assert predict(port, number % 10) == number % 10
    pattern = r'budgetnet_http_seconds_count\{route="/v1/predict",status="200"\} ([\d.]+)'
    wait_for(lambda: float(re.search(pattern, get(port, "/metrics"))[1]) == 40)  # an answer is counted after it was sent
    assert "budgetnet_model_info" in get(port, "/metrics")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0, log.read_text()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert sum(line["event"] == "request" and line["route"] == "/v1/predict" for line in lines) == 40
    assert sum(line["event"] == "ended" for line in lines) == 2


def test_a_worker_that_dies_is_replaced(started):
    process, port, log = started()
    before = workers_of(process)
    os.kill(before[0], signal.SIGKILL)
    wait_for(lambda: len(set(workers_of(process)) - set(before)) == 1)
    wait_for(lambda: "a worker died and is replaced" in log.read_text())
    assert [predict(port, digit) for digit in range(10)] == list(range(10))
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0


def test_workers_end_with_a_parent_that_is_killed(started):
    process, port, _ = started()
    workers = workers_of(process)
    assert predict(port, 3) == 3
    process.kill()
    process.wait()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() and "Z" not in _state(pid) for pid in workers))


def _state(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_a_model_that_no_worker_can_open_is_one_sentence(started):
    process, _, log = started("broken_predictor", waits=False)
    assert process.wait(60) == 1
    said = log.read_text().strip().splitlines()
    assert said == ["InferenceError: the artifact is damaged; compile it again"]


def test_sigterm_to_one_worker_leaves_the_port_open(started):
    process, port, _ = started()
    before = workers_of(process)
    os.kill(before[0], signal.SIGTERM)
    wait_for(lambda: len(set(workers_of(process)) - set(before)) == 1 and before[0] not in workers_of(process))
    assert [predict(port, digit) for digit in range(10)] == list(range(10))


def test_a_replacement_that_cannot_load_leaves_the_others_serving(started, tmp_path, monkeypatch):
    flag = tmp_path / "broken"
    monkeypatch.setenv("BROKEN_FLAG", str(flag))
    process, port, log = started("breakable_predictor")
    flag.touch()
    os.kill(workers_of(process)[0], signal.SIGKILL)
    wait_for(lambda: "a replaced worker could not start: the artifact is damaged" in log.read_text())
    assert predict(port, 4) == 4
    flag.unlink()
    wait_for(lambda: len(workers_of(process)) == 2)
    assert process.poll() is None


def test_sigterm_while_the_workers_start_ends_them(started):
    process, _, log = started(waits=False)
    wait_for(lambda: len(workers_of(process)) == 2)
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    assert "Traceback" not in log.read_text()


def test_each_worker_sees_one_gpu(started):
    _, port, _ = started("gpu_predictor", "4", "GPU-x")
    seen = wait_for(lambda: _gpus_seen(port))
    assert seen == {"4", "GPU-x"}


def _gpus_seen(port):
    """The GPUs that two workers name as a class, once both have answered."""
    seen = {json.loads(get(port, "/v1/models"))["models"][0]["classes"][0] for _ in range(20)}
    return seen if len(seen) == 2 else None


def test_its_temporary_folder_is_gone_afterwards(started):
    process, _, _ = started()
    (worker, *_) = workers_of(process)
    environment = dict(line.partition(b"=")[::2] for line in Path(f"/proc/{worker}/environ").read_bytes().split(b"\0"))
    folder = Path(environment[b"PROMETHEUS_MULTIPROC_DIR"].decode())
    assert folder.is_dir()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert not folder.exists()
