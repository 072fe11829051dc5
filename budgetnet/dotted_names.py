"""Import of files and folders with dots in their names, in which the import system sees packages."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType


class _Finder(MetaPathFinder):
    def __init__(self) -> None:
        self.paths: dict[str, Path] = {}

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        place = self.paths.get(fullname)
        if place is None:
            return None
        if place.is_dir():
            return spec_from_file_location(fullname, place / "__init__.py", submodule_search_locations=[str(place)])
        return spec_from_file_location(fullname, place)


_finder = _Finder()


def module_name(path: Path) -> str:
    """Return the name under which ``path`` can be imported: its own, or ``own_dot_v2`` for ``own.v2.py``."""
    own = path.name if path.is_dir() else path.stem
    name = own.replace(".", "_dot_")
    if name != own and (path.is_dir() or path.suffix == ".py"):
        allow_dotted_names({name: path})
    return name


def dotted_names() -> dict[str, Path]:
    """Return the paths that were named here so far, by module name; a worker process gives them to ``allow_dotted_names``."""
    return dict(_finder.paths)


def allow_dotted_names(paths: Mapping[str, Path]) -> None:
    """Let this process import ``paths`` by their module names, as unpickling does to find a definition's class."""
    _finder.paths |= paths
    if paths and _finder not in sys.meta_path:
        sys.meta_path.append(_finder)
