"""The trained network as predictions want it: pixels from 0 to 1 in, logits out, normalization inside."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from budgetnet.inference.contract import Contract

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class InferenceNetwork(nn.Module):
    """``body`` in evaluation mode, computing in ``precision`` behind a float32 face.

    Takes float32 pixels (N, C, H, W) from 0 to 1 and gives float32 logits (N, classes). The normalization is done in
    float32, so that a reduced precision loses nothing before the first layer. ``body`` is changed by a reduced precision.
    """

    def __init__(self, body: nn.Module, contract: Contract, precision: str = "fp32") -> None:
        super().__init__()
        self.dtype = PRECISIONS[precision]
        self.body = body.eval().requires_grad_(False).to(self.dtype)
        self.scale, self.shift = 1 / contract.std, -contract.mean / contract.std
        self.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        normalized = pixels if (self.scale, self.shift) == (1.0, 0.0) else pixels * self.scale + self.shift
        if self.dtype == torch.float32:
            return cast(Tensor, self.body(normalized))
        return cast(Tensor, self.body(normalized.to(self.dtype)).float())
