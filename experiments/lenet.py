"""A LeNet-style network, and the deeper one with augmentation that its document arrives at.

Source ``lenet``, a LeNet-style Keras CNN with TensorBoard; its conclusion names the better model. Figures are
the document's. What it leaves open of the better model is taken from the public notebook that it refers to
(Y. Ghouzam, "Introduction to CNN Keras", 2017), and marked.
"""

from budgetnet.data.specs import MNIST_UNIT
from budgetnet.definition import (
    Adam,
    Augmentation,
    Budget,
    Experiment,
    Mark,
    Protocol,
    Recipe,
    ReduceLROnPlateau,
    Reported,
    RMSprop,
    change,
    derive,
)
from budgetnet.models import Conv2D, Dense, Dropout, Flatten, KerasSequential, MaxPooling2D

from .documents import curve, own_figure

SOURCE = "lenet, a LeNet-style CNN with TensorBoard (Keras)"
LAYERS = (
    'the document says "5-layer Sequential", and that it augments "rather than Dropout"; the layers, dropout included, are those of '
    "Y. Ghouzam's public notebook (Introduction to CNN Keras, 2017), whose network the document names as the better one"
)
NOTEBOOK = "not given; as in the public notebook with the same network, optimizer and accuracies (Introduction to CNN Keras, 2017)"

LENET_RUNS = Reported.of_curves(curve("lenet"), curve("lenet (second run)"))
LENET = Experiment(
    name="lenet",
    data_set=MNIST_UNIT,
    model=KerasSequential((
        Conv2D(32), Conv2D(64), MaxPooling2D(), Dropout(0.25),
        Flatten(), Dense(128), Dropout(0.5),
    )),
    recipe=Recipe(optimizer=Adam(lr=0.001), batch_size=128, epochs=15, precision="fp32"),
    budget=Budget(exact=1_199_882, keras_total=1_199_882),
    aim=own_figure(LENET_RUNS.validation_accuracy),
    reported=LENET_RUNS,
    source=SOURCE,
    marks=(Mark("recipe.optimizer.lr", "inferred", "the document names Adam and no learning rate; 0.001 is Keras's default"),),
    notes="The document prints two runs, 99.23 and 99.24 % after the last epoch; the first is compared with.",
)  # fmt: skip
LENET_DEEPER = Experiment(
    name="lenet-deeper",
    data_set=MNIST_UNIT,
    model=KerasSequential((
        Conv2D(32, 5, "same"), Conv2D(32, 5, "same"), MaxPooling2D(), Dropout(0.25),
        Conv2D(64, 3, "same"), Conv2D(64, 3, "same"), MaxPooling2D(), Dropout(0.25),
        Flatten(), Dense(256), Dropout(0.5),
    )),
    recipe=Recipe(
        optimizer=RMSprop(lr=0.001, rho=0.9, epsilon=1e-8),
        batch_size=86,
        epochs=30,
        schedule=ReduceLROnPlateau(factor=0.5, patience=3, min_lr=1e-5),
        protocol=Protocol("holdout", holdout=6_000),
        precision="fp32",
    ),
    budget=Budget(exact=887_530, keras_total=887_530),
    aim=own_figure(98.114),
    reported=Reported(98.114),
    source=f"{SOURCE}, conclusion",
    marks=(
        Mark("model.layers", "inferred", LAYERS),
        Mark("recipe.batch_size", "chosen", NOTEBOOK),
        Mark("recipe.epochs", "chosen", NOTEBOOK),
        Mark("recipe.schedule.min_lr", "chosen", NOTEBOOK),
        Mark("recipe.protocol.holdout", "chosen", "the rate follows what is validated on: not the test set; a tenth, as in the notebook"),
    ),
    notes="The better model's network without augmentation.",
)  # fmt: skip
LENET_AUGMENTED = derive(
    LENET_DEEPER, "lenet-augmented",
    recipe=change(augmentation=Augmentation(rotation=10, shift=0.1, zoom=0.1, interpolation="bilinear")),
    aim=own_figure(99.67),
    reported=Reported(99.67),
    marks=(Mark("recipe.augmentation.interpolation", "chosen", "not said; Keras's generator went from nearest to linear in 2018"),),
    notes="Rotation, zoom and shifts: the document's best.",
)  # fmt: skip

LENETS = (LENET, LENET_DEEPER, LENET_AUGMENTED)
