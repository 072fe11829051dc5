"""Counting parameters exactly, and the budget gate that stands before training."""

from __future__ import annotations

import contextlib
import copy
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from budgetnet.definition import Budget


@dataclass(frozen=True)
class Counts:
    """Exact integers; shared parameters count once.

    ``keras_total`` is what Keras prints as "Total params": trainable and non-trainable parameters plus the moving mean
    and variance of batch normalization, which torch keeps as buffers.
    """

    trainable: int
    non_trainable: int
    keras_total: int


def count(model: nn.Module) -> Counts:
    """The three counts of a module. A lazy parameter, which has no size yet, raises ValueError."""
    trainable = non_trainable = 0
    for parameter in model.parameters():  # yields a shared parameter once
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise ValueError("the model has a parameter without a shape yet; run one batch through it before counting")
        if parameter.requires_grad:
            trainable += parameter.numel()
        else:
            non_trainable += parameter.numel()
    moving = {
        id(buffer): buffer.numel() for name, buffer in model.named_buffers() if name.rpartition(".")[2] in ("running_mean", "running_var")
    }
    return Counts(trainable, non_trainable, trainable + non_trainable + sum(moving.values()))


@contextlib.contextmanager
def without_values() -> Iterator[None]:
    """Networks that are built in here have shapes and no values: they can be counted and not be run."""
    with torch.device("meta"), _SkippedNormal():
        yield


class _SkippedNormal(TorchFunctionMode):
    """Leaves out normal_, whose implementation without values imports torch's compiler: two seconds for nothing."""

    def __torch_function__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is nn.init.normal_:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@dataclass(frozen=True)
class GateVerdict:
    """``verdict`` is 'ok', 'over the bound', 'not the exact count' or 'not Keras's count'; the bound is on the trainable parameters."""

    counts: Counts
    budget: Budget
    verdict: str

    @property
    def passed(self) -> bool:
        return self.verdict == "ok"

    @property
    def headroom(self) -> int | None:
        return None if self.budget.bound is None else self.budget.bound - self.counts.trainable

    @property
    def sentence(self) -> str:
        """Return the counted and the allowed number of parameters, for a budget that is exceeded."""
        if self.verdict == "not Keras's count":
            return f"{self.counts.keras_total:,} parameters as Keras counts: its budget is exactly {self.budget.keras_total:,}"
        allowed = f"at most {self.budget.bound:,}" if self.verdict == "over the bound" else f"exactly {self.budget.exact:,}"
        return f"{self.counts.trainable:,} trainable parameters, {self.verdict}: its budget is {allowed}"


def check_budget(counts: Counts, budget: Budget) -> GateVerdict:
    """Hold an exact count against a budget; nothing is rounded."""
    if budget.bound is not None and counts.trainable > budget.bound:
        verdict = "over the bound"
    elif budget.exact is not None and counts.trainable != budget.exact:
        verdict = "not the exact count"
    elif budget.keras_total is not None and counts.keras_total != budget.keras_total:
        verdict = "not Keras's count"
    else:
        verdict = "ok"
    return GateVerdict(counts, budget, verdict)


@dataclass(frozen=True)
class LayerRow:
    """A row of the layer table: ``output_shape`` without the batch dimension."""

    layer: str
    output_shape: tuple[int, ...]
    parameters: int


@dataclass(frozen=True)
class LayerTable:
    rows: tuple[LayerRow, ...]
    total: int

    def text(self, largest_first: bool = False) -> str:
        """The table, aligned; the total is torchsummary's own."""
        rows = sorted(self.rows, key=lambda row: -row.parameters) if largest_first else self.rows
        lines = [f"{'layer':<22}{'output shape':<20}{'parameters':>12}"]
        lines += [f"{row.layer:<22}{row.output_shape!s:<20}{row.parameters:>12,}" for row in rows]
        return "\n".join([*lines, f"{'total':<22}{'':<20}{self.total:>12,}"])


class LayerTableUnavailable(Exception):
    """torchsummary is not installed, or the network does not run; the message says which."""


def layer_table(model: nn.Module, image_shape: tuple[int, int, int]) -> LayerTable:
    """The layers as torchsummary sees them, for one image of ``image_shape``.

    Runs on a copy, in evaluation mode, so that neither moving statistics nor the random state change.
    """
    try:
        from torchsummary import summary
    except ImportError as error:
        raise LayerTableUnavailable("the layer table needs torchsummary: pip install torchsummary") from error
    text = io.StringIO()
    try:
        probe = copy.deepcopy(model).cpu().eval()
    except Exception as error:  # copying runs a user's code
        raise LayerTableUnavailable(f"there is no layer table, because the network cannot be copied ({_told(error)})") from error
    with contextlib.redirect_stdout(text), torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            summary(probe, tuple(image_shape), device="cpu")
        except RuntimeError as error:  # the network itself fails on such an image
            raise LayerTableUnavailable(
                f"there is no layer table, because the network fails on an image of {image_shape}: {error}"
            ) from error
        except Exception as error:  # torchsummary takes neither several outputs, as an LSTM has, nor other inputs than tensors
            raise LayerTableUnavailable(
                f"there is no layer table, because torchsummary cannot read this network ({_told(error)})"
            ) from error
    rows = []
    for line in text.getvalue().splitlines():
        match = re.match(r"\s*(\S+)-(\d+)\s+\[(-?\d+(?:, \d+)*)\]\s+([\d,]+)\s*$", line)
        if match:
            kind, number, shape, parameters = match.groups()
            rows.append(LayerRow(f"{kind}-{number}", tuple(int(n) for n in shape.split(", ")[1:]), int(parameters.replace(",", ""))))
    total = re.search(r"Total params: ([\d,]+)", text.getvalue())
    if total is None or not rows:
        raise LayerTableUnavailable("torchsummary printed no table that can be read; version 1.5.1 is known to work")
    return LayerTable(tuple(rows), int(total.group(1).replace(",", "")))


def _told(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
