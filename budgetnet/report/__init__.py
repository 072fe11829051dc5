"""Stored results to tables, plots and a page. Never trains; imports neither torch nor the engine."""
