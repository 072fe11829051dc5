"""Classes with names: in natural order, stored with results, and shown wherever a class is."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from budgetnet.cli import main
from budgetnet.data import arrays
from budgetnet.data.specs import DIGITS
from budgetnet.definition import SGD, DataSet, DefinitionError, Experiment, Recipe, class_name, definition_hash
from budgetnet.models import PlainCNN
from budgetnet.results import read_result

NAMES = [str(number) for number in range(12)]
CATALOGUE = """
from budgetnet.definition import SGD, DataSet, Experiment, Recipe
from budgetnet.models import PlainCNN

SHADES = DataSet("shades", (1, 16, 16), {classes}, 0.5, 0.25, format="folder", folder="shades"{names})
CATALOGUE = (Experiment("shades", SHADES, PlainCNN((4, 4), pool_after=(2,)), Recipe(SGD(0.05), batch_size=16, epochs=1)),)
"""


@pytest.fixture
def shades(tmp_path):
    """Folders 0 to 11 whose pictures are the darker the higher the number."""

    def make(names):
        for part in ("train", "test"):
            for number, name in enumerate(names):
                folder = tmp_path / "data" / "shades" / part / name
                folder.mkdir(parents=True)
                for copy in range(3):
                    Image.fromarray(np.full((16, 16), 20 * number + copy, np.uint8)).save(folder / f"{copy}.png")
        return tmp_path / "data"

    return make


def test_folders_of_numbers_are_in_the_order_of_the_numbers(shades):
    data_set = DataSet("shades", (1, 16, 16), 12, 0.5, 0.25, format="folder", folder="shades")
    found = arrays.load(data_set, shades(NAMES))
    assert found.class_names == tuple(NAMES)
    levels = {int(label): int(image.float().mean() // 20) for image, label in zip(found.train_images, found.train_labels, strict=True)}
    assert levels == {number: number for number in range(12)}


def test_given_names_stand_for_the_folders(shades):
    data_set = DataSet("shades", (1, 16, 16), 3, 0.5, 0.25, format="folder", folder="shades", class_names=("black", "dark", "grey"))
    assert arrays.load(data_set, shades(["a", "b", "c"])).class_names == ("black", "dark", "grey")
    assert class_name(("black", "dark"), 1) == "dark"
    assert class_name((), 7) == "7"


def test_names_do_not_change_what_is_trained():
    experiment = Experiment("digits", DIGITS, PlainCNN((4, 4), pool_after=(2,)), Recipe(SGD(0.1), batch_size=64, epochs=1))
    named = replace(experiment, data_set=replace(DIGITS, class_names=tuple("abcdefghij")))
    assert definition_hash(named) == definition_hash(experiment)


@pytest.mark.parametrize("names", [("a",), ("a", "a", *map(str, range(8))), tuple(range(10)), ["x"] * 10, ("", *map(str, range(9)))])
def test_names_that_cannot_be_are_refused(names):
    with pytest.raises(DefinitionError, match=r"DataSet.class_names is .*; expected \(\) or 10 different names"):
        replace(DIGITS, class_names=names)


def test_names_are_stored_and_shown(shades, tmp_path, capsys):
    names = ["10 cats", "2 dogs", "a <bird>"]
    data = shades(names)
    (tmp_path / f"catalogue_{tmp_path.name}.py").write_text(CATALOGUE.format(classes=3, names=""))
    own = ["--catalogue", str(tmp_path / f"catalogue_{tmp_path.name}.py"), "--runs", str(tmp_path / "runs")]
    assert main(["run", "shades", *own, "--data", str(data), "--device", "cpu"]) == 0
    natural = ("2 dogs", "10 cats", "a <bird>")
    assert read_result(tmp_path / "runs" / "shades" / "seed-0").class_names == natural
    capsys.readouterr()
    for command in ("eval", "inspect"):
        assert main([command, "shades", *own, "--data", str(data), "--device", "cpu"]) == 0
        said = capsys.readouterr().out
        assert "true \\ predicted      2 dogs  10 cats a <bird>" in " ".join(said.split("\n")) or all(name in said for name in natural)
    picture = data / "shades" / "test" / "2 dogs" / "0.png"
    array = np.asarray(Image.open(picture)).copy()
    array[4:12, 7:9] = 250  # a stroke: blank images are refused
    np.save(tmp_path / "images.npy", array[None])
    assert main(["predict", str(tmp_path / "images.npy"), "--model", "shades", *own, "--out", str(tmp_path / "none"), "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert one["class"] == natural[one["digit"]]
    assert main(["report", *own, "--results", str(tmp_path / "runs"), "--out", str(tmp_path / "report")]) == 0
    page = (tmp_path / "report" / "shades.html").read_text()
    assert "as&nbsp;a &lt;bird&gt;" in page
    assert "<bird>" not in page
