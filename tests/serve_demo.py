"""A network that can be foretold, and an application, a server and clients around it, for the tests of the server."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import io
import json
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator

import httpx
import numpy as np
from PIL import Image, ImageDraw

from budgetnet.data.specs import MNIST
from budgetnet.inference.contract import Contract
from budgetnet.inference.errors import ArtifactError
from budgetnet.inference.predictor import Predictor
from budgetnet.serve.app import Application
from budgetnet.serve.logs import Log
from budgetnet.serve.models import Facts, Models, Offer, Served
from budgetnet.serve.settings import Settings

CONTRACT = Contract.of(MNIST)
DEFAULTS = Settings()


class Session:
    """Its logits are the first ten pixels, times twenty. ``seconds`` is how long a batch takes; ``error`` is raised if there is one."""

    concurrent = True

    def __init__(self, seconds=0.0):
        self.seconds, self.error = seconds, None
        self.batches = []
        self.threads = set()

    def __call__(self, pixels):
        self.batches.append(len(pixels))
        self.threads.add(threading.current_thread().name)
        time.sleep(self.seconds if pixels.any() else min(self.seconds, 0.002))  # warming up shows that it is slow, and takes no time
        if self.error is not None:
            raise self.error
        return 20 * pixels[:, 0, 0, :10].copy()

    def close(self):
        self.batches.append("closed")


def facts(name="demo"):
    return Facts(
        name=name, title=f"{name} for tests", parameters=1234, budget=2000, budget_text="1,234 of at most 2,000 parameters",
        accuracy=99.5, seed=0, source="weights of nowhere", own=False,
    )  # fmt: skip


def slow_predictor(seconds=0.0):
    """Picklable by name, with its argument."""
    return Predictor(Session(seconds), CONTRACT, 256)


def broken_predictor():
    raise ArtifactError("the artifact is damaged; compile it again")


def breakable_predictor():
    """Cannot be loaded as long as a file exists."""
    return broken_predictor() if os.path.exists(os.environ["BROKEN_FLAG"]) else slow_predictor()


def gpu_predictor():
    """Its first class is named like the GPU that its process may use."""
    names = (os.environ["CUDA_VISIBLE_DEVICES"], *map(str, range(1, 10)))
    return Predictor(Session(), dataclasses.replace(CONTRACT, class_names=names), 256)


def no_test_set():
    raise LookupError("there is no test set here")


def small_test_set():
    """Forty images of the digits 0 to 9; the last ten are labelled as the next digit: errors."""
    digits = np.arange(40) % 10
    labels = np.where(np.arange(40) < 30, digits, (digits + 1) % 10)
    return images_of(*digits)[:, None], labels


def offer(name="demo", seconds=0.0, tests=no_test_set, load=None):
    from functools import partial

    return Offer(facts(name), load or partial(slow_predictor, seconds), tests)


def served(name="demo", seconds=0.0, tests=no_test_set):
    """Loaded, and with nothing on record yet."""
    found = Served(offer(name, seconds, tests))
    found.predictor._session.batches.clear()
    found.predictor._session.threads.clear()
    return found


def images_of(*digits):
    """Images (n, 28, 28) uint8 that the demo network reads as ``digits``."""
    images = np.zeros((len(digits), 28, 28), dtype=np.uint8)
    for place, digit in enumerate(digits):
        images[place, 0, digit] = 255
    images[:, 12:16, 12:16] = 255  # or they would be blank
    return images


def picture(digit_like="1", size=(80, 80), form="PNG"):
    """A file of a picture with a stroke on it."""
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).line(
        (size[0] // 2, size[1] // 5, size[0] // 2, size[1] - size[1] // 5), fill="black", width=max(3, size[0] // 12)
    )
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


class Written(io.StringIO):
    """A log's stream."""

    @property
    def lines(self):
        return [json.loads(line) for line in self.getvalue().splitlines()]


@contextlib.asynccontextmanager
async def application(*models, settings=DEFAULTS, stream=None) -> AsyncIterator[tuple[Application, httpx.AsyncClient]]:
    """A running application without a server, warm, and a client that calls it."""
    log = Log("json", stream or io.StringIO())
    app = Application(Models(models or [served()]), settings, log)
    async with app.running():
        while app.state.name == "warming_up":
            await asyncio.sleep(0.005)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            yield app, client
    log.close()


def run(coroutine):
    """As a test without asyncio calls one with it."""
    return asyncio.run(coroutine)


@contextlib.contextmanager
def server(*offers, settings=DEFAULTS, stream=None) -> Iterator[tuple[str, int, object]]:
    """A real server in a thread of this process: its host, its port, and uvicorn's object."""
    import uvicorn

    from budgetnet.serve.server import _config
    from budgetnet.serve.sockets import listen

    log = Log("json", stream or io.StringIO())
    app = Application(Models([Served(one) for one in offers or (offer(),)]), settings, log)
    sockets = listen("127.0.0.1", 0)
    port = sockets[0].getsockname()[1]
    ready = threading.Event()
    app.state.when_ready.append(ready.set)
    running = uvicorn.Server(_config(app, settings))
    thread = threading.Thread(target=running.run, args=(sockets,))
    thread.start()
    try:
        assert ready.wait(20)
        yield "127.0.0.1", port, running
    finally:
        running.should_exit = True
        thread.join(30)
        log.close()
        for one in sockets:
            one.close()
    assert not thread.is_alive()


def connect(port, *, timeout=20):
    return socket.create_connection(("127.0.0.1", port), timeout=timeout)


def read_all(connection):
    """What comes until the other side closes."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def read_answer(connection):
    """One answer of a connection that stays open: status, headers, body."""
    content = b""
    while b"\r\n\r\n" not in content:
        part = connection.recv(65536)
        assert part, f"closed after {content!r}"
        content += part
    head, _, body = content.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65536)
    return int(lines[0].split()[1]), headers, body


def request_bytes(images, *, path="/v1/predict", headers=""):
    """POST of raw images, as it goes over the wire."""
    body = images.tobytes()
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/octet-stream", f"Content-Length: {len(body)}"]
    head = "\r\n".join([*lines, headers + "\r\n"])
    return head.encode() + body
