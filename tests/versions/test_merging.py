"""Merges of weights by name, beside hand-worked cases and a slow implementation that shares no code with them."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from concordant.core.errors import ConfigError, DataError
from concordant.versions import merging

BASE = {"w": torch.zeros(3, 3), "b": torch.zeros(3), "steps": torch.tensor(7)}
FIRST = {
    "w": torch.tensor([[9.0, -1.0, 2.0], [0.0, 0.0, 5.0], [-4.0, 4.0, 3.0]]),
    "b": torch.tensor([1.0, -2.0, 0.5]),
    "steps": torch.tensor(8),
}
SECOND = {
    "w": torch.tensor([[1.0, -3.0, -2.0], [6.0, 0.0, -5.0], [-2.0, 0.5, 1.0]]),
    "b": torch.tensor([1.0, 2.0, 0.0]),
    "steps": torch.tensor(9),
}


def test_band_of_rows_by_hand():
    mask = merging.band_mask(FIRST["w"], keep=0.34, remove=0.34, scope="row")
    # the second largest of each row; of the two fours the first is the larger rank, so the second is kept
    assert mask.tolist() == [[False, False, True], [True, False, False], [False, True, False]]


def test_band_of_a_tensor_by_hand():
    mask = merging.band_mask(FIRST["w"], keep=3 / 9, remove=1 / 9, scope="tensor")
    assert mask.tolist() == [[False, False, False], [False, False, True], [True, True, False]]


def test_breadcrumbs_by_hand():
    merged = merging.breadcrumbs(
        BASE, [FIRST, SECOND], keep=0.34, remove=0.34, scale=[1.0, 10.0], scope="row"
    )
    assert merged["w"].tolist() == [[0.0, 0.0, 2.0 - 20.0], [0.0, 0.0, -50.0], [0.0, 4.0, 10.0]]
    assert merged["b"].tolist() == [1.0 + 10.0, 0.0, 0.0]
    assert merged["steps"].item() == 7


def test_ties_by_hand():
    merged = merging.ties(BASE, [FIRST, SECOND], keep=1.0, scale=2.0)
    assert merged["w"].tolist() == [[10.0, -4.0, 0.0], [12.0, 0.0, 0.0], [-6.0, 4.5, 4.0]]
    trimmed = merging.ties(BASE, [FIRST, SECOND], keep=3 / 9)
    # of the two fours of the first parent, the first survives
    assert trimmed["w"].tolist() == [[9.0, -3.0, 0.0], [6.0, 0.0, 0.0], [-4.0, 0.0, 0.0]]


def test_slerp_by_hand():
    first = {"w": torch.tensor([[2.0, 0.0, 0.0]] * 3)}
    second = {"w": torch.tensor([[0.0, 2.0, 0.0]] * 3)}
    third = merging.slerp(first, second, 1 / 3)["w"]  # thirty degrees
    assert torch.allclose(third, torch.tensor([[math.sqrt(3.0), 1.0, 0.0]] * 3))
    assert torch.equal(merging.slerp(first, second, 0.0)["w"], first["w"])
    assert torch.allclose(merging.slerp(first, second, 1.0)["w"], second["w"])


def test_slerp_of_unequal_lengths_weighs_the_unnormalised_tensors():
    angle = math.acos(0.6)
    first, second = {"w": torch.tensor([1.0, 0.0])}, {"w": torch.tensor([6.0, 8.0])}
    left, right = (math.sin(part * angle) / math.sin(angle) for part in (0.75, 0.25))
    expected = torch.tensor([left + right * 6.0, right * 8.0])
    assert torch.allclose(merging.slerp(first, second, 0.25)["w"], expected)


def test_nearly_parallel_tensors_take_the_line():
    first = {"a": torch.tensor([1.0, 0.0]), "b": torch.tensor([1.0, 0.0]), "c": torch.tensor([1.0, 0.0])}
    second = {"a": torch.tensor([3.0, 0.03]), "b": torch.tensor([3.0, 0.3]), "c": torch.tensor([-2.0, 0.0])}
    assert merging.slerp_branches(first, second) == {"a": "linear", "b": "spherical", "c": "linear"}
    merged = merging.slerp(first, second, 0.5)
    assert torch.allclose(merged["a"], torch.tensor([2.0, 0.015]))
    assert torch.allclose(merged["c"], torch.tensor([-0.5, 0.0]))


def test_slerp_takes_a_share_a_name():
    t = merging.depth_schedule({"self_attn": [0, 1], None: 0.5}, n_layers=3)
    names = [f"layers.{layer}.self_attn.w" for layer in range(3)] + ["norm"]
    first, second = ({name: torch.full((2,), value) for name in names} for value in (0.0, 1.0))
    merged = merging.slerp(first, second, t)
    assert [merged[name][0].item() for name in names] == [0.0, 0.5, 1.0, 0.5]


def test_the_published_schedule():
    t = merging.depth_schedule(
        {"self_attn": [0, 0.5, 0.3, 0.7, 1], "mlp": [1, 0.5, 0.7, 0.3, 0], None: 0.5}, 33
    )
    assert [t(f"layers.{layer}.self_attn") for layer in (0, 4, 8, 16, 24, 32)] == [0, 0.25, 0.5, 0.3, 0.7, 1]
    assert [t(f"layers.{layer}.mlp") for layer in (0, 8, 16, 24, 32)] == [1, 0.5, 0.7, 0.3, 0]
    assert t("embed_tokens.weight") == t("layers.3.input_layernorm.weight") == 0.5
    # weights of no layer are at the beginning, as in mergekit 0.1.5
    assert merging.depth_schedule({None: [0.25, 1]}, 3)("lm_head.weight") == 0.25


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: merging.breadcrumbs(BASE, [FIRST], keep=0.95, remove=0.1), "at most 1 together"),
        (lambda: merging.breadcrumbs(BASE, [FIRST], keep=0.0, remove=0.1), "keep"),
        (lambda: merging.breadcrumbs(BASE, [FIRST], keep=0.5, remove=-0.1), "remove"),
        (lambda: merging.breadcrumbs(BASE, [FIRST], keep=0.5, remove=0.1, scope="rows"), "did you mean row"),
        (lambda: merging.band_mask(torch.zeros(3), keep=0.5, scope="layer"), "known: row, tensor"),
        (lambda: merging.task_arithmetic(BASE, [FIRST], scale=[1.0, 2.0]), "one for each of the 1 parents"),
        (lambda: merging.linear([FIRST, SECOND], [1.0, -1.0]), "positive sum"),
        (lambda: merging.slerp(FIRST, SECOND, 1.5), "from 0 to 1"),
        (lambda: merging.dare(BASE, [FIRST], drop=1.0, seed=0), "drop"),
        (lambda: merging.depth_schedule({"mlp": 0.5}, 3), "give one for None"),
    ],
)
def test_options_that_mean_nothing_are_refused(call, message):
    with pytest.raises(ConfigError, match=message):
        call()


def test_unlike_models_are_refused():
    with pytest.raises(DataError, match=r"'w' with \(3, 3\) in the first model and \(2, 3\) in model 2"):
        merging.task_arithmetic(BASE, [FIRST | {"w": torch.zeros(2, 3)}])
    with pytest.raises(DataError, match=r"'b' with .* and no such weight in model 3"):
        merging.linear([FIRST, SECOND, {"w": FIRST["w"], "steps": FIRST["steps"]}])
    with pytest.raises(DataError, match="'x'"):
        merging.add_deltas(BASE, {"x": torch.zeros(1)})
    with pytest.raises(DataError, match="got none"):
        merging.linear([])


def test_buffers_and_integers_are_those_of_the_base():
    base = {"bn.running_mean": torch.zeros(2), "bn.num_batches_tracked": torch.tensor(1), "w": torch.zeros(2)}
    parent = {"bn.running_mean": torch.ones(2), "bn.num_batches_tracked": torch.tensor(5), "w": torch.ones(2)}
    merged = merging.task_arithmetic(base, [parent, parent])
    assert merged["bn.running_mean"].tolist() == [0.0, 0.0]
    assert merged["bn.num_batches_tracked"].item() == 1
    assert merged["w"].tolist() == [2.0, 2.0]
    assert merging.task_arithmetic(base, [parent], buffers=["w"])["w"].tolist() == [0.0, 0.0]


def test_deltas_of_bfloat16_are_taken_in_float32():
    base = {"w": torch.tensor([1.0, 256.0], dtype=torch.bfloat16)}
    first, second = (
        {"w": torch.tensor(values, dtype=torch.bfloat16)} for values in ([1.0078125, 258], [1.0, 254])
    )
    delta = merging.deltas(first, base)["w"]
    assert delta.dtype == torch.float32
    assert delta.tolist() == [0.0078125, 2.0]
    merged = merging.linear([first, first, second])["w"]
    assert merged.dtype == torch.bfloat16
    # (258 + 258 + 254) / 3 = 256.67 is nearer to 256 than to 258; a sum in bfloat16 would have made 257.33 of it
    assert merged[1].item() == 256.0


def test_tied_weights_stay_one_tensor():
    tied = torch.zeros(4)
    merged = merging.task_arithmetic(
        {"embed": tied, "head": tied}, [{"embed": torch.ones(4), "head": torch.ones(4)}]
    )
    assert merged["embed"] is merged["head"]


def test_what_comes_back_is_no_view_of_what_went_in():
    merged = merging.task_arithmetic(BASE, [FIRST], scale=0.0)
    merged["steps"] += 1
    merged["w"] += 1
    assert BASE["steps"].item() == 7
    assert BASE["w"].sum() == 0


def test_dare_keeps_the_mean_and_does_not_depend_on_order():
    base = {"a": torch.zeros(20_000), "b": torch.zeros(10)}
    parent = {"a": torch.ones(20_000), "b": torch.ones(10)}
    merged = merging.dare(base, [parent], drop=0.9, seed=3)
    # a mean of 20,000 draws of 10 with chance .1 has a standard deviation of .021
    assert abs(merged["a"].mean().item() - 1.0) < 0.1
    turned = merging.dare(dict(reversed(base.items())), [parent], drop=0.9, seed=3)
    assert all(torch.equal(merged[name], turned[name]) for name in base)
    other = merging.dare(base, [parent], drop=0.9, seed=4)
    assert not torch.equal(merged["a"], other["a"])
    assert torch.equal(merging.dare(base, [parent], drop=0.0, seed=0)["a"], parent["a"])


def test_elected_dare_adds_only_what_has_the_sign_of_the_sum():
    base = {"w": torch.zeros(2)}
    merged = merging.dare(
        base,
        [{"w": torch.tensor([3.0, 1.0])}, {"w": torch.tensor([-1.0, 1.0])}],
        drop=0.0,
        seed=0,
        elect=True,
    )
    assert merged["w"].tolist() == [3.0, 2.0]


def test_ancestry_in_closed_form():
    base = {"w": torch.tensor([[1.0, 0.0], [0.0, 0.0]]), "norm": torch.ones(100)}
    first = {"w": torch.tensor([[1.0, 0.5], [0.0, 0.0]]), "norm": torch.ones(100)}
    second = {"w": torch.tensor([[1.0, 0.0], [0.5, 0.0]]), "norm": torch.ones(100)}
    assert merging.distance_to_base(first, base) == 0.5
    assert merging.cosine_of_deltas(first, second, base) == 0.0
    assert merging.cosine_of_weights(first, second) == pytest.approx(1 / 1.25)


def test_unrelated_models_are_the_root_of_two_from_the_base():
    draw = torch.Generator().manual_seed(0)
    base, first, second = ({"w": torch.randn(200, 200, generator=draw)} for _ in range(3))
    assert merging.distance_to_base(first, base) == pytest.approx(math.sqrt(2.0), abs=0.05)
    assert merging.cosine_of_weights(first, base) == pytest.approx(0.0, abs=0.05)
    assert merging.cosine_of_deltas(first, second, base) == pytest.approx(0.5, abs=0.05)


# ---- a slow implementation: loops over entries, and sorting with Python


def slow_survivors(entries, keep, remove):
    """Return the places that survive of [(value, place)], places in the order that breaks ties."""
    ordered = sorted(range(len(entries)), key=lambda i: (-abs(entries[i][0]), i))
    n_kept = max(1, math.floor(keep * len(entries) + 1e-6))
    n_removed = min(math.floor(remove * len(entries) + 1e-6), len(entries) - n_kept)
    return {entries[i][1] for i in ordered[n_removed : n_removed + n_kept]}


def slow_band(delta, keep, remove, scope):
    """Return, for deltas as {name: nested lists of rows}, those with all but the band set to 0."""
    groups = {}
    for name in sorted(delta):
        for r, row in enumerate(delta[name]):
            for c, value in enumerate(row):
                first_number = next((i for i, part in enumerate(name.split(".")) if part.isdigit()), None)
                layer = name if first_number is None else ".".join(name.split(".")[: first_number + 1])
                key = {"row": (name, r), "tensor": name, "layer": layer, "global": ""}[scope]
                groups.setdefault(key, []).append((value, (name, r, c)))
    alive = set().union(*(slow_survivors(entries, keep, remove) for entries in groups.values()))
    return {
        name: [[v if (name, r, c) in alive else 0.0 for c, v in enumerate(row)] for r, row in enumerate(rows)]
        for name, rows in delta.items()
    }


def slow_elected(values):
    total = sum(values)
    agreeing = [value for value in values if value * total > 0]
    return sum(agreeing) / len(agreeing) if agreeing else 0.0


@st.composite
def parents(draw):
    """Draw two or three parents of a zero base, of few distinct small values, so that many are equal."""
    names = draw(
        st.lists(st.sampled_from(["l.0.a", "l.0.b", "l.1.a", "l.10.a", "head"]), min_size=1, unique=True)
    )
    shapes = {name: (draw(st.integers(1, 4)), draw(st.integers(1, 5))) for name in names}
    values = st.integers(-3, 3).map(float)
    return [
        {
            name: [[draw(values) for _ in range(columns)] for _ in range(rows)]
            for name, (rows, columns) in shapes.items()
        }
        for _ in range(draw(st.integers(2, 3)))
    ]


SHARES = st.tuples(
    st.sampled_from([0.01, 0.2, 0.5, 0.9, 1.0]), st.sampled_from([0.0, 0.01, 0.1, 0.3])
).filter(lambda pair: sum(pair) <= 1)


def tensors(state):
    return {name: torch.tensor(rows) for name, rows in state.items()}


@settings(deadline=None, max_examples=60)
@given(parents(), SHARES, st.sampled_from(["row", "tensor", "layer", "global"]))
def test_breadcrumbs_agree_with_the_slow_ones(states, shares, scope):
    keep, remove = shares
    base = {name: torch.zeros_like(weight) for name, weight in tensors(states[0]).items()}
    merged = merging.breadcrumbs(base, [tensors(s) for s in states], keep=keep, remove=remove, scope=scope)
    slow = [tensors(slow_band(state, keep, remove, scope)) for state in states]
    for name in base:
        assert torch.equal(merged[name], sum(one[name] for one in slow)), name


@settings(deadline=None, max_examples=60)
@given(
    parents(), st.sampled_from([0.01, 0.2, 0.5, 1.0]), st.sampled_from(["row", "tensor", "layer", "global"])
)
def test_ties_agree_with_the_slow_ones(states, keep, scope):
    base = {name: torch.zeros_like(weight) for name, weight in tensors(states[0]).items()}
    merged = merging.ties(base, [tensors(state) for state in states], keep=keep, scope=scope)
    slow = [slow_band(state, keep, 0.0, scope) for state in states]
    for name in base:
        expected = [
            [slow_elected([one[name][r][c] for one in slow]) for c in range(base[name].shape[1])]
            for r in range(base[name].shape[0])
        ]
        assert torch.allclose(merged[name], torch.tensor(expected)), name


@pytest.mark.parametrize("n", [1, 2, 3, 9])
def test_tiny_tensors_keep_their_deltas(n):
    # a hundredth of fewer than a hundred entries is none: nothing is removed, and at least one entry survives
    base, parent = {"w": torch.zeros(n)}, {"w": torch.arange(1.0, n + 1)}
    merged = merging.breadcrumbs(base, [parent], keep=0.9, remove=0.01, scope="tensor")["w"]
    assert (merged != 0).sum() == max(1, math.floor(0.9 * n))
    assert merged[-1] == n


def test_scalars_are_kept():
    merged = merging.breadcrumbs({"s": torch.tensor(1.0)}, [{"s": torch.tensor(3.0)}], keep=0.1, remove=0.5)
    assert merged["s"].item() == 3.0
