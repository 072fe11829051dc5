"""Which path trains a network here: what was asked for, or what a short probe on this machine finds fastest.

The probe's outcome is kept in the user's cache folder: it costs a second once, and a run that is repeated on the same
machine takes the same path, and so gives the same weights bit for bit.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from budgetnet import cache
from budgetnet.definition import Recipe
from budgetnet.engine.cpu.build import KernelsUnavailable, load, processor
from budgetnet.engine.cpu.lowering import NotLowerable, lower
from budgetnet.engine.paths import EagerPath, KernelPath, Path

log = logging.getLogger(__name__)

# Compiling delays the first step by more than a probe may take, so it has to be asked for.
ENGINES = ("auto", "kernels", "eager", "channels-last", "compiled", "compiled-channels-last", "stacked", "grouped", "vmapped", "branches")
PRECISIONS = ("auto", "fp32", "bf16")
# Steps of a candidate: first off the clock, then on it, until enough steps or seconds have gone by.
WARM_UP, FEWEST, PROBED_STEPS, PROBED_SECONDS = 2, 3, 10, 0.3


class EngineError(Exception):
    """A path was asked for that this machine or network cannot take; the message says why."""


@dataclass(frozen=True)
class Settings:
    """How to run: ``engine`` 'auto' takes what is fastest here, every other insists; ``precision`` is for recipes that leave it open."""

    device: str = "cpu"
    engine: str = "auto"
    threads: int = 1
    precision: str = "auto"


Builder = Callable[[nn.Module], Path]


def processor_has_bf16() -> bool:
    """Whether bf16 may be worth autocasting to on this CPU: without matrix or dot instructions it is emulated and slower."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            flags = next((line for line in file if line.startswith(("flags", "Features"))), "").split()
    except OSError:
        return False
    return bool({"amx_bf16", "avx512_bf16", "bf16"} & set(flags))


def choose_path(model: nn.Module, recipe: Recipe, image_shape: tuple[int, int, int], settings: Settings) -> Path:
    """The path for ``model``, whose parameters it takes over. Raises EngineError where one is insisted on and cannot be had."""
    device = torch.device(settings.device)
    possible = precisions(recipe, settings)
    if settings.engine != "auto":
        return _asked_for(model, recipe, image_shape, settings, possible[0])
    if device.type != "cpu":
        return EagerPath(model, recipe, device, possible[0])
    builders: dict[tuple[str, str], Builder] = {}
    if "fp32" in possible and _kernels_take(model):
        builders["kernels", "fp32"] = lambda some: KernelPath(some, recipe, image_shape, settings.threads)
    for name, precision in itertools.product(("eager", "channels-last"), possible):
        builders[name, precision] = lambda some, name=name, precision=precision: EagerPath(some, recipe, device, precision, name)  # type: ignore[misc]
    return builders[_fastest(builders, model, recipe, image_shape, settings)](model)


def _kernels_take(model: nn.Module) -> bool:
    try:
        lower(model)
        load()
    except NotLowerable as error:
        log.info("not for the C kernels: %s", error)
        return False
    except KernelsUnavailable as error:
        log.warning("training takes the slower plain torch path, because the C kernels cannot be had: %s", error)
        return False
    return True


def precisions(recipe: Recipe, settings: Settings) -> tuple[str, ...]:
    """What a path may compute in: what the recipe says; where it leaves that open what was asked for, else what may pay here."""
    if recipe.precision != "auto":
        if settings.precision not in ("auto", recipe.precision):
            raise EngineError(f"--precision is {settings.precision}, and the recipe says {recipe.precision}; expected that, or none")
        return (recipe.precision,)
    if settings.precision != "auto":
        return (settings.precision,)
    probed = settings.engine == "auto" and settings.device == "cpu"
    return ("fp32", "bf16") if probed and processor_has_bf16() else ("fp32",)


def _asked_for(model: nn.Module, recipe: Recipe, image_shape: tuple[int, int, int], settings: Settings, precision: str) -> Path:
    if settings.engine != "kernels":
        return EagerPath(model, recipe, torch.device(settings.device), precision, settings.engine)
    try:
        if precision != "fp32":
            raise NotLowerable(f"the precision is {precision}")
        if settings.device != "cpu":
            raise NotLowerable("the device is no CPU")
        return KernelPath(model, recipe, image_shape, settings.threads)
    except (KernelsUnavailable, NotLowerable) as error:
        raise EngineError(f"the kernels cannot train this: {error}; use --engine eager") from error


def _fastest(
    builders: Mapping[tuple[str, str], Builder], model: nn.Module, recipe: Recipe, image_shape: tuple[int, int, int], settings: Settings
) -> tuple[str, str]:
    """The name and precision of the path whose steps take least time, measured now or on an earlier day."""
    asked = [sorted(builders), repr(model), repr(recipe.optimizer), recipe.batch_size, image_shape, settings.threads]
    key = f"probe-{hashlib.sha256(repr([*asked, torch.__version__, processor()]).encode()).hexdigest()[:16]}.json"
    kept = _read(key, builders)
    if kept is None:
        measured = {path: _milliseconds(build, model, recipe.batch_size, image_shape) for path, build in builders.items()}
        found = {"path": min(measured, key=measured.__getitem__), "milliseconds": {" ".join(path): ms for path, ms in measured.items()}}
        kept = _read(key, builders)  # of processes that probe at once, the first to finish speaks for all
        if kept is None:
            cache.write(key, json.dumps(found).encode())
            kept = found
    log.info("%s is fastest here; milliseconds a step of %d images: %s", " ".join(kept["path"]), recipe.batch_size, kept["milliseconds"])
    name, precision = kept["path"]
    return name, precision


def _read(key: str, builders: Mapping[tuple[str, str], Builder]) -> dict[str, Any] | None:
    try:
        kept: dict[str, Any] = json.loads(cache.read(key) or b"")
        return kept if tuple(kept["path"]) in builders and "milliseconds" in kept else None
    except (ValueError, KeyError, TypeError):
        return None


def _milliseconds(build: Builder, model: nn.Module, batch_size: int, image_shape: tuple[int, int, int]) -> float:
    """Of the fastest step, because whatever else the machine does only adds time; infinite where the path cannot train the network.

    Neither the model nor a random state changes.
    """
    with torch.random.fork_rng(devices=[]):
        images, labels = torch.randn(batch_size, *image_shape), torch.zeros(batch_size, dtype=torch.int64)
        try:
            path = build(copy.deepcopy(model))
            for _ in range(WARM_UP):
                path.step(images, labels)
        except (NotLowerable, RuntimeError, ValueError) as error:
            log.info("no candidate: %s", str(error).splitlines()[0])
            return math.inf
        times: list[float] = []
        while len(times) < FEWEST or (len(times) < PROBED_STEPS and sum(times) < PROBED_SECONDS):
            started = time.perf_counter()
            path.step(images, labels)
            times.append(time.perf_counter() - started)
    return round(1000 * min(times), 3)
