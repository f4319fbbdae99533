"""The study of LBSF: its foldings, its controls and its figures, at the smallest size."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from concordant.core.errors import ConfigError, DataError
from concordant.explanations.folding import fold, payments
from concordant.studies import lbsf as module
from concordant.studies.lbsf import EVENTS, LABELS, SIZES, Sizes, lbsf, slopes, user_figures
from concordant.studies.study import Scale

WAYS = ("folded", "without_relations", "random", "pieces", "latest", "full", "full_relative")


@pytest.fixture(scope="module")
def measured():
    torch.set_num_threads(1)
    return lbsf(Scale.smoke, 1000)


def test_every_way_has_its_figures(measured):
    for name in (*WAYS, "user_trees", "slope_trees", "hard_folded", "hard_full", "hard_slope_trees"):
        for metric in ("auc", "ks", "recall_at_10_percent"):
            assert 0 <= measured[f"{name}.{metric}"] <= 1
    assert measured["folded.auc@180"] == measured["folded.auc"]


def test_ways_fold_what_they_say():
    n = Sizes(merchants=4, events=24)
    drawn = payments(5, 0, merchants=4, events=24)
    ways = module._ways(n, 4, 0)

    def folded(name):
        options = {key: ways[name][key] for key in ("max_groups", "max_len") if key in ways[name]}
        return fold(drawn.events, ways[name]["by"], unit="user", time="day", **options)

    assert folded("full").index.shape == (5, 1, 24)
    pieces = folded("pieces")
    assert (pieces.counts == 6).all()
    days = pieces.values("day")
    first, last = days.min(2), days.max(2)
    order = np.argsort(first, axis=1)
    assert (np.take_along_axis(last, order, 1)[:, :-1] < np.take_along_axis(first, order, 1)[:, 1:]).all()
    merchants = folded("folded").values("merchant", padding=-1)
    assert all(len(set(row[row >= 0])) == 1 for unit in merchants for row in unit if (row >= 0).any())
    random = folded("random").values("merchant", padding=-1)
    assert sum(len(set(row[row >= 0])) > 1 for unit in random for row in unit) > 10
    assert ways["folded"].get("categories") is None  # the row says the merchant


def test_figures_of_users_and_slopes_by_hand():
    events = pl.DataFrame(
        {
            "user": [0, 0, 0, 0, 1, 1, 1, 1],
            "day": [0.0, 1.0, 0.0, 2.0, 0.0, 4.0, 0.0, 1.0],
            "merchant": [0, 0, 1, 1, 0, 0, 1, 1],
            "amount": [0.0, 3.0, 2.0, 0.0, 1.0, 1.0, 5.0, 4.0],
        }
    )
    assert slopes(events).tolist() == [[-1.0, 3.0], [-1.0, 0.0]]
    figures = user_figures(events)
    assert figures[:, [0, 3, 4]].tolist() == [[1.25, 0.0, 3.0], [2.75, 1.0, 5.0]]


def test_events_of_yours(monkeypatch, tmp_path):
    monkeypatch.delenv(EVENTS, raising=False)
    with pytest.raises(ConfigError, match=EVENTS):
        lbsf.function(Scale.full, 0)
    drawn = payments(24, 0, merchants=4, events=12)
    drawn.events.write_parquet(tmp_path / "events.parquet")
    drawn.labels.write_parquet(tmp_path / "labels.parquet")
    monkeypatch.setenv(EVENTS, str(tmp_path / "events.parquet"))
    monkeypatch.setenv(LABELS, str(tmp_path / "labels.parquet"))
    monkeypatch.setitem(module.SIZES, Scale.full, Sizes(latest=4, epochs=1, width=4))
    assert set(lbsf.function(Scale.full, 0)) >= {f"{name}.auc" for name in WAYS}
    drawn.labels.rename({"label": "bad"}).write_parquet(tmp_path / "labels.parquet")
    with pytest.raises(DataError, match="there is no label"):
        lbsf.function(Scale.full, 0)


def test_pocket_has_the_sizes_of_the_card():
    n = SIZES[Scale.pocket]
    assert (n.n_train, n.n_test, n.merchants, n.events, n.latest) == (800, 600, 12, 192, 192 // 4)
    assert n.hard_merchants > n.merchants
