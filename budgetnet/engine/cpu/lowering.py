"""Reads a torch module as the list of operations that the C kernels run.

torch.fx traces ``forward``; each traced call becomes a convolution, a linear layer, or part of an elementwise pass. What comes
between two contractions (normalization, residual addition, activation, dropout, pooling) joins one pass where the order allows it.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from budgetnet.layers.depthwise import same_padding
from budgetnet.layers.keras import ChannelsLastFlatten, DepthwiseConv2d, SeparableConv2d
from budgetnet.seeds import global_states


class NotLowerable(Exception):
    """The kernels cannot run the module; the message names the first part that they do not take."""


@dataclass(eq=False)
class Value:
    """A tensor (N, channels, height, width) between two operations; ``needs_grad``: something trainable lies before it."""

    channels: int
    height: int
    width: int
    needs_grad: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.channels, self.height, self.width


@dataclass(frozen=True)
class Activation:
    """``kind`` is 'relu', 'relu6' or 'leaky'; ``slope`` of a leaky one is a number, or PReLU's parameter."""

    kind: str
    slope: float | nn.Parameter = 0.0


@dataclass(frozen=True)
class Pool:
    """Maximum or average over windows; an average counts the zeros of the padding."""

    kind: str
    kernel: tuple[int, int]
    stride: int
    padding: int


@dataclass(eq=False)
class Convolution:
    source: Value
    result: Value
    weight: Tensor
    bias: Tensor | None
    stride: int
    dilation: int
    groups: int
    padding: tuple[int, int]  # zeros before the first row and column; behind the last ones as many as ``result`` needs
    activation: Activation | None = None


@dataclass(eq=False)
class Linear:
    source: Value
    result: Value
    weight: Tensor
    bias: Tensor | None
    channels_last: bool  # the order in which the source's features are read
    activation: Activation | None = None


@dataclass(eq=False)
class Elementwise:
    """pool(dropout(activation(norm(source) + residual))), each part optional."""

    source: Value
    result: Value
    norm: nn.BatchNorm1d | nn.BatchNorm2d | None = None
    residual: Value | None = None
    activation: Activation | None = None
    channel_dropout: float | None = None
    element_dropout: float | None = None
    pool: Pool | None = None

    def takes_residual(self) -> bool:
        return self.residual is None and self.takes_activation()

    def takes_activation(self) -> bool:
        return (
            self.activation is None
            and self.channel_dropout is None
            and self.element_dropout is None
            and self.pool is None
        )

    def takes_dropout(self, by_channel: bool) -> bool:
        return self.pool is None and (self.channel_dropout if by_channel else self.element_dropout) is None


Operation = Convolution | Linear | Elementwise


@dataclass(frozen=True)
class Dropout:
    """A call of a dropout, in the order of ``forward``, which is the order of the random numbers."""

    operation: Elementwise
    by_channel: bool
    shape: tuple[int, int, int]


@dataclass
class Lowered:
    image: Value
    operations: list[Operation]
    dropouts: list[Dropout]
    logits: Value


@dataclass(frozen=True)
class _Reference:
    """Result of a traced call: a value, its layout, and whether nothing else uses it."""

    value: Value
    producer: Operation | None
    exclusive: bool
    flat: bool = False
    channels_last: bool = False  # the order of a flat one
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)  # zeros around it: left, right, top, bottom


def lower(model: nn.Module, image_shape: tuple[int, int, int]) -> Lowered:
    """The operations of ``model`` on images of ``image_shape`` (C, H, W).

    Raises NotLowerable for anything that the kernels do not compute exactly as torch does; the model then trains on plain torch.
    """
    _refuse_hooks(model)
    nodes = _trace(model)
    if any(parameter.dtype != torch.float32 or parameter.device.type != "cpu" for parameter in model.parameters()):
        raise NotLowerable("a parameter is not float32 on the CPU")
    try:
        return _Lowering(model, image_shape).run(nodes)
    except NotLowerable:
        raise
    except Exception as error:  # a spelling of a call that no handler foresees
        raise NotLowerable(f"forward has a call that is not understood ({type(error).__name__}: {error})") from error


_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def _refuse_hooks(model: nn.Module) -> None:
    """Hooks, parametrizations and subclasses of Parameter change values or gradients where the kernels would not see it."""
    for name, module in model.named_modules():
        where = name or type(module).__name__
        if any(getattr(module, kind, None) for kind in _HOOKS):
            raise NotLowerable(f"{where} has hooks")
        if parametrize.is_parametrized(module):
            raise NotLowerable(f"{where} is parametrized")
    places: set[int] = set()
    for name, parameter in model.named_parameters():
        if type(parameter) is not nn.Parameter:
            raise NotLowerable(f"{name} is a {type(parameter).__name__}")
        if parameter.numel() and parameter.data_ptr() in places:
            raise NotLowerable(f"{name} shares its memory with another parameter")
        places.add(parameter.data_ptr())
        if parameter._backward_hooks or getattr(parameter, "_post_accumulate_grad_hooks", None):
            raise NotLowerable(f"{name} has hooks")


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, ChannelsLastFlatten | DepthwiseConv2d | SeparableConv2d) or super().is_leaf_module(
            m, module_qualified_name
        )


def plain_values(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield the numbers and texts that modules hold as attributes, which neither a traced graph nor a state_dict has, by dotted name."""
    for module_name, module in model.named_modules():
        for name, value in vars(module).items():
            if isinstance(value, bool | int | float | str) and name != "training":
                yield f"{module_name}.{name}".lstrip("."), value


def _trace(model: nn.Module) -> list[fx.Node]:
    """The traced calls of ``forward``, the same in training and in evaluation but for dropout. The model's modes stay as they are."""
    modes = {module: module.training for module in model.modules()}
    before, values = (torch.get_rng_state(), global_states()), dict(plain_values(model))
    try:
        graphs = []
        for training in (True, False):
            model.train(training)
            if stubborn := [name for name, module in model.named_modules() if module.training is not training]:
                raise NotLowerable(f"{stubborn[0]} has a mode of its own")
            root = nn.Sequential(model) if _Tracer().is_leaf_module(model, "") else model
            graphs.append(list(_Tracer().trace(root).nodes))
    except NotLowerable:
        raise
    except Exception as error:  # the user's code meets symbols instead of numbers: anything can be raised
        reason = str(error).strip().splitlines() or [""]
        raise NotLowerable(f"forward cannot be traced ({type(error).__name__}: {reason[0]})") from error
    finally:
        for module, training in modes.items():
            module.training = training
    if not torch.equal(before[0], torch.get_rng_state()) or before[1] != global_states():
        raise NotLowerable("forward draws random numbers")
    if changed := [name for name, value in plain_values(model) if values.get(name, value) != value]:
        raise NotLowerable(f"forward changes {changed[0]}")
    if [_signature(node, True) for node in graphs[0]] != [_signature(node, False) for node in graphs[1]]:
        raise NotLowerable("forward differs between training and evaluation")
    return graphs[0]


def _signature(node: fx.Node, training: bool) -> str:
    arguments = (
        _bound(node, "input", "p", "training", "inplace")
        if node.target in _FUNCTIONAL_DROPOUT
        else (node.args, node.kwargs)
    )
    if isinstance(arguments, dict) and arguments.get("training", True) is training:
        arguments = arguments | {"training": None}
    return f"{node.name} {node.op} {node.target} {arguments}"


_FUNCTIONAL_DROPOUT = {functional.dropout: False, functional.dropout2d: True}


def _bound(node: fx.Node, *names: str) -> dict[str, Any]:
    """The arguments of a call by name."""
    return dict(zip(names, node.args, strict=False)) | node.kwargs


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _refuse_statistics(module: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    """Running statistics that the kernels cannot update where they lie."""
    mean, variance, batches = module.running_mean, module.running_var, module.num_batches_tracked
    if not module.track_running_stats or mean is None or variance is None:
        raise NotLowerable("the kernels have no batch normalization without running statistics")
    if any(some.dtype != torch.float32 or not some.is_contiguous() for some in (mean, variance)):
        raise NotLowerable("running statistics are not contiguous float32")
    if (batches is None and module.momentum is None) or (batches is not None and batches.dtype != torch.int64):
        raise NotLowerable("a batch normalization does not count its batches in int64")
    if module.momentum is not None and module.momentum < 0:
        raise NotLowerable(f"the kernels have no momentum of {module.momentum}")


def _parameters(operation: Operation) -> Iterator[Tensor | None]:
    if isinstance(operation, Convolution | Linear):
        yield from (operation.weight, operation.bias)
    elif operation.norm is not None:
        yield from operation.norm.parameters()
    if operation.activation is not None and isinstance(operation.activation.slope, nn.Parameter):
        yield operation.activation.slope


class _Lowering:
    def __init__(self, model: nn.Module, image_shape: tuple[int, int, int]) -> None:
        self._model = model if not _Tracer().is_leaf_module(model, "") else nn.Sequential(model)
        self._image = Value(*image_shape)
        self._operations: list[Operation] = []
        self._dropouts: list[Dropout] = []
        self._known: dict[fx.Node, Any] = {}
        self._seen: set[fx.Node] = set()

    def run(self, nodes: list[fx.Node]) -> Lowered:
        for node in nodes:
            if node.op == "output":
                return self._finish(node)
            self._known[node] = self._node(node)
            self._seen.add(node)
        raise NotLowerable("forward returns nothing")

    def _finish(self, node: fx.Node) -> Lowered:
        result = self._known.get(node.args[0]) if isinstance(node.args[0], fx.Node) else None
        if (
            not isinstance(result, _Reference)
            or not result.flat
            or (result.channels_last and result.value.height * result.value.width > 1)
        ):
            raise NotLowerable("forward does not return one flat tensor of logits")
        if result.producer is None or not result.value.needs_grad:
            raise NotLowerable("nothing in it is trained")
        used = {
            id(value)
            for operation in self._operations
            for value in (operation.source, getattr(operation, "residual", None))
        }
        if any(
            operation.result is not result.value and id(operation.result) not in used for operation in self._operations
        ):
            raise NotLowerable("a layer's result is not used")
        if id(result.value) in used:
            raise NotLowerable("the logits are used inside the network")
        trained = {id(parameter) for operation in self._operations for parameter in _parameters(operation)}
        for name, parameter in self._model.named_parameters():
            if parameter.requires_grad and id(parameter) not in trained:
                raise NotLowerable(f"{name} is not used")
        return Lowered(self._image, self._operations, self._dropouts, result.value)

    # --- one traced call --------------------------------------------------------------------------------------------------

    def _node(self, node: fx.Node) -> Any:
        if node.op == "placeholder":
            if any(isinstance(known, _Reference) for known in self._known.values()):
                raise NotLowerable("forward takes more than one input")
            return _Reference(self._image, None, len(node.users) == 1)
        if node.op == "call_module":
            return self._module(node, self._model.get_submodule(str(node.target)), str(node.target))
        name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
        handler = _CALLS.get(node.target)
        if handler is None:
            raise NotLowerable(f"the kernels have no {name}")
        return handler(self, node)

    def _source(self, node: fx.Node, argument: Any = None, inplace: bool = False) -> _Reference:
        argument = node.args[0] if argument is None and node.args else argument
        found = self._known.get(argument) if isinstance(argument, fx.Node) else None
        if not isinstance(found, _Reference):
            raise NotLowerable(f"{node.name} takes something else than a tensor of the network")
        if inplace and any(user not in self._seen and user is not node for user in argument.users):
            raise NotLowerable(f"{node.name} changes in place what is used again")
        return found

    def _image_like(self, node: fx.Node, what: Any, inplace: bool = False) -> _Reference:
        """The source of a layer that takes (N, C, H, W)."""
        found = self._source(node, inplace=inplace)
        if found.flat or any(found.padding):
            raise NotLowerable(f"the kernels have no {what} in this place")
        return found

    def _module(self, node: fx.Node, module: nn.Module, name: str) -> _Reference:
        if len(node.args) != 1 or node.kwargs:
            raise NotLowerable(f"{name} takes more than one input")
        handler = _MODULES.get(type(module))
        if handler is None:
            raise NotLowerable(f"the kernels have no {type(module).__name__} ({name})")
        try:
            return handler(self, node, module)
        except NotLowerable as error:
            raise NotLowerable(f"{error} ({name})") from None

    def _reference(self, node: fx.Node, operation: Operation, flat: bool = False) -> _Reference:
        return _Reference(operation.result, operation, len(node.users) == 1, flat)

    def _alias(self, node: fx.Node, source: _Reference, **changes: Any) -> _Reference:
        """``source`` seen in another way: nothing is computed."""
        return replace(source, exclusive=source.exclusive and len(node.users) == 1, **changes)

    # --- contractions -----------------------------------------------------------------------------------------------------

    def convolution(self, node: fx.Node, module: nn.Conv2d) -> _Reference:
        source = self._source(node)
        if module.padding_mode != "zeros" and module.padding not in (0, (0, 0), "valid"):
            raise NotLowerable(f"the kernels have no padding with {module.padding_mode}")
        if module.stride[0] != module.stride[1] or module.dilation[0] != module.dilation[1]:
            raise NotLowerable("the kernels have no stride or dilation that differs between the axes")
        rows, columns = module.kernel_size
        if module.padding == "same":
            extra = [module.dilation[0] * (size - 1) for size in (columns, rows)]
            around = (extra[0] // 2, extra[0] - extra[0] // 2, extra[1] // 2, extra[1] - extra[1] // 2)
        else:
            vertical, horizontal = (0, 0) if module.padding == "valid" else _pair(module.padding)
            around = (horizontal, horizontal, vertical, vertical)
        return self._convolve(
            node, source, module.weight, module.bias, module.stride[0], module.dilation[0], module.groups, around
        )

    def _convolve(
        self,
        node: fx.Node,
        source: _Reference,
        weight: Tensor,
        bias: Tensor | None,
        stride: int,
        dilation: int,
        groups: int,
        around: tuple[int, ...],
    ) -> _Reference:
        if source.flat:
            raise NotLowerable("a convolution takes a flat tensor")
        around = tuple(a + b for a, b in zip(around, source.padding, strict=True))
        channels, height, width = source.value.shape
        if weight.shape[1] * groups != channels:
            raise NotLowerable(f"a convolution takes {weight.shape[1] * groups} channels where there are {channels}")
        height, width = (
            (length + around[i] + around[i + 1] - dilation * (kernel - 1) - 1) // stride + 1
            for length, kernel, i in ((height, weight.shape[2], 2), (width, weight.shape[3], 0))
        )
        if min(height, width) < 1:
            raise NotLowerable(f"images of {self._image.shape} are too small for the network")
        trains = weight.requires_grad or (bias is not None and bias.requires_grad)
        result = Value(weight.shape[0], height, width, source.value.needs_grad or trains)
        operation = Convolution(source.value, result, weight, bias, stride, dilation, groups, (around[2], around[0]))
        self._operations.append(operation)
        return self._reference(node, operation)

    def depthwise(self, node: fx.Node, module: DepthwiseConv2d) -> _Reference:
        rows, columns = (same_padding(size) for size in module.weight.shape[2:])
        return self._convolve(
            node, self._source(node), module.weight, None, 1, 1, module.weight.shape[0], (*columns, *rows)
        )

    def separable(self, node: fx.Node, module: SeparableConv2d) -> _Reference:
        inner = self.depthwise(node, module.depthwise)
        return self._convolve(node, inner, module.pointwise.weight, module.pointwise.bias, 1, 1, 1, (0, 0, 0, 0))

    def linear(self, node: fx.Node, module: nn.Linear) -> _Reference:
        source = self._source(node)
        if not source.flat or math.prod(source.value.shape) != module.in_features:
            raise NotLowerable(f"a linear layer of {module.in_features} inputs takes a tensor of {source.value.shape}")
        trains = any(parameter.requires_grad for parameter in module.parameters())
        result = Value(module.out_features, 1, 1, source.value.needs_grad or trains)
        operation = Linear(source.value, result, module.weight, module.bias, source.channels_last)
        self._operations.append(operation)
        return self._reference(node, operation, flat=True)

    # --- elementwise passes -----------------------------------------------------------------------------------------------

    def _pass(self, node: fx.Node, source: _Reference, takes: Callable[[Elementwise], bool]) -> Elementwise:
        """The pass that produced ``source``, if it takes one more part, else a new one behind it; last in the order either way."""
        producer = source.producer
        if any(source.padding):
            raise NotLowerable("the kernels pad only for convolutions")
        if isinstance(producer, Elementwise) and source.exclusive and takes(producer):
            self._operations.remove(producer)
        else:
            producer = Elementwise(source.value, Value(*source.value.shape, source.value.needs_grad))
        self._operations.append(producer)
        return producer

    def norm(self, node: fx.Node, module: nn.BatchNorm1d | nn.BatchNorm2d) -> _Reference:
        source = self._source(node)
        if module.num_features != source.value.channels or (
            source.flat and source.value.height * source.value.width > 1
        ):
            raise NotLowerable(
                f"a batch normalization of {module.num_features} features takes a tensor of {source.value.shape}"
            )
        if source.flat != isinstance(module, nn.BatchNorm1d):
            raise NotLowerable(f"the kernels have no {type(module).__name__} in this place")
        _refuse_statistics(module)
        operation = self._pass(node, source, lambda _: False)
        operation.norm = module
        operation.result.needs_grad |= any(parameter.requires_grad for parameter in module.parameters())
        return self._reference(node, operation, source.flat)

    def activation(
        self, node: fx.Node, kind: str, slope: float | nn.Parameter = 0.0, inplace: bool = False
    ) -> _Reference:
        source = self._source(node, inplace=inplace)
        made, producer = Activation(kind, slope), source.producer
        fits = kind != "leaky" or (
            isinstance(slope, float) and slope > 0
        )  # the sign of the result must tell the sign of the input
        if (
            isinstance(producer, Convolution | Linear)
            and source.exclusive
            and producer.activation is None
            and fits
            and not any(source.padding)
        ):
            producer.activation = made
            return self._alias(node, source)
        operation = self._pass(node, source, Elementwise.takes_activation)
        operation.activation = made
        operation.result.needs_grad |= isinstance(slope, nn.Parameter) and slope.requires_grad
        return _Reference(operation.result, operation, len(node.users) == 1, source.flat, source.channels_last)

    def prelu(self, node: fx.Node, module: nn.PReLU) -> _Reference:
        source = self._source(node)
        if module.num_parameters not in (1, source.value.channels) or (
            source.flat and source.value.height * source.value.width > 1
        ):
            raise NotLowerable(f"a PReLU of {module.num_parameters} parameters takes a tensor of {source.value.shape}")
        return self.activation(node, "leaky", module.weight)

    def dropout(self, node: fx.Node, p: float, by_channel: bool, inplace: bool = False) -> _Reference:
        source = self._source(node, inplace=inplace)
        if p == 0:
            return self._alias(node, source)
        if p == 1 or (by_channel and source.flat) or source.channels_last:
            raise NotLowerable(f"the kernels have no dropout with probability {p} in this place")
        operation = self._pass(node, source, lambda existing: existing.takes_dropout(by_channel))
        if by_channel:
            operation.channel_dropout = p
        else:
            operation.element_dropout = p
        self._dropouts.append(Dropout(operation, by_channel, source.value.shape))
        return self._reference(node, operation, source.flat)

    def pool(
        self, node: fx.Node, kind: str, kernel: Any, stride: Any, padding: Any, extras: dict[str, Any]
    ) -> _Reference:
        source = self._image_like(node, f"{kind} pooling")
        kernel, padding = _pair(kernel), _pair(padding)
        stride = kernel if stride in (None, ()) else _pair(stride)
        if stride[0] != stride[1] or padding[0] != padding[1]:
            raise NotLowerable("the kernels have no pooling whose stride or padding differs between the axes")
        if any(value != _PLAIN_POOL.get(name, value) for name, value in extras.items()):
            raise NotLowerable(f"the kernels have no {kind} pooling with {extras}")
        if kernel == (1, 1) and stride == (1, 1):
            return self._alias(node, source)
        height, width = (
            (side + 2 * padding[0] - size) // stride[0] + 1
            for side, size in zip(source.value.shape[1:], kernel, strict=True)
        )
        if min(height, width) < 1:
            raise NotLowerable(f"images of {self._image.shape} are too small for the network")
        return self._pooled(node, source, Pool(kind, kernel, stride[0], padding[0]), height, width)

    def _pooled(
        self, node: fx.Node, source: _Reference, pool: Pool, height: int, width: int, flat: bool = False
    ) -> _Reference:
        operation = self._pass(node, source, lambda existing: existing.pool is None)
        operation.pool = pool
        operation.result.height, operation.result.width = height, width
        return self._reference(node, operation, flat)

    def global_average(self, node: fx.Node, flat: bool = False) -> _Reference:
        source = self._image_like(node, "global average")
        if source.value.height * source.value.width == 1:
            return self._alias(node, source, flat=flat)
        return self._pooled(node, source, Pool("average", source.value.shape[1:], 1, 0), 1, 1, flat)

    def add(self, node: fx.Node, inplace: bool = False) -> _Reference:
        if node.kwargs or len(node.args) != 2:
            raise NotLowerable("the kernels have no addition with factors")
        one, other = self._source(node, node.args[0], inplace), self._source(node, node.args[1])
        if (
            one.value is other.value
            or one.value.shape != other.value.shape
            or one.flat != other.flat
            or one.channels_last
            or other.channels_last
        ):
            raise NotLowerable(f"the kernels cannot add {one.value.shape} and {other.value.shape}")
        if any(other.padding):
            raise NotLowerable("the kernels pad only for convolutions")
        if not (isinstance(one.producer, Elementwise) and one.exclusive and one.producer.takes_residual()):
            one, other = other, one
        operation = self._pass(node, one, Elementwise.takes_residual)
        operation.residual = other.value
        operation.result.needs_grad |= other.value.needs_grad
        return self._reference(node, operation, one.flat)

    # --- shapes -----------------------------------------------------------------------------------------------------------

    def flatten(self, node: fx.Node, channels_last: bool = False) -> _Reference:
        source = self._source(node)
        if any(source.padding):
            raise NotLowerable("the kernels pad only for convolutions")
        return self._alias(
            node, source, flat=True, channels_last=source.channels_last if source.flat else channels_last
        )

    def view(self, node: fx.Node) -> _Reference:
        source = self._source(node)
        sizes = node.args[1] if len(node.args) == 2 and isinstance(node.args[1], tuple | list) else node.args[1:]
        batch, *rest = [self._known.get(size, size) if isinstance(size, fx.Node) else size for size in sizes]
        features = math.prod(source.value.shape)
        if batch not in (-1, "batch") or len(rest) != 1 or rest[0] not in (features, -1) or batch == rest[0]:
            raise NotLowerable("the kernels have no reshaping but to (N, features)")
        return self.flatten(node)

    def size(self, node: fx.Node) -> Any:
        dimension = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
        return "shape" if dimension is None else self._dimension(node, dimension)

    def item(self, node: fx.Node) -> Any:
        if self._known.get(node.args[0]) != "shape":  # type: ignore[arg-type]
            raise NotLowerable("the kernels have no indexing")
        return self._dimension(node, node.args[1])

    def _dimension(self, node: fx.Node, dimension: Any) -> Any:
        if dimension != 0:
            raise NotLowerable("forward computes with the shape of a tensor")
        return "batch"

    def attribute(self, node: fx.Node) -> Any:
        if node.args[1] != "shape":
            raise NotLowerable(f"the kernels have no attribute {node.args[1]}")
        return "shape"

    def mean(self, node: fx.Node) -> _Reference:
        arguments = _bound(node, "input", "dim", "keepdim")
        dims = arguments.get("dim")
        if not isinstance(dims, tuple | list) or sorted(dim % 4 for dim in dims) != [2, 3] or "dtype" in arguments:
            raise NotLowerable("the kernels have no mean but over height and width")
        return self.global_average(node, flat=not arguments.get("keepdim", False))

    def padded(self, node: fx.Node, module: nn.ZeroPad2d) -> _Reference:
        if min(module.padding) < 0:
            raise NotLowerable("the kernels have no negative padding")
        return self._alias(node, self._image_like(node, "padding"), padding=tuple(module.padding))


_PLAIN_POOL = {
    "dilation": 1,
    "ceil_mode": False,
    "return_indices": False,
    "count_include_pad": True,
    "divisor_override": None,
}


def _pool_module(kind: str) -> Callable[[_Lowering, fx.Node, Any], _Reference]:
    def handler(lowering: _Lowering, node: fx.Node, module: Any) -> _Reference:
        extras = {name: getattr(module, name) for name in _PLAIN_POOL if hasattr(module, name)}
        extras["dilation"] = 1 if extras.get("dilation", 1) in (1, (1, 1)) else extras["dilation"]
        return lowering.pool(node, kind, module.kernel_size, module.stride, module.padding, extras)

    return handler


def _pool_function(kind: str, *names: str) -> Callable[[_Lowering, fx.Node], _Reference]:
    def handler(lowering: _Lowering, node: fx.Node) -> _Reference:
        arguments = _bound(node, "input", "kernel_size", "stride", "padding", *names)
        extras = {name: value for name, value in arguments.items() if name in _PLAIN_POOL}
        return lowering.pool(
            node, kind, arguments["kernel_size"], arguments.get("stride"), arguments.get("padding", 0), extras
        )

    return handler


def _adaptive(lowering: _Lowering, node: fx.Node, size: Any) -> _Reference:
    if size not in (1, (1, 1), [1, 1]):
        raise NotLowerable("the kernels have no adaptive pooling but to one pixel")
    return lowering.global_average(node)


def _flatten_function(lowering: _Lowering, node: fx.Node) -> _Reference:
    arguments = _bound(node, "input", "start_dim", "end_dim")
    if arguments.get("start_dim", 0) != 1 or arguments.get("end_dim", -1) not in (-1, 3):
        raise NotLowerable("the kernels have no flattening but of all dimensions after the first")
    return lowering.flatten(node)


def _flatten_module(lowering: _Lowering, node: fx.Node, module: nn.Flatten) -> _Reference:
    if module.start_dim != 1 or module.end_dim not in (-1, 3):
        raise NotLowerable("the kernels have no flattening but of all dimensions after the first")
    return lowering.flatten(node)


def _dropout_function(lowering: _Lowering, node: fx.Node) -> _Reference:
    arguments = _bound(node, "input", "p", "training", "inplace")
    if arguments.get("training", True) is not True:
        return lowering._alias(node, lowering._source(node))  # off in training and in evaluation
    by_channel = _FUNCTIONAL_DROPOUT[node.target]  # type: ignore[index]
    return lowering.dropout(node, arguments.get("p", 0.5), by_channel, arguments.get("inplace", False))


def _relu_function(kind: str, inplace: bool = False) -> Callable[[_Lowering, fx.Node], _Reference]:
    return lambda lowering, node: lowering.activation(
        node, kind, inplace=inplace or _bound(node, "input", "inplace").get("inplace", False)
    )


def _leaky_function(lowering: _Lowering, node: fx.Node) -> _Reference:
    arguments = _bound(node, "input", "negative_slope", "inplace")
    return lowering.activation(
        node, "leaky", float(arguments.get("negative_slope", 0.01)), arguments.get("inplace", False)
    )


_MODULES: dict[type[nn.Module], Callable[[_Lowering, fx.Node, Any], _Reference]] = {
    nn.Conv2d: _Lowering.convolution,
    DepthwiseConv2d: _Lowering.depthwise,
    SeparableConv2d: _Lowering.separable,
    nn.Linear: _Lowering.linear,
    nn.BatchNorm1d: _Lowering.norm,
    nn.BatchNorm2d: _Lowering.norm,
    nn.ReLU: lambda lowering, node, module: lowering.activation(node, "relu", inplace=module.inplace),
    nn.ReLU6: lambda lowering, node, module: lowering.activation(node, "relu6", inplace=module.inplace),
    nn.LeakyReLU: lambda lowering, node, module: lowering.activation(
        node, "leaky", float(module.negative_slope), module.inplace
    ),
    nn.PReLU: _Lowering.prelu,
    nn.MaxPool2d: _pool_module("maximum"),
    nn.AvgPool2d: _pool_module("average"),
    nn.AdaptiveAvgPool2d: lambda lowering, node, module: _adaptive(lowering, node, module.output_size),
    nn.Dropout: lambda lowering, node, module: lowering.dropout(node, module.p, False, module.inplace),
    nn.Dropout2d: lambda lowering, node, module: lowering.dropout(node, module.p, True, module.inplace),
    nn.Flatten: _flatten_module,
    ChannelsLastFlatten: lambda lowering, node, module: lowering.flatten(node, channels_last=True),
    nn.Identity: lambda lowering, node, module: lowering._alias(node, lowering._source(node)),
    nn.ZeroPad2d: _Lowering.padded,
}

_CALLS: dict[Any, Callable[[_Lowering, fx.Node], Any]] = {
    operator.add: _Lowering.add,
    operator.iadd: lambda lowering, node: lowering.add(node, inplace=True),
    torch.add: _Lowering.add,
    "add": _Lowering.add,
    "add_": lambda lowering, node: lowering.add(node, inplace=True),
    functional.relu: _relu_function("relu"),
    torch.relu: _relu_function("relu"),
    "relu": _relu_function("relu"),
    "relu_": _relu_function("relu", inplace=True),
    torch.relu_: _relu_function("relu", inplace=True),
    functional.relu6: _relu_function("relu6"),
    functional.leaky_relu: _leaky_function,
    functional.max_pool2d: _pool_function("maximum", "dilation", "ceil_mode", "return_indices"),
    functional.avg_pool2d: _pool_function("average", "ceil_mode", "count_include_pad", "divisor_override"),
    functional.adaptive_avg_pool2d: lambda lowering, node: _adaptive(
        lowering, node, _bound(node, "input", "output_size")["output_size"]
    ),
    functional.dropout: _dropout_function,
    functional.dropout2d: _dropout_function,
    torch.flatten: _flatten_function,
    "flatten": _flatten_function,
    torch.mean: _Lowering.mean,
    "mean": _Lowering.mean,
    "view": _Lowering.view,
    "reshape": _Lowering.view,
    torch.reshape: _Lowering.view,
    "size": _Lowering.size,
    getattr: _Lowering.attribute,
    operator.getitem: _Lowering.item,
    "contiguous": lambda lowering, node: lowering._alias(node, lowering._source(node)),
}


def features(value: Value, channels_last: bool) -> Iterator[tuple[int, int, int]]:
    """(channel, row, column) of every feature of a flattened value, in order."""
    if channels_last:
        return ((c, y, x) for y in range(value.height) for x in range(value.width) for c in range(value.channels))
    return ((c, y, x) for c in range(value.channels) for y in range(value.height) for x in range(value.width))
