"""A finished run looked at closely: what it confuses, its worst errors, its weights and its network, as one small record."""
