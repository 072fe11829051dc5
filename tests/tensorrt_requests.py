"""Requests to the TensorRT backend, for networks as they are initialized."""

from __future__ import annotations

import copy

import torch

from budgetnet.catalogue import load_default
from budgetnet.inference.backends.base import Request
from budgetnet.inference.contract import Contract
from budgetnet.inference.folding import fold_batch_norms
from budgetnet.inference.network import InferenceNetwork
from budgetnet.run import build_model


def request_for(name: str, precision: str = "fp32", device: str = "cpu", optimum: int = 64, fixed=(1,), max_batch: int = 256) -> Request:
    """For an experiment of the catalogue; its calibration images are noise."""
    experiment = load_default()[name]
    contract = Contract.of(experiment.data_set)
    body, _ = fold_batch_norms(build_model(experiment))
    return Request(
        network=lambda wanted: InferenceNetwork(copy.deepcopy(body), contract, wanted),
        contract=contract, precision=precision, device=device, optimum=optimum, fixed=fixed, max_batch=max_batch,
        calibration=lambda: torch.rand((200, *contract.image_shape)).numpy(),
    )  # fmt: skip
