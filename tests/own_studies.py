"""Small searches for tests that train: scikit-learn's embedded digits, hundreds of images, seconds."""

from budgetnet.data.specs import DIGITS
from budgetnet.definition import SGD, Choices, Experiment, Plan, Protocol, Range, Recipe, ReportedAt, StepLR, Study, change, derive
from budgetnet.models import PlainCNN

BASE = Experiment(
    name="base",
    data_set=DIGITS,
    model=PlainCNN(widths=(4, 4, 4), pool_after=(1, 2)),
    recipe=Recipe(optimizer=SGD(lr=0.05, momentum=0.9), batch_size=64, epochs=2, protocol=Protocol("holdout", 300)),
)
STEPPED = derive(BASE, "stepped", recipe=change(schedule=StepLR(1, 0.5)))

BATCH = Study("digits-batch", BASE, (("recipe.batch_size", Choices((32, 64))), ("recipe.epochs", Range(1, 3, step=1))))
RATE = Study("digits-rate", BASE, (("recipe.optimizer.lr", Range(0.005, 0.5, log=True)),), sampler="tpe", trials=4, after="digits-batch")
PARTS = Study(
    "digits-parts",
    BASE,
    (("model.norm", Choices((True, False))), ("model.dropout", Choices((0.1, 0.0)))),
    seeds=(0, 1),
    after="digits-rate",
    reported=(ReportedAt((True, 0.1), 97.0), ReportedAt((False, 0.0), 98.0)),
)
PLAN = Plan("digits", (BATCH, RATE, PARTS), notes="a whole plan in seconds")

SCHEDULED = Study("scheduled", STEPPED, (("recipe.epochs", Choices((1, 2))),))
EXTREME = Study("extreme", BASE, (("recipe.optimizer.lr", Choices((0.05, 1e18))), ("recipe.epochs", Choices((1, 2)))))
TPE = Study("proposed", BASE, (("recipe.optimizer.lr", Range(0.001, 1.0, log=True)), ("recipe.batch_size", Range(16, 64))), "tpe", 12)
LONG = Study("long", BASE, (("recipe.optimizer.lr", Choices((0.01, 0.02, 0.05, 0.1))), ("recipe.epochs", Choices((2, 5, 8)))))

AGAIN = Plan("again", (
    Study("again-epochs", BASE, (("recipe.epochs", Choices((1, 2, 3))),)),
    Study("again-rate", BASE, (("recipe.optimizer.lr", Choices((0.05, 0.01))),), after="again-epochs"),
))  # fmt: skip

CATALOGUE = (BASE, STEPPED)
STUDIES = (SCHEDULED, EXTREME, TPE, LONG)
PLANS = (PLAN, AGAIN)
