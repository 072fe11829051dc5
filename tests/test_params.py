"""Counting, the budget gate and the layer table; torchsummary is the oracle of the count."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from budgetnet.definition import Budget
from budgetnet.models import PlainCNN
from budgetnet.params import Counts, check_budget, count, layer_table

SHAPE = (1, 28, 28)


def test_three_numbers_are_kept_apart():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))
    model[2].weight.requires_grad_(False)
    # 36 + 4, then 4 + 4, then 8 frozen + 2; Keras adds the moving mean and variance, 4 + 4
    assert count(model) == Counts(trainable=50, non_trainable=8, keras_total=66)


def test_shared_parameters_count_once():
    layer = nn.Linear(3, 3)
    assert count(nn.Sequential(layer, nn.ReLU(), layer)).trainable == 12
    tied = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    tied[1].weight = tied[0].weight
    assert count(tied).trainable == 9


def test_shared_normalization_counts_its_statistics_once():
    norm = nn.BatchNorm1d(5)
    assert count(nn.Sequential(norm, norm)) == Counts(10, 0, 20)


def test_a_lazy_parameter_is_refused():
    with pytest.raises(ValueError, match="without a shape"):
        count(nn.LazyLinear(3))


widths = st.tuples(*[st.integers(1, 20)] * 5)


def formula(c, bias, norm):
    """The count of the six 3×3 convolutions as the source's table gives it."""
    total = 9 * (c[0] + c[0] * c[1] + c[1] * c[2] + c[2] * c[3] + c[3] * c[4] + 10 * c[4])
    return total + (sum(c) + 10) * bias + 2 * sum(c) * norm


@settings(max_examples=25, deadline=None)
@given(widths, st.booleans(), st.booleans(), st.sampled_from([0.0, 0.1]))
def test_count_is_the_formula_and_torchsummarys(c, bias, norm, dropout):
    model = PlainCNN(widths=c, bias=bias, norm=norm, dropout=dropout).build(SHAPE, 10)
    counted = count(model)
    table = layer_table(model, SHAPE)
    assert counted.trainable == formula(c, bias, norm) == table.total == sum(row.parameters for row in table.rows)
    assert counted.keras_total == counted.trainable + 2 * sum(c) * norm


@given(st.integers(1, 10**6), st.one_of(st.none(), st.integers(1, 10**6)), st.one_of(st.none(), st.integers(1, 10**6)))
def test_gate_compares_integers_exactly(trainable, bound, exact):
    if bound is not None and exact is not None and exact > bound:
        bound, exact = exact, bound
    verdict = check_budget(Counts(trainable, 0, trainable), Budget(bound=bound, exact=exact))
    assert verdict.passed == ((bound is None or trainable <= bound) and (exact is None or trainable == exact))
    assert verdict.headroom == (None if bound is None else bound - trainable)


@pytest.mark.parametrize(
    ("trainable", "verdict"), [(7_836, "ok"), (7_837, "not the exact count"), (8_000, "not the exact count"), (8_001, "over the bound")]
)
def test_gate_says_what_is_wrong(trainable, verdict):
    assert check_budget(Counts(trainable, 0, trainable), Budget(bound=8_000, exact=7_836)).verdict == verdict


def test_gate_holds_the_keras_count_as_well():
    budget = Budget(exact=218_698, keras_total=219_338)
    assert check_budget(Counts(218_698, 0, 219_338), budget).passed
    shut = check_budget(Counts(218_698, 0, 219_337), budget)
    assert shut.verdict == "not Keras's count"
    assert shut.sentence == "219,337 parameters as Keras counts: its budget is exactly 219,338"


def test_layer_table_lists_shapes_and_can_put_the_largest_first():
    table = layer_table(PlainCNN(widths=(10, 10, 10, 12, 14), dropout=0.05).build(SHAPE, 10), SHAPE)
    assert table.rows[0].output_shape == (10, 28, 28)
    assert table.rows[-1].output_shape == (10,)
    lines = table.text(largest_first=True).splitlines()
    assert lines[1].split()[-1] == "1,512"  # 9 · 12 · 14
    assert lines[-1].split() == ["total", "5,854"]


def test_layer_table_changes_neither_model_nor_random_state():
    model = PlainCNN(widths=(4, 4, 4, 4, 4), dropout=0.5).build(SHAPE, 10)
    before, random = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    layer_table(model, SHAPE)
    assert model.training
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())
