"""True and false in texts: a query's, a form's."""

from __future__ import annotations

from budgetnet.serve.refusal import invalid

FLAGS = {"true": True, "1": True, "false": False, "0": False}


def as_flag(text: str, field: str) -> bool:
    """Raises Refusal for another text."""
    found = FLAGS.get(text.strip().lower())
    if found is None:
        raise invalid(f"{field} is {text[:20]!r}; expected true or false", field)
    return found
