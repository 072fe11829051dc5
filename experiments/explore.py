"""The study behind explore-separable: batch size and epochs, then the learning rate, then the ablation (``make explore``).

Source ``explore``, "MNIST Dataset Exploration" (Keras): it splits the training set, searches batch size × epochs (best: 32
and 3), then Adam's rate at that point (best: 1e-4), then switches batch normalization and dropout on and off, and uses
the test set once, at the end. The values that it tried are not given; those here are chosen around its best.
"""

from dataclasses import replace

from budgetnet.definition import Adam, Budget, Choices, Plan, ReportedAt, Study

from .separable import PLACES, SEPARABLE, SOURCE

# The rate was searched after the batch size: before, it is Keras's default.
UNTUNED = replace(SEPARABLE, recipe=replace(SEPARABLE.recipe, optimizer=Adam(lr=1e-3)))

BATCH_AND_EPOCHS = Study(
    name="explore-batch-epochs",
    base=UNTUNED,
    space=(("recipe.batch_size", Choices((16, 32, 64, 128))), ("recipe.epochs", Choices((1, 2, 3, 4)))),
    notes="Batch size and number of epochs, at Keras's default rate of 0.001; the document found 32 and 3.",
    source=SOURCE,
)
RATE = Study(
    name="explore-rate",
    base=UNTUNED,
    space=(("recipe.optimizer.lr", Choices((3e-5, 1e-4, 3e-4, 1e-3))),),
    after=BATCH_AND_EPOCHS.name,
    notes="Adam's learning rate at the best batch size and number of epochs; the document found 0.0001.",
    source=SOURCE,
)
ABLATION = Study(
    name="explore-ablation",
    base=UNTUNED,
    space=(("model.norm", Choices((False, True))), ("model.dropout", Choices((0.0, 0.5)))),
    after=RATE.name,
    reported=(
        ReportedAt((False, 0.0), 97.808),
        ReportedAt((True, 0.0), 94.08),
        ReportedAt((False, 0.5), 94.17),
        ReportedAt((True, 0.5), 90.48),
    ),
    notes="Batch normalization and dropout in the dense layers, each on and off, at the best point found.",
    source=SOURCE,
)

# What the ablation leaves open: where the normalization stands, and the rate of the dropout. At the document's own point.
HELD_OUT = replace(SEPARABLE, recipe=replace(SEPARABLE.recipe, protocol=replace(SEPARABLE.recipe.protocol, test_at_end=False)))
NORM_PLACES = Study(
    name="explore-norm-places",
    base=replace(HELD_OUT, model=replace(SEPARABLE.model, norm=True), budget=Budget()),
    space=(("model.norm_place", Choices(PLACES)),),
    notes="Where batch normalization stands, which the document does not say: it reports 94.08 % with it, 97.81 % without.",
    source=SOURCE,
)
DROPOUT_RATES = Study(
    name="explore-dropout-rates",
    base=HELD_OUT,
    space=(("model.dropout", Choices((0.25, 0.5, 0.75, 0.9))),),
    notes="The rate of the dropout in the dense layers, which the document does not say: it reports 94.17 % with it.",
    source=SOURCE,
)

EXPLORE = Plan(
    name="explore",
    studies=(BATCH_AND_EPOCHS, RATE, ABLATION),
    notes="Batch size and epochs, learning rate, ablation; then the chosen configuration on the test set, once.",
    source=SOURCE,
)
