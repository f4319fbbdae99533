"""LBSF (Qiao et al., 2024): a long history of payments folded by merchant, against the same network on the plain history.

Data: procedural payments in which only the change at a few personal merchants tells who defaults. Method: payments folded
by merchant. Baselines, with the same network and training: the latest payments, the full history, and the full history
with amounts relative to the merchant. Controls: folding into random groups, into pieces of time, and without attention
among merchants; and boosted trees without any network, on figures of the whole user (the simulator must not leak through
these) and on the slope at each merchant. A second world has more merchants and less drift. At full scale the events and
labels are yours, in the files that two environment variables name.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from concordant.core.errors import ConfigError, DataError
from concordant.studies.study import Claim, Measurements, Scale, study

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from concordant.explanations.folding.simulated_payments import Payments

EVENTS, LABELS = "CONCORDANT_LBSF_EVENTS", "CONCORDANT_LBSF_LABELS"
"""Name Parquet files: events with ``user``, ``day``, ``merchant``, ``amount`` (on a log scale), all before the decision,
and labels with ``user`` and ``label``."""

CHANCE = 0.5
HISTORIES = (45, 90, 180)
DAYS = 180


@dataclass(frozen=True)
class Sizes:
    """How much is drawn and how long is trained; chosen on seeds 1000 and above."""

    n_train: int = 800
    n_test: int = 600
    merchants: int = 12
    events: int = 192
    latest: int = 48
    hard_merchants: int = 16
    hard_drift: float = 1.05
    epochs: int = 25
    hard_epochs: int = 40
    width: int = 24
    trees: int = 100


SIZES = {
    Scale.smoke: Sizes(32, 32, 4, 16, 8, 6, 0.9, 1, 1, 8, 3),
    Scale.pocket: Sizes(),
    Scale.full: Sizes(latest=256, epochs=40, width=64),
}


@study(
    "lbsf",
    claims=[
        Claim("folded-beats-plain", "folded.auc", "full.auc", "higher"),
        Claim("folded-beats-latest", "folded.auc", "latest.auc", "higher"),
        Claim("merchant-beats-random-folding", "folded.auc", "random.auc", "higher"),
        Claim("random-folding-is-chance", "random.auc", CHANCE, "lower", margin=-0.07),
        Claim("merchant-beats-time-folding", "folded.auc", "pieces.auc", "higher"),
        Claim("folding-beats-relative-amounts", "folded.auc", "full_relative.auc", "higher"),
        Claim("longer-history-helps", "folded.auc@180", "folded.auc@45", "higher"),
        Claim("folded-beats-plain-in-a-harder-world", "hard_folded.auc", "hard_full.auc", "higher"),
        Claim("figures-of-the-user-say-nothing", "user_trees.auc", CHANCE, "lower", margin=-0.07),
        Claim("network-matches-slopes", "folded.auc", "slope_trees.auc", "higher", margin=-0.05),
    ],
    baseline="the same network on the full history, unfolded",
)
def lbsf(scale: Scale, seed: int) -> Measurements:
    """Measure how well default is told from payments folded by merchant, by chance, by time, and not at all."""
    from concordant.explanations.folding.simulated_payments import payments

    n = SIZES[scale]
    if scale is Scale.full:
        return _your_events(n, seed)
    users = n.n_train + n.n_test
    drawn = payments(users, seed, merchants=n.merchants, events=n.events)
    found: dict[str, float] = {}
    for name, options in _ways(n, n.merchants, seed).items():
        found |= _scores(name, _predicted(drawn, n, seed, **options), drawn.labels[n.n_train :])
    found["folded.auc@180"] = found["folded.auc"]
    for days in HISTORIES[:-1]:
        options = _ways(n, n.merchants, seed)["folded"]
        early = _predicted(drawn, n, seed, **options, history=float(days), before=float(DAYS))
        found[f"folded.auc@{days}"] = _scores("x", early, drawn.labels[n.n_train :])["x.auc"]
    found |= _trees("", drawn, n)
    hard = payments(users, seed, merchants=n.hard_merchants, events=n.events, drift=n.hard_drift)
    for name in ("folded", "full"):
        options = {**_ways(n, n.hard_merchants, seed)[name], "epochs": n.hard_epochs}
        found |= _scores(f"hard_{name}", _predicted(hard, n, seed, **options), hard.labels[n.n_train :])
    return found | _trees("hard_", hard, n)


def _ways(n: Sizes, merchants: int, seed: int) -> dict[str, dict[str, Any]]:
    """Return how histories are folded, by name; rows that are not of one merchant say the merchant of each event."""
    import polars as pl

    length = -(-n.events // merchants)
    rows = {"max_groups": merchants, "max_len": 2 * length}
    plain = {"categories": ["merchant"]}
    place = pl.int_range(pl.len()).over("user", order_by="day")
    return {
        "folded": {"by": "merchant", **rows},
        "without_relations": {"by": "merchant", "layers": 0, **rows},
        "random": {"by": pl.int_range(pl.len()).hash(seed) % merchants, **plain, **rows},
        "pieces": {"by": place // length, **plain, **rows},
        "latest": {"by": None, "max_len": n.latest, **plain},
        "full": {"by": None, "max_len": n.events, **plain},
        "full_relative": {"by": None, "max_len": n.events, **plain, "amounts": ["relative"]},
    }


def _predicted(
    drawn: Payments, n: Sizes, seed: int, *, before: Any = None, **options: Any
) -> NDArray[np.float64]:
    """Train on the first users and return the probabilities of the others."""
    import polars as pl

    from concordant.explanations.folding.lbsf import FoldedClassifier

    mean = pl.col("amount").mean().over("user", "merchant")
    events = drawn.events.with_columns(relative=pl.col("amount") - mean)
    options = {"amounts": ["amount"], "epochs": n.epochs, "width": n.width, "seed": seed, **options}
    model = FoldedClassifier(unit="user", time="day", **options)
    model.fit(events, drawn.labels[: n.n_train], before=before)
    return model.predict(events, drawn.labels["user"][n.n_train :], before=before)


def _scores(name: str, predicted: NDArray[np.float64], labels: pl.DataFrame) -> dict[str, float]:
    from concordant.explanations.folding.risk_scores import auc_score, ks_score, recall_at_rejection

    truth = labels["label"].to_numpy()
    return {
        f"{name}.auc": auc_score(predicted, truth),
        f"{name}.ks": ks_score(predicted, truth),
        f"{name}.recall_at_10_percent": recall_at_rejection(predicted, truth, 0.1),
    }


def _trees(prefix: str, drawn: Payments, n: Sizes) -> dict[str, float]:
    """Measure boosted trees on figures of the user, and on the slopes at each merchant from lowest to highest."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    found: dict[str, float] = {}
    label = drawn.labels["label"].to_numpy()
    for name, features in (("user_trees", user_figures(drawn.events)), ("slope_trees", slopes(drawn.events))):
        trees = HistGradientBoostingClassifier(max_iter=n.trees, early_stopping=False, random_state=0)
        trees.fit(features[: n.n_train], label[: n.n_train])
        predicted = trees.predict_proba(features[n.n_train :])[:, 1]
        found |= _scores(f"{prefix}{name}", predicted, drawn.labels[n.n_train :])
    return found


def user_figures(events: pl.DataFrame) -> NDArray[np.float64]:
    """Return mean, spread, slope, lowest and highest amount of each user, shape ``(users, 5)``."""
    import polars as pl

    amount = pl.col("amount")
    figures = (
        events.group_by("user")
        .agg(
            amount.mean().alias("mean"),
            amount.std().alias("spread"),
            (pl.cov("day", "amount") / pl.col("day").var()).alias("slope"),
            amount.min().alias("low"),
            amount.max().alias("high"),
        )
        .sort("user")
    )
    return figures.drop("user").to_numpy()


def slopes(events: pl.DataFrame) -> NDArray[np.float64]:
    """Return the slope of the amount at each merchant of a user, from lowest to highest; one merchant a column."""
    import polars as pl

    each = (
        events.group_by("user", "merchant")
        .agg(slope=(pl.cov("day", "amount") / pl.col("day").var()).fill_nan(0.0).fill_null(0.0))
        .sort("user", "slope")
        .with_columns(rank=pl.int_range(pl.len()).over("user"))
    )
    return each.pivot("rank", index="user", values="slope").sort("user").drop("user").to_numpy()


def _your_events(n: Sizes, seed: int) -> dict[str, float]:
    """Compare foldings on events of yours: half of the users for training, half for the test, by the seed."""
    import polars as pl

    from concordant.explanations.folding.simulated_payments import Payments

    files = [os.environ.get(name) for name in (EVENTS, LABELS)]
    if not all(files):
        message = f"the study 'lbsf' at full scale needs events and labels: name Parquet files in {EVENTS} and {LABELS}"
        raise ConfigError(message)
    events, labels = (pl.read_parquet(file) for file in files if file)
    for table, columns in ((events, ("user", "day", "merchant", "amount")), (labels, ("user", "label"))):
        lacking = [name for name in columns if name not in table.columns]
        if lacking:
            message = (
                f"the files of {EVENTS} and {LABELS} must have {', '.join(columns)}; there is no {lacking[0]}"
            )
            raise DataError(message)
    labels = labels.sample(fraction=1, shuffle=True, seed=seed)
    half = Sizes(
        len(labels) // 2, len(labels) - len(labels) // 2, 64, 1024, n.latest, epochs=n.epochs, width=n.width
    )
    drawn = Payments(events, labels)
    found: dict[str, float] = {}
    for name, options in _ways(half, half.merchants, seed).items():
        found |= _scores(name, _predicted(drawn, half, seed, **options), labels[half.n_train :])
    return found
