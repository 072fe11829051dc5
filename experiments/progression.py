"""The thirteen steps: MNIST at 99.4 % with ever fewer parameters, from 40,202 to 5,854.

Source ``era_s7``: a 13-step write-up (PyTorch) and its public notebooks (github.com/nkanungo/ERA_S7). Everything here is
what the notebooks ran. Each step names the one before and states only what changes: ``budgetnet diff step-06 step-07``
prints the difference. Where the write-up's prose says something else, a mark quotes it.

The notebooks fixed no seed and validate on the test set. The write-up announces the best epoch of one run;
``Reported`` holds the notebook's figures after every epoch.
"""

from budgetnet.data.specs import MNIST
from budgetnet.definition import SGD, Aim, Augmentation, Budget, Experiment, Mark, Recipe, Reported, StepLR, change, derive
from budgetnet.models import PlainCNN

from .documents import curve

SOURCE = "era_s7, a 13-step write-up"
FIFTEEN = Mark("recipe.epochs", "contradicted", 'the prose says "15 epochs"; the notebook ran 14')


def notebook(step: str) -> Reported:
    """The figures of the step's notebook; the write-up announces the highest of any epoch."""
    return Reported.of_curves(curve(step), announces="best")


STEP_01 = Experiment(
    name="step-01",
    data_set=MNIST,
    model=PlainCNN(widths=(32, 32, 32, 32, 32), bias=True, norm=False),
    recipe=Recipe(optimizer=SGD(lr=0.01, momentum=0.9), batch_size=128, epochs=19),
    budget=Budget(exact=40_202),
    aim=Aim(99.0, "99 %"),
    reported=notebook("step-01"),
    source=SOURCE,
    marks=(Mark("recipe.epochs", "contradicted", 'the prose says "20 epochs"; the notebook ran 19'),),
    notes="The six-convolution structure works; it is far too large.",
)
STEP_02 = derive(
    STEP_01, "step-02",
    model=PlainCNN(widths=(14, 14, 14, 14, 14), norm=False),
    recipe=change(epochs=14),
    budget=Budget(bound=10_000, exact=8_442),
    aim=Aim(99.0, "near 99 %, < 10,000 parameters, within 15 epochs"),
    reported=notebook("step-02"),
    notes="A fifth of the parameters, to see what the structure can do within the budget.",
)  # fmt: skip
STEP_03 = derive(
    STEP_02, "step-03",
    model=change(norm=True, dropout=0.1),
    budget=change(exact=8_582),
    aim=Aim(99.0, "> 99 %, same budget"),
    reported=notebook("step-03"),
    marks=(FIFTEEN,),
    notes="Batch normalization to learn faster, dropout against the gap between training and validation.",
)  # fmt: skip
STEP_04 = derive(
    STEP_03, "step-04",
    recipe=change(augmentation=Augmentation(rotation=7, interpolation="nearest", fill=1)),
    aim=Aim(99.4, "> 99.4 %"),
    reported=notebook("step-04"),
    marks=(FIFTEEN, Mark("budget.bound", "chosen", "no bound is given for this step; that of step 2 is kept")),
    notes="Rotated training images make training harder than validation.",
)  # fmt: skip
STEP_05 = derive(
    STEP_04, "step-05",
    recipe=change(schedule=StepLR(step_size=6, gamma=0.1)),
    aim=Aim(99.4, "> 99.4 %, fewer than 15 epochs"),
    reported=notebook("step-05"),
    notes="A smaller learning rate after six epochs, because the accuracy of the last epochs varies.",
)  # fmt: skip
STEP_06 = derive(
    STEP_05, "step-06",
    model=change(dropout=0.069),
    aim=Aim(99.4, "> 99.4 %"),
    reported=notebook("step-06"),
    notes="The network underfits: less dropout.",
)  # fmt: skip
STEP_07 = derive(
    STEP_06, "step-07",
    recipe=change(batch_size=64, augmentation=change(rotation=5)),
    aim=Aim(99.4, "> 99.4 %, stable"),
    reported=notebook("step-07"),
    notes="Twice as many steps an epoch, and a milder rotation; the write-up changes both at once.",
)  # fmt: skip
STEP_08 = derive(
    STEP_07, "step-08",
    recipe=change(optimizer=change(lr=0.015)),
    aim=Aim(99.4, "faster convergence"),
    reported=notebook("step-08"),
    notes='A "slightly higher" learning rate, to be further along when the schedule cuts it.',
)  # fmt: skip
STEP_09 = derive(
    STEP_08, "step-09",
    model=change(widths=(12, 12, 14, 14, 14)),
    recipe=change(optimizer=change(lr=0.019)),
    budget=Budget(bound=8_000, exact=7_836),
    aim=Aim(99.4, "> 99.4 %, < 8,000 parameters"),
    reported=notebook("step-09"),
    notes="Fewer channels in the first pair, and a higher learning rate again.",
)  # fmt: skip
STEP_10 = derive(
    STEP_09, "step-10",
    model=change(widths=(10, 10, 12, 12, 12)),
    recipe=change(schedule=change(step_size=7)),
    budget=Budget(bound=6_000, exact=5_854),
    aim=Aim(99.4, "> 99.4 %, < 6,000 parameters"),
    reported=notebook("step-10"),
    notes="Below 6,000 parameters; the learning rate is cut an epoch later.",
)  # fmt: skip
STEP_11 = derive(
    STEP_10, "step-11",
    model=change(widths=(10, 12, 12, 12, 12)),
    budget=Budget(bound=8_000, exact=6_254),
    aim=Aim(99.4, "> 99.4 %, about 6,000 parameters, consistent"),
    reported=notebook("step-11"),
    marks=(Mark("budget.bound", "chosen", "the aim is 'about 6,000'; the bound of the whole series, 8,000, is kept"),),
    notes="Two channels more in the second convolution; the write-up calls this its best model.",
)  # fmt: skip
STEP_12 = derive(
    STEP_11, "step-12",
    model=change(widths=(10, 11, 12, 12, 12)),
    budget=change(exact=6_054),
    aim=Aim(99.4, "> 99.4 %"),
    reported=notebook("step-12"),
    notes="One of the two channels less again.",
)  # fmt: skip
STEP_13 = derive(
    STEP_12, "step-13",
    model=change(widths=(10, 10, 12, 12, 12)),
    budget=Budget(bound=6_000, exact=5_854),
    aim=Aim(99.4, "> 99.4 %, < 6,000 parameters"),
    reported=notebook("step-13"),
    same_as="step-10",
    marks=(
        Mark("model.widths", "contradicted", 'the prose says "different channel sizes"; the notebook ran step 10 to the last value'),
    ),
    notes="Step 10, run once more: the write-up's last improvement, from 99.38 to 99.40 %, is chance.",
)  # fmt: skip

STEPS = (
    STEP_01, STEP_02, STEP_03, STEP_04, STEP_05, STEP_06, STEP_07, STEP_08, STEP_09, STEP_10, STEP_11, STEP_12, STEP_13,
)  # fmt: skip
