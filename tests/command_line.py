"""The command line as the tests call it, and the small networks of their own that they call it for."""

from pathlib import Path

from budgetnet import cli

SOURCE = Path(__file__).parent / "own_catalogue.py"
OWN = ["--catalogue", str(SOURCE)]


def main(*arguments):
    """The exit status."""
    return cli.main([str(argument) for argument in arguments])
