"""The pointwise twins: each step's recipe and budget, spent on the network that the write-up describes in words.

The write-up lists a 1×1 convolution that consolidates channels among the structures of each step; no notebook has one.
A twin has them: 3×3, 3×3, 1×1, pool, twice, then 3×3, 3×3, global average pooling and a 1×1 classifier.
(The classifier stands before the average in the module: both are linear, so the order changes nothing.) A twin has at
most its step's parameters and at least nine tenths of them.
"""

from dataclasses import replace

from budgetnet.definition import Budget, Experiment, Mark, derive

from .progression import STEPS

WHY = "no widths are given for the 1×1 structure; the consolidation keeps about 0.7 of the channels, the rest uses up the step's budget"

# step -> (channels of the 3×3 convolutions, channels of the two consolidations, trainable parameters)
WIDTHS: dict[str, tuple[tuple[int, ...], tuple[int, int], int]] = {
    "step-01": ((30, 30, 31, 31, 31, 31), (22, 22), 39_834),
    "step-02": ((14, 14, 14, 14, 14, 14), (10, 10), 8_358),
    **{f"step-{number:02d}": ((14, 14, 14, 14, 14, 14), (10, 10), 8_566) for number in range(3, 9)},
    "step-09": ((12, 12, 13, 13, 15, 15), (9, 9), 7_789),
    "step-10": ((10, 10, 12, 12, 12, 12), (8, 8), 5_774),
    "step-11": ((10, 12, 12, 12, 12, 13), (8, 9), 6_216),
    "step-12": ((10, 11, 12, 12, 12, 12), (8, 9), 5_996),
    "step-13": ((10, 10, 12, 12, 12, 12), (8, 8), 5_774),
}


def twin(step: Experiment) -> Experiment:
    """The pointwise twin of a step: same data, recipe and aim, another network within the step's exact count."""
    widths, consolidate, parameters = WIDTHS[step.name]
    return derive(
        step, f"{step.name}-pointwise",
        model=replace(step.model, widths=widths, consolidate=consolidate, classifier_kernel=1),
        budget=Budget(bound=step.budget.exact, exact=parameters),
        twin_of=step.name,
        same_as=f"{step.same_as}-pointwise" if step.same_as else None,
        marks=(Mark("model.widths", "chosen", WHY), Mark("model.consolidate", "chosen", WHY)),
        notes=f"The same budget as {step.name}, spent with 1×1 convolutions.",
    )  # fmt: skip


TWINS = tuple(twin(step) for step in STEPS)
