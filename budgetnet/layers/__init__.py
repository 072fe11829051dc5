"""Blocks that two or more networks share, as torch modules."""
