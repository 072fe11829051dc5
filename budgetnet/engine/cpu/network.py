"""A torch module run by the C kernels: the same parameters, buffers and gradients, other code.

The module stays the owner of everything that is trained; the kernels read its weights and write its ``.grad``.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import torch
from torch import Tensor, nn

from budgetnet.engine.cpu import build, program
from budgetnet.engine.cpu.lowering import lower


def _one() -> int:
    return 1


_allowed: Callable[[], int] = _one


def allow_threads(number: Callable[[], int]) -> None:
    """Let every network of this process use ``number()`` threads, asked at each step, where its own are fewer: results do not change."""
    global _allowed
    _allowed = number


class KernelNetwork:
    """Forward and backward of a lowered module on the CPU in fp32, for up to ``capacity`` images at a time.

    Raises KernelsUnavailable or NotLowerable where that is not possible. Results do not depend on ``threads``.
    """

    def __init__(
        self,
        model: nn.Module,
        image_shape: tuple[int, int, int],
        capacity: int,
        threads: int = 1,
        library: ctypes.CDLL | None = None,
    ) -> None:
        lowered = lower(model, image_shape)
        self.kernels = library or build.load()
        self._program = program.build(lowered, capacity, self.kernels)
        self._model, self._image_shape, self._capacity, self._threads = model, image_shape, capacity, threads
        self._lanes = int(self.kernels.lanes())
        self.classes = lowered.logits.channels * lowered.logits.height * lowered.logits.width
        self._scratch: Tensor = torch.empty(0)
        self._seen = 0
        self._nanoseconds: ctypes.Array[ctypes.c_int64] | None = None

    def threads_for(self, images: int) -> int:
        """The threads that a step on so many images takes now."""
        return min(max(self._threads, _allowed()), -(-images // self._lanes), self._program.threads)

    def forward(self, images: Tensor, training: bool = False) -> Tensor:
        """Logits (N, classes) of float32 images (N, C, H, W), N at most the capacity; ``training`` as in nn.Module.train().

        Dropout draws from torch's default generator with the calls of nn.Dropout and nn.Dropout2d, so that both paths see the same
        masks for the same seed.
        """
        count = images.shape[0]
        if tuple(images.shape[1:]) != self._image_shape or not 1 <= count <= self._capacity:
            raise ValueError(
                f"images have shape {tuple(images.shape)}; expected 1 to {self._capacity} of {self._image_shape}"
            )
        if images.dtype != torch.float32 or images.device.type != "cpu":
            raise ValueError(f"images are {images.dtype} on {images.device}; expected torch.float32 on the CPU")
        if training and count * self._program.fewest_values < 2:
            raise ValueError(
                "batch normalization needs more than one value per channel when training; expected a larger batch"
            )
        images = images.contiguous()
        for mask, keep, record, name in self._program.masks:
            if training:
                (mask if count == self._capacity else mask[:count]).bernoulli_(keep)
            setattr(record, name, mask.data_ptr() if training else None)
        logits = torch.empty(count, self.classes, dtype=torch.float32)
        self._program.images.floats, self._program.logits.floats = images.data_ptr(), logits.data_ptr()
        self._run(self._program.forward, count, training)
        self._seen = count if training else 0
        return logits

    def backward(self, d_logits: Tensor) -> None:
        """Overwrite every parameter's ``.grad`` from the gradient of the logits (N, classes) of the last training forward."""
        if self._seen == 0 or tuple(d_logits.shape) != (self._seen, self.classes):
            raise ValueError(
                f"gradient of shape {tuple(d_logits.shape)}; expected {(self._seen, self.classes)}, after forward(training=True)"
            )
        if d_logits.dtype != torch.float32:
            raise ValueError(f"gradient of {d_logits.dtype}; expected torch.float32")
        d_logits = d_logits.contiguous()
        self._program.d_logits.floats = d_logits.data_ptr()
        self._run(self._program.backward, self._seen, True)

    def train(self, images: Tensor, labels: Tensor) -> tuple[float, int]:
        """Forward, cross-entropy with ``labels`` (N,) int64, and backward: the mean loss, and how many predictions are right.

        Raises IndexError where a label is no class, as torch's cross-entropy does, and ValueError for labels of another kind.
        """
        if labels.dtype != torch.int64 or tuple(labels.shape) != (len(images),):
            raise ValueError(f"labels are {labels.dtype} {tuple(labels.shape)}; expected torch.int64 ({len(images)},)")
        logits = self.forward(images, training=True)
        labels, gradient, correct = labels.contiguous(), torch.empty_like(logits), ctypes.c_int64()
        loss = self.kernels.cross_entropy(
            ctypes.c_void_p(logits.data_ptr()),
            ctypes.c_void_p(labels.data_ptr()),
            len(logits),
            self.classes,
            ctypes.c_void_p(gradient.data_ptr()),
            ctypes.byref(correct),
        )
        if correct.value < 0:
            raise IndexError(
                f"labels reach from {int(labels.min())} to {int(labels.max())}; expected 0 to {self.classes - 1}"
            )
        self.backward(gradient)
        return float(loss), correct.value

    def _run(self, steps: ctypes.Array[ctypes.Structure], images: int, training: bool) -> None:
        threads, size = self.threads_for(images), self._program.scratch
        if len(self._scratch) < threads * size * self._lanes + 16:
            self._scratch = torch.empty(threads * size * self._lanes + 16, dtype=torch.float32)
        scratch = self._scratch.data_ptr() + -self._scratch.data_ptr() % 64
        self.kernels.run_steps(
            steps,
            len(steps),
            images,
            int(training),
            threads,
            ctypes.c_void_p(scratch),
            ctypes.c_int64(size),
            self._nanoseconds,
        )

    def time_steps(self) -> Callable[[], dict[str, float]]:
        """Start to measure each kind of step; return a function that gives the seconds so far by kind, over all threads."""
        self._nanoseconds = (ctypes.c_int64 * len(program.KINDS))()
        return lambda: {kind: value / 1e9 for kind, value in zip(program.KINDS, self._nanoseconds or (), strict=True)}
