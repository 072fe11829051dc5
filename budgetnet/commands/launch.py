"""``run`` until torch is imported: worker processes get ready at the same time."""

from __future__ import annotations

from argparse import Namespace

from budgetnet.catalogue import Catalogue
from budgetnet.jobs.processes import prepare


def run(arguments: Namespace, catalogue: Catalogue) -> int:
    """See ``training.run``."""
    prepare(len(catalogue.select(arguments.names)) * len(arguments.seeds), arguments.device, arguments.workers)
    from budgetnet.commands import training

    return training.run(arguments, catalogue)
