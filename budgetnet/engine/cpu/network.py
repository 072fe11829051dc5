"""A torch module run by the C kernels: the same parameters, buffers and gradients, other code.

The module stays the owner of everything that is trained; the kernels read its weights and write its ``.grad``.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from budgetnet.engine.cpu import build
from budgetnet.engine.cpu.lowering import LayerPlan, NotLowerable, lower

MEMORY = 1 << 30  # bytes of working memory from which on a network is left to plain torch
LANES = 16  # images side by side, as in convolution.h

_INTEGERS = "in_channels channels kernel padding height width out_height out_width relu norm pool reserved"
_FLOATS = "eps momentum"
_POINTERS = (
    "weight bias gamma beta running_mean running_var d_weight d_bias d_gamma d_beta mask input output d_input d_conv "
    "packed packed_transposed sums partial scale shift coefficient mean inverse_std"
)


def _one() -> int:
    return 1


_allowed: Callable[[], int] = _one


def allow_threads(number: Callable[[], int]) -> None:
    """Let every network of this process use ``number()`` threads, asked at each step, where its own are fewer: results do not change."""
    global _allowed
    _allowed = number


class _Layer(ctypes.Structure):
    """Mirrors ``Layer`` of convolution.h, field by field."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in _INTEGERS.split()),
        *((name, ctypes.c_float) for name in _FLOATS.split()),
        *((name, ctypes.c_void_p) for name in _POINTERS.split()),
    ]


class KernelNetwork:
    """Forward and backward of a lowered module on the CPU in fp32, for up to ``capacity`` images at a time.

    Raises KernelsUnavailable or NotLowerable where that is not possible. Results do not depend on ``threads``.
    """

    def __init__(
        self, model: nn.Module, image_shape: tuple[int, int, int], capacity: int, threads: int = 1, library: ctypes.CDLL | None = None
    ) -> None:
        self._plans = lower(model)
        if any(tensor.dtype != torch.float32 or tensor.device.type != "cpu" for tensor in model.parameters()):
            raise NotLowerable("the kernels work on float32 on the CPU")
        self._library = library or build.load()
        self._model, self._image_shape, self._capacity, self._threads = model, image_shape, capacity, threads
        self._blocks = math.ceil(capacity / LANES)
        self._memory: list[Tensor] = []
        self._layers = (_Layer * len(self._plans))()
        channels, height, width = image_shape
        if self._workspace() > MEMORY:
            raise NotLowerable(f"the kernels would need {self._workspace() >> 20} MiB of working memory")
        for layer, plan in zip(self._layers, self._plans, strict=True):
            if plan.convolution.in_channels != channels:
                raise NotLowerable(f"a convolution takes {plan.convolution.in_channels} channels where there are {channels}")
            self._describe(layer, plan, height, width)
            self._reserve(layer)
            channels, shrink = layer.channels, 2 if plan.pool else 1
            height, width = layer.out_height // shrink, layer.out_width // shrink
            if height < 1 or width < 1:
                raise NotLowerable(f"images of {image_shape} are too small for the network")
        self.classes = channels
        self._seen = 0

    def _workspace(self) -> int:
        """Bytes that the widest buffers take, about: activations, and partial gradients of every block."""
        _, height, width = self._image_shape
        floats = 0
        for plan in self._plans:
            channels = plan.convolution.in_channels + plan.convolution.out_channels
            floats += self._blocks * LANES * (2 * channels * (height + 2) * (width + 2) + plan.convolution.weight.numel())
            height, width = (height // 2, width // 2) if plan.pool else (height, width)
        return 4 * floats

    def _describe(self, layer: _Layer, plan: LayerPlan, height: int, width: int) -> None:
        convolution, norm = plan.convolution, plan.norm
        layer.in_channels, layer.channels, layer.kernel = convolution.in_channels, convolution.out_channels, convolution.kernel_size[0]
        layer.padding = int(convolution.padding in ((1, 1),))
        layer.height, layer.width = height, width
        layer.out_height = height + 2 * layer.padding - layer.kernel + 1
        layer.out_width = width + 2 * layer.padding - layer.kernel + 1
        layer.relu, layer.norm, layer.pool = int(plan.relu), int(norm is not None), int(plan.pool)
        layer.weight, layer.d_weight = self._parameter(convolution.weight)
        layer.bias, layer.d_bias = self._parameter(convolution.bias)
        if norm is not None:
            layer.eps, layer.momentum = norm.eps, float(norm.momentum or 0.0)
            layer.gamma, layer.d_gamma = self._parameter(norm.weight)
            layer.beta, layer.d_beta = self._parameter(norm.bias)
            assert norm.running_mean is not None  # lower() saw to it
            assert norm.running_var is not None
            layer.running_mean, layer.running_var = norm.running_mean.data_ptr(), norm.running_var.data_ptr()

    def _parameter(self, parameter: Tensor | None) -> tuple[int | None, int | None]:
        """Addresses of a parameter and of its gradient; both tensors stay where they are from now on."""
        if parameter is None:
            return None, None
        if not parameter.is_contiguous():
            raise NotLowerable("a parameter is not contiguous in memory")
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        self._memory += [parameter.detach(), parameter.grad]
        return parameter.data_ptr(), parameter.grad.data_ptr()

    def _reserve(self, layer: _Layer) -> None:
        blocks, border = self._blocks, layer.kernel - 1 - layer.padding
        outs, ins = layer.channels, layer.in_channels
        weights = outs * ins * layer.kernel**2
        pixels, in_pixels = layer.out_height * layer.out_width, layer.height * layer.width
        layer.input = self._floats(blocks * ins * (layer.height + 2 * layer.padding) * (layer.width + 2 * layer.padding) * LANES)
        layer.output = self._floats(blocks * outs * pixels * LANES)
        layer.d_input = self._floats(blocks * ins * in_pixels * LANES)
        layer.d_conv = self._floats(blocks * outs * (layer.out_height + 2 * border) * (layer.out_width + 2 * border) * LANES)
        layer.packed, layer.packed_transposed = self._floats(weights), self._floats(weights)
        layer.sums = self._floats(blocks * outs * 2 * 2)  # doubles
        layer.partial = self._floats(blocks * (weights + outs) * LANES)
        layer.scale, layer.shift = self._floats(blocks * outs * LANES), self._floats(blocks * outs * LANES)
        layer.coefficient, layer.mean, layer.inverse_std = self._floats(3 * outs), self._floats(outs), self._floats(outs)

    def _floats(self, count: int) -> int:
        """The address of ``count`` zeroed floats on a 64-byte boundary, as the vector type needs."""
        memory = torch.zeros(count + LANES)
        self._memory.append(memory)
        return memory.data_ptr() + -memory.data_ptr() % (4 * LANES)

    def threads_for(self, images: int) -> int:
        """The threads that a step on so many images takes now."""
        return min(max(self._threads, _allowed()), math.ceil(images / LANES))

    def forward(self, images: Tensor, training: bool = False) -> Tensor:
        """Logits (N, classes) of float32 images (N, C, H, W), N at most the capacity; ``training`` as in nn.Module.train().

        Dropout draws from torch's default generator with the very calls of nn.Dropout2d, so that both paths see the
        same masks for the same seed.
        """
        count = images.shape[0]
        if tuple(images.shape[1:]) != self._image_shape or not 1 <= count <= self._capacity:
            raise ValueError(f"images have shape {tuple(images.shape)}; expected 1 to {self._capacity} of {self._image_shape}")
        if images.dtype != torch.float32 or images.device.type != "cpu":
            raise ValueError(f"images are {images.dtype} on {images.device}; expected torch.float32 on the CPU")
        if training and any(layer.norm and count * layer.out_height * layer.out_width < 2 for layer in self._layers):
            raise ValueError("batch normalization needs more than one value per channel when training; expected a larger batch")
        images = images.contiguous()
        masks = []  # kept until the backward pass reads them
        for layer, plan in zip(self._layers, self._plans, strict=True):
            layer.mask = None
            if training and plan.dropout is not None and plan.dropout.p > 0:
                keep = 1 - plan.dropout.p
                masks.append(torch.empty(count, layer.channels).bernoulli_(keep).div_(keep))
                layer.mask = masks[-1].data_ptr()
            if training and plan.norm is not None and plan.norm.num_batches_tracked is not None:
                plan.norm.num_batches_tracked.add_(1)
        logits = torch.empty(count, self.classes)
        self._library.convnet_forward(
            self._layers,
            len(self._layers),
            ctypes.c_void_p(images.data_ptr()),
            count,
            ctypes.c_void_p(logits.data_ptr()),
            int(training),
            self.threads_for(count),
        )
        self._masks, self._seen = masks, count if training else 0
        return logits

    def backward(self, d_logits: Tensor) -> None:
        """Overwrite every parameter's ``.grad`` from the gradient of the logits (N, classes) of the last training forward."""
        if self._seen == 0 or tuple(d_logits.shape) != (self._seen, self.classes):
            raise ValueError(
                f"gradient of shape {tuple(d_logits.shape)}; expected {(self._seen, self.classes)}, after forward(training=True)"
            )
        d_logits = d_logits.contiguous()
        self._library.convnet_backward(
            self._layers,
            len(self._layers),
            ctypes.c_void_p(d_logits.data_ptr()),
            self._seen,
            self.threads_for(self._seen),
        )
