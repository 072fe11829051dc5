"""A small catalogue for tests that train: scikit-learn's embedded digits, a few epochs, seconds."""

from budgetnet.data.specs import DIGITS
from budgetnet.definition import SGD, Aim, Augmentation, Budget, Experiment, Protocol, Recipe, Reported, StepLR, change, derive
from budgetnet.models import PlainCNN

SMALL = Experiment(
    name="small",
    data_set=DIGITS,
    model=PlainCNN(widths=(6, 6, 6, 6, 6), dropout=0.05),
    recipe=Recipe(
        optimizer=SGD(lr=0.1, momentum=0.9), batch_size=64, epochs=4, schedule=StepLR(3), augmentation=Augmentation(rotation=5),
    ),
    budget=Budget(bound=2_000, exact=1_950),
    aim=Aim(50.0, "better than chance"),
    reported=Reported(95.0),
)  # fmt: skip
HOPELESS = derive(SMALL, "hopeless", recipe=change(optimizer=change(lr=1e-9)), aim=Aim(99.9))
HELD_OUT = derive(SMALL, "held-out", recipe=change(protocol=Protocol("holdout", 300)))
BROKEN = derive(SMALL, "broken", model=PlainCNN(widths=(6, 6, 6, 6, 7), dropout=0.05))
DIVERGING = derive(SMALL, "diverging", recipe=change(optimizer=change(lr=1e18)))
LONG = derive(SMALL, "long", recipe=change(epochs=40))

CATALOGUE = (SMALL, HOPELESS, HELD_OUT, BROKEN, DIVERGING, LONG)
