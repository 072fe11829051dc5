"""A compiled network on disk: the backend's files and a sidecar that says what they are and what they were made for.

A folder with ``artifact.json`` and the files that it names with their size and SHA-256. It is written beside its final place and renamed,
so that there is never half of one. Loading checks the sidecar first: nothing damaged reaches a backend's parser.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from budgetnet.inference.contract import Contract
from budgetnet.inference.errors import ArtifactError

FORMAT = 1
SIDECAR = "artifact.json"


@dataclass(frozen=True)
class Sidecar:
    """Description of an artifact.

    ``definition_hash`` and ``weights_hash`` say which run it was compiled from, ``fixed_batches`` for which batch sizes it holds a
    program of its own, ``versions`` and ``machine`` what it was built with and on (``gpu``, ``instructions``), as far as its
    backend depends on it, ``parity`` how far it was from the trained network on the test set, ``folded`` which
    normalizations were folded. ``files`` is name -> [bytes, SHA-256].
    """

    experiment: str
    seed: int
    definition_hash: str
    weights_hash: str
    parameters: int
    backend: str
    precision: str
    device: str
    optimum_batch: int
    fixed_batches: tuple[int, ...]
    max_batch: int
    contract: Contract
    folded: tuple[str, ...]
    versions: Mapping[str, str]
    machine: Mapping[str, Any]
    parity: Mapping[str, Any]
    environment: Mapping[str, Any]
    build_seconds: float
    files: Mapping[str, tuple[int, str]]
    format: int = FORMAT

    @property
    def name(self) -> str:
        return f"{self.backend}-{self.precision}"

    @property
    def bytes(self) -> int:
        return sum(size for size, _ in self.files.values())

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str, source: Path) -> Sidecar:
        """Raises ArtifactError, which names ``source``, for a text that is no sidecar of this version."""
        try:
            data = json.loads(text)
            found = data["format"]
            if found != FORMAT:
                raise ArtifactError(f"{source} has format {found!r}; this version of budgetnet reads {FORMAT}: compile it again")
            data["contract"] = Contract.from_json(data["contract"])
            data["fixed_batches"], data["folded"] = tuple(map(int, data["fixed_batches"])), tuple(map(str, data["folded"]))
            data["files"] = {str(name): (int(size), str(digest)) for name, (size, digest) in data["files"].items()}
            return cls(**{field.name: data[field.name] for field in fields(cls)})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ArtifactError(f"{source} is not a readable artifact ({type(error).__name__}: {error}); compile it again") from error


def described(folder: Path) -> dict[str, tuple[int, str]]:
    """Every file of ``folder`` but the sidecar, with its size and SHA-256."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SIDECAR)
    return {path.relative_to(folder).as_posix(): (path.stat().st_size, _digest(path)) for path in files}


def read_sidecar(folder: Path) -> Sidecar:
    """The sidecar alone. Raises ArtifactError where there is none, or none of this version."""
    path = folder / SIDECAR
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ArtifactError(f"{folder} holds no {SIDECAR}; make an artifact with: budgetnet compile EXPERIMENT") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path} cannot be read ({error}); compile it again") from error
    return Sidecar.from_json(text, path)


def verify_files(folder: Path, sidecar: Sidecar) -> None:
    """Raises ArtifactError unless every file is there with the size and the content that the sidecar says."""
    for name, (size, digest) in sidecar.files.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ArtifactError(f"{folder} names the file {name!r} outside of itself; do not load it")
        try:
            found = path.stat().st_size
            if found != size:
                raise ArtifactError(f"{path} has {found:,} bytes where {size:,} were written: truncated or replaced; compile it again")
            content = _digest(path)
        except OSError as error:
            raise ArtifactError(f"{path} cannot be read ({error.strerror}); compile it again") from error
        if content != digest:
            raise ArtifactError(
                f"{path} has changed since it was written (SHA-256 {content[:12]}…, expected {digest[:12]}…); compile it again"
            )


@contextlib.contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Yield a new folder that takes the place of ``folder`` if the block ends well, and is removed if not.

    What killed processes left of their own attempts is removed first.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        with _locked(temporary):
            yield temporary
            if folder.exists():
                old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
                folder.rename(old)
                temporary.rename(folder)
                shutil.rmtree(old, ignore_errors=True)
            else:
                temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_leftovers(folder: Path) -> None:
    """Remove temporary folders beside ``folder`` whose processes are dead; an artifact that one of them had moved aside is put back."""
    for path in folder.parent.iterdir():
        match = re.fullmatch(r"\.(.+)\.(\d+)\.(tmp|old)", path.name)
        if match is None or _runs(int(match[2])) or not _unused(path):
            continue
        artifact = path.with_name(match[1])
        if match[3] == "old" and not artifact.exists():
            path.rename(artifact)
        else:
            shutil.rmtree(path, ignore_errors=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # another user's
    return True


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a lock on ``folder``: processes of other containers and hosts, whose numbers mean nothing here, see that it is in use."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # file systems without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _unused(folder: Path) -> bool:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # gone, or another user's
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
