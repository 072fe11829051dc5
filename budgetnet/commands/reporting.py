"""``report``: stored results to tables, plots and a page."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

from budgetnet.catalogue import Catalogue
from budgetnet.definition import DefinitionError


def result_roots() -> list[Path]:
    """The committed results: every folder of ``results/``, here or in the checkout that this file belongs to."""
    for base in (Path("results"), Path(__file__).resolve().parents[2] / "results"):
        found = sorted(path for path in base.glob("*") if path.is_dir())
        if found:
            return found
    return []


def report(arguments: Namespace, catalogue: Catalogue) -> int:
    """Write the report; experiments without results of one's own show the committed ones, and say so."""
    from budgetnet.report.build import build, has_searches
    from budgetnet.report.sweeps import build_sweeps
    from budgetnet.report.tables import console_text

    for root in arguments.results or []:
        if not root.is_dir():
            raise DefinitionError(f"--results is {str(root)!r}; expected a folder with results")
    roots = arguments.results or [arguments.runs, *result_roots()]
    summary = build(catalogue, roots, arguments.out)
    if has_searches(roots):
        build_sweeps(roots, arguments.out)
    if arguments.json:
        print(json.dumps(summary.as_json(), indent=1))
        return 0
    print(console_text(summary.rows))
    print(f"\nthe page: {arguments.out / 'index.html'}")
    return 0
