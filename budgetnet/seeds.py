"""Random numbers from a run's one seed."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import numpy as np

__all__ = ["global_states", "restore_global_states", "seed_globals", "stream_seed"]


def stream_seed(seed: int, purpose: str) -> int:
    """Return a seed for one purpose of a run, such as its data order, so that no two streams of random numbers overlap."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:6], "big")


def seed_globals(seed: int) -> None:
    """Seed Python's and NumPy's global generators, from which a user's ``forward`` may draw."""
    random.seed(stream_seed(seed, "python"))
    np.random.seed(stream_seed(seed, "numpy") % 2**32)


def global_states() -> dict[str, Any]:
    """Return the states of both generators as plain values, which a checkpoint can hold."""
    state: dict[str, Any] = dict(np.random.get_state(legacy=False))
    twister = {"key": state["state"]["key"].tolist(), "pos": int(state["state"]["pos"])}
    return {"python": random.getstate(), "numpy": state | {"state": twister}}


def restore_global_states(states: dict[str, Any]) -> None:
    random.setstate(states["python"])
    twister = states["numpy"]["state"]
    np.random.set_state(states["numpy"] | {"state": twister | {"key": np.array(twister["key"], dtype=np.uint32)}})
