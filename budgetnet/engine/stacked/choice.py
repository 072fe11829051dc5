"""Which layout computes a stack fastest: measured on a GPU, where no rule holds from one to the next."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import torch

from budgetnet.engine.stacked.layouts import LAYOUTS, Layout
from budgetnet.engine.stacked.masks import Masks
from budgetnet.engine.stacked.stack import NotStackable, Stack

log = logging.getLogger(__name__)

MEASURED_STEPS = 20


def possible_layouts(stack: Stack, masks: Masks, engine: str = "stacked") -> dict[str, Layout]:
    """The layouts that can compute ``stack``, or the one that ``engine`` names. Raises NotStackable where none is left."""
    found: dict[str, Layout] = {}
    reasons = []
    for name in (engine,) if engine in LAYOUTS else LAYOUTS:
        try:
            found[name] = LAYOUTS[name](stack, masks)
        except NotStackable as error:
            reasons.append(f"{name}: {error}")
    if not found:
        raise NotStackable("; ".join(reasons))
    return found


def fastest(candidates: Mapping[str, Callable[[], None]]) -> str:
    """The name whose step takes the GPU least time; each is called once before the clock starts.

    Raises NotStackable where none runs, torch.OutOfMemoryError where that is for lack of memory.
    """
    milliseconds = {}
    exhausted: torch.OutOfMemoryError | None = None
    for name, step in candidates.items():
        try:
            step()
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            for _ in range(MEASURED_STEPS):
                step()
            end.record()
            end.synchronize()
        except torch.OutOfMemoryError as error:  # another layout may need less; if none does, fewer networks at once will
            exhausted = error
            continue
        except RuntimeError as error:  # a layout that the device or this version of torch cannot run is no candidate
            log.info("stacked networks cannot be computed %s: %s", name, str(error).splitlines()[0])
            continue
        milliseconds[name] = begin.elapsed_time(end) / MEASURED_STEPS
    if not milliseconds and exhausted is not None:
        raise exhausted
    if not milliseconds:
        raise NotStackable("no layout runs on this device")
    best = min(milliseconds, key=milliseconds.__getitem__)
    log.info("stacked networks are computed %s; milliseconds a step: %s", best, {k: round(v, 3) for k, v in milliseconds.items()})
    return best
