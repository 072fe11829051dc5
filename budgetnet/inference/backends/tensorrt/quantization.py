"""Networks in 8-bit integers: NVIDIA's ModelOpt puts the roundings in, and measures their ranges on training images."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

import torch
from torch import nn

from budgetnet.inference.contract import Pixels
from budgetnet.inference.network import InferenceNetwork

BATCH = 100


def quantize(network: InferenceNetwork, images: Pixels) -> None:
    """Change ``network`` so that its convolutions and dense layers round what they take and their weights, by channel, to 8 bits.

    ``images`` are pixels (N, C, H, W) that the ranges are measured on, where the network is. Raises ImportError without ModelOpt.
    """
    import modelopt.torch.quantization as quantization

    device = next(network.parameters()).device

    def measure(model: nn.Module) -> None:
        with torch.no_grad():
            for batch in torch.from_numpy(images).split(BATCH):
                model(batch.to(device))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantization.quantize(network, quantization.INT8_DEFAULT_CFG, measure)


@contextlib.contextmanager
def exportable() -> Iterator[None]:
    """Within it, a quantized network is exported with the operators that TensorRT has layers for."""
    from modelopt.torch.quantization.utils import export_torch_mode

    with export_torch_mode():
        yield
