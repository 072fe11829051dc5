"""The directory of a run: locked while it is written, every file replaced atomically, the result last.

``runs/<experiment>/seed-<n>/`` holds ``result.json`` (its presence means finished) or ``partial.json``, ``checkpoint.pt``,
``weights.safetensors``, ``diagnostics.json``, ``events.out.tfevents.*`` and ``log.txt``.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from budgetnet.diagnostics.record import DIAGNOSTICS, Diagnostics
from budgetnet.results import FINISHED, PARTIAL, Result, read_result


class RunDirectoryError(Exception):
    """The directory cannot be used; the message names it and says what to do."""


class RunInUse(RunDirectoryError):
    """Another process has the directory."""


def write_atomically(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content`` or leave it as it was; raises OSError (full disk, no permission)."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


class RunDirectory:
    """The files of a run. Use ``open_run`` to get a locked one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def checkpoint_path(self) -> Path:
        return self.path / "checkpoint.pt"

    def result(self) -> Result | None:
        return read_result(self.path)

    def load_checkpoint(self) -> dict[str, Any] | None:
        """The last checkpoint, whatever definition it is of, or None. Raises RunDirectoryError where it cannot be read."""
        import torch

        if not self.checkpoint_path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(self.checkpoint_path, map_location="cpu", weights_only=True)
            state["definition_hash"], state["records"]
        except Exception as error:  # torch raises many kinds for a damaged file
            raise RunDirectoryError(
                f"{self.checkpoint_path} cannot be read ({type(error).__name__}); delete it to start this run again"
            ) from error
        return state

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        import torch

        buffer = io.BytesIO()  # written by us, so that a full disk is an OSError and the old file stays
        torch.save(state, buffer)
        write_atomically(self.checkpoint_path, buffer.getvalue())

    def save_weights(self, model_state: dict[str, Any]) -> bool:
        """``weights.safetensors``; False where safetensors is not installed or cannot hold them (the checkpoint does as well)."""
        try:
            from safetensors.torch import save

            # each in a memory of its own: the format refuses tensors that share theirs, as tied weights do
            content = save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in model_state.items()})
        except (ImportError, AttributeError, TypeError, ValueError, RuntimeError, KeyError) as error:  # of states that are no plain tensors
            self.log(f"the weights are in checkpoint.pt only: safetensors cannot write them ({type(error).__name__}: {error})")
            return False
        write_atomically(self.path / "weights.safetensors", content)
        return True

    def save_diagnostics(self, record: Diagnostics) -> None:
        write_atomically(self.path / DIAGNOSTICS, record.to_json().encode())

    def save_result(self, result: Result) -> None:
        """The record, as finished or as partial; the last file that a run writes."""
        write_atomically(self.path / (FINISHED if result.finished else PARTIAL), result.to_json().encode())
        if result.finished:
            (self.path / PARTIAL).unlink(missing_ok=True)

    def drop_weights(self) -> None:
        """Remove what only weights need, of a run whose record is all that counts; a finished run stays finished."""
        for name in (self.checkpoint_path.name, "weights.safetensors"):
            (self.path / name).unlink(missing_ok=True)

    def log(self, line: str) -> None:
        with open(self.path / "log.txt", "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")

    def set_aside(self, definition_hash: str) -> str:
        """Move what an older definition or network left into a folder, whose name is returned: nothing is lost, nothing is mixed."""
        target = self.path / f"stale-{definition_hash}"
        number = 1
        while target.exists():
            number += 1
            target = self.path / f"stale-{definition_hash}-{number}"
        target.mkdir()
        for file in self.path.iterdir():
            if file.is_file() and file.name != "lock":
                file.rename(target / file.name)
        return target.name


@contextlib.contextmanager
def open_run(root: Path, experiment: str, seed: int) -> Iterator[RunDirectory]:
    """The locked directory of a run. Raises RunDirectoryError while another process holds it or where it cannot be written."""
    path = root / experiment / f"seed-{seed}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = open(path / "lock", "a+", encoding="utf-8")  # noqa: SIM115 (held as long as the run lasts)
    except OSError as error:
        raise RunDirectoryError(f"the run directory {path} cannot be written ({error.strerror}); choose another with --runs DIR") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            raise RunInUse(f"{path} is in use by another budgetnet process (pid {owner}); wait for it, or choose --runs DIR") from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield RunDirectory(path)
