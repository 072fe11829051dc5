"""One process that serves: opens the models, answers until it is told to end."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Callable, Sequence

from budgetnet.serve.app import Application
from budgetnet.serve.http.server import GracefulServer
from budgetnet.serve.http.sockets import allow_files
from budgetnet.serve.logs import Handler, Log
from budgetnet.serve.models import Models, Offer, Served
from budgetnet.serve.settings import Settings

# What is logged of others: a stranger must not choose how much, as with every form that is none.
LEVELS = {"budgetnet.serve": logging.INFO, "uvicorn.error": logging.WARNING, "python_multipart": logging.CRITICAL}
FILES = 5  # open files for each connection that is allowed: some more are told that they are too many


def serve(
    offers: Sequence[Offer], settings: Settings, sockets: list[socket.socket], ready: Callable[[], None], interrupts: bool = True
) -> None:
    """Returns after a signal and a graceful end; ``ready`` is called when every model is warm. Raises InferenceError at the start.

    Without ``interrupts`` Ctrl-C is left to whoever started this process.
    """
    models = Models([Served(offer) for offer in offers])
    log = Log(settings.log_format, sys.stderr)
    handler = Handler(log)
    root = logging.getLogger()
    root.addHandler(handler)
    for name, level in LEVELS.items():
        logging.getLogger(name).setLevel(level)
    allow_files(FILES * settings.connections)
    try:
        application = Application(models, settings, log)
        application.state.when_ready.append(ready)
        GracefulServer(application, settings, interrupts).run(sockets)
    finally:
        log.event("info", "ended")
        log.close()
        root.removeHandler(handler)
        for model in models:
            model.predictor.close()
