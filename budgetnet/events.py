"""TensorBoard event files of a run: figures, weights and activations after every epoch, the network's graph once.

The records are written here and now: torch's SummaryWriter hands them to a thread, which on a full disk dies with a traceback.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from budgetnet.metrics import EpochRecord
from budgetnet.structure import Layer

if TYPE_CHECKING:
    from torch import Tensor

SCALARS = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "lr")
SAMPLE = 16_384  # values of a tensor that go into its histogram, evenly spaced: enough for 64 bins, whatever the size
BINS = 64  # evenly wide ones: a kilobyte a tensor and epoch; SummaryWriter's own choice of bins takes six


class Events:
    """Writes the events of a run for TensorBoard; without a file, nothing. Raises OSError where the disk is full."""

    def __init__(self, file: _EventFile | None = None) -> None:
        self._file = file

    @property
    def writing(self) -> bool:
        """Tell whether there is a file, and thus a reason to compute something for it."""
        return self._file is not None

    def epoch(
        self, record: EpochRecord, weights: Iterable[tuple[str, Tensor]], activations: Iterable[tuple[str, Tensor]] = ()
    ) -> None:
        """The figures of an epoch as scalars and the named tensors as histograms, on disk when this returns."""
        if self._file is None:
            return
        from torch.utils.tensorboard.summary import histogram, scalar

        for name in SCALARS:
            self._file.add(step=record.epoch, summary=scalar(name.replace("_", "/", 1), getattr(record, name)))
        named = ((kind, *pair) for kind, pairs in (("weights", weights), ("activations", activations)) for pair in pairs)
        for kind, name, values in named:
            flat = values.detach().flatten()
            sample = flat[:: -(-flat.numel() // SAMPLE)] if flat.numel() > SAMPLE else flat
            if sample.numel() and sample.isfinite().all():
                self._file.add(step=record.epoch, summary=histogram(f"{kind}/{name}", sample.float().cpu().numpy(), BINS))
        self._file.flush()

    def graph(self, layers: Sequence[Layer]) -> None:
        """The network's graph; the parts of a dotted name become TensorBoard's nested boxes.

        Written from the traced structure: SummaryWriter.add_graph needs torch.jit.trace, which is deprecated, takes some hundred
        milliseconds and shows torch's operators instead of the network's layers.
        """
        if self._file is not None and layers:
            self._file.add(graph_def=_graph_definition(layers).SerializeToString())
            self._file.flush()


class _EventFile:
    """An event file, open as long as a process trains."""

    def __init__(self, directory: Path, purge_step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        name, number = f"events.out.tfevents.{time.time():010.0f}.{socket.gethostname()}.{os.getpid()}", 0
        while (path := directory / f"{name}.{number}").exists():
            number += 1
        self._event = Event
        self._records = RecordWriter(open(path, "xb"))  # noqa: SIM115 (close() closes it)
        self.add(file_version="brain.Event:2")
        # readers then forget what another file says of this step and later ones
        self.add(step=purge_step, session_log=SessionLog(status=SessionLog.START))

    def add(self, **fields: Any) -> None:
        self._records.write(self._event(wall_time=time.time(), **fields).SerializeToString())

    def flush(self) -> None:
        self._records.flush()

    def close(self) -> None:
        self._records.close()


def _graph_definition(layers: Sequence[Layer]) -> Any:
    """The layers as the GraphDef that TensorBoard draws: kind, inputs, output shape and parameters of each."""
    from tensorboard.compat.proto.attr_value_pb2 import AttrValue
    from tensorboard.compat.proto.graph_pb2 import GraphDef
    from tensorboard.compat.proto.node_def_pb2 import NodeDef
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
    from tensorboard.compat.proto.versions_pb2 import VersionDef

    def node(layer: Layer) -> Any:
        sizes = [TensorShapeProto.Dim(size=size) for size in (-1, *(layer.output_shape or ()))]
        shapes = AttrValue(list=AttrValue.ListValue(shape=[TensorShapeProto(dim=sizes)]))
        attributes = {"_output_shapes": shapes, "parameters": AttrValue(i=layer.parameters)}
        return NodeDef(name=paths[layer.name], op=layer.kind, input=[paths[name] for name in layer.inputs], attr=attributes)

    # With the kind behind it: what ends in numbers, as conv1 to conv5, TensorBoard would fold into a single node.
    paths = {layer.name: f"{layer.name.replace('.', '/')} ({layer.kind})" for layer in layers}
    return GraphDef(node=[node(layer) for layer in layers], versions=VersionDef(producer=22))


@contextlib.contextmanager
def event_file(directory: Path, epoch: int, log: Callable[[str], None]) -> Iterator[Events]:
    """Return a writer to a new event file in ``directory`` that continues after ``epoch``; later events of a killed run are purged.

    Without tensorboard nothing is written and the log says so.
    """
    try:
        import torch.utils.tensorboard  # noqa: F401 (says so where tensorboard is missing)
    except ImportError:
        log("tensorboard is not installed: no event files are written")
        yield Events()
        return
    file = _EventFile(directory, epoch + 1)
    try:
        yield Events(file)
    finally:
        file.close()
