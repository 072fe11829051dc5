"""Fetching the files of a data set with torchvision's download machinery."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

from budgetnet.definition import DataFile, DataSet

__all__ = ["DownloadError", "fetch"]

TIMEOUT = 30.0  # seconds without an answer; torchvision sets none, and a network that drops packets would hang for minutes


class DownloadError(Exception):
    """No mirror gave a file; the message names each address and its reason."""


def fetch(data_set: DataSet, files: Sequence[DataFile], root: Path) -> None:
    """Download ``files`` as ``<root>/<folder>/<name>.gz``, each verified before it takes its place.

    Nothing that exists is replaced. Raises DownloadError, leaving no part of a file behind.
    """
    folder = root / data_set.folder
    for file in files:
        target = folder / f"{file.name}.gz"
        if target.exists():
            continue
        content = _download(data_set, file)
        partial = target.with_name(f"{target.name}.{os.getpid()}.part")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content)
            partial.replace(target)  # atomic: an interrupted download never looks like a file
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise DownloadError(f"{target} cannot be written ({error.strerror})") from error


def _download(data_set: DataSet, file: DataFile) -> bytes:
    """The compressed, verified content of ``file`` from the first mirror that gives it."""
    from torchvision.datasets.utils import download_url

    from budgetnet.data.verify import DataError, read_verified

    reasons = []
    for mirror in data_set.mirrors:
        url = f"{mirror.rstrip('/')}/{file.name}.gz"
        with tempfile.TemporaryDirectory() as scratch, _timeout(TIMEOUT):
            path = Path(scratch) / f"{file.name}.gz"
            try:
                download_url(url, scratch, path.name)
                read_verified(path, file.sha256)
                return path.read_bytes()
            except DataError as error:  # a mirror that answers with something else, as captive portals do
                reasons.append(f"{url} gave a wrong file ({str(error).split('; ')[0]})")
            except (OSError, RuntimeError, ValueError, HTTPException) as error:  # URLError is an OSError
                reasons.append(f"{url}: {getattr(error, 'reason', None) or error}")
    raise DownloadError("; ".join(reasons))


@contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
