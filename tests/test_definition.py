"""Definitions: frozen, checked, derived, compared, hashed."""

import dataclasses
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetnet.definition import (
    SGD,
    Adadelta,
    Adam,
    Aim,
    Augmentation,
    Budget,
    DataFile,
    DataSet,
    DefinitionError,
    Experiment,
    Mark,
    Protocol,
    Recipe,
    ReduceLROnPlateau,
    Reported,
    RMSprop,
    StepLR,
    change,
    definition_hash,
    derive,
    difference,
    flatten,
    plain,
)  # fmt: skip
from budgetnet.models import PlainCNN

FILES = tuple(DataFile(f"file-{n}", f"{n:064x}") for n in range(4))
DATA = DataSet("some-digits", (1, 28, 28), 10, mean=0.1, std=0.3, files=FILES)


@dataclasses.dataclass(frozen=True)
class OtherModel:
    """A network of another kind."""

    layers: int = 2

    def build(self, image_shape, classes):
        raise NotImplementedError


def experiment(**fields):
    values = {
        "name": "base", "data_set": DATA, "model": PlainCNN(widths=(4, 4, 4, 4, 4)),
        "recipe": Recipe(optimizer=SGD(lr=0.1), batch_size=64, epochs=3),
    }  # fmt: skip
    return Experiment(**{**values, **fields})


@pytest.mark.parametrize(
    ("build", "field", "value"),
    [
        (lambda: Recipe(optimizer=SGD(lr=0.1), batch_size=0, epochs=1), "Recipe.batch_size", "0"),
        (lambda: Recipe(optimizer=SGD(lr=0.1), batch_size=True, epochs=1), "Recipe.batch_size", "True"),
        (lambda: Recipe(optimizer=SGD(lr=0.1), batch_size=64, epochs=1.5), "Recipe.epochs", "1.5"),
        (lambda: Recipe(optimizer="sgdd", batch_size=64, epochs=1), "Recipe.optimizer", "'sgdd'"),
        (lambda: Recipe(optimizer=SGD(lr=0.1), batch_size=64, epochs=1, schedule="cosine"), "Recipe.schedule", "'cosine'"),
        (lambda: Recipe(optimizer=SGD(lr=0.1), batch_size=64, epochs=1, precision="fp8"), "Recipe.precision", "'fp8'"),
        (lambda: Recipe(optimizer=SGD(lr=0.1), batch_size=64, epochs=1, loss="hinge"), "Recipe.loss", "'hinge'"),
        (lambda: SGD(lr=float("nan")), "SGD.lr", "nan"),
        (lambda: SGD(lr=-1), "SGD.lr", "-1"),
        (lambda: SGD(lr=0.1, nesterov=True), "SGD.nesterov", "True"),
        (lambda: DataSet("x", [1, 28, 28], 10, 0, 1, files=FILES), "DataSet.image_shape", "[1, 28, 28]"),
        (lambda: DataSet("x", (1, 28, 28), 10, 0, 1, files=["a"]), "DataSet.files", "['a']"),
        (lambda: SGD(lr=0.1, momentum=1.0), "SGD.momentum", "1.0"),
        (lambda: StepLR(0), "StepLR.step_size", "0"),
        (lambda: Adam(lr=0.1, beta2=1), "Adam.beta2", "1"),
        (lambda: RMSprop(lr=0.1, epsilon=0), "RMSprop.epsilon", "0"),
        (lambda: Adadelta(rho=-0.1), "Adadelta.rho", "-0.1"),
        (lambda: ReduceLROnPlateau(factor=1), "ReduceLROnPlateau.factor", "1"),
        (lambda: ReduceLROnPlateau(patience=0), "ReduceLROnPlateau.patience", "0"),
        (lambda: Reported(99, train_loss=-1), "Reported.train_loss", "-1"),
        (lambda: Protocol("test", test_at_end=False), "Protocol.test_at_end", "False"),
        (lambda: Budget(keras_total=0), "Budget.keras_total", "0"),
        (lambda: PlainCNN(widths=(4, 4), dropout=1.5, pool_after=()), "PlainCNN.dropout", "1.5"),
        (lambda: PlainCNN(widths=[4, 4]), "PlainCNN.widths", "[4, 4]"),
        (lambda: PlainCNN(widths=(4, 4, 4, 4, 4), consolidate=(3,)), "PlainCNN.consolidate", "(3,)"),
        (lambda: PlainCNN(widths=(4, 4), pool_after=(3,)), "PlainCNN.pool_after", "(3,)"),
        (lambda: Augmentation(rotation=200), "Augmentation.rotation", "200"),
        (lambda: Augmentation(interpolation="cubic"), "Augmentation.interpolation", "'cubic'"),
        (lambda: Protocol("holdout"), "Protocol.holdout", "0"),
        (lambda: Protocol("test", 100), "Protocol.holdout", "100"),
        (lambda: Budget(bound=10, exact=11), "Budget.exact", "11"),
        (lambda: Budget(bound=1.5), "Budget.bound", "1.5"),
        (lambda: Aim(994), "Aim.accuracy", "994"),
        (lambda: Reported(0), "Reported.validation_accuracy", "0"),
        (lambda: Mark("model", "guessed", ""), "Mark.kind", "'guessed'"),
        (lambda: DataFile("x", "abc"), "DataFile.sha256", "'abc'"),
        (lambda: DataSet("x", (28, 28), 10, 0, 1, files=FILES), "DataSet.image_shape", "(28, 28)"),
        (lambda: DataSet("x", (1, 28, 28), 10, 0, 0, files=FILES), "DataSet.std", "0"),
        (lambda: experiment(name="Base"), "Experiment.name", "'Base'"),
        (lambda: experiment(model="resnet"), "Experiment.model", "'resnet'"),
    ],
)  # fmt: skip
def test_impossible_value_names_its_field(build, field, value):
    with pytest.raises(DefinitionError) as error:
        build()
    assert str(error.value).startswith(f"{field} is {value}; expected ")


def test_a_rate_that_follows_the_validation_needs_a_hold_out():
    with pytest.raises(DefinitionError, match=r"Recipe\.protocol is Protocol.* expected a hold-out, because a schedule that follows"):
        Recipe(optimizer=SGD(lr=0.1), batch_size=64, epochs=1, schedule=ReduceLROnPlateau())


def test_a_new_field_with_its_default_makes_no_result_stale():
    held_out = experiment(recipe=Recipe(optimizer=SGD(lr=0.1), batch_size=64, epochs=1, protocol=Protocol("holdout", 10)))
    untested = derive(held_out, "untested", recipe=change(protocol=change(test_at_end=False)))
    assert definition_hash(held_out) != definition_hash(untested)
    assert "test_at_end" in str(plain(held_out))


def test_mistyped_field_of_a_change_is_named_with_the_known_ones():
    with pytest.raises(DefinitionError, match=r"recipe\.batchsize is not a field of Recipe; expected one of optimizer, batch_size"):
        derive(experiment(), "child", recipe=change(batchsize=3))


def test_change_of_nothing_is_refused():
    with pytest.raises(DefinitionError, match=r"recipe\.schedule is None in the parent; give the whole value"):
        derive(experiment(), "child", recipe=change(schedule=change(gamma=0.5)))


def test_mark_of_an_unknown_field_is_refused():
    with pytest.raises(DefinitionError, match=r"names 'model\.width'"):
        experiment(marks=(Mark("model.width", "chosen", "why"),))


def test_derive_changes_only_what_is_named():
    parent = experiment(aim=Aim(99.0), reported=Reported(98.0), notes="parent's", source="paper")
    child = derive(parent, "child", recipe=change(batch_size=32, optimizer=change(momentum=0.9)))
    assert difference(parent, child) == {"recipe.optimizer.momentum": (0.0, 0.9), "recipe.batch_size": (64, 32)}
    assert (child.parent, child.aim, child.source) == ("base", parent.aim, "paper")
    assert child.reported is None, "a reported figure belongs to the parent's own run"
    assert child.notes == ""


def test_marks_are_inherited_until_their_field_changes():
    parent = experiment(marks=(Mark("recipe.optimizer.lr", "chosen", "a"), Mark("model.widths", "inferred", "b")))
    same = derive(parent, "same", recipe=change(epochs=4))
    assert same.marks == parent.marks
    changed = derive(parent, "changed", recipe=change(optimizer=change(lr=0.2)))
    assert changed.marks == (parent.marks[1],)
    other_kind = derive(parent, "other", model=OtherModel())
    assert other_kind.marks == (parent.marks[0],), "marks of a model that was replaced as a whole go with it"
    marked = derive(parent, "marked", marks=(Mark("model.widths", "chosen", "c"),))
    assert [mark.why for mark in marked.marks] == ["a", "c"]


def test_definitions_are_frozen_all_the_way_down():
    def visit(value):
        if dataclasses.is_dataclass(value):
            assert type(value).__dataclass_params__.frozen
            for field in dataclasses.fields(value):
                visit(getattr(value, field.name))
        else:
            hash(value)  # a list or dict inside would raise

    visit(experiment(marks=(Mark("model", "chosen", ""),)))


def test_difference_names_a_whole_record_against_none():
    parent = experiment()
    child = derive(parent, "child", recipe=change(schedule=StepLR(6)))
    assert difference(parent, child) == {"recipe.schedule": (None, StepLR(6))}


def test_hash_follows_training_and_nothing_else():
    base = experiment()
    for prose in ({"notes": "x"}, {"aim": Aim(99)}, {"budget": Budget(bound=99_999)}, {"reported": Reported(99)}, {"source": "y"}):
        assert definition_hash(derive(base, "other", **prose)) == definition_hash(base)
    assert definition_hash(
        dataclasses.replace(base, data_set=dataclasses.replace(DATA, mirrors=("https://example.org/",)))
    ) == definition_hash(base)
    for shaping in ({"recipe": change(batch_size=65)}, {"recipe": change(schedule=StepLR(6))}, {"model": PlainCNN(widths=(4, 4, 4, 4, 5))}):
        assert definition_hash(derive(base, "other", **shaping)) != definition_hash(base)
    assert definition_hash(dataclasses.replace(base, data_set=dataclasses.replace(DATA, mean=0.2))) != definition_hash(base)


@given(st.integers(1, 512), st.floats(1e-4, 1), st.tuples(*[st.integers(1, 64)] * 5))
def test_difference_is_empty_exactly_for_equal_definitions(batch_size, lr, widths):
    a = experiment()
    b = experiment(model=PlainCNN(widths=widths), recipe=Recipe(optimizer=SGD(lr=lr), batch_size=batch_size, epochs=3))
    assert (difference(a, b) == {}) == (flatten(a) == flatten(b)) == (definition_hash(a) == definition_hash(b))
    assert {name: (y, x) for name, (x, y) in difference(a, b).items()} == difference(b, a)


def test_hash_ignores_defaults_and_kinds_of_number_but_not_a_folder_of_pictures():
    base = experiment()
    spelled_out = dataclasses.replace(base, recipe=dataclasses.replace(base.recipe, augmentation=Augmentation(rotation=0)))
    assert definition_hash(spelled_out) == definition_hash(base)
    hashes = {definition_hash(derive(base, "x", recipe=change(augmentation=Augmentation(rotation=angle)))) for angle in (5, 5.0, 6)}
    assert len(hashes) == 2
    pictures = [DataSet("mine", (1, 28, 28), 10, 0.1, 0.3, format="folder", folder=folder) for folder in ("a", "b")]
    assert len({definition_hash(dataclasses.replace(base, data_set=data)) for data in pictures}) == 2


@dataclasses.dataclass(frozen=True)
class Block:
    activation: object = "relu"


@dataclasses.dataclass(frozen=True)
class AnyModel:
    block: Block = Block()
    sizes: object = ()

    def build(self, image_shape, classes):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (AnyModel(Block(int)), r"base\.model\.block\.activation is .*; .*: give its name as text, and look it up in build\(\)$"),
        (AnyModel(Block(len)), r"base\.model\.block\.activation is <built-in function len>; .*: give its name as text"),
        (AnyModel(sizes=(4, np.int64(5))), r"base\.model\.sizes\[1\] is np\.int64\(5\); .*: write int\(5\)"),
        (AnyModel(sizes=(np.float32(0.5),)), r"base\.model\.sizes\[0\] is np\.float32\(0\.5\); .*: convert it with int\(…\), float\(…\)"),
        (AnyModel(sizes=float("nan")), r"base\.model\.sizes is nan; .*: use None where there is no number"),
        (AnyModel(sizes=float("inf")), r"base\.model\.sizes is inf; expected a finite number"),
        (AnyModel(sizes=frozenset({1})), r"base\.model\.sizes is frozenset\(\{1\}\); .*: write tuple\(sorted\(…\)\)"),
        (AnyModel(sizes={"a": {"b": b""}}), r"base\.model\.sizes\['a'\]\['b'\] is b''; expected"),
        (AnyModel(sizes={1: 2}), r"base\.model\.sizes is \{1: 2\}; expected"),
        (AnyModel(sizes=np.zeros(999)), r"base\.model\.sizes is array\(.{70,90}…; expected"),
    ],
)
def test_a_model_with_a_value_that_is_not_plain_is_refused(model, message):
    with pytest.raises(DefinitionError, match=re.compile(message, re.DOTALL)):
        experiment(model=model)


def test_a_model_s_plain_values_are_hashed_and_stored():
    made = experiment(model=AnyModel(Block(None), ("gelu", True, {"p": (0.5, np.float64(2.0))})))
    assert json.loads(json.dumps(plain(made), allow_nan=False))["model"]["sizes"] == ["gelu", True, {"p": [0.5, 2.0]}]
    assert definition_hash(made) == definition_hash(experiment(model=AnyModel(Block(None), ("gelu", True, {"p": (0.5, 2)}))))


def test_a_recipe_s_array_is_refused_by_its_field():
    with pytest.raises(DefinitionError, match=r"Recipe\.epochs is array\(\[1, 2\]\); expected a whole number"):
        Recipe(optimizer=SGD(lr=0.1), batch_size=64, epochs=np.array([1, 2]))


def test_labels_and_orientation_change_the_hash_only_where_they_are_given():
    def digest(**fields):
        return definition_hash(experiment(data_set=dataclasses.replace(DATA, **fields)))

    assert digest(first_label=0, transposed=False) == digest()
    assert len({digest(), digest(first_label=1), digest(transposed=True)}) == 3
    with pytest.raises(DefinitionError, match=r"DataSet\.first_label is -1; expected the label of the first class"):
        dataclasses.replace(DATA, first_label=-1)
    with pytest.raises(DefinitionError, match=r"DataSet\.transposed is True; expected False: the format 'folder' has upright images"):
        DataSet("mine", (1, 28, 28), 10, 0.1, 0.3, format="folder", transposed=True)


def test_plain_is_json_and_tells_kinds_apart():
    content = plain(experiment(recipe=Recipe(optimizer=SGD(lr=0.1), batch_size=1, epochs=1, schedule=StepLR(2))))
    assert content["recipe"]["schedule"] == {"kind": "StepLR", "step_size": 2, "gamma": 0.1}
    assert content["model"]["widths"] == [4, 4, 4, 4, 4]


def test_definition_imports_no_torch():
    code = "import budgetnet.definition, budgetnet.models, budgetnet.catalogue, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
