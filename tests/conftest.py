"""Fixtures that more than one test file uses."""

from __future__ import annotations

import os

import pytest
import torch

from tests.command_line import OWN, main

torch.set_num_threads(1)  # the tests' own processes are the parallelism

CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
if CORES and (_worker := os.environ.get("PYTEST_XDIST_WORKER")):
    # threads of two tests on the same cores spin and wait for each other: 30 times slower
    os.sched_setaffinity(0, {sorted(CORES)[int(_worker.removeprefix("gw")) % len(CORES)]})

try:
    from hypothesis import settings
except ImportError:  # a bare checkout on a CUDA machine: the property tests are skipped there
    pass
else:
    # Property tests are judged by what they find, not by how busy the machine is; the same examples run every time.
    settings.register_profile("budgetnet", deadline=None, derandomize=True)
    settings.load_profile("budgetnet")


@pytest.fixture(scope="session")
def keras():
    """Keras 3 with its torch backend, the oracle of the ports."""
    os.environ["KERAS_BACKEND"] = "torch"
    module = pytest.importorskip("keras", minversion="3.0")
    if module.backend.backend() != "torch":
        pytest.skip("Keras was imported with another backend before")
    return module


@pytest.fixture
def all_cores():
    """Every core of the machine for one test."""
    before = os.sched_getaffinity(0) if CORES else set()
    if CORES:
        os.sched_setaffinity(0, CORES)
    yield
    if CORES:
        os.sched_setaffinity(0, before)


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """The folder of a finished run of 'small', the digits' network; not to be changed."""
    root = tmp_path_factory.mktemp("runs")
    assert main("run", "small", *OWN, "--runs", root, "--device", "cpu") == 0
    return root


@pytest.fixture(scope="session")
def mnist():
    """The MNIST arrays from wherever the ordinary search finds them; never downloaded, and not to be changed in place."""
    from budgetnet.data.arrays import load
    from budgetnet.data.files import DataError, find_data
    from budgetnet.data.specs import MNIST

    try:
        find_data(MNIST, download=False)
    except DataError as error:
        pytest.skip(str(error))
    return load(MNIST, download=False)  # files that are there and wrong are a failure, not a reason to skip
