"""Lookup: order, duplicates, unknown names, groups, loading."""

import sys

import pytest

from budgetnet.catalogue import Catalogue, UnknownExperiment, load, load_default
from budgetnet.definition import Conclusion, DefinitionError, change, definition_hash, derive
from tests.command_line import main

DEFAULT = load_default()
STEP = DEFAULT["step-01"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("step-01", "39385ca704a7f91c"),
        ("step-07", "ee9194f40e363b11"),
        ("step-13", "6be615c3d9fe4de4"),
        ("step-07-pointwise", "26bab9b4d4d2d69a"),
        ("lenet", "562cc4a10507de07"),
    ],
)
def test_the_shipped_definitions_keep_their_hashes(name, expected):
    assert definition_hash(DEFAULT[name]) == expected, "stored results and weights go by it"


def test_duplicate_names_are_refused():
    with pytest.raises(DefinitionError, match="two experiments named 'step-01'"):
        Catalogue([STEP, STEP])


def test_a_parent_must_stand_before_its_child():
    child = derive(STEP, "child")
    with pytest.raises(DefinitionError, match=r"child\.parent is 'step-01', which does not stand before it"):
        Catalogue([child, STEP])


def test_the_same_as_must_train_the_same_and_have_runs_of_its_own():
    again = derive(STEP, "again", same_as="step-01")
    assert Catalogue([STEP, again])["again"].runs_name == "step-01"
    other = derive(STEP, "other", recipe=change(epochs=3), same_as="step-01")
    with pytest.raises(DefinitionError, match=r"other\.same_as is 'step-01'; expected the same training, .* differ in recipe\.epochs"):
        Catalogue([STEP, other])
    with pytest.raises(DefinitionError, match=r"third\.same_as is 'again', which is the same as 'step-01'; name that one"):
        Catalogue([STEP, again, derive(STEP, "third", same_as="again")])


def test_a_conclusion_names_experiments_of_the_catalogue():
    conclusion = Conclusion("paper", "a beats b", "accuracy", ("step-01",), ("elsewhere",))
    with pytest.raises(DefinitionError, match="the conclusion 'a beats b' names 'elsewhere', which is not in the catalogue"):
        Catalogue([STEP], conclusions=[conclusion])


def test_what_is_no_experiment_is_refused():
    with pytest.raises(DefinitionError, match="holds 'step-01'; expected an Experiment"):
        Catalogue(["step-01"])


@pytest.mark.parametrize(
    ("name", "near"),
    [("step-7", "step-07"), ("step07", "step-07"), ("step-07-pontwise", "step-07-pointwise"), ("progresion", "progression")],
)
def test_unknown_name_shows_near_ones(name, near):
    with pytest.raises(UnknownExperiment, match=f"did you mean .*{near}"):
        DEFAULT[name]


def test_a_name_near_nothing_points_to_the_list():
    with pytest.raises(UnknownExperiment, match="`budgetnet list` shows"):
        DEFAULT["qqqq"]


def test_a_group_in_place_of_an_experiment_is_told_as_one():
    with pytest.raises(UnknownExperiment, match=r"'progression' is a group; expected one of its experiments: step-01, .*, … \(13 in all\)"):
        DEFAULT["progression"]
    with pytest.raises(UnknownExperiment, match=r"'mine' is a group; expected one of its experiments: step-01$"):
        Catalogue([STEP], {"mine": [STEP]})["mine"]


def test_select_by_name_group_and_all():
    assert [e.name for e in DEFAULT.select(["step-02", "step-01", "step-02"])] == ["step-02", "step-01"]
    assert len(DEFAULT.select(["progression"])) == len(DEFAULT.select(["pointwise"])) == 13
    assert next(e.name for e in DEFAULT.select(["step-13", "all"])) == "step-13"
    assert len(DEFAULT.select(["all", "progression"])) == 45


def test_a_group_may_not_take_an_experiment_s_name():
    with pytest.raises(DefinitionError, match="group 'step-01'"):
        Catalogue([STEP], {"step-01": [STEP]})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("X = 1", "defines no CATALOGUE"),
        ("CATALOGUE = 5", "defines no CATALOGUE"),
        ("CATALOGUE = (3,)", "holds 3; expected an Experiment"),
        ("CATALOGUE = ()\nSTUDIES = 3", "broken_.*has STUDIES = 3; expected STUDIES = \\(study, …\\)"),
        (
            "from tests.own_studies import PLAN\nCATALOGUE = ()\nPLANS = PLAN",
            "has PLANS = the Plan 'digits'; expected PLANS = \\(plan, …\\)",
        ),
        ("from tests.own_studies import TPE\nCATALOGUE = ()\nSTUDIES = TPE", "has STUDIES = the Study 'proposed'; expected STUDIES"),
        ("CATALOGUE = ()\nGROUPS = ['a']", r"has GROUPS = \['a'\]; expected GROUPS = \{\"name\": \(experiment, …\), …\}"),
        (
            "from tests.own_studies import BASE\nCATALOGUE = ()\nGROUPS = {'a': BASE}",
            "has GROUPS with 'a': the Experiment 'base'; expected GROUPS = ",
        ),
        ("CATALOGUE = ()\nGROUPS = {'a': ('base',)}", "group 'a' holds 'base'; expected an Experiment"),
        ("CATALOGUE = ()\nGROUPS = {1: ()}", r"has GROUPS with 1: \(\); expected GROUPS = "),
        ("CATALOGUE = ()\nCONCLUSIONS = ('a beats b',)", "CONCLUSIONS hold 'a beats b'; expected a Conclusion"),
        ("import json\njson.loads('{')", r"broken_\d+\.py, line 2: JSONDecodeError: Expecting"),
        ("open('reported_curves.json')", r"broken_\d+\.py, line 1: FileNotFoundError: .*reported_curves\.json"),
        ("{}['step-99']", r"broken_\d+\.py, line 1: KeyError: 'step-99'"),
        ("CATALOGUE = (", r"broken_\d+\.py, line 1: "),
        ("import no_such_package", "imports 'no_such_package', which is not installed"),
        (
            "from budgetnet.definition import Recipe\nRecipe(batchsize=3)",
            r"broken_\d+\.py, line 2: .*unexpected keyword argument 'batchsize'",
        ),
        ("from budgetnet.definition import SGD\nSGD(lr=-1)", r"broken_\d+\.py, line 2: SGD\.lr is -1; expected a number above 0"),
    ],
)
def test_a_broken_catalogue_is_named(tmp_path, content, message):
    name = f"broken_{abs(hash(content))}"
    (tmp_path / f"{name}.py").write_text(content)
    with pytest.raises(DefinitionError, match=message):
        load(str(tmp_path / f"{name}.py"))


def test_a_name_that_is_taken_is_named_and_hides_nothing(tmp_path):
    (tmp_path / "random.py").write_text("CATALOGUE = ()")
    with pytest.raises(DefinitionError, match=r"has the name of another module, .*random\.py; give the folder or file another name"):
        load(str(tmp_path / "random.py"))
    assert str(tmp_path) not in sys.path


DOTTED = """
from dataclasses import dataclass
from torch import nn
from budgetnet.data.specs import DIGITS
from budgetnet.definition import SGD, Experiment, Recipe

@dataclass(frozen=True)
class Own:
    width: int = 4

    def build(self, image_shape, classes):
        return nn.Sequential(nn.Flatten(), nn.Linear(784, self.width), nn.ReLU(), nn.Linear(self.width, classes))

RECIPE = Recipe(SGD(0.1), batch_size=256, epochs=1)
CATALOGUE = tuple(Experiment(f"dotted-{width}", DIGITS, Own(width), RECIPE) for width in (4, 5))
"""


@pytest.mark.parametrize("place", ["own.v2.py", "own.v3/__init__.py"])
def test_a_catalogue_with_dots_in_its_name_loads_and_trains_in_workers(tmp_path, monkeypatch, place):
    pytest.importorskip("sklearn")
    monkeypatch.setattr(sys, "path", [*sys.path])
    source = tmp_path / place
    source.parent.mkdir(exist_ok=True)
    source.write_text(DOTTED)
    given = source if source.name != "__init__.py" else source.parent
    assert load(str(given)).names == ("dotted-4", "dotted-5")
    assert load(str(given)).names == ("dotted-4", "dotted-5")
    assert main("run", "dotted-4", "dotted-5", "--catalogue", given, "--runs", tmp_path / "runs", "--workers", 2, "--device", "cpu") == 0
    assert len([*(tmp_path / "runs").glob("dotted-*/seed-0/result.json")]) == 2


def test_a_folder_without_init_is_named(tmp_path):
    with pytest.raises(DefinitionError, match=r"has no __init__\.py"):
        load(str(tmp_path))


def test_a_catalogue_that_is_not_there_is_named():
    with pytest.raises(DefinitionError, match="no catalogue at 'no_such_thing'"):
        load("no_such_thing")
