"""The thirteen steps: MNIST at 99.4 % with ever fewer parameters, from 40,202 to 5,854.

Source ``era_s7``: a 13-step write-up (PyTorch). Counts, accuracies, aims, rotation, schedule and batch sizes are the
write-up's; widths, biases, block order, padding, the base rate of 0.01 and dropout 0.1 come from the same author's
earlier notebooks of the series (github.com/nkanungo/EVA6, "MNIST_99.4_Accuracy_8k Parameters"). Each step names the
one before and states only what changes; ``budgetnet diff step-06 step-07`` prints the difference. What no source gives is marked.
"""

from budgetnet.data.specs import MNIST
from budgetnet.definition import SGD, Aim, Augmentation, Budget, Experiment, Mark, Recipe, Reported, StepLR, change, derive
from budgetnet.models import PlainCNN

SOURCE = "era_s7, a 13-step write-up"
NOTEBOOKS = "from the same author's earlier notebooks of the series (EVA6); gives the write-up's parameter count"
RESIZED = "the smallest change to step 9 that gives the write-up's count; the write-up says only that channels changed"

STEP_01 = Experiment(
    name="step-01",
    data_set=MNIST,
    model=PlainCNN(widths=(32, 32, 32, 32, 32), bias=True, norm=False),
    recipe=Recipe(optimizer=SGD(lr=0.01, momentum=0.9), batch_size=128, epochs=20),
    budget=Budget(exact=40_202),
    aim=Aim(99.0, "99 %"),
    reported=Reported(validation_accuracy=99.23, train_accuracy=99.58),
    source=SOURCE,
    marks=(
        Mark("model.widths", "inferred", NOTEBOOKS),
        Mark("model.bias", "inferred", NOTEBOOKS),
        Mark("recipe.optimizer.lr", "inferred", NOTEBOOKS),
    ),
    notes="The six-convolution structure works; it is far too large.",
)
STEP_02 = derive(
    STEP_01, "step-02",
    model=PlainCNN(widths=(14, 14, 14, 14, 14), norm=False),
    recipe=change(epochs=15),
    budget=Budget(bound=10_000, exact=8_442),
    aim=Aim(99.0, "near 99 %, < 10,000 parameters, ≤ 15 epochs"),
    reported=Reported(validation_accuracy=98.90, train_accuracy=98.96),
    marks=(Mark("model.widths", "inferred", NOTEBOOKS), Mark("model.bias", "inferred", NOTEBOOKS)),
    notes="A fifth of the parameters, to see what the structure can do within the budget.",
)  # fmt: skip
STEP_03 = derive(
    STEP_02, "step-03",
    model=PlainCNN(widths=(14, 14, 14, 14, 14), norm=True, dropout=0.1),
    budget=change(exact=8_582),
    aim=Aim(99.0, "> 99 %, same budget"),
    reported=Reported(validation_accuracy=99.35, train_accuracy=98.69),
    marks=(Mark("model.dropout", "inferred", NOTEBOOKS),),
    notes="Batch normalization to learn faster, dropout against the gap between training and validation.",
)  # fmt: skip
STEP_04 = derive(
    STEP_03, "step-04",
    recipe=change(augmentation=Augmentation(rotation=7, interpolation="nearest", fill=1)),
    aim=Aim(99.4, "> 99.4 %"),
    reported=Reported(validation_accuracy=99.37, train_accuracy=98.50),
    marks=(
        Mark("recipe.augmentation.fill", "inferred", "the earlier notebooks rotate with fill value 1 (of 255)"),
        Mark("recipe.augmentation.interpolation", "inferred", "the earlier notebooks rotate with nearest neighbour"),
        Mark("budget.bound", "chosen", "no bound is given for this step; that of step 2 is kept"),
    ),
    notes="Rotated training images make the task harder in training than in validation.",
)  # fmt: skip
STEP_05 = derive(
    STEP_04, "step-05",
    recipe=change(schedule=StepLR(step_size=6, gamma=0.1)),
    reported=Reported(validation_accuracy=99.25, train_accuracy=98.39),
    notes="A smaller rate after six epochs, against the wandering of the last ones.",
)  # fmt: skip
STEP_06 = derive(
    STEP_05, "step-06",
    model=PlainCNN(widths=(14, 14, 14, 14, 14), norm=True, dropout=0.025),
    reported=Reported(validation_accuracy=99.40, train_accuracy=98.68),
    marks=(Mark("model.dropout", "chosen", "the write-up says 'smaller' than 0.1; chosen on a hold-out of the training set, docs/log.md"),),
    notes="The network underfits: it needs less regularization.",
)  # fmt: skip
STEP_07 = derive(
    STEP_06, "step-07",
    recipe=change(batch_size=64, augmentation=change(rotation=5)),
    aim=Aim(99.4, "≥ 99.4 %, stable"),
    reported=Reported(validation_accuracy=99.42, train_accuracy=99.00),
    notes="Twice the steps an epoch, and a milder rotation; the write-up changes both at once.",
)  # fmt: skip
STEP_08 = derive(
    STEP_07, "step-08",
    recipe=change(optimizer=change(lr=0.02)),
    aim=Aim(99.4, "faster convergence, ≥ 99.4 %"),
    reported=Reported(validation_accuracy=99.44, train_accuracy=99.04),
    marks=(Mark("recipe.optimizer.lr", "chosen", "the write-up says 'higher'; chosen on a hold-out of the training set, docs/log.md"),),
    notes="A higher rate, to be further along when the schedule cuts it.",
)  # fmt: skip
STEP_09 = derive(
    STEP_08, "step-09",
    model=PlainCNN(widths=(12, 12, 14, 14, 14), norm=True, dropout=0.025),
    recipe=change(optimizer=change(lr=0.19)),
    budget=Budget(bound=8_000, exact=7_836),
    aim=Aim(99.4, "> 99.4 %, < 8,000 parameters"),
    reported=Reported(validation_accuracy=99.42, train_accuracy=99.04),
    marks=(
        Mark("model.widths", "inferred", NOTEBOOKS),
        Mark("recipe.optimizer.lr", "chosen", "the write-up says 'higher' again; chosen on a hold-out of the training set, docs/log.md"),
    ),
    notes="Fewer channels in the first pair, where they cost most time and matter least. The write-up mentions 14 and 15 epochs.",
)  # fmt: skip
STEP_10 = derive(
    STEP_09, "step-10",
    model=PlainCNN(widths=(10, 10, 12, 12, 12), norm=True, dropout=0.025),
    recipe=change(schedule=change(step_size=7)),
    budget=Budget(bound=6_000, exact=5_854),
    aim=Aim(99.4, "> 99.4 %, < 6,000 parameters"),
    reported=Reported(validation_accuracy=99.38, train_accuracy=98.91),
    marks=(Mark("model.widths", "inferred", RESIZED),),
    notes="Below 6,000 parameters.",
)  # fmt: skip
STEP_11 = derive(
    STEP_10, "step-11",
    model=PlainCNN(widths=(10, 10, 12, 12, 14), norm=True, dropout=0.025),
    budget=Budget(bound=8_000, exact=6_254),
    aim=Aim(99.4, "> 99.4 %, about 6,000 parameters, consistent"),
    reported=Reported(validation_accuracy=99.45, train_accuracy=98.86),
    marks=(
        Mark("model.widths", "inferred", RESIZED),
        Mark("budget.bound", "chosen", "the aim is 'about 6,000'; the bound of the whole series, 8,000, is kept"),
    ),
    notes="Two channels more where the last features are formed.",
)  # fmt: skip
STEP_12 = derive(
    STEP_11, "step-12",
    model=PlainCNN(widths=(10, 10, 12, 12, 13), norm=True, dropout=0.025),
    budget=change(exact=6_054),
    aim=Aim(99.4, "> 99.4 %"),
    reported=Reported(validation_accuracy=99.40, train_accuracy=98.92),
    marks=(Mark("model.widths", "inferred", RESIZED),),
    notes="One channel less again.",
)  # fmt: skip
STEP_13 = derive(
    STEP_12, "step-13",
    model=PlainCNN(widths=(10, 10, 10, 12, 14), norm=True, dropout=0.025),
    budget=Budget(bound=6_000, exact=5_854),
    aim=Aim(99.4, "> 99.4 %, < 6,000 parameters"),
    reported=Reported(validation_accuracy=99.40, train_accuracy=98.88),
    marks=(
        Mark("model.widths", "inferred", "given: different channel sizes, step 10's count; the monotone solution with equal first widths"),
    ),
    notes="The same count as step 10, spent later in the network.",
)  # fmt: skip

STEPS = (
    STEP_01, STEP_02, STEP_03, STEP_04, STEP_05, STEP_06, STEP_07, STEP_08, STEP_09, STEP_10, STEP_11, STEP_12, STEP_13,
)  # fmt: skip
