"""Measured comparisons; each module is a command: ``python -m benchmarks.training_speed``."""
