"""Measured comparisons, one command each: training/, inference/ and serving/ share one harness (turns)."""
