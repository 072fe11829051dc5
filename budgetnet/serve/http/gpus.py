"""Which GPUs there are, asked of the driver: importing torch for that would take seconds and start CUDA in this process."""

from __future__ import annotations

import ctypes
import os


def gpus() -> list[str]:
    """What CUDA_VISIBLE_DEVICES calls them, in order; empty without a driver or a GPU."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return []
    number = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(number)) != 0:
        return []
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",")[: number.value] if named else [str(place) for place in range(number.value)]
