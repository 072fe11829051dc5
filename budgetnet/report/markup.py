"""Small pieces of HTML: escaped text, badges, footnotes, tables, pictures."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

from budgetnet.definition import Mark
from budgetnet.report.words import Phrase

SHORT = 42  # characters
DPI = 144  # of the pictures

BADGES = {
    "met": "good", "reproduced": "good", "missed": "bad", "not reproduced": "bad", "open": "wait", "exceeded": "more", "indicated": "hint",
    "stale": "wait", "partial": "hint", "unreadable": "bad",
    "holds": "good", "does not hold": "bad", "not indicated": "hint",
}  # fmt: skip


def badge(word: str, text: str | None = None, title: str = "") -> str:
    """A coloured word; the text says everything that the colour says."""
    tip = f' title="{escape(title)}"' if title else ""
    return f'<span class="badge {BADGES.get(word, "none")}"{tip}>{escape(text or word)}</span>'


def footnotes(marks: Iterable[Mark], numbers: dict[Mark, int]) -> str:
    """A dagger and number for each mark, its reason as the tooltip, linked to the list at the end."""
    return "".join(
        f'<sup><a href="#mark-{numbers[mark]}" title="{escape(f"{mark.kind}: {mark.why}")}">†{numbers[mark]}</a></sup>' for mark in marks
    )


def phrases(parts: Sequence[Phrase], numbers: dict[Mark, int]) -> str:
    """Changes, separated by commas, with their footnotes; a short one stays on its line."""
    said = []
    for part in parts:
        kind = classed("short" if len(part.text) <= SHORT else "")
        said.append(f"<span{kind}>{escape(part.text)}</span>{footnotes(part.marks, numbers)}")
    return ", ".join(said)


def classed(kind: str) -> str:
    """The class attribute, if there is a class."""
    return f' class="{kind}"' if kind else ""


def cell(content: str, kind: str = "", head: bool = False) -> str:
    """A table cell around markup."""
    tag = 'th scope="row"' if head else "td"
    return f"<{tag}{classed(kind)}>{content}</{tag[:2]}>"


def table(columns: Sequence[tuple[str, str]], rows: Iterable[str], kind: str = "") -> str:
    """A table that scrolls sideways where it must; ``columns`` are (title markup, class), ``rows`` are cells."""
    head = "".join(f'<th scope="col"{classed(name)}>{title}</th>' for title, name in columns)
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    parts = f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>"
    return f'<div{classed(f"scroll {kind}".strip())} tabindex="0"><table>\n{parts}</table></div>'


def picture(png: bytes | None, alternative: str, kind: str) -> str:
    """A PNG within the page; nothing for None."""
    if png is None:
        return ""
    data = base64.b64encode(png).decode("ascii")
    return f'<figure class="{kind}" tabindex="0"><img alt="{escape(alternative)}" src="data:image/png;base64,{data}"></figure>'


def picture_to_scale(png: bytes | None, alternative: str) -> str:
    """A PNG in the size that it was drawn in, so that the texts of all pictures match; it shrinks a little before it scrolls."""
    if png is None:
        return ""
    width = round(int.from_bytes(png[16:20], "big") * 96 / DPI)  # CSS pixels are 1/96 inch
    data = base64.b64encode(png).decode("ascii")
    image = f'<img alt="{escape(alternative)}" src="data:image/png;base64,{data}">'
    return f'<figure class="scaled" style="--drawn:{width}px" tabindex="0">{image}</figure>'


def page_file(name: str) -> str:
    """The page of an experiment beside index.html, and sweeps.html, whose names it must not take."""
    return f"{name}_.html" if name in ("index", "sweeps") else f"{name}.html"


def small(text: str) -> str:
    return f"<small>{escape(text)}</small>"
