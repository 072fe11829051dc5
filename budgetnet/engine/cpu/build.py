"""Compiles the C kernels for this processor, once, and keeps the library in the user's cache folder."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from budgetnet import cache

SOURCES = ("vectors.h", "contraction.h", "elementwise.h", "training.h", "program.c")
# Contraction to fused multiply-add is GCC's default; clang needs to be told. 512-bit registers are not the compilers' default choice.
FLAGS = ("-O3", "-std=gnu11", "-ffp-contract=fast", "-shared", "-fPIC")
OPENMP = "-fopenmp"
WIDE = "-mprefer-vector-width=512"


class KernelsUnavailable(Exception):
    """The kernels cannot be had on this machine; the message says why. Training then takes the plain torch path."""


def processor() -> str:
    """Return the processor's model and features, on which ``-march=native`` depends.

    A library of another processor must not be loaded from a shared cache.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return "\n".join(
        sorted({line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))})
    )


def compile_library(sources: dict[str, bytes], compiler: str, flags: tuple[str, ...], target: Path) -> None:
    """Compile into ``target``, atomically; without threads where the compiler has no OpenMP, as Apple's has not.

    Raises KernelsUnavailable with the compiler's first error.
    """
    words = _words(compiler)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        for name, content in sources.items():
            Path(folder, name).write_bytes(content)
        output = Path(folder, "kernels.so")
        for threading in ((OPENMP,), ()):
            command = [
                *words,
                *flags,
                *threading,
                str(Path(folder, SOURCES[-1])),
                "-o",
                str(output),
                "-lm",
            ]
            try:
                done = subprocess.run(command, capture_output=True, timeout=300)
            except (OSError, subprocess.TimeoutExpired) as error:
                raise KernelsUnavailable(f"{_printable(compiler)} could not be run ({_printable(error)})") from error
            if done.returncode == 0:
                os.replace(output, target)
                return
        lines = done.stderr.decode("utf-8", "backslashreplace").strip().splitlines()  # in whatever encoding it was written
        errors = [line for line in lines if "error" in line] or lines[-1:] or ["no message"]
        raise KernelsUnavailable(f"{_printable(compiler)} could not compile the kernels ({errors[0]})")


def _words(compiler: str) -> list[str]:
    """The compiler's command as words. Raises KernelsUnavailable where it is no command."""
    try:
        words = shlex.split(compiler)
    except ValueError as error:
        raise KernelsUnavailable(
            f"the compiler {_printable(compiler)!r} is no command ({error}); set CC to one such as 'gcc', with quotation marks in pairs"
        ) from error
    if not words:
        raise KernelsUnavailable(f"the compiler {compiler!r} is no command; set CC to one such as 'gcc', or unset it")
    return words


def _printable(said: object) -> str:
    """``said`` without what no encoding holds: names in the environment and file names may be any bytes."""
    return str(said).encode("utf-8", "backslashreplace").decode()


def instruction_set() -> str:
    """Return the instruction set to compile for, as the compilers' -march: ``BUDGETNET_MARCH``, such as 'haswell', or else 'native'."""
    return os.environ.get("BUDGETNET_MARCH") or "native"


def _flags() -> tuple[str, ...]:
    wide = (WIDE,) if platform.machine() in ("x86_64", "AMD64") else ()
    return (*FLAGS, *wide, f"-march={instruction_set()}")


def _sources() -> dict[str, bytes]:
    return {name: (Path(__file__).parent / name).read_bytes() for name in SOURCES}


def _compiler() -> str | None:
    return os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def library_key(extra_flags: tuple[str, ...] = ()) -> str:
    """Changes with the kernels' sources, the compiler, its flags and the processor: other kernels may be faster or slower."""
    asked = sorted(_sources().items()), _compiler(), _flags() + extra_flags, processor()
    return hashlib.sha256(repr(asked).encode()).hexdigest()[:16]


@functools.cache
def load(extra_flags: tuple[str, ...] = ()) -> ctypes.CDLL:
    """The compiled library. Raises KernelsUnavailable where there is no compiler, or nowhere to keep the result.

    ``extra_flags`` are for tests that compile for a smaller processor than this one. ``BUDGETNET_KERNELS=0`` turns
    the kernels off.
    """
    if os.environ.get("BUDGETNET_KERNELS") == "0":
        raise KernelsUnavailable("they are turned off by BUDGETNET_KERNELS=0")
    compiler = _compiler()
    if compiler is None:
        raise KernelsUnavailable("there is no C compiler; install one (on Debian: apt install gcc)")
    try:
        target = cache.folder() / f"kernels-{library_key(extra_flags)}.so"
        if not target.exists():
            compile_library(_sources(), compiler, _flags() + extra_flags, target)
        library = ctypes.CDLL(str(target))
        library.cross_entropy.restype = ctypes.c_float
        return library
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
        raise KernelsUnavailable(f"the compiled library cannot be kept or loaded ({error})") from error
