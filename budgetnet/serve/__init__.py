"""The inference server: HTTP over Predictor, with a queue and batches between them. It imports of budgetnet only ``inference``."""
