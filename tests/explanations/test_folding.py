"""Folding: rows and positions, others, cuts in time, fields, scores, and the classifier of folded histories."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from concordant.core.errors import ConfigError, DataError
from concordant.explanations.folding import (
    FoldedClassifier,
    auc,
    fold,
    frequent_groups,
    kolmogorov_smirnov,
    payments,
    recall_at_rejection,
)
from concordant.explanations.folding.encoder import EventEncoder, GroupedEncoder, Rows
from concordant.explanations.folding.fields import EventFields
from concordant.explanations.folding.folded import EMPTY, OTHER

EVENTS = pl.DataFrame(
    {
        "who": ["b", "a", "a", "a", "b", "a", "a"],
        "at": [1, 5, 2, 3, 2, 4, 1],
        "shop": ["x", "y", "x", "x", "z", None, "w"],
        "spent": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
    }
)


def test_by_hand():
    folded = fold(EVENTS, "shop", unit="who", time="at", max_groups=2, max_len=2)
    assert folded.units.to_list() == ["a", "b"]
    # a: x twice, y last seen of the single ones, then w and the missing shop together; b: z last seen, then x.
    assert folded.index.tolist() == [[[2, 3], [1, -1], [6, 5]], [[4, -1], [0, -1], [-1, -1]]]
    names = folded.names.to_list()
    assert names == ["x", "y", "z"]
    assert folded.groups.tolist() == [[0, 1, OTHER], [2, 0, EMPTY]]
    assert folded.counts.tolist() == [[2, 1, 2], [1, 1, 0]]
    assert folded.values("spent").tolist() == [[[3, 4], [2, 0], [7, 6]], [[5, 0], [1, 0], [0, 0]]]
    assert folded.frame().rows() == [
        ("a", "x", 2, [2, 3]),
        ("a", "y", 1, [1]),
        ("a", None, 2, [6, 5]),
        ("b", "z", 1, [4]),
        ("b", "x", 1, [0]),
    ]


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 9)), min_size=1, max_size=60
    ),
    max_groups=st.integers(1, 6),
    max_len=st.integers(1, 7),
)
def test_against_a_loop_over_events(rows, max_groups, max_len):
    events = pl.DataFrame(rows, schema=["u", "g", "t"], orient="row")
    folded = fold(events, "g", unit="u", time="t", max_groups=max_groups, max_len=max_len)
    histories = defaultdict(list)
    for number, (u, g, t) in sorted(enumerate(rows), key=lambda row: (row[1][2], row[0])):
        histories[u].append((number, g, t))
    assert folded.units.to_list() == sorted(histories)
    for unit, history in enumerate(histories[u] for u in sorted(histories)):
        counts = Counter(g for _, g, _ in history)
        last = {g: t for _, g, t in history}
        own = sorted(counts, key=lambda g: (-counts[g], -last[g], g))[:max_groups]
        wanted = [[n for n, g, _ in history if g == name] for name in own]
        others = [n for n, g, _ in history if g not in own]
        for row, numbers in enumerate(wanted):
            assert [n for n in folded.index[unit, row] if n >= 0] == numbers[-max_len:]
            assert folded.names[int(folded.groups[unit, row])] == own[row]
            assert folded.counts[unit, row] == len(numbers)
        if others:
            assert [n for n in folded.index[unit, max_groups] if n >= 0] == others[-max_len:]
            assert folded.groups[unit, max_groups] == OTHER
    assert (np.diff(folded.mask.astype(int), axis=2) <= 0).all()  # padding only on the right
    assert folded.counts.sum() == len(rows)


def test_cuts_in_time():
    def rows(**options):
        index = fold(EVENTS, None, unit="who", time="at", **options).index
        return [sorted(unit[unit >= 0].tolist()) for unit in index]

    assert rows() == [[1, 2, 3, 5, 6], [0, 4]]
    assert rows(before=3) == [[2, 6], [0, 4]]
    assert rows(before=pl.DataFrame({"who": ["a", "b"], "before": [4, 2]})) == [[2, 3, 6], [0]]
    assert rows(history=1) == [[1, 5], [0, 4]]
    assert rows(before=5, history=2) == [[3, 5], []]
    assert rows(units=["b", "c"]) == [[0, 4], []]
    days = EVENTS.with_columns(at=pl.date(2024, 1, 1) + pl.duration(days="at"))
    cut = fold(days, "shop", unit="who", time="at", before=dt.date(2024, 1, 4), history=dt.timedelta(days=1))
    assert sorted(cut.index[cut.index >= 0].tolist()) == [2, 4]


def test_known_groups_and_folding_by_an_expression():
    known = frequent_groups(EVENTS, "shop", 1)
    assert known.to_list() == ["x"]
    folded = fold(EVENTS, "shop", unit="who", time="at", max_groups=5, known=known)
    assert folded.names.to_list() == ["x"]
    assert folded.counts.sum() == len(EVENTS)
    halves = fold(EVENTS, pl.col("spent") > 3, unit="who", time="at")
    assert halves.names.to_list() == [False, True]


def test_tables_that_cannot_be_folded():
    with pytest.raises(DataError, match="did you mean shop"):
        fold(EVENTS, "shops", unit="who", time="at")
    with pytest.raises(DataError, match="1 are missing"):
        fold(
            EVENTS.with_columns(at=pl.when(pl.col("at") > 4).then(None).otherwise("at")),
            None,
            unit="who",
            time="at",
        )
    with pytest.raises(DataError, match="got none for 'a'"):
        fold(EVENTS, None, unit="who", time="at", before=pl.DataFrame({"who": ["b"], "before": [4]}))
    with pytest.raises(ConfigError, match="max_len"):
        fold(EVENTS, None, unit="who", time="at", max_len=0)
    with pytest.raises(DataError, match="no column 'cost'"):
        fold(EVENTS, None, unit="who", time="at").values("cost")
    empty = fold(EVENTS.head(0), "shop", unit="who", time="at", units=["a"])
    assert empty.index.shape[0] == 1
    assert not empty.mask.any()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), digits=st.sampled_from([1, 5]))
def test_scores_are_those_of_scikit_learn_ties_included(seed, digits):
    rng = np.random.default_rng(seed)
    labels = np.arange(60) % 3 == 0
    scores = (rng.normal(size=60) + labels).round(digits)
    found = auc(scores, labels, n_replicates=50)
    assert found.value == pytest.approx(roc_auc_score(labels, scores))
    assert found.low <= found.value <= found.high
    false_rate, true_rate, _ = roc_curve(labels, scores, drop_intermediate=False)
    gap = kolmogorov_smirnov(scores, labels, n_replicates=50)
    assert gap.value == pytest.approx((true_rate - false_rate).max())


def test_recall_at_rejection_by_hand():
    assert recall_at_rejection([4, 3, 2, 1], [1, 0, 1, 0], 0.75) == 1.0
    assert recall_at_rejection([1, 1, 1, 1], [1, 0, 1, 0], 0.5) == 0.5
    assert recall_at_rejection([1, 2], [1, 0], 0.5) == 0.0
    with pytest.raises(DataError, match="some of both"):
        auc([1.0, 2.0], [1, 1])
    with pytest.raises(ConfigError, match="rejection_rate"):
        recall_at_rejection([1, 2], [1, 0], 1.5)


def test_payments_change_at_merchants_and_nowhere_else():
    drawn = payments(300, 0, merchants=6, events=120)
    table = drawn.events.with_columns(t=2 * pl.col("day") / 180 - 1)
    slope = pl.cov("t", "amount") / pl.col("t").var()
    whole = table.group_by("user").agg(slope.alias("slope"))["slope"]
    assert np.abs(whole.to_numpy()).max() < 1e-9
    each = table.group_by("user", "merchant").agg(slope.alias("slope")).join(drawn.labels, on="user")
    ends = each.group_by("user", "label").agg(low=pl.col("slope").min(), high=pl.col("slope").max())
    assert drawn.labels["label"].mean() == pytest.approx(0.3)
    # Half of six merchants drift by -1.2 or 1.2, and taking the mean trend out leaves 0.6 on both sides.
    assert ends["high"].mean() - ends["low"].mean() == pytest.approx(1.2, abs=0.6)
    assert drawn.events["day"].max() < 180
    with pytest.raises(ConfigError, match="drifting <= merchants"):
        payments(10, 0, merchants=2)


def test_fields_are_those_of_training():
    at = pl.Series("at", [dt.datetime(2024, 2, 5, 13), dt.datetime(2024, 2, 6, 13)])
    events = pl.DataFrame({"at": at, "kind": ["a", "b"], "size": [1.0, 3.0]})
    fields = EventFields("at", categories=["kind"], amounts=["size"]).fit(events)
    table = fields.table(events.with_columns(kind=pl.Series(["b", "new"])))
    assert table.codes[:, 0].tolist() == [2, 0]
    assert table.codes[:, 2:].tolist() == [[13, 1, 2], [13, 2, 2]]  # hour, weekday, month
    assert (table.codes < fields.sizes).all()
    assert table.numbers[:, 0].tolist() == [-1.0, 1.0]
    assert table.time.tolist() == [0.0, 1.0]
    with pytest.raises(DataError, match="1 are missing"):
        fields.table(events.with_columns(size=pl.Series([None, 1.0])))
    with pytest.raises(ConfigError, match="named once"):
        EventFields("at", amounts=["at"])
    with pytest.raises(DataError, match="at least one event"):
        EventFields("at").fit(events.head(0))


def drawn_rows(lengths, seed=0):
    generator = torch.Generator().manual_seed(seed)
    n, rows = len(lengths), len(lengths[0])
    longest = max(map(max, lengths))
    mask = torch.arange(longest) < torch.tensor(lengths)[..., None]
    return Rows(
        torch.randint(3, (n, rows, longest, 1), generator=generator),
        torch.randn(n, rows, longest, 2, generator=generator),
        torch.rand(n, rows, longest, generator=generator).sort(-1).values,
        mask,
        torch.randint(4, (n, rows), generator=generator),
        torch.tensor(lengths),
    )


def test_padding_units_and_the_order_of_rows_mean_nothing():
    net = GroupedEncoder([3], 2, 4, width=8, seed=0).eval()
    rows = drawn_rows([[5, 2, 0], [1, 0, 0], [8, 8, 3]])
    said = net(rows)
    noisy = torch.where(rows.mask[..., None], rows.numbers, torch.full_like(rows.numbers, 9.0))
    assert torch.allclose(said, net(rows._replace(numbers=noisy)), atol=1e-6)
    assert torch.allclose(said[2:], net(Rows(*(part[2:] for part in rows))), atol=1e-6)
    assert torch.allclose(said, net(Rows(*(part[:, [2, 0, 1]] for part in rows))), atol=1e-6)
    later = rows._replace(numbers=rows.numbers.flip(2))
    assert not torch.allclose(said[2], net(later)[2], atol=1e-4)  # but the order in a row does


def test_a_row_is_read_as_by_the_sequence_network_alone():
    net = GroupedEncoder([3], 2, 4, width=8, seed=0).eval()
    rows = drawn_rows([[5, 2], [1, 7]])
    vectors = net.events(rows)
    read = net._sequences(rows)
    for unit, row, length in ((0, 0, 5), (0, 1, 2), (1, 0, 1), (1, 1, 7)):
        states, _ = net.sequence(vectors[unit, row, None, :length])
        assert torch.allclose(read[unit, row], states[0].mean(0), atol=1e-6)


def test_numbers_relative_to_their_row_have_spread_one():
    events = EventEncoder([], 1, width=4, seed=0)
    rows = drawn_rows([[6, 3], [4, 0]])
    rows = rows._replace(
        numbers=5 * rows.numbers[..., :1] + 100 * rows.groups[..., None, None], codes=rows.codes[..., :0]
    )
    events.scale(rows)
    relative = (events._from_mean(rows) / events.spread)[rows.mask]
    assert relative.square().mean().item() == pytest.approx(1, abs=1e-5)
    assert events._from_mean(rows)[0, 0, :6].mean().abs() < 1e-4


def small(by="merchant", **options):
    options = {"max_groups": 4, "max_len": 8, "epochs": 2, "width": 8, **options}
    return FoldedClassifier(by, unit="user", time="day", amounts=["amount"], **options)


def test_fitting_and_predicting():
    drawn = payments(40, 0, merchants=4, events=16)
    users = drawn.labels["user"]
    first, again = (small(seed=1).fit(drawn.events, drawn.labels) for _ in range(2))
    said = first.predict(drawn.events, users)
    assert ((said > 0) & (said < 1)).all()
    assert (said == again.predict(drawn.events, users)).all()
    assert np.allclose(
        first.predict(drawn.events.sample(fraction=1, shuffle=True, seed=0), users), said, atol=1e-6
    )
    assert first.predict(drawn.events.head(0), [0, 1]).shape == (2,)
    other = drawn.events.with_columns(merchant=pl.col("merchant") + 50)
    assert first.predict(other, users).shape == (40,)  # new groups are read as such
    cut = first.predict(drawn.events, users, before=90.0)
    assert np.allclose(cut, first.predict(drawn.events.filter(pl.col("day") < 90), users))


def test_what_cannot_be_fitted():
    drawn = payments(30, 0, merchants=4, events=24)
    for labels, message in (
        (drawn.labels.rename({"label": "y"}), "none called 'label'"),
        (pl.concat([drawn.labels, drawn.labels.head(1)]), "one row a user, got 1 more"),
        (drawn.labels.with_columns(label=pl.lit(1)), "some of both"),
    ):
        with pytest.raises(DataError, match=message):
            small().fit(drawn.events, labels)
    with pytest.raises(ConfigError, match="has not been fitted"):
        small().predict(drawn.events, [0])
    for options in ({"heads": 3}, {"validation_share": 1.0}, {"positive_weight": 0.0}):
        with pytest.raises(ConfigError, match="FoldedClassifier must be"):
            small(**options)
