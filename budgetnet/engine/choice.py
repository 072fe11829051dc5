"""Choose the path that trains a network: the requested one, or the fastest in a short probe on this machine.

The probe's outcome is kept in the user's cache folder: it costs a second once, and a run that is repeated on the same
machine takes the same path, and so gives the same weights bit for bit. An outcome that was measured on a busy machine is used
and not kept. Another version of torch, another processor, or a change of the kernels asks for a new probe.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import itertools
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from budgetnet import cache
from budgetnet.definition import Recipe
from budgetnet.engine.cpu.agreement import check_agreement
from budgetnet.engine.cpu.build import KernelsUnavailable, library_key, processor
from budgetnet.engine.cpu.lowering import NotLowerable
from budgetnet.engine.paths import EagerPath, KernelPath, Path
from budgetnet.engine.probe import Comparison, compare

log = logging.getLogger(__name__)

# Compiling delays the first step by more than a probe may take, so it has to be asked for.
ENGINES = ("auto", "kernels", "eager", "channels-last", "compiled", "compiled-channels-last", "stacked", "grouped", "vmapped", "branches")
PRECISIONS = ("recipe", "fp32", "bf16", "auto")
# Images of a probed step at most: the batch size may exceed the data set, and the order of the paths does not depend on more.
MOST_IMAGES = 1024
WARM_UP = 1  # steps of a candidate before its first measured one, which allocate memory and the optimizer's state


class EngineError(Exception):
    """A path was asked for that this machine or network cannot take; the message says why."""


@dataclass(frozen=True)
class Settings:
    """The chosen engine and its settings.

    ``engine`` 'auto' takes what is fastest here, every other insists. ``precision`` is for recipes that leave it open: 'recipe'
    computes in fp32 then, 'fp32' and 'bf16' insist, 'auto' takes the fastest of them here. A probe's outcome that was kept before
    ``probed_since``, in seconds since the epoch, is measured again.
    """

    device: str = "cpu"
    engine: str = "auto"
    threads: int = 1
    precision: str = "recipe"
    probed_since: float = 0.0


Builder = Callable[[nn.Module, Recipe], Path]


def processor_has_bf16() -> bool:
    """Return whether this CPU has instructions for bf16: without matrix or dot instructions it is emulated and slower."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
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
    if "fp32" in possible and _kernels_take(model, image_shape):
        builders["kernels", "fp32"] = lambda some, its_recipe: KernelPath(some, its_recipe, image_shape, settings.threads)
    for name, precision in itertools.product(("eager", "channels-last"), possible):
        builders[name, precision] = lambda some, its_recipe, name=name, precision=precision: EagerPath(  # type: ignore[misc]
            some, its_recipe, device, precision, name
        )
    probed = replace(recipe, batch_size=min(recipe.batch_size, MOST_IMAGES))
    return builders[_fastest(builders, model, probed, image_shape, settings)](model, recipe)


def _kernels_take(model: nn.Module, image_shape: tuple[int, int, int]) -> bool:
    try:
        check_agreement(model, image_shape)
    except NotLowerable as error:
        log.info("not for the C kernels: %s", error)
        return False
    except KernelsUnavailable as error:
        log.warning("training takes the slower plain torch path, because the C kernels cannot be had: %s", error)
        return False
    return True


def precisions(recipe: Recipe, settings: Settings) -> tuple[str, ...]:
    """Return the precisions that a path may use: the recipe's; where it leaves that open fp32, unless ``settings`` ask for another.

    Only 'auto' gives more than one, where a probe can compare them: on a CPU that has instructions for bf16.
    """
    if recipe.precision != "auto":
        if settings.precision not in ("recipe", "auto", recipe.precision):
            raise EngineError(f"--precision is {settings.precision}, and the recipe says {recipe.precision}; expected that, or none")
        return (recipe.precision,)
    if settings.precision in ("fp32", "bf16"):
        return (settings.precision,)
    compared = settings.precision == "auto" and settings.engine == "auto" and settings.device == "cpu"
    return ("fp32", "bf16") if compared and processor_has_bf16() else ("fp32",)


def _asked_for(model: nn.Module, recipe: Recipe, image_shape: tuple[int, int, int], settings: Settings, precision: str) -> Path:
    if settings.engine != "kernels":
        return EagerPath(model, recipe, torch.device(settings.device), precision, settings.engine)
    try:
        if precision != "fp32":
            raise NotLowerable(f"the precision is {precision}")
        if settings.device != "cpu":
            raise NotLowerable("the device is no CPU")
        check_agreement(model, image_shape)
        return KernelPath(model, recipe, image_shape, settings.threads)
    except (KernelsUnavailable, NotLowerable) as error:
        raise EngineError(f"the kernels cannot train this: {error}; use --engine eager") from error


def _fastest(
    builders: Mapping[tuple[str, str], Builder], model: nn.Module, recipe: Recipe, image_shape: tuple[int, int, int], settings: Settings
) -> tuple[str, str]:
    """The name and precision of the path whose steps cost least, measured now or on an earlier day."""
    key = _key(builders, model, recipe, image_shape, settings)
    kept = _read(key, builders, settings.probed_since)
    if kept is None:
        compared = _probe(builders, model, recipe, image_shape, settings.threads)
        milliseconds = {" ".join(path): round(1000 * seconds, 3) for path, seconds in compared.seconds.items()}
        found: dict[str, Any] = {"path": compared.fastest, "milliseconds": milliseconds, "measured": time.time()}
        kept = _read(key, builders, settings.probed_since)  # concurrent probes: the first outcome written wins
        if kept is None:
            kept = found
            if compared.trusted:
                cache.write(key, json.dumps(found).encode())
            else:
                log.info("the machine was busy while the paths were compared: the outcome is used for this run and not kept")
    log.info("%s is fastest here; milliseconds a step of %d images: %s", " ".join(kept["path"]), recipe.batch_size, kept["milliseconds"])
    name, precision = kept["path"]
    return name, precision


def _key(
    builders: Mapping[tuple[str, str], Builder], model: nn.Module, recipe: Recipe, image_shape: tuple[int, int, int], settings: Settings
) -> str:
    """The name of the kept outcome, from everything that it depends on."""
    kernels = library_key() if ("kernels", "fp32") in builders else ""
    asked = [sorted(builders), repr(model), repr(recipe.optimizer), recipe.batch_size, image_shape, settings.threads]
    return f"probe-{hashlib.sha256(repr([*asked, torch.__version__, processor(), kernels]).encode()).hexdigest()[:16]}.json"


def _read(key: str, builders: Mapping[tuple[str, str], Builder], since: float) -> dict[str, Any] | None:
    try:
        kept: dict[str, Any] = json.loads(cache.read(key) or b"")
        return kept if tuple(kept["path"]) in builders and "milliseconds" in kept and kept["measured"] >= since else None
    except (ValueError, KeyError, TypeError):
        return None


def _probe(
    builders: Mapping[tuple[str, str], Builder], model: nn.Module, recipe: Recipe, image_shape: tuple[int, int, int], threads: int
) -> Comparison[tuple[str, str]]:
    """Compare the paths that can train a copy of ``model``. Neither the model nor a random state changes."""
    with torch.random.fork_rng(devices=[]):
        images, labels = torch.randn(recipe.batch_size, *image_shape), torch.zeros(recipe.batch_size, dtype=torch.int64)
        candidates: dict[tuple[str, str], Callable[[], object]] = {}
        for name, make in builders.items():
            try:
                step = functools.partial(make(copy.deepcopy(model), recipe).step, images, labels)
                for _ in range(WARM_UP):
                    step()
            except Exception as error:  # of a network that cannot be copied, or that a path does not take
                log.info("no candidate: %s: %s", " ".join(name), (str(error).splitlines() or [type(error).__name__])[0])
                continue
            candidates[name] = step
        if not candidates:  # the first one's first step then says why
            return Comparison(next(iter(builders)), {}, trusted=False)
        return compare(candidates, threads)
