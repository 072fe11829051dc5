"""Differences between the supported versions of Torch-TensorRT.

Both have ``dynamo.compile``, ``save``, ``load`` and ``Input`` with the keywords of ``arguments``. What we keep away from:
``enabled_precisions`` and ``use_explicit_typing`` are named in 2.11 and gone in 2.14, which swallows them, as every unknown
keyword, without a word. Networks are strongly typed by default in both, so that a precision is a cast of the network. 2.11 warns
of ``use_explicit_typing`` at every call, passed or not.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Version:
    """``torch`` is the version of torch that a version of Torch-TensorRT is built for.

    ``reuses_engines``: a cached engine gets the new weights by the names of its layers. 2.11 finds a layer's weights among the
    network's by their values, to within 0.01, when the first engine is built: another seed's network may get them swapped.
    """

    torch: str
    reuses_engines: bool


VERSIONS = {
    "2.11": Version(torch="2.11", reuses_engines=False),
    "2.14": Version(torch="2.14", reuses_engines=True),
}


def minor(version: str) -> str:
    """``2.14`` for ``2.14.0+cu130``."""
    return ".".join(version.partition("+")[0].split(".")[:2])


def supported(version: str) -> Version:
    """Return the properties of an installed version. Raises KeyError for one that ``objection`` objects to."""
    return VERSIONS[minor(version)]


def objection(version: str, torch: str) -> str | None:
    """The sentence for a Torch-TensorRT that is not supported, or not beside this torch; None where there is nothing to say."""
    known = VERSIONS.get(minor(version))
    if known is None:
        return (
            f"torch-tensorrt {version} is none that this version of budgetnet was checked with ({', '.join(VERSIONS)}); "
            f"install one of them: {' or '.join(map(_install, VERSIONS))}"
        )
    if minor(torch) != known.torch:
        other = next((name for name, one in VERSIONS.items() if one.torch == minor(torch)), None)
        mend = _install(other) if other else f"pip install 'torch=={known.torch}.*'"
        return f"torch-tensorrt {version} is built for torch {known.torch}, and here is torch {torch}: {mend}"
    return None


def _install(version: str) -> str:
    return f"pip install 'torch-tensorrt=={version}.*'"
