"""Operations as the records, tables and buffers that the C kernels read: lowering.py says what to compute, this says from where to where.

Positions count vectors of LANES floats. A view begins at the first pixel of the first channel of the first block.
"""

from __future__ import annotations

import ctypes
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from budgetnet.engine.cpu.lowering import (
    Activation,
    Convolution,
    Elementwise,
    Linear,
    Lowered,
    NotLowerable,
    Operation,
    Value,
    features,
)

MEMORY = 1 << 30  # bytes of working memory from which on a network is left to plain torch
CHUNK = 32  # pixels that share a pass over a convolution's weights

KINDS = (  # of steps, as in program.c
    "take images",
    "give logits",
    "convolution",
    "linear layer",
    "gradient of convolution weights",
    "gradient of linear weights",
    "batch statistics",
    "elementwise forward",
    "elementwise backward",
    "gradient through normalization",
    "gradient of slopes",
    "sum of weight gradients",
    "pack weights",
)
TAKE, GIVE, CONVOLVE, LINEAR, WEIGHTS, LINEAR_WEIGHTS, MOMENTS, FORWARD, BACKWARD, FINISH, SLOPES, REDUCE, PACK = range(
    len(KINDS)
)
ACTIVATIONS = {"relu": 1, "relu6": 2, "leaky": 3}
POOLS = {"maximum": 1, "average": 2}

Array = npt.NDArray[np.int64]


def _record(name: str, *fields: tuple[Any, str]) -> Any:
    """A C struct from (type, names) in the order of its declaration."""
    return type(
        name, (ctypes.Structure,), {"_fields_": [(part, kind) for kind, names in fields for part in names.split()]}
    )


_P, _L, _I, _F = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32, ctypes.c_float

_View = _record("View", (_P, "at"), (_L, "block thread plane"), (_I, "row border"))
_Contraction = _record(
    "Contraction",
    (_P, "offsets in_pixels out_pixels out_channels pack weight bias packed"),
    (_View, "source result"),
    (_L, "in_group"),
    (_I, "groups channels terms pixels chunk activation accumulate"),
    (_F, "slope"),
    (_I, "weights reserved"),
)
_WeightGradient = _record(
    "WeightGradient",
    (_P, "offsets"),
    (_View, "source d"),
    (_L, "in_group"),
    (_I, "groups channels terms rows width in_row in_step accumulate"),
    (_P, "partial d_weight d_bias"),
)
_Elementwise = _record(
    "Elementwise",
    (_View, "source result residual d_source d_result d_residual mask"),
    (
        _P,
        "channel_mask gamma beta slope running_mean running_var d_gamma d_beta d_slope batches pivot mean squares sums scale shift center",
    ),
    (_P, "rest inverse_std coefficients"),
    (_I, "channels height width out_height out_width"),
    (_I, "norm activation slopes pool pool_height pool_width pool_stride pool_padding"),
    (_I, "store_d_source store_d_residual accumulate_d_source accumulate_d_residual accumulate_norm accumulate_slope"),
    (_F, "eps momentum fixed_slope kept"),
    (_I, "reserved"),
)
_Finish = _record(
    "Finish",
    (_View, "value before after"),
    (_P, "coefficients center"),
    (_I, "channels height width activation accumulate"),
    (_F, "slope"),
)
_Exchange = _record("Exchange", (_View, "view"), (_P, "floats"), (_I, "channels height width"), (_F, "factor"))
_Step = _record("Step", (_P, "operation"), (_I, "kind parts barrier reserved"))


@dataclass
class Program:
    """Arrays of steps, and the records that are set before each run.

    ``masks`` are in the order of ``forward``: the random numbers (capacity, …) of a dropout, the probability of keeping a value, and the
    record and the field that hold their address in training.
    """

    forward: Any
    backward: Any
    images: Any
    logits: Any
    d_logits: Any
    masks: list[tuple[Tensor, float, Any, str]]
    scratch: int
    threads: int  # at most
    fewest_values: int  # of the normalization over the fewest values an image
    memory: list[Any]


@dataclass(frozen=True)
class _Buffer:
    view: Any
    plane: int
    row: int


@dataclass
class _Taps:
    """Tables of a convolution, counted from a view's first pixel: positions (H', W') and offsets of the taps, as rows and columns."""

    rows: Array
    columns: Array
    tap_rows: Array
    tap_columns: Array

    def reach(self, height: int, width: int) -> int:
        """Return how many rows or columns beyond height × width a tap reads at most."""
        low = min(int(self.rows.min() + self.tap_rows.min()), int(self.columns.min() + self.tap_columns.min()))
        bottom = int(self.rows.max() + self.tap_rows.max()) - height + 1
        right = int(self.columns.max() + self.tap_columns.max()) - width + 1
        return max(0, -low, bottom, right)


@dataclass
class _Class:
    """The pixels of a convolution's input at the same remainder by the stride: which taps reach them, and from where."""

    taps: _Taps
    kernel: Array  # index into the kernel of each tap
    pixel_rows: Array
    pixel_columns: Array


def _forward_taps(operation: Convolution) -> _Taps:
    height, width = operation.weight.shape[2:]
    tap_rows, tap_columns = np.divmod(np.arange(height * width), width)
    return _Taps(
        np.arange(operation.result.height) * operation.stride,
        np.arange(operation.result.width) * operation.stride,
        tap_rows * operation.dilation - operation.padding[0],
        tap_columns * operation.dilation - operation.padding[1],
    )


def _backward_classes(operation: Convolution) -> list[_Class]:
    """Input pixel y gets the gradient of output pixel (y + padding - tap) / stride for the taps that divide evenly."""
    stride, (top, left), source = operation.stride, operation.padding, operation.source
    width = operation.weight.shape[3]
    tap_rows, tap_columns = np.divmod(np.arange(operation.weight.shape[2] * width), width)
    tap_rows, tap_columns = tap_rows * operation.dilation, tap_columns * operation.dilation
    rows, columns = np.arange(source.height) + top, np.arange(source.width) + left
    classes = []
    for r in range(min(stride, source.height)):
        for c in range(min(stride, source.width)):
            some_rows, some_columns = (
                rows[rows % stride == (rows[0] + r) % stride],
                columns[columns % stride == (columns[0] + c) % stride],
            )
            row, column = int(some_rows[0] % stride), int(some_columns[0] % stride)
            kernel = np.flatnonzero(((row - tap_rows) % stride == 0) & ((column - tap_columns) % stride == 0))
            taps = _Taps(
                (some_rows - row) // stride,
                (some_columns - column) // stride,
                (row - tap_rows[kernel]) // stride,
                (column - tap_columns[kernel]) // stride,
            )
            classes.append(_Class(taps, kernel, some_rows - top, some_columns - left))
    return classes


def build(lowered: Lowered, capacity: int, library: ctypes.CDLL) -> Program:
    """The program of ``lowered`` for up to ``capacity`` images. Raises NotLowerable where it would take more than MEMORY bytes."""
    return _Builder(lowered, capacity, library).build()


class _Builder:
    def __init__(self, lowered: Lowered, capacity: int, library: ctypes.CDLL) -> None:
        self._lowered, self._library = lowered, library
        self._lanes, self._capacity = int(library.lanes()), capacity
        self._blocks = math.ceil(capacity / self._lanes)
        self._memory: list[Any] = []
        self._bytes = 0
        self._scratch = 1
        self._values: dict[Value, _Buffer] = {}
        self._gradients: dict[Value, _Buffer] = {}
        self._uses: dict[Value, int] = {}
        for operation in lowered.operations:
            for value in _sources(operation):
                self._uses[value] = self._uses.get(value, 0) + 1
        self._threads = self._blocks  # more would have nothing to do
        self._recomputed: dict[
            Operation, Elementwise
        ] = {}  # the pass whose result a convolution's backward pass needs again
        self._waiting = 0, 0
        self._records: dict[Operation, Any] = {}
        self._element_masks: dict[Operation, Any] = {}
        self._written: set[int] = (
            set()
        )  # values and parameters whose gradient an earlier step of the backward pass has stored
        self._reductions: list[list[Any]] = []
        self._slopes: list[Any] = []

    def build(self) -> Program:
        self._allocate()
        image, logits = self._lowered.image, self._lowered.logits
        images, results = (
            self._exchange(self._values[image].view, image),
            self._exchange(self._values[logits].view, logits),
        )
        gradient = self._exchange(self._gradients[logits].view, logits)
        forward = [self._step(TAKE, images)]
        for operation in self._lowered.operations:
            forward += self._forward(operation)
        forward.append(self._step(GIVE, results))
        backward = [self._step(TAKE, gradient)]
        self._written.add(id(logits))
        for operation in reversed(self._lowered.operations):
            if operation.result.needs_grad:
                backward += self._backward(operation)
        backward += self._slopes
        backward += [self._step(REDUCE, self._pointers(some), len(some)) for some in self._reductions]
        norms = [op for op in self._lowered.operations if isinstance(op, Elementwise) and op.norm is not None]
        return Program(
            forward=self._packed(forward),
            backward=self._packed(backward),
            images=images,
            logits=results,
            d_logits=gradient,
            masks=[self._mask(dropout.operation, dropout.by_channel) for dropout in self._lowered.dropouts],
            scratch=self._scratch,
            threads=self._threads,
            fewest_values=min((norm.source.height * norm.source.width for norm in norms), default=2),
            memory=self._memory,
        )

    # --- memory -----------------------------------------------------------------------------------------------------------

    def _allocate(self) -> None:
        """Allocate the values and the gradients.

        What is used up before its thread goes on to the next block lies in memory that is shared by all such values, a set a thread, and
        stays in the cache: the result of a pass that only the convolution behind it reads, which the backward pass computes again; the
        gradients of both. The gradient that a normalization waits with for the sums over the batch lies in one buffer for all of them.
        """
        borders, gradient_borders = self._borders()
        operations, largest = self._lowered.operations, {"value": 0, "gradient": 0, "waiting": 0}
        followers = dict(itertools.pairwise(operations))
        passing: dict[Value, str] = {}
        for operation, follower in followers.items():
            value = operation.result
            if self._uses.get(value) != 1 or follower.source is not value:
                continue
            if isinstance(operation, Elementwise) and isinstance(follower, Convolution):
                passing[value] = "value"
                largest["value"] = max(largest["value"], _size(value, borders.get(value, 0)))
                self._recomputed[follower] = operation
            elif isinstance(operation, Convolution) and isinstance(follower, Elementwise) and value.needs_grad:
                passing[value] = "gradient"
                largest["gradient"] = max(largest["gradient"], _size(value, gradient_borders.get(value, 0)))
        for operation in operations:
            if isinstance(operation, Elementwise) and operation.norm is not None and operation.source.needs_grad:
                largest["waiting"] = max(largest["waiting"], _size(operation.source))
        shared = {name: self._vectors(largest[name] * self._threads) for name in ("value", "gradient")}
        self._waiting = self._vectors(largest["waiting"] * self._blocks), largest["waiting"]
        for value in (self._lowered.image, *(operation.result for operation in operations)):
            kind, border, around = passing.get(value), borders.get(value, 0), gradient_borders.get(value, 0)
            if kind == "value":
                self._values[value] = self._shared(value, shared[kind], largest[kind], border)
                if value.needs_grad:  # the value is used up when its gradient is made
                    self._gradients[value] = self._shared(value, shared[kind], largest[kind], 0)
                continue
            self._values[value] = self._planes(value, border)
            if kind == "gradient":
                self._gradients[value] = self._shared(value, shared[kind], largest[kind], around)
            elif value.needs_grad:
                self._gradients[value] = self._planes(value, around)

    def _borders(self) -> tuple[dict[Value, int], dict[Value, int]]:
        """Zeros around each value and each gradient that convolutions and their gradients read."""
        borders: dict[Value, int] = {}
        gradient_borders: dict[Value, int] = {}
        for operation in self._lowered.operations:
            if isinstance(operation, Convolution):
                reach = _forward_taps(operation).reach(operation.source.height, operation.source.width)
                borders[operation.source] = max(borders.get(operation.source, 0), reach)
                if operation.source.needs_grad:
                    classes = [some for some in _backward_classes(operation) if len(some.kernel)]
                    gradient_borders[operation.result] = max(
                        (some.taps.reach(operation.result.height, operation.result.width) for some in classes),
                        default=0,
                    )
        return borders, gradient_borders

    def _planes(self, value: Value, border: int = 0) -> _Buffer:
        """Memory of its own for all blocks."""
        size = _size(value, border)
        return self._buffer(value, self._vectors(self._blocks * size), border, block=size)

    def _shared(self, value: Value, address: int, stride: int, border: int) -> _Buffer:
        """A part of each thread's shared memory at ``address``; whoever writes there writes the border as well."""
        return self._buffer(value, address, border, thread=stride, border=border)

    def _buffer(self, value: Value, address: int, around: int, **strides: int) -> _Buffer:
        row = value.width + 2 * around
        plane = row * (value.height + 2 * around)
        return _Buffer(
            _View(at=address + 4 * self._lanes * around * (row + 1), plane=plane, row=row, **strides), plane, row
        )

    def _vectors(self, count: int) -> int:
        """The address of ``count`` zeroed vectors on a boundary of 64 bytes."""
        self._bytes += 4 * self._lanes * count
        if self._bytes > MEMORY:
            raise NotLowerable(f"the kernels would need more than {MEMORY >> 20} MiB of working memory")
        memory = torch.zeros(count * self._lanes + 16, dtype=torch.float32)
        self._memory.append(memory)
        return memory.data_ptr() + -memory.data_ptr() % 64

    def _floats(self, count: int) -> int:
        return self._vectors(math.ceil(count / self._lanes))

    def _table(self, values: npt.ArrayLike) -> int:
        table = np.ascontiguousarray(values, dtype=np.int32)
        self._memory.append(table)
        return table.ctypes.data

    def _keep(self, record: Any) -> Any:
        self._memory.append(record)
        return record

    def _pointers(self, records: Sequence[Any]) -> Any:
        return self._keep((ctypes.c_void_p * len(records))(*map(ctypes.addressof, records)))

    def _step(self, kind: int, record: Any, parts: int = 0, barrier: bool = False) -> Any:
        return _Step(operation=ctypes.addressof(record), kind=kind, parts=parts, barrier=int(barrier))

    def _packed(self, steps: list[Any]) -> Any:
        """The steps as an array, after one that packs the weights that they read."""
        contractions = [_Contraction.from_address(step.operation) for step in steps if step.kind in (CONVOLVE, LINEAR)]
        if contractions:
            steps = [self._step(PACK, self._pointers(contractions), len(contractions)), *steps]
        return self._keep((_Step * len(steps))(*steps))

    def _exchange(self, view: Any, value: Value) -> Any:
        return self._keep(
            _Exchange(view=view, channels=value.channels, height=value.height, width=value.width, factor=1)
        )

    def _parameter(self, parameter: Tensor | None) -> int | None:
        if parameter is None:
            return None
        if not parameter.is_contiguous():
            raise NotLowerable("a parameter is not contiguous in memory")
        self._memory.append(parameter.detach())
        return parameter.data_ptr()

    def _gradient_of(self, parameter: Tensor | None) -> int | None:
        """The address of a trainable parameter's gradient; both tensors stay where they are from now on."""
        if parameter is None or not parameter.requires_grad:
            return None
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        self._memory.append(parameter.grad.detach())  # the memory stays, whatever becomes of the tensor
        return parameter.grad.data_ptr()

    def _again(self, *things: object) -> int:
        """A bit for each of ``things``: whether its gradient was stored before, so that the next one is added to it."""
        again = sum(1 << place for place, thing in enumerate(things) if id(thing) in self._written)
        self._written |= {id(thing) for thing in things if thing is not None}
        return again

    # --- contractions -----------------------------------------------------------------------------------------------------

    def _forward(self, operation: Operation) -> list[Any]:
        if isinstance(operation, Elementwise):
            return self._forward_elementwise(operation)
        source, result = self._values[operation.source], self._values[operation.result]
        record = self._keep(
            _Contraction(weight=self._parameter(operation.weight), bias=self._parameter(operation.bias))
        )
        if operation.activation is not None:
            record.activation, record.slope = _fixed(operation.activation)
        if isinstance(operation, Linear):
            outs, ins = operation.weight.shape
            self._linear(
                record, source, result, outs, _feature_offsets(operation, source), np.arange(outs) * result.plane
            )
            self._pack(record, 1, np.arange(outs * ins).reshape(1, outs, ins))
            return [self._step(LINEAR, record, self._tiles(outs))]
        outs, ins, *_ = operation.weight.shape
        taps, count = _forward_taps(operation), operation.weight[0, 0].numel()
        offsets = np.add.outer(np.arange(ins) * source.plane, taps.tap_rows * source.row + taps.tap_columns)
        pixels = np.add.outer(np.arange(operation.result.height) * result.row, np.arange(operation.result.width))
        self._place(
            record, source, result, taps, offsets, pixels, np.arange(outs) * result.plane, ins, operation.groups
        )
        self._pack(
            record,
            operation.groups,
            np.arange(outs * ins * count).reshape(operation.groups, outs // operation.groups, -1),
        )
        return [self._step(CONVOLVE, record)]

    def _place(
        self,
        record: Any,
        source: _Buffer,
        result: _Buffer,
        taps: _Taps,
        offsets: Array,
        pixels: Array,
        channels: Array,
        ins: int,
        groups: int,
    ) -> None:
        """Fill in a convolution: ``offsets`` of the terms in ``source``, ``pixels`` and ``channels`` of ``result``."""
        record.source, record.result = source.view, result.view
        record.offsets = self._table(offsets.ravel())
        record.in_pixels = self._table(np.add.outer(taps.rows * source.row, taps.columns).ravel())
        record.out_pixels, record.out_channels = self._table(pixels.ravel()), self._table(channels)
        record.in_group = ins * source.plane
        record.groups, record.terms, record.pixels, record.chunk = groups, offsets.size, pixels.size, CHUNK

    def _linear(
        self, record: Any, source: _Buffer, result: _Buffer, channels: int, offsets: Array, out_channels: Array
    ) -> None:
        blocks = np.arange(self._blocks)
        record.source, record.result = source.view, result.view
        record.offsets, record.out_channels = self._table(offsets), self._table(out_channels)
        record.in_pixels, record.out_pixels = (
            self._table(blocks * source.view.block),
            self._table(blocks * result.view.block),
        )
        record.groups, record.channels, record.terms, record.pixels = 1, channels, offsets.size, self._blocks

    def _pack(self, record: Any, groups: int, weights: Array) -> None:
        """``weights`` (groups, channels, terms) holds indices into the weight; they are packed tile by tile."""
        channels = weights.shape[1]
        size = int(self._library.channel_tile(channels))
        tiles = [group[begin : begin + size].T.ravel() for group in weights for begin in range(0, channels, size)]
        order = np.concatenate(tiles)
        record.channels, record.weights = channels, order.size
        record.pack, record.packed = self._table(order), self._floats(order.size)

    def _tiles(self, channels: int) -> int:
        return math.ceil(channels / int(self._library.channel_tile(channels)))

    def _backward_contraction(self, operation: Convolution | Linear) -> list[Any]:
        steps = []
        if operation.activation is not None and id(operation) not in self._written:
            steps.append(self._finish(operation.result, self._gradients[operation.result], operation.activation))
        if operation.weight.requires_grad or (operation.bias is not None and operation.bias.requires_grad):
            if operation in self._recomputed:
                steps.append(self._step(FORWARD, self._records[self._recomputed[operation]]))
            steps.append(self._weight_gradient(operation))
        if operation.source.needs_grad:
            accumulate = self._again(operation.source)
            made = (
                self._linear_input_gradient(operation)
                if isinstance(operation, Linear)
                else self._input_gradient(operation)
            )
            for step in made:
                _Contraction.from_address(step.operation).accumulate = accumulate
            steps += made
        return steps

    def _weight_gradient(self, operation: Convolution | Linear) -> Any:
        source, d = self._values[operation.source], self._gradients[operation.result]
        record = self._keep(
            _WeightGradient(
                source=source.view,
                d=d.view,
                d_weight=self._gradient_of(operation.weight),
                d_bias=self._gradient_of(operation.bias),
                accumulate=self._again(operation.weight, operation.bias),
            )
        )
        if isinstance(operation, Linear):
            outs, ins = operation.weight.shape
            record.groups, record.channels, record.terms = 1, outs, ins
            record.offsets = self._table(_feature_offsets(operation, source))
            tile = int(self._library.gradient_channels())
            self._scratch = max(self._scratch, tile * ins)
            return self._step(LINEAR_WEIGHTS, record, math.ceil(outs / tile))
        outs, ins, *_ = operation.weight.shape
        taps = _forward_taps(operation)
        offsets = np.add.outer(np.arange(ins) * source.plane, taps.tap_rows * source.row + taps.tap_columns)
        record.offsets, record.in_group = self._table(offsets.ravel()), ins * source.plane
        record.groups, record.channels, record.terms = operation.groups, outs // operation.groups, offsets.size
        record.rows, record.width = operation.result.height, operation.result.width
        record.in_row, record.in_step = operation.stride * source.row, operation.stride
        record.partial = self._floats(self._blocks * (operation.weight.numel() + outs))
        self._scratch = max(self._scratch, record.channels * record.terms)
        if (
            record.accumulate or not self._reductions
        ):  # reductions of one round run at the same time: what is added to comes in an earlier one
            self._reductions.append([])
        self._reductions[-1 if record.accumulate else 0].append(record)
        return self._step(WEIGHTS, record)

    def _input_gradient(self, operation: Convolution) -> list[Any]:
        d, to = self._gradients[operation.result], self._gradients[operation.source]
        groups, (outs, ins, *kernel) = operation.groups, operation.weight.shape
        per_group = outs // groups
        index = np.arange(outs * ins * math.prod(kernel)).reshape(groups, per_group, ins, -1)
        steps = []
        for some in _backward_classes(operation):
            record = self._keep(_Contraction(weight=self._parameter(operation.weight)))
            offsets = np.add.outer(np.arange(per_group) * d.plane, some.taps.tap_rows * d.row + some.taps.tap_columns)
            pixels = np.add.outer(some.pixel_rows * to.row, some.pixel_columns)
            self._place(
                record, d, to, some.taps, offsets, pixels, np.arange(groups * ins) * to.plane, per_group, groups
            )
            self._pack(record, groups, index[..., some.kernel].transpose(0, 2, 1, 3).reshape(groups, ins, -1))
            steps.append(self._step(CONVOLVE, record))
        return steps

    def _linear_input_gradient(self, operation: Linear) -> list[Any]:
        d, to = self._gradients[operation.result], self._gradients[operation.source]
        outs, ins = operation.weight.shape
        record = self._keep(_Contraction(weight=self._parameter(operation.weight)))
        self._linear(record, d, to, ins, np.arange(outs) * d.plane, _feature_offsets(operation, to))
        self._pack(record, 1, np.arange(outs * ins).reshape(1, outs, ins).transpose(0, 2, 1))
        return [self._step(LINEAR, record, self._tiles(ins))]

    # --- elementwise passes -----------------------------------------------------------------------------------------------

    def _forward_elementwise(self, operation: Elementwise) -> list[Any]:
        source, result, norm, channels = operation.source, operation.result, operation.norm, operation.source.channels
        record = self._records[operation] = self._keep(
            _Elementwise(
                source=self._values[source].view,
                result=self._values[result].view,
                channels=channels,
                height=source.height,
                width=source.width,
                out_height=result.height,
                out_width=result.width,
                sums=self._floats(2 * 3 * self._blocks * channels),  # doubles
            )
        )
        steps = []
        if operation.residual is not None:
            record.residual = self._values[operation.residual].view
        if operation.activation is not None:
            record.activation, record.fixed_slope = _fixed(operation.activation)
            if isinstance(operation.activation.slope, Tensor):
                record.slope, record.slopes = (
                    self._parameter(operation.activation.slope),
                    operation.activation.slope.numel(),
                )
        if operation.pool is not None:
            pool = operation.pool
            record.pool, record.pool_stride, record.pool_padding = POOLS[pool.kind], pool.stride, pool.padding
            record.pool_height, record.pool_width = pool.kernel
            self._scratch = max(self._scratch, 2 * source.height * source.width)
        if operation.element_dropout is not None:
            record.mask = self._planes(source).view
            self._element_masks[operation] = self._exchange(record.mask, source)
            steps.append(self._step(TAKE, self._element_masks[operation]))
        if norm is not None:
            assert norm.running_mean is not None  # lower() saw to it
            assert norm.running_var is not None
            record.norm, record.eps, record.momentum = 1, norm.eps, -1 if norm.momentum is None else norm.momentum
            record.gamma, record.beta = self._parameter(norm.weight), self._parameter(norm.bias)
            record.running_mean, record.running_var = norm.running_mean.data_ptr(), norm.running_var.data_ptr()
            self._memory += [norm.running_mean.detach(), norm.running_var.detach()]
            if norm.num_batches_tracked is not None:
                record.batches = norm.num_batches_tracked.data_ptr()
                self._memory.append(norm.num_batches_tracked.detach())
            record.pivot, record.mean, record.squares = (self._vectors(self._blocks * channels) for _ in range(3))
            record.rest = self._floats(2 * channels)  # doubles
            record.scale, record.shift, record.center, record.inverse_std = (self._floats(channels) for _ in range(4))
            record.coefficients = self._floats(3 * channels)
            steps.append(self._step(MOMENTS, record, barrier=True))
        return [*steps, self._step(FORWARD, record)]

    def _backward_elementwise(self, operation: Elementwise) -> list[Any]:
        record, norm, source = self._records[operation], operation.norm, operation.source
        record.d_result = self._gradients[operation.result].view
        if operation.residual is not None and operation.residual.needs_grad:
            record.d_residual, record.store_d_residual = self._gradients[operation.residual].view, 1
            record.accumulate_d_residual = self._again(operation.residual)
        slope = operation.activation.slope if operation.activation is not None else None
        if isinstance(slope, Tensor):
            record.d_slope, record.accumulate_slope = self._gradient_of(slope), self._again(slope)
            if slope.requires_grad:
                self._slopes.append(self._step(SLOPES, record, parts=1))
        if norm is not None:
            record.d_gamma, record.d_beta = self._gradient_of(norm.weight), self._gradient_of(norm.bias)
            record.accumulate_norm = self._again(norm.weight, norm.bias)
        step = self._step(BACKWARD, record, barrier=norm is not None)
        if not source.needs_grad:
            return [step]
        record.store_d_source = 1
        if norm is None:
            record.d_source, record.accumulate_d_source = self._gradients[source].view, self._again(source)
            return [step]
        alone = self._uses[source] == 1
        waiting = self._buffer(source, self._waiting[0], 0, block=self._waiting[1])
        record.d_source = waiting.view
        producer = next((op for op in self._lowered.operations if op.result is source), None)
        activation = None
        if alone and isinstance(producer, Convolution | Linear):
            activation = producer.activation  # in the same pass
            self._written.add(id(producer))
        return [step, self._finish(source, waiting, activation, record, self._again(source))]

    def _finish(
        self, value: Value, before: _Buffer, activation: Activation | None, norm: Any = None, accumulate: int = 0
    ) -> Any:
        """Back through a normalization, then through the activation before it; or through an activation alone."""
        record = self._keep(
            _Finish(
                value=self._values[value].view,
                before=before.view,
                after=self._gradients[value].view,
                channels=value.channels,
                height=value.height,
                width=value.width,
                accumulate=accumulate,
            )
        )
        if activation is not None:
            record.activation, record.slope = _fixed(activation)
        if norm is not None:
            record.coefficients, record.center = norm.coefficients, norm.center
        return self._step(FINISH, record)

    def _backward(self, operation: Operation) -> list[Any]:
        return (
            self._backward_elementwise(operation)
            if isinstance(operation, Elementwise)
            else self._backward_contraction(operation)
        )

    def _mask(self, operation: Elementwise, by_channel: bool) -> tuple[Tensor, float, Any, str]:
        keep = 1 - ((operation.channel_dropout if by_channel else operation.element_dropout) or 0.0)
        factor = float(np.float32(1) / np.float32(keep))
        shape: tuple[int, ...]
        if by_channel:
            record, name, shape = self._records[operation], "channel_mask", operation.source.shape[:1]
            record.kept = factor
        else:
            record, name, shape = self._element_masks[operation], "floats", operation.source.shape
            record.factor = factor
        return torch.empty(self._capacity, *shape, dtype=torch.float32), keep, record, name


def _size(value: Value, border: int = 0) -> int:
    """Vectors that the planes of a block take."""
    return value.channels * (value.height + 2 * border) * (value.width + 2 * border)


def _sources(operation: Operation) -> Iterable[Value]:
    yield operation.source
    if isinstance(operation, Elementwise) and operation.residual is not None:
        yield operation.residual


def _fixed(activation: Activation) -> tuple[int, float]:
    """Kind and slope; the slope of a PReLU is read from its parameter."""
    return ACTIVATIONS[activation.kind], activation.slope if isinstance(activation.slope, float) else 0.0


def _feature_offsets(operation: Linear, buffer: _Buffer) -> Array:
    return np.array(
        [c * buffer.plane + y * buffer.row + x for c, y, x in features(operation.source, operation.channels_last)]
    )
