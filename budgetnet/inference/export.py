"""A network as an exported program, for one batch size or for a range of them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from budgetnet.inference.contract import Contract
from budgetnet.inference.errors import InferenceError
from budgetnet.inference.network import InferenceNetwork

LEAST_EXAMPLE = 16  # smaller example batches are baked in as limits, and 1 as the only size


def exported(
    network: InferenceNetwork, contract: Contract, optimum: int, max_batch: int, device: torch.device | str = "cpu"
) -> ExportedProgram:
    """The program for batches of 1 to ``max_batch``; ``optimum`` is what a compiler that tunes for one size takes."""
    if max_batch == 1:
        return exported_fixed(network, contract, 1, device)
    example = example_pixels(contract, min(max(optimum, LEAST_EXAMPLE), max_batch), device)
    batch = Dim("batch", min=1, max=max_batch)
    with torch.no_grad():
        try:
            return torch.export.export(network, (example,), dynamic_shapes=({0: batch},))
        except Exception as error:
            if "specialized it to be a constant" not in str(error):
                raise
            raise InferenceError("forward makes the batch size a constant; take it from x.shape[0], not from len(x)") from error


def exported_fixed(network: InferenceNetwork, contract: Contract, batch: int, device: torch.device | str = "cpu") -> ExportedProgram:
    """The program for batches of exactly this size."""
    with torch.no_grad():
        return torch.export.export(network, (example_pixels(contract, batch, device),))


def example_pixels(contract: Contract, batch: int, device: torch.device | str = "cpu") -> Tensor:
    """Pixels that stand for images where only shape and type matter, (batch, C, H, W) float32."""
    return torch.full((batch, *contract.image_shape), 0.5, device=device)
