"""A torch callable on CUDA as captured graphs: a batch is padded to the next size that was captured, and replayed.

At these sizes a forward pass on a GPU is all launches; a graph is one. Every size is captured when it is first needed, with
its own buffers in device memory and in pinned host memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from budgetnet.inference.backends.base import Logits
from budgetnet.inference.contract import Pixels

BUCKETS = (1, 8, 32, 128, 512, 2048)
WARM_UP = 3  # calls before a capture, in which libraries choose their kernels and allocate


def buckets(max_batch: int, fixed: Sequence[int] = ()) -> tuple[int, ...]:
    """The batch sizes to capture, ascending; the largest is ``max_batch``."""
    return tuple(sorted({size for size in (*BUCKETS, *fixed) if size < max_batch} | {max_batch}))


def bucket_for(images: int, sizes: Sequence[int]) -> int:
    """The smallest of ``sizes`` that holds ``images``. Raises ValueError above the largest."""
    return min((size for size in sizes if size >= images), default=0) or _too_many(images, sizes)


def _too_many(images: int, sizes: Sequence[int]) -> int:
    raise ValueError(f"{images} images are more than the largest batch of {max(sizes)}")


@dataclass(eq=False)
class _Captured:
    """Buffers of one batch size, for pixels and logits on host and device, and the graph between them."""

    host_in: Tensor
    device_in: Tensor
    device_out: Tensor
    host_out: Tensor
    graph: torch.cuda.CUDAGraph | None


class Replaying:
    """A session on CUDA; one thread at a time."""

    concurrent = False

    def __init__(
        self, forward: Callable[[Tensor], Tensor], image_shape: tuple[int, int, int], max_batch: int, fixed: Sequence[int] = (),
        capture: bool = True,
    ) -> None:  # fmt: skip
        self._forward = forward
        self._shape = image_shape
        self._sizes = buckets(max_batch, fixed)
        self._capture = capture
        self._captured: dict[int, _Captured] = {}

    def __call__(self, pixels: Pixels) -> Logits:
        number = len(pixels)
        size = bucket_for(number, self._sizes)
        with torch.inference_mode():
            own = self._captured.get(size) or self._prepare(size)
            own.host_in[:number].copy_(torch.from_numpy(pixels))
            own.device_in[:number].copy_(own.host_in[:number], non_blocking=True)
            if own.graph is not None:
                own.graph.replay()
            else:
                own.device_out.copy_(self._forward(own.device_in))
            own.host_out[:number].copy_(own.device_out[:number], non_blocking=True)
            torch.cuda.current_stream().synchronize()
            logits: Logits = own.host_out[:number].numpy().copy()
        return logits

    def close(self) -> None:
        self._captured.clear()

    def _prepare(self, size: int) -> _Captured:
        device_in = torch.zeros((size, *self._shape), device="cuda")
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                device_out = self._forward(device_in)
        torch.cuda.current_stream().wait_stream(side)
        graph = None
        if self._capture:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                device_out = self._forward(device_in)
        pinned = torch.empty((size, *self._shape), pin_memory=True)
        own = _Captured(pinned, device_in, device_out, torch.empty(device_out.shape, pin_memory=True), graph)
        self._captured[size] = own
        return own
