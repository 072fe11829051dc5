"""Looking closely at a trained network: one pass over the images that its figures come from, one over its weights."""

from __future__ import annotations

import base64
from collections.abc import Callable

import torch
from torch import Tensor, nn

from budgetnet.data.arrays import Arrays
from budgetnet.data.resident import evaluation_batches
from budgetnet.data.splits import split
from budgetnet.definition import Experiment
from budgetnet.diagnostics.record import Diagnostics, WorstError
from budgetnet.diagnostics.weights import summarize
from budgetnet.evaluate import evaluate
from budgetnet.results import Result
from budgetnet.tracing import StructureUnavailable, trace

WORST = 12
LARGEST_SIDE = 40  # pixels of a stored picture; larger ones are thinned out

Forward = Callable[[Tensor], Tensor]


def diagnose(
    experiment: Experiment, result: Result, model: nn.Module, forward: Forward, data: Arrays, device: str, batch_size: int
) -> Diagnostics:
    """The record of a finished run whose weights ``model`` has; ``forward`` gives its logits in evaluation mode, on ``device``.

    Looks at the images that the run's final figures come from: the test set, or under a hold-out protocol that never scored it
    the held-out images of the run's seed. A network that cannot be traced costs the record its layers only.
    """
    which, images, labels = scored_images(experiment, result, data)
    kept: list[Tensor] = []

    def remembering(some: Tensor) -> Tensor:
        kept.append(forward(some))
        return kept[-1]

    spec = experiment.data_set
    batches = evaluation_batches(images.to(device), labels.to(device), batch_size, spec.mean, spec.std)
    scores = evaluate(remembering, batches, spec.classes)
    logits = torch.cat([some.float().cpu() for some in kept])
    try:
        layers, remark = trace(model, spec.image_shape), ""
    except StructureUnavailable as error:
        layers, remark = (), str(error)
    pictures = thumbnails(images)
    return Diagnostics(
        experiment=experiment.name, definition_hash=result.definition_hash, seed=result.seed, images=which,
        loss=scores.loss, accuracy=scores.accuracy, confusion=scores.confusion,
        picture_shape=(pictures.shape[1], pictures.shape[2], pictures.shape[3]), errors=worst_errors(logits, labels, pictures),
        weights=summarize((name, value.detach().float().cpu().numpy()) for name, value in model.named_parameters()),
        layers=layers, layers_remark=remark, class_names=data.class_names,
    )  # fmt: skip


def scored_images(experiment: Experiment, result: Result, data: Arrays) -> tuple[str, Tensor, Tensor]:
    """Which set a run's final figures come from ('test' or 'holdout'), its images (N, C, H, W) uint8 and labels (N,) int64."""
    protocol = experiment.recipe.protocol
    if protocol.validation == "test" or result.test_accuracy is not None:
        return "test", data.test_images, data.test_labels
    parts = split(data, protocol, result.seed)
    return "holdout", parts.validation_images, parts.validation_labels


def thumbnails(images: Tensor) -> Tensor:
    """``images`` (N, C, H, W), or every so-manieth row and column of them, so that no side is longer than LARGEST_SIDE."""
    step = -(-max(images.shape[2:]) // LARGEST_SIDE)
    return images[:, :, ::step, ::step]


def worst_errors(logits: Tensor, labels: Tensor, pictures: Tensor, most: int = WORST) -> tuple[WorstError, ...]:
    """The wrongly classified images in order of falling confidence in the wrong class; equal ones in order of their index.

    ``logits`` (N, classes) float32, ``labels`` (N,) int64 and ``pictures`` (N, C, H, W) uint8, all on the CPU.
    """
    # in double precision: in single precision many a confident error would be a 1.0 like the next
    probabilities = logits.double().softmax(1)
    confidence, predicted = probabilities[torch.arange(len(logits)), logits.argmax(1)], logits.argmax(1)
    wrong = torch.nonzero(predicted != labels).flatten()
    order = wrong[torch.argsort(confidence[wrong], descending=True, stable=True)]
    return tuple(
        WorstError(
            index=i, true=int(labels[i]), predicted=int(predicted[i]), confidence=round(float(confidence[i]), 6),
            true_probability=round(float(probabilities[i, labels[i]]), 6),
            pixels=base64.b64encode(pictures[i].contiguous().numpy().tobytes()).decode("ascii"),
        ) for i in order[:most].tolist()
    )  # fmt: skip
