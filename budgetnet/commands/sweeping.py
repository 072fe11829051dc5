"""``sweep``: searches, one study after the other, and at a plan's end the test set, once."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from budgetnet.catalogue import Catalogue
from budgetnet.cli import OK, OTHER, complain
from budgetnet.definition import DefinitionError, Plan, Study
from budgetnet.jobs import processes
from budgetnet.study_results import PLAN, STUDIES, read_plan

if TYPE_CHECKING:
    from budgetnet.sweep.chain import Chain


def sweep(arguments: Namespace, catalogue: Catalogue) -> int:
    """Search, then show: tables of the points, the best one, and the chosen configuration's score on the test set."""
    if arguments.name is None:
        print(listing(catalogue))
        return OK
    target = catalogue.search(arguments.name)
    if arguments.trials is not None and all(study.sampler == "grid" for study in _studies(target, catalogue)):
        raise DefinitionError(
            f"--trials is {arguments.trials}; expected none, because {target.name} is a grid, which takes every point once"
        )
    return _run(arguments, catalogue, target)


def listing(catalogue: Catalogue) -> str:
    """Plans with their studies, then the studies that belong to none; imports neither torch nor optuna."""
    planned = {study.name for plan in catalogue.plans.values() for study in plan.studies}
    lines = []
    for plan in catalogue.plans.values():
        lines += [f"{plan.name}  {plan.notes}".rstrip(), *(f"  {line}" for study in plan.studies for line in _study_lines(study))]
    lines += [line for study in catalogue.studies.values() if study.name not in planned for line in _study_lines(study)]
    return "\n".join(lines) or "there are no plans or studies in this catalogue; docs/own-experiments.md says how to declare one"


def _study_lines(study: Study) -> list[str]:
    size = f"{len(study.grid())} points" if study.sampler == "grid" else f"{study.trials} proposals"
    after = f", after {study.after}" if study.after else ""
    said = f"{study.name}  {size} over {', '.join(study.fields)} of {study.base.name}{after}"
    return [said, f"    {study.notes}"] if study.notes else [said]


def _studies(target: Plan | Study, catalogue: Catalogue) -> tuple[Study, ...]:
    if isinstance(target, Plan):
        return target.studies
    before = (*_studies(catalogue.studies[target.after], catalogue),) if target.after else ()
    return (*before, target)


def _run(arguments: Namespace, catalogue: Catalogue, target: Plan | Study) -> int:
    processes.prepare(2, arguments.device, arguments.workers)  # a search has more trials than one
    import torch

    from budgetnet.commands.training import STATUS, options_from, report_failures, status_of
    from budgetnet.data import arrays
    from budgetnet.run import assert_budget
    from budgetnet.sweep.chain import Chain, Settings, TestSetUsed
    from budgetnet.sweep.storage import OptunaMissing, StorageError, require_optuna

    try:
        require_optuna()
        options = options_from(arguments)
        for study in _studies(target, catalogue):
            assert_budget(study.base)
            arrays.load(study.base.data_set, options.data_dir, options.download)
        if options.settings.device == "cpu":
            torch.set_num_threads(options.settings.threads)  # for runs in this process; workers set their own
        chain = Chain(
            Settings(
                options, arguments.workers, arguments.storage, arguments.trials, arguments.seeds, arguments.adopt, arguments.keep_weights
            ), lambda line: print(line, flush=True),
        )  # fmt: skip
        done = _search(chain, target, catalogue)
    except (OptunaMissing, StorageError, TestSetUsed) as error:
        return complain(error, OTHER)
    except tuple(STATUS) as error:
        if isinstance(error, OSError):
            raise
        return complain(error, status_of(error))
    status = report_failures(chain.failures) or (OK if done else OTHER)
    _draw(arguments.runs, arguments.out)
    return status


def _search(chain: Chain, target: Plan | Study, catalogue: Catalogue) -> bool:
    """Every study in order, each on what the ones before chose; False where one could not be finished."""
    from budgetnet.report.sweep_tables import console_text, final_lines

    for study in _studies(target, catalogue):
        record = chain.study(study, catalogue.studies)
        print(f"\n{console_text(record)}\n")
        if study.name not in chain.best:
            left = f"has {record.left} trials left to do; the same command goes on" if record.left else "has no point with a value"
            complain(f"{study.name} {left}", OTHER)
            return False
    if isinstance(target, Study):
        return True
    if len(chain.finish(target)) < len(target.final_seeds):
        return False
    print("\n" + "\n".join(final_lines(read_plan(chain.settings.options.runs / STUDIES / target.name / PLAN))))
    return True


def _draw(runs: Path, out: Path) -> None:
    from budgetnet.commands.reporting import result_roots
    from budgetnet.report.sweeps import build_sweeps

    files = build_sweeps([runs, *result_roots()], out)
    print(f"\nthe page: {files[-1]}")
