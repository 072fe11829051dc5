"""ONNX: one self-contained file for ONNX Runtime, which is the fastest of the portable backends on a CPU, and for much else."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from budgetnet.environment import version_of
from budgetnet.inference.artifact import Sidecar
from budgetnet.inference.backends.base import Logits, Request, Session, lacks_precision
from budgetnet.inference.contract import Pixels

MODEL = "model.onnx"
INPUT, OUTPUT = "pixels", "logits"
CALIBRATION_BATCH = 100


class Onnx:
    """Runs on any processor; int8 is calibrated on training images and quantizes weights by channel."""

    name = "onnx"
    title = "ONNX Runtime"
    precisions: Mapping[str, tuple[str, ...]] = {"cpu": ("fp32", "int8", "fp16")}

    def missing(self, device: str, precision: str) -> str | None:
        if importlib.util.find_spec("onnxruntime") is None:
            return "onnxruntime is not installed: pip install 'budgetnet[onnx]'"
        return lacks_precision(self, device, precision)

    def build(self, request: Request, folder: Path) -> tuple[int, ...]:
        write_model(request, folder / MODEL)
        return ()

    def load(self, folder: Path, sidecar: Sidecar, threads: int) -> Session:
        return OnnxSession(folder / MODEL, threads)

    def versions(self) -> dict[str, str]:
        return {"onnxruntime": version_of("onnxruntime") or "none"}

    def machine(self, device: str) -> dict[str, Any]:
        return {}


def write_model(request: Request, path: Path) -> None:
    """Export the network to ``path``, quantized where int8 is asked for. Raises ImportError without onnx and onnxscript."""
    if request.precision != "int8":
        _export(request, path)
        return
    plain = path.with_name("float.onnx")
    _export(request, plain)
    try:
        _quantize(plain, path, request)
    finally:
        plain.unlink()


def _export(request: Request, path: Path) -> None:
    import torch

    from budgetnet.inference.export import exported

    network = request.network("fp32" if request.precision == "int8" else request.precision)
    program = exported(network, request.contract, request.optimum, request.max_batch)
    with _quiet():
        model = torch.onnx.export(
            program, dynamo=True, external_data=False, verbose=False, input_names=[INPUT], output_names=[OUTPUT], optimize=True
        )
        assert model is not None
        model.save(str(path))


def _quantize(plain: Path, path: Path, request: Request) -> None:
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = plain.with_name("prepared.onnx")
    with _quiet():
        quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
        try:
            quantize_static(
                str(prepared), str(path), _reader(request.calibration()), quant_format=QuantFormat.QDQ, per_channel=True,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.MinMax,
            )  # fmt: skip
        finally:
            prepared.unlink()


def _reader(images: Pixels) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            starts = range(0, len(images), CALIBRATION_BATCH)
            self._batches = iter([{INPUT: images[start : start + CALIBRATION_BATCH]} for start in starts])

        def get_next(self) -> dict[str, Pixels] | None:
            return next(self._batches, None)

    return Reader()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter and the quantizer print and log what no user asked for."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "root")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class OnnxSession:
    """ONNX Runtime with threads of its own; several Python threads may call it."""

    concurrent = True

    def __init__(self, path: Path, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        if threads > 1:  # idle threads that spin take the cores from everyone else
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def __call__(self, pixels: Pixels) -> Logits:
        logits: Logits = self._session.run(None, {INPUT: pixels})[0]
        return logits

    def close(self) -> None:
        del self._session


BACKENDS = {"onnx": Onnx()}
