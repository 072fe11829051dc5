"""What an installed wheel holds: every package, and the files that are not Python."""

import configparser
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def options():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_every_package_is_installed(options):
    folders = {path.parent.relative_to(ROOT).as_posix().replace("/", ".") for path in (ROOT / "budgetnet").rglob("__init__.py")}
    assert set(options["options"]["packages"].split()) == folders | {"budgetnet_experiments"}


def test_every_folder_of_code_is_a_package():
    assert {path.parent for path in (ROOT / "budgetnet").rglob("*.py")} == {
        path.parent for path in (ROOT / "budgetnet").rglob("__init__.py")
    }


def test_files_that_are_not_python_are_installed(options):
    declared = {
        path
        for package, patterns in options["options.package_data"].items()
        for pattern in patterns.split(",")
        for path in (ROOT / package.replace(".", "/")).glob(pattern.strip())
    }
    others = {p for p in (ROOT / "budgetnet").rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")}
    assert declared == others
