"""``serve``: trained networks behind HTTP."""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from budgetnet.catalogue import Catalogue
from budgetnet.cli import OK, OTHER, complain
from budgetnet.definition import Experiment
from budgetnet.inference.errors import InferenceError
from budgetnet.results import ResultError
from budgetnet.weights import WeightsError

if TYPE_CHECKING:
    from budgetnet.serve.models import Offer
    from budgetnet.serve.settings import Settings

KEY = "BUDGETNET_API_KEY"
DEFAULT = "step-13"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")
PACKAGES = ("fastapi", "uvicorn", "httptools", "orjson", "prometheus_client", "python_multipart")


class KeyFileError(Exception):
    """The API key cannot be read; the message says why and how to mend it."""


def serve(arguments: Namespace, catalogue: Catalogue) -> int:
    """Serve until a signal ends it; 0 then, and 1 with a sentence where it cannot."""
    lacking = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if lacking:
        return complain(f"serving needs {', '.join(lacking)}, which is not installed: pip install 'budgetnet[serve]'", OTHER)
    from budgetnet.serve.server import gpus, run
    from budgetnet.serve.sockets import AddressError, listen

    experiments = catalogue.select(list(dict.fromkeys([*arguments.names, *arguments.models])) or [DEFAULT])
    sockets: list[socket.socket] = []
    try:
        settings = _settings(arguments)
        if arguments.host not in LOOPBACK and settings.api_key is None:
            _say(f"warning: anyone who reaches --host {arguments.host} may use the server; set a key with --api-key-file")
        sockets = listen(arguments.host, arguments.port)
        found = gpus() if arguments.device != "cpu" else []
        offers = _offers(experiments, arguments, "cuda" if found or arguments.device == "cuda" else "cpu")
        run(offers, settings, sockets, arguments.workers or max(1, len(found)), found)
    except (AddressError, KeyFileError, WeightsError, ResultError, InferenceError) as error:
        return complain(error, OTHER)
    finally:
        for one in sockets:
            one.close()
    return OK


def _offers(experiments: Sequence[Experiment], arguments: Namespace, device: str) -> list[Offer]:
    from budgetnet.commands.served_networks import offer

    found = [offer(experiment, arguments, device, _say) for experiment in experiments]
    for one in found:
        _say(f"{one.facts.name}: {one.facts.source}")
    return found


def _settings(arguments: Namespace) -> Settings:
    from budgetnet.serve.settings import Settings

    return Settings(
        queue=arguments.queue, max_body=arguments.max_body, timeout=arguments.timeout, connections=arguments.connections,
        grace=arguments.grace, api_key=_key(arguments.api_key_file), cors_origins=tuple(arguments.cors_origin),
        log_format=arguments.log_format,
        allowed_hosts=(*LOOPBACK, *map(str.lower, arguments.allowed_host)) if arguments.host in LOOPBACK else (),
    )  # fmt: skip


def _key(path: Path | None) -> bytes | None:
    """The API key, of a file or of the environment; never of the command line, which everyone on the machine can read."""
    if path is None:
        found, place = os.fsencode(os.environ.get(KEY, "")).strip(), KEY
    else:
        try:
            found, place = path.read_bytes().strip(), str(path)
        except OSError as error:
            raise KeyFileError(f"--api-key-file {str(path)!r} cannot be read ({error.strerror}); expected a file with the key") from error
        if not found:
            raise KeyFileError(f"--api-key-file {str(path)!r} is empty; expected a file with the key")
    if any(not 32 < byte < 127 for byte in found):
        raise KeyFileError(f"the API key of {place} holds blanks or other signs than ASCII; expected letters, digits and punctuation")
    return found or None


def _say(line: str) -> None:
    print(f"budgetnet: {line}", file=sys.stderr, flush=True)
