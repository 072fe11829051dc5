"""Run the application on uvicorn, in this process or in several worker processes on the same sockets."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import multiprocessing
import os
import pickle
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from budgetnet.dotted_names import allow_dotted_names, dotted_names
from budgetnet.inference.errors import InferenceError
from budgetnet.serve.app import Application
from budgetnet.serve.logs import Handler, Log
from budgetnet.serve.models import Models, Offer, Served
from budgetnet.serve.settings import Settings
from budgetnet.serve.sockets import address_of

SHARED = "PROMETHEUS_MULTIPROC_DIR"  # as metrics.py has it, which must not be imported before this is set
VISIBLE = "CUDA_VISIBLE_DEVICES"
# Clients control how often other libraries log.
LEVELS = {"budgetnet.serve": logging.INFO, "uvicorn.error": logging.WARNING, "python_multipart": logging.CRITICAL}


def run(offers: Sequence[Offer], settings: Settings, sockets: list[socket.socket], workers: int, gpus: Sequence[str]) -> None:
    """Serve on listening ``sockets`` until SIGINT or SIGTERM, then finish the accepted requests and return.

    With several ``workers``, each process gets one of ``gpus`` (as CUDA_VISIBLE_DEVICES names them) if there are any, and uvicorn
    replaces those that die. Prints one line to stdout once every worker is ready. Raises InferenceError for models that cannot be loaded.
    """
    names = ", ".join(offer.facts.name for offer in offers)
    ready = f"budgetnet: serving {names} at {address_of(sockets)} (Ctrl-C ends it)"
    _raise_file_limit()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # uvicorn raises a signal again after it has ended: that is no error here
    if workers == 1:
        application = create_application(offers, settings, lambda: print(ready, flush=True))
        uvicorn.Server(_config(application, settings)).run(sockets)
        return
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # the workers report what matters
    with tempfile.TemporaryDirectory(prefix="budgetnet-metrics-") as folder:
        os.environ[SHARED] = folder
        factory = _Factory(offers, settings, workers, gpus, ready)
        supervisor = Multiprocess(_config(factory, settings, workers), sockets)
        supervisor.run()
        factory.raise_failure()


def create_application(offers: Sequence[Offer], settings: Settings, ready: Callable[[], None]) -> Application:
    """Load the models and set up logging to stderr; the application closes both when it ends. Raises InferenceError."""
    models = Models([Served(offer) for offer in offers])
    log = Log(settings.log_format, sys.stderr)
    logging.getLogger().addHandler(Handler(log))
    for name, level in LEVELS.items():
        logging.getLogger(name).setLevel(level)
    application = Application(models, settings, log)
    application.state.when_ready.append(ready)

    def close() -> None:
        for model in models:
            model.predictor.close()
        log.event("info", "ended")
        log.close()

    application.state.when_ended.append(close)
    return application


def _config(application: Application | _Factory, settings: Settings, workers: int = 1) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        factory=isinstance(application, _Factory),
        workers=workers,
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=settings.connections + 1,  # uvicorn counts the connection that asks
        timeout_graceful_shutdown=max(1, round(settings.grace)),
    )


class _Factory:
    """Create the application in a worker process; picklable."""

    def __init__(self, offers: Sequence[Offer], settings: Settings, workers: int, gpus: Sequence[str], ready: str) -> None:
        self._offers = pickle.dumps(tuple(offers))  # loaded in the worker once it can import the user's modules
        self._modules = dotted_names()
        self._settings, self._workers, self._gpus, self._line = settings, workers, gpus, ready
        context = multiprocessing.get_context("spawn")
        self._started, self._ready = context.Value("i", 0), context.Value("i", 0)
        self._failure = context.SimpleQueue()

    def __call__(self) -> Application:
        threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
        allow_dotted_names(self._modules)
        number = _increment(self._started) - 1
        if number >= self._workers:
            print("budgetnet: a worker died and is replaced", file=sys.stderr, flush=True)
        if self._gpus:
            os.environ[VISIBLE] = self._gpus[number % len(self._gpus)]
        from budgetnet.serve.metrics import forget_dead_workers

        forget_dead_workers()
        try:
            return create_application(pickle.loads(self._offers), self._settings, self._announce)
        except InferenceError as error:
            if not self._ready.value:
                self._failure.put(str(error))
                sys.exit(STARTUP_FAILURE)  # ends the supervisor
            print(f"budgetnet: a replaced worker could not start: {error}", file=sys.stderr, flush=True)
            sys.exit(1)  # it is tried again while the others go on

    def raise_failure(self) -> None:
        """Raise the InferenceError of the worker that could not start, if there was one."""
        if not self._failure.empty():
            raise InferenceError(self._failure.get())

    def _announce(self) -> None:
        if _increment(self._ready) == self._workers:
            print(self._line, flush=True)


def _increment(counter: multiprocessing.sharedctypes.Synchronized[int]) -> int:
    with counter.get_lock():
        counter.value += 1
        return counter.value


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "workers are started by a parent"
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _raise_file_limit() -> None:
    """Allow as many open connections as the system lets this process have."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def gpus() -> list[str]:
    """Return the GPUs as CUDA_VISIBLE_DEVICES names them, in order; empty without a driver or a GPU.

    Asks the driver, because importing torch takes seconds and would start CUDA in the parent process.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return []
    number = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(number)) != 0:
        return []
    named = os.environ.get(VISIBLE)
    return named.split(",")[: number.value] if named else [str(index) for index in range(number.value)]
