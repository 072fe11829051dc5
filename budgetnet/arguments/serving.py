"""Arguments of ``serve``."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from budgetnet.arguments.common import Subparsers, add_command
from budgetnet.arguments.inference import ARTIFACTS
from budgetnet.arguments.types import positive

UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}


def add_serve(commands: Subparsers) -> argparse.ArgumentParser:
    parser = add_command(
        commands, "serve", "answer over HTTP which digits pictures show, with a page to draw on",
        "  budgetnet serve step-13\n  budgetnet serve --models step-13,step-09,lenet --port 8080\n"
        "  budgetnet serve step-13 --host 0.0.0.0 --workers 4 --api-key-file key.txt",
    )  # fmt: skip
    parser.add_argument("names", nargs="*", metavar="EXPERIMENT", help="whose networks are served; the first is the default (step-13)")
    parser.add_argument("--models", type=names, default=(), metavar="NAMES", help="further ones, with commas between")
    parser.add_argument("--seed", type=int, help="which run's weights (default: the first there are)")
    parser.add_argument("--no-compile", action="store_true", help="serve networks without an artifact by torch, which is slower")
    parser.add_argument("--out", type=Path, default=ARTIFACTS, metavar="DIR", help="the folder of compiled artifacts (default: compiled)")
    _add_address(parser)
    _add_limits(parser)
    return parser


def _add_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1, this machine only)")
    parser.add_argument("--port", type=port, default=8000, help="(default: 8000; 0 takes any that is free)")
    parser.add_argument("--workers", type=positive, metavar="N", help="processes that serve (default: one, or one for each GPU)")
    parser.add_argument("--threads", type=positive, default=1, metavar="N", help="CPU threads of a batch (default: 1)")
    parser.add_argument(
        "--api-key-file", type=Path, metavar="FILE", help="holds the key that requests must give (also: BUDGETNET_API_KEY; default: none)"
    )
    parser.add_argument(
        "--cors-origin", action="append", default=[], metavar="ORIGIN", help="a site whose pages may call the server; may be repeated"
    )
    parser.add_argument(
        "--allowed-host", action="append", default=[], metavar="NAME",
        help="accept this Host header too, such as that of a proxy in front; may be repeated (default on 127.0.0.1: names of this machine)",
    )  # fmt: skip
    parser.add_argument("--log-format", choices=("json", "text"), default="json", help="of the log on stderr (default: json)")


def _add_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--queue", type=positive, default=1024, metavar="N", help="images that may wait, others get a 503 (default: 1024)")
    parser.add_argument("--connections", type=positive, default=1000, metavar="N", help="open at once, of each worker (default: 1000)")
    parser.add_argument("--max-body", type=size, default=8 * 2**20, metavar="SIZE", help="bytes of a request, such as 500K (default: 8M)")
    parser.add_argument(
        "--timeout", type=seconds, default=10.0, metavar="SECONDS", help="in which the body of a request must have arrived (default: 10)"
    )
    parser.add_argument(
        "--grace", type=seconds, default=30.0, metavar="SECONDS", help="in which accepted requests are finished at the end (default: 30)"
    )


def names(text: str) -> tuple[str, ...]:
    """'a,b' as names."""
    found = tuple(part.strip() for part in text.split(","))
    if not all(found):
        raise argparse.ArgumentTypeError(f"{text!r} has an empty name; expected for example step-09,step-13")
    return found


def port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; expected 0 to 65535")
    return int(text)


def size(text: str) -> int:
    """'8M' or '500K' as bytes."""
    match = re.fullmatch(r"([1-9]\d*)([KMG]?)", text.strip().upper())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; expected for example 8M, 500K, or a number of bytes")
    return int(match[1]) * UNITS[match[2]]


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return value
