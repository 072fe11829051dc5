"""Ordered lookup over experiments: rejects what cannot be told apart, and helps with mistyped names."""

from __future__ import annotations

import difflib
import importlib
import sys
import sysconfig
import traceback
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from budgetnet.definition import Conclusion, DefinitionError, Experiment, Plan, Study, definition_hash, difference
from budgetnet.dotted_names import module_name


class UnknownExperiment(LookupError):
    """A name that is not in the catalogue; the message shows near ones."""


class Catalogue:
    """The ordered, explicit list of experiments, the searches over them, and the documents' conclusions about them.

    Raises DefinitionError for a duplicate name, an entry that is no experiment, a parent or twin that does not
    stand before its child, or a ``same_as`` that trains something else. ``groups`` gives several experiments one name,
    such as a document's; ``searches`` are plans and studies; the report tests the ``conclusions``.
    """

    def __init__(
        self,
        experiments: Iterable[Experiment],
        groups: Mapping[str, Iterable[Experiment]] | None = None,
        searches: Iterable[Plan | Study] = (),
        conclusions: Iterable[Conclusion] = (),
    ) -> None:
        self._by_name: dict[str, Experiment] = {}
        for experiment in experiments:
            if not isinstance(experiment, Experiment):
                raise DefinitionError(f"the catalogue holds {experiment!r}; expected an Experiment")
            if experiment.name in self._by_name:
                raise DefinitionError(f"the catalogue holds two experiments named {experiment.name!r}; give one another name")
            for role in ("parent", "twin_of", "same_as"):
                name = getattr(experiment, role)
                if name is not None and name not in self._by_name:
                    raise DefinitionError(f"{experiment.name}.{role} is {name!r}, which does not stand before it in the catalogue")
            self._check_same(experiment)
            self._by_name[experiment.name] = experiment
        self._groups: dict[str, tuple[str, ...]] = {}
        for name, given in (groups or {}).items():
            entries = tuple(given)
            stranger = next((entry for entry in entries if not isinstance(entry, Experiment)), None)
            if stranger is not None:
                raise DefinitionError(f"the catalogue's group {name!r} holds {stranger!r}; expected an Experiment")
            self._groups[name] = members = tuple(entry.name for entry in entries)
            if name in self._by_name or name == "all" or not set(members) <= set(self._by_name):
                raise DefinitionError(f"the catalogue's group {name!r} has an experiment's name, or holds what is not in the catalogue")
        self.plans, self.studies = _searches(searches)
        self.conclusions = tuple(conclusions)
        for conclusion in self.conclusions:
            if not isinstance(conclusion, Conclusion):
                raise DefinitionError(f"the catalogue's CONCLUSIONS hold {conclusion!r}; expected a Conclusion")
            known: Container[str] = self.studies if conclusion.measure == "search" else self._by_name
            unknown = [name for name in (*conclusion.first, *conclusion.second) if name not in known]
            if unknown:
                raise DefinitionError(f"the conclusion {conclusion.sentence!r} names {unknown[0]!r}, which is not in the catalogue")

    def _check_same(self, experiment: Experiment) -> None:
        """Raise DefinitionError where ``same_as`` names an experiment that trains something else, or one without runs of its own."""
        if experiment.same_as is None:
            return
        other = self._by_name[experiment.same_as]
        if other.same_as is not None:
            raise DefinitionError(f"{experiment.name}.same_as is {other.name!r}, which is the same as {other.same_as!r}; name that one")
        if definition_hash(experiment) != definition_hash(other):
            changed = ", ".join(difference(other, experiment))
            raise DefinitionError(f"{experiment.name}.same_as is {other.name!r}; expected the same training, but they differ in {changed}")

    def __iter__(self) -> Iterator[Experiment]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> Experiment:
        if name in self._by_name:
            return self._by_name[name]
        if name in self._groups:
            members = self._groups[name]
            more = f", … ({len(members)} in all)" if len(members) > 4 else ""
            raise UnknownExperiment(f"{name!r} is a group; expected one of its experiments: {', '.join(members[:4])}{more}")
        near = difflib.get_close_matches(name, [*self._by_name, *self._groups], n=4, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "`budgetnet list` shows what there is."
        raise UnknownExperiment(f"there is no experiment {name!r} in the catalogue; {hint}")

    def search(self, name: str) -> Plan | Study:
        """A plan or a study by name. Raises UnknownExperiment."""
        found = self.plans.get(name) or self.studies.get(name)
        if found is not None:
            return found
        near = difflib.get_close_matches(name, [*self.plans, *self.studies], n=4, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "`budgetnet sweep` lists what there is."
        raise UnknownExperiment(f"there is no plan or study {name!r} in the catalogue; {hint}")

    def select(self, names: Iterable[str]) -> list[Experiment]:
        """Experiments by name, by group, or 'all'; each once, in the order asked for. Raises UnknownExperiment."""
        chosen: dict[str, Experiment] = {}
        for name in names:
            members = self.names if name == "all" else self._groups.get(name, (name,))
            chosen |= {member: self[member] for member in members}
        return [*chosen.values()]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._by_name)


def _searches(searches: Iterable[Plan | Study]) -> tuple[dict[str, Plan], dict[str, Study]]:
    """Plans and studies by name, those of the plans included; they share ``runs/studies``, so no two have one name."""
    plans: dict[str, Plan] = {}
    studies: dict[str, Study] = {}
    for entry in searches:
        if not isinstance(entry, Plan | Study):
            raise DefinitionError(f"the catalogue's PLANS or STUDIES hold {entry!r}; expected a Plan or a Study")
        for study in entry.studies if isinstance(entry, Plan) else (entry,):
            if study.name in plans or studies.get(study.name, study) != study:
                raise DefinitionError(f"the catalogue holds two searches named {study.name!r}; give one another name")
            if study.after is not None and study.after not in studies:
                raise DefinitionError(f"{study.name}.after is {study.after!r}, which is no study that stands before it in the catalogue")
            studies[study.name] = study
        if isinstance(entry, Plan):
            if entry.name in plans or entry.name in studies:
                raise DefinitionError(f"the catalogue holds two searches named {entry.name!r}; give one another name")
            plans[entry.name] = entry
    return plans, studies


def load(source: str) -> Catalogue:
    """The CATALOGUE of a package, with its GROUPS, STUDIES, PLANS and CONCLUSIONS where it has them.

    ``source`` is a folder with an ``__init__.py``, a ``.py`` file, or a module's name.

    Raises DefinitionError where there is no such thing, it cannot be imported, or it defines no CATALOGUE.
    """
    path = Path(source)
    if path.exists():
        path = path.resolve()
        if path.is_dir() and not (path / "__init__.py").exists():
            raise DefinitionError(f"the folder {source!r} has no __init__.py; expected one that defines CATALOGUE")
        sys.path.insert(0, str(path.parent))  # stays: worker processes find the definitions' classes by module name
        module = _import(module_name(path), source)
        if not Path(module.__file__ or "").resolve().is_relative_to(path if path.is_dir() else path.parent):
            sys.path.remove(str(path.parent))  # or that folder would go on hiding the other module from everyone
            raise DefinitionError(f"{source!r} has the name of another module, {module.__file__}; give the folder or file another name")
    else:
        module = _import(source, source)
    entries = getattr(module, "CATALOGUE", None)
    if not isinstance(entries, tuple | list):
        raise DefinitionError(f"{source!r} defines no CATALOGUE; expected CATALOGUE = (experiment, …)")
    searches = (*_listed(module, "STUDIES", source), *_listed(module, "PLANS", source))
    return Catalogue(entries, _groups(module, source), searches, _listed(module, "CONCLUSIONS", source))


def _listed(module: ModuleType, name: str, source: str) -> Sequence[Any]:
    """A module's STUDIES, PLANS or CONCLUSIONS; a single one without its comma is no tuple."""
    found = getattr(module, name, ())
    if not isinstance(found, tuple | list):
        raise DefinitionError(f"{source!r} has {name} = {_brief(found)}; expected {name} = ({name[:-1].lower().replace('ie', 'y')}, …)")
    return found


def _groups(module: ModuleType, source: str) -> Mapping[str, Sequence[Experiment]] | None:
    """A module's GROUPS, where it has them."""
    found = getattr(module, "GROUPS", None)
    expected = 'expected GROUPS = {"name": (experiment, …), …}'
    if found is not None and not isinstance(found, Mapping):
        raise DefinitionError(f"{source!r} has GROUPS = {_brief(found)}; {expected}")
    for name, members in (found or {}).items():
        if not isinstance(name, str) or not isinstance(members, tuple | list):
            raise DefinitionError(f"{source!r} has GROUPS with {name!r}: {_brief(members)}; {expected}")
    return found


def _brief(value: object) -> str:
    """A definition by its name, which its author knows better than all its fields."""
    return f"the {type(value).__name__} {value.name!r}" if isinstance(value, Experiment | Study | Plan) else repr(value)


def _import(name: str, source: str) -> ModuleType:
    """Import a user's definitions; whatever is wrong in them becomes a DefinitionError with its place."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name in (name, name.partition(".")[0]):
            raise DefinitionError(
                f"no catalogue at {source!r}; expected a folder, a .py file or a module that defines CATALOGUE"
            ) from error
        raise DefinitionError(f"{source!r} imports {error.name!r}, which is not installed") from error
    except SyntaxError as error:
        raise DefinitionError(f"{error.filename}, line {error.lineno}: {error.msg}") from error
    except DefinitionError as error:
        raise DefinitionError(f"{_place(error)}{error}") from error
    except Exception as error:  # definitions are code: a mistyped keyword is a TypeError, a missing name a NameError
        raise DefinitionError(f"{_place(error)}{type(error).__name__}: {error}") from error


def _place(error: Exception) -> str:
    """File and line of the definitions that an error came from; neither budgetnet nor the standard library holds any."""
    others = (Path(__file__).parent, Path(sysconfig.get_path("stdlib")))
    frames = traceback.extract_tb(error.__traceback__)
    places = [frame for frame in frames if not (frame.filename.startswith("<") or any(map(Path(frame.filename).is_relative_to, others)))]
    return f"{places[-1].filename}, line {places[-1].lineno}: " if places else ""


def load_default() -> Catalogue:
    """The shipped catalogue: the checkout's ``experiments``, or ``budgetnet_experiments`` of an installed wheel."""
    root = Path(__file__).resolve().parent.parent
    checkout = root / "experiments"
    return load(str(checkout) if (root / "setup.cfg").exists() and (checkout / "__init__.py").exists() else "budgetnet_experiments")
