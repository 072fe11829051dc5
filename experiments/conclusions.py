"""The conclusions that the documents draw and that runs can test, in our words."""

from budgetnet.definition import Conclusion

CONCLUSIONS = (
    Conclusion("era_s7", "Step 7 is stable in its last epochs.", "last sd", ("step-07",), ("step-04",), "lower"),
    Conclusion(
        "era_s7", "The best model is step 11.", "accuracy", ("step-11",), ("step-08", "step-09", "step-10", "step-12")
    ),
    Conclusion(
        "cnn3",
        "Networks after known models beat the custom one.",
        "accuracy",
        ("cnn3-lenet", "cnn3-vgg"),
        ("cnn3-seven",),
    ),
    Conclusion(
        "cnn3", "The network after VGGNet is the best.", "accuracy", ("cnn3-vgg",), ("cnn3-lenet", "cnn3-seven")
    ),
    Conclusion("cnn3", "The weights are roughly normal.", "weights normal", ("cnn3-lenet", "cnn3-vgg", "cnn3-seven")),
    Conclusion(
        "mlp6",
        "Three hidden layers with batch normalization are the best.",
        "accuracy",
        ("mlp-3-bn",),
        ("mlp-2", "mlp-2-bn", "mlp-3", "mlp-5", "mlp-5-bn"),
    ),
    Conclusion(
        "mlp6",
        "Batch normalization and dropout bring training and test loss together.",
        "loss gap",
        ("mlp-2-bn", "mlp-3-bn", "mlp-5-bn"),
        ("mlp-2", "mlp-3", "mlp-5"),
        "lower",
    ),
    Conclusion(
        "mlp6",
        "More layers gain little (read as: within half a point).",
        "accuracy",
        ("mlp-5",),
        ("mlp-2", "mlp-3"),
        "within",
        0.5,
    ),
    Conclusion("mlp6", "The weights stay around 0.", "weights around 0", ("mlp-2", "mlp-3", "mlp-5")),
    Conclusion("lenet", "4 and 9 are confused most.", "confused", ("lenet",), point=(4, 9)),
    Conclusion(
        "lenet", "Augmentation makes the deeper network better.", "accuracy", ("lenet-augmented",), ("lenet-deeper",)
    ),
    Conclusion(
        "explore",
        "Batch normalization lowers the accuracy.",
        "accuracy",
        ("explore-separable-bn",),
        ("explore-separable",),
        "lower",
    ),
    Conclusion(
        "explore",
        "Dropout lowers the accuracy.",
        "accuracy",
        ("explore-separable-dropout",),
        ("explore-separable",),
        "lower",
    ),
    Conclusion("explore", "Batches of 32 images and 3 epochs are the best.", "search", ("explore-batch-epochs",), point=(32, 3)),
    Conclusion("explore", "A learning rate of 0.0001 is the best.", "search", ("explore-rate",), point=(1e-4,)),
)
