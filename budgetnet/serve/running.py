"""From models and settings to a server that runs until it is told to end: in this process, or in several."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Sequence

from budgetnet.serve.http.sockets import address_of
from budgetnet.serve.models import Offer
from budgetnet.serve.settings import Settings


def run(
    offers: Sequence[Offer], settings: Settings, sockets: list[socket.socket], workers: int, gpus: Sequence[str], say: Callable[[str], None]
) -> None:
    """Serve on ``sockets``; returns after a graceful end. Raises InferenceError for models that cannot be opened, or WorkersError."""
    address = address_of(sockets)

    def ready() -> None:
        names = ", ".join(offer.facts.name for offer in offers)
        print(f"budgetnet: serving {names} at {address} (Ctrl-C ends it)", flush=True)

    try:
        if workers == 1:
            from budgetnet.serve.http.worker import serve

            serve(offers, settings, sockets, ready)
        else:
            from budgetnet.serve.http.workers import Workers

            Workers(offers, settings, sockets, workers, gpus).run(ready, say)
    finally:
        for one in sockets:
            one.close()
        sys.stdout.flush()
