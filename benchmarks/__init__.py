"""Measured comparisons. Every module with a ``main`` is a command: ``python -m benchmarks.training_speed``."""
