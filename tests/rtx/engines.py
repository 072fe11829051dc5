"""Build engines of experiments as the backend does, up to where a GPU is needed; one JSON object a line of output.

PYTHONPATH=<where TensorRT-RTX is> python -m tests.rtx.engines [--precisions fp32,fp16] [EXPERIMENT ...]
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
import warnings
from dataclasses import asdict
from pathlib import Path

import torch

from tests.rtx.stubs import Recorder, without_a_driver


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("experiments", nargs="*")
    parser.add_argument("--precisions", default="fp32,fp16")
    options = parser.parse_args()
    torch.set_num_threads(1)
    without_a_driver()
    report, sys.stdout = sys.stdout, sys.stderr  # the libraries print
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    recorder = Recorder()
    for name in options.experiments or all_experiments():
        for precision in options.precisions.split(","):
            for line in engines(recorder, name, precision):
                print(json.dumps(line), file=report, flush=True)


def all_experiments() -> list[str]:
    from budgetnet.catalogue import load_default

    return [experiment.name for experiment in load_default()]


def engines(recorder: Recorder, name: str, precision: str):
    """The engine for all batch sizes and the one for single images, of the network as it is initialized."""
    from budgetnet.inference.backends.tensorrt import building
    from budgetnet.inference.backends.tensorrt.arguments import Caches
    from tests.tensorrt_requests import request_for

    request = request_for(name, precision)
    network = request.network(precision)
    for plan in (
        building.general_plan(network, request),
        *(building.fixed_plan(network, request, n) for n in building.fixed_sizes(request)),
    ):
        started = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            caches = Caches(Path(folder, "timing.cache"))  # an engine whose weights can change is one that needs a driver to build
            with recorder.recording() as built:
                building.compiled(plan, request.contract, precision, caches)
        yield {
            "experiment": name, "precision": precision, "engine": plan.name, "batches": asdict(plan.batches),
            "cpu_seconds": time.process_time() - started, **asdict(built),
        }  # fmt: skip


if __name__ == "__main__":
    main()
