"""Studies and plans as definitions: what cannot be is refused when it is written, with the field's name."""

from dataclasses import replace

import pytest

from budgetnet.catalogue import Catalogue, UnknownExperiment
from budgetnet.definition import SGD, Budget, Choices, DefinitionError, Plan, Protocol, Range, ReportedAt, Study
from budgetnet.definition.study import at, for_trial
from tests.own_studies import BASE, BATCH, PARTS, PLAN, RATE, SCHEDULED, STEPPED, TPE

LR = "recipe.optimizer.lr"


def refused(match, make):
    with pytest.raises(DefinitionError, match=match):
        make()


@pytest.mark.parametrize(
    ("match", "fields"),
    [
        ("Study.name is 'Two Words'; expected lower-case", {"name": "Two Words"}),
        ("recipe.optimizer.rate is not a field of SGD; expected one of lr", {"space": (("recipe.optimizer.rate", Choices((1,))),)}),
        ("names 'budget.bound'; expected a field of the model or the recipe", {"space": (("budget.bound", Choices((1,))),)}),
        ("names 'recipe.protocol.holdout'; expected a field", {"space": (("recipe.protocol.holdout", Choices((1,))),)}),
        (
            "names 'recipe'; expected its fields: whole, it brings its own protocol",
            {"space": (("recipe", Choices((replace(BASE.recipe, protocol=Protocol()),))),)},
        ),
        ("Recipe.batch_size is 0; expected", {"space": (("recipe.batch_size", Choices((0, 1))),)}),
        ("SGD.lr is -1", {"space": ((LR, Range(-1.0, 1.0)),), "sampler": "tpe", "trials": 1}),
        (
            "names 'recipe.optimizer.lr' beside 'recipe.optimizer'",
            {"space": (("recipe.optimizer", Choices((SGD(1.0),))), (LR, Choices((1.0,))))},
        ),
        ("for recipe.optimizer.lr; expected a step, or Choices", {"space": ((LR, Range(0.1, 1.0)),)}),
        ("has 20,000 points; expected at most 10,000", {"space": ((LR, Range(1, 20_000, step=1)),)}),
        ("has 1,000,000,000 points; expected at most 10,000", {"space": ((LR, Range(1e-9, 1.0, step=1e-9)),)}),
        ("has 1,000,000,000,000,001 points", {"space": ((LR, Range(1e-9, 1.0, step=1e-300)),)}),
        ("Study.space is .*; expected", {"space": ()}),
        ("Study.space is .*; expected", {"space": ((LR, (0.1, 0.2)),)}),
        ("Study.sampler is 'random'; expected 'grid' or 'tpe'", {"sampler": "random"}),
        ("Study.trials is None; expected a whole number", {"sampler": "tpe"}),
        ("Study.trials is 3; expected None: a grid has", {"trials": 3}),
        ("Study.seeds is .*; expected a tuple of different seeds", {"seeds": (1, 1)}),
        ("Study.after is 'x'; expected another study's name", {"name": "x", "after": "x"}),
        ("validates on 'test'; expected a hold-out protocol", {"base": replace(BASE, recipe=replace(BASE.recipe, protocol=Protocol()))}),
        ("expected a value for each of", {"reported": (ReportedAt((1, 2), 90.0),)}),
        (r"Study.reported of s has \(0.2,\), no point of its grid; expected one of its space", {"reported": (ReportedAt((0.2,), 90.0),)}),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(match, fields):
    refused(match, lambda: Study(**({"name": "s", "base": BASE, "space": ((LR, Choices((0.1,))),)} | fields)))


@pytest.mark.parametrize(
    ("match", "make"),
    [
        ("Choices.values is .*; expected a tuple of at least one", lambda: Choices(())),
        ("Choices.values is .*; expected values that all differ", lambda: Choices((1, 2, 1.0))),
        ("Range.high is 1; expected a number above low, 1", lambda: Range(1, 1)),
        ("Range.low is 0; expected a number above 0, because log", lambda: Range(0, 1, log=True)),
        ("Range.step is 0.1; expected None, because log", lambda: Range(0.1, 1.0, log=True, step=0.1)),
        ("Range.step is 0.5; expected a whole number", lambda: Range(1, 3, step=0.5)),
        ("ReportedAt.accuracy is 101; expected percent", lambda: ReportedAt((1,), 101)),
        ("Plan.studies of p is list; expected a tuple", lambda: Plan("p", [BATCH])),
        ("holds 'digits-batch' twice", lambda: Plan("p", (BATCH, BATCH))),
        ("digits-rate.after is 'digits-batch', which does not stand before it in the plan p", lambda: Plan("p", (RATE, BATCH))),
        ("Plan.final_seeds is .*; expected", lambda: Plan("p", (BATCH,), final_seeds=())),
    ],
)
def test_what_cannot_be_an_axis_or_a_plan_is_refused(match, make):
    refused(match, make)


def test_a_grid_is_every_combination_with_the_last_field_fastest():
    assert [tuple(point.values()) for point in BATCH.grid()] == [(32, 1), (32, 2), (32, 3), (64, 1), (64, 2), (64, 3)]
    assert Range(0.1, 0.5, step=0.1).values == (0.1, 0.2, 0.3, 0.4, 0.5)
    assert Range(1, 6, step=2).values == (1, 3, 5)
    assert [Range(0.0, 0.3, step=0.1).count, Range(1, 6, step=2).count, Range(1, 2, step=5).count] == [4, 3, 1]


def test_a_trial_has_the_values_no_aim_and_never_sees_the_test_set():
    base = replace(BASE, budget=Budget(bound=500, exact=486))
    trial = for_trial(base, {"model.norm": False, LR: 0.5}, "x")
    assert (trial.model.norm, trial.recipe.optimizer.lr, trial.recipe.optimizer.momentum) == (False, 0.5, 0.9)
    assert (trial.name, trial.aim, trial.recipe.protocol.test_at_end) == ("x", None, False)
    assert trial.budget == Budget(bound=500)
    assert for_trial(base, {LR: 0.5}, "x").budget.exact == 486
    assert at(base, {"recipe.optimizer": SGD(1.0)}).recipe.optimizer == SGD(1.0)


def test_the_final_configuration_has_every_study_s_best_point_and_the_test_set():
    best = {
        BATCH.name: {"recipe.batch_size": 32, "recipe.epochs": 3},
        RATE.name: {LR: 0.1},
        PARTS.name: {"model.norm": False, "model.dropout": 0.0},
    }
    final = PLAN.final(best)
    assert (final.name, final.recipe.batch_size, final.recipe.epochs, final.recipe.optimizer.lr) == ("digits-final", 32, 3, 0.1)
    assert (final.model.norm, final.recipe.protocol.test_at_end) == (False, True)


def test_the_digest_changes_with_what_values_depend_on_and_with_nothing_else():
    digest = BATCH.digest(BASE, (0,))
    assert replace(BATCH, notes="other words", name="other").digest(replace(BASE, name="other"), (0,)) == digest
    others = [
        BATCH.digest(BASE, (0, 1)),
        BATCH.digest(STEPPED, (0,)),
        replace(BATCH, space=TPE.space[1:], sampler="tpe", trials=1).digest(BASE, (0,)),
    ]
    assert len({digest, *others}) == 4


def test_a_catalogue_passes_searches_on_and_helps_with_names():
    catalogue = Catalogue((BASE, STEPPED), None, (SCHEDULED, PLAN))
    assert list(catalogue.plans) == ["digits"]
    assert list(catalogue.studies) == ["scheduled", "digits-batch", "digits-rate", "digits-parts"]
    assert catalogue.search("digits") is PLAN
    assert catalogue.search("digits-rate") is RATE
    with pytest.raises(UnknownExperiment, match="no plan or study 'digit-rate' in the catalogue; did you mean digits-rate"):
        catalogue.search("digit-rate")


@pytest.mark.parametrize(
    ("match", "searches"),
    [
        ("two searches named 'scheduled'", (SCHEDULED, replace(SCHEDULED, notes="another"))),
        ("two searches named 'digits'", (replace(SCHEDULED, name="digits"), PLAN)),
        ("digits-rate.after is 'digits-batch', which is no study that stands before it", (RATE,)),
        ("expected a Plan or a Study", (BASE,)),
    ],
)
def test_a_catalogue_refuses_searches_that_cannot_be_told_apart(match, searches):
    refused(match, lambda: Catalogue((), None, searches))


def test_the_documented_search_is_one():
    import re
    from pathlib import Path

    text = (Path(__file__).parent.parent / "docs" / "own-experiments.md").read_text()
    example, search = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[:2]
    names = {}
    exec(example + search, names)
    catalogue = Catalogue(names["CATALOGUE"], None, names["PLANS"])
    assert list(catalogue.studies) == ["tiny-size", "tiny-rate", "tiny-parts"]
