"""Searching for the values of an experiment's fields: an Optuna study for the points, ordinary run directories for the runs."""
