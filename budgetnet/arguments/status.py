"""Exit statuses: 0 fine, 2 usage, 3 budget, 4 accuracy (with --assert-aim), 5 data, 1 anything else, 130 interrupted."""

OK, OTHER, USAGE, BUDGET, ACCURACY, DATA, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130
