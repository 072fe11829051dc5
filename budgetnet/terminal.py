"""Output on terminals and in files whose encoding lacks some of the package's signs, such as ASCII's."""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata

__all__ = ["spell_out"]

SIGNS = {
    "×": "x", "±": "+/-", "·": ".", "→": "->", "−": "-", "‐": "-", "–": "-", "—": "-", "’": "'", "‘": "'", "“": '"', "”": '"',
    "√": "sqrt", "†": "+", "≥": ">=", "≤": "<=", "≈": "~", "★": "*", "─": "-", "β": "beta", "Σ": "sum",
}  # fmt: skip
HANDLER = "budgetnet.spelled-out"


def spell_out() -> None:
    """Have stdout and stderr write a sign that their encoding lacks in ASCII: "+/-" for "±", an escape where there is nothing like it."""
    codecs.register_error(HANDLER, _spelled_out)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)


def _spelled_out(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_in_ascii, error.object[error.start : error.end])), error.end


def _in_ascii(sign: str) -> str:
    """The sign itself where it is ASCII, what it is like, or its escape."""
    parts = unicodedata.normalize("NFKD", sign)
    like = "".join(SIGNS.get(part, part) for part in parts).encode("ascii", "ignore").decode()
    return like or sign.encode("ascii", "backslashreplace").decode()
