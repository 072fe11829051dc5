"""Subnormal numbers become zero, in this thread and in the threads of torch and of the kernels; in a process of its own."""

import subprocess
import sys

CODE = """
import torch
from budgetnet.engine.subnormals import flushed_subnormals
torch.set_num_threads(2)
def halved():
    return int((torch.full((2**20,), 1e-39) * 0.5).count_nonzero())
if torch.set_flush_denormal(True):
    torch.set_flush_denormal(False)
    with flushed_subnormals():
        assert halved() == 0, "in one of torch's threads"
        assert (torch.full((2**20,), 2e-38) * 0.9).count_nonzero() == 2**20, "a normal number"
        with flushed_subnormals():
            pass
        assert halved() == 0, "as it was before the inner one"
    torch.set_num_threads(1)
    assert halved() == 2**20, "as it was before"
"""


def test_subnormals_become_zero_in_every_thread_and_only_meanwhile():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
