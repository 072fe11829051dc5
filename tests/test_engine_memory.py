"""The allocator keeps what a step frees: the second step faults in no pages anew."""

import platform
import subprocess
import sys

import pytest

CODE = """
import resource, sys, torch
from budgetnet.engine.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory() and keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16 * 2**20).add(1).sum()  # two blocks of 64 MB, freed at once
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults(), faults()
print(min(faults() for _ in range(5)))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")
def test_freed_memory_is_used_again():
    kept, fetched = (
        int(subprocess.run([sys.executable, "-c", CODE, how], capture_output=True, text=True, check=True).stdout) for how in ("keep", "let")
    )
    assert kept < 100
    assert fetched >= kept  # many thousands, unless the kernel gives out large pages
