"""Activations: what the layers put out, whatever comes after them."""

import torch
from torch import nn

from budgetnet.activations import activations


def test_activations_are_kept_from_layers_that_work_in_place():
    found = dict(activations(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True)), torch.randn(2, 1, 8, 8)))
    assert found["0"].min() < 0 <= found["1"].min()


def test_activations_of_a_recurrent_layer_are_its_outputs():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.rows = nn.LSTM(8, 3, batch_first=True)

        def forward(self, images):
            return self.rows(images[:, 0])[0][:, -1]

    assert [(name, tuple(kept.shape)) for name, kept in activations(Recurrent(), torch.rand(2, 1, 8, 8))] == [("rows", (2, 8, 3))]
