"""Storage of the trials of a study: a SQLite file of its own by default, or the storage that a URL names."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

WAIT = 60  # seconds that a process waits for another one's write
HEARTBEAT, GRACE = 5, 20  # seconds between two signs of life of a trial, and without one until it is taken over
JOURNAL = "journal:"


class StorageError(Exception):
    """The storage cannot be used; the message names it and says what to do."""


class OptunaMissing(Exception):
    """Optuna is not installed; the message says how to install it."""


def require_optuna() -> Any:
    """The module, told to keep quiet. Raises OptunaMissing."""
    try:
        import optuna
    except ImportError as error:
        raise OptunaMissing("a sweep needs optuna, which is not installed; install it with: pip install 'budgetnet[sweep]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


class Store:
    """An open storage.

    ``url`` is SQLAlchemy's, as Optuna takes it (``sqlite:///file.db``, ``postgresql://…``), or ``journal:FILE`` for Optuna's journal,
    which also works on network file systems and has no heartbeat. Without one the file is ``<folder>/trials.db``.
    """

    def __init__(self, url: str | None, folder: Path) -> None:
        require_optuna()
        folder.mkdir(parents=True, exist_ok=True)
        self.url = url or f"sqlite:///{folder / 'trials.db'}"
        self.file = _file_of(self.url)
        self.name = self._name()  # as it may be printed: without a password
        # as it is recorded: a file beside the record goes by its name, so that the record can be copied elsewhere
        self.recorded = self.file.name if self.file is not None and self.file.parent == folder else self.name
        if self.file is not None and (not self.file.name or self.file.is_dir()):
            raise StorageError(f"the storage {self.url} names no file; expected one, as in sqlite:///trials.db or journal:trials.log")
        self.storage: BaseStorage = self._open()

    def _name(self) -> str:
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError

        if self.file is not None:
            return str(self.file)
        try:
            url = make_url(self.url)
        except (ArgumentError, ValueError):  # of a port that is no number; what they say may hold the password
            shown = self.url if "@" not in self.url and "?" not in self.url else f"{self.url.partition(':')[0]}:…"
            raise StorageError(
                f"the storage {shown} cannot be used, because it is no URL; expected one such as sqlite:///trials.db, journal:trials.log "
                "or postgresql://user:password@host:5432/database"
            ) from None
        host, database = ((part or "").rpartition("@")[2] for part in (url.host, url.database))  # of a password with an @ in it
        return f"{url.drivername}://{host}{f':{url.port}' if url.port else ''}/{database}"

    def _open(self) -> BaseStorage:
        from optuna.storages import JournalStorage, RDBStorage, RetryHeartbeatStaleTrialCallback
        from optuna.storages.journal import JournalFileBackend

        if self.file is not None and not self.file.parent.is_dir():
            raise StorageError(f"the storage {self.name} has no folder {self.file.parent}; make it, or choose another --storage")
        try:
            if self.url.startswith(JOURNAL):
                return JournalStorage(JournalFileBackend(str(self.file)))
            options = {"connect_args": {"timeout": WAIT}} if self.url.startswith("sqlite") else {}
            with _locked(self.file), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the heartbeat is experimental in Optuna
                again = RetryHeartbeatStaleTrialCallback()
                return RDBStorage(
                    self.url, options, heartbeat_interval=HEARTBEAT, grace_period=GRACE, heartbeat_stale_trial_callback=again
                )
        except Exception as error:  # drivers that are missing, servers that are down, files that are damaged: each has its own kind
            raise self.unusable(error) from error

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Convert exceptions of the storage to StorageError."""
        from optuna.exceptions import OptunaError
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (OptunaError, SQLAlchemyError) as error:
            raise self.unusable(error) from error

    def unusable(self, error: BaseException) -> StorageError:
        while isinstance(error.__cause__, Exception):
            error = error.__cause__
        said = type(error).__name__
        if self.file is not None and str(error):  # what a server's driver says may hold the password
            said += f": {str(error).splitlines()[0]}"
        mend = "move the file away to begin anew: finished runs are taken from their directories" if self.file else "see --storage"
        return StorageError(f"the storage {self.name} cannot be used ({said}); {mend}")

    def close(self) -> None:
        engine = getattr(self.storage, "engine", None)
        self.storage.remove_session()
        if engine is not None:
            engine.dispose()


@contextlib.contextmanager
def _locked(file: Path | None) -> Iterator[None]:
    """Lock the folder of ``file``: Optuna fails where two processes create the tables of one SQLite file at the same time."""
    if file is None:
        yield
        return
    import fcntl

    folder = os.open(file.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _file_of(url: str) -> Path | None:
    """The file that a URL names; None for a server."""
    if url.startswith(JOURNAL):
        return Path(url.removeprefix(JOURNAL).removeprefix("//"))
    if url.startswith("sqlite"):
        _, separator, path = url.partition(":///")
        return Path(path.partition("?")[0]) if separator and path else None
    return None
