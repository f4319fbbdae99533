"""Factors of happiness: how far models of different kinds agree on them, and what training towards that brings.

Data: the marriages that readers of a magazine rated in 1974, as statsmodels has them: 6,366 rows, eight factors, a rating
from 1 to 5. A pool of models of three kinds is fitted on some rows and explained exactly; the mean of their importance
shares is the knowledge. A small network is then trained on few other rows, with the penalty towards it and without.
Controls: equal shares, shares in the reversed order, and weight decay; each weight is chosen on rows of validation, in the
same way for all.
At full scale a survey of yours takes the place of the marriages.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.errors import ConfigError, DataError, require
from concordant.studies.study import Claim, Measurements, Scale, study

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from concordant.explanations.factors import Importance
    from concordant.learn import MLP

DATA = "CONCORDANT_FACTORS_DATA"
"""Names a table for full scale: a column ``happiness``, and factors in all others, numbers without gaps."""

TARGET = "happiness"
PENALTIES = (0.3, 1.0, 3.0, 10.0)
DECAYS = (0.3, 1.0, 3.0, 10.0, 30.0)
KINDS = ("linear", "boosted", "forest")
K = 3


@dataclass(frozen=True)
class Sizes:
    """How many rows each part has, how long is trained and how often; the test has all other rows."""

    pool: int = 1500
    train: int = 300
    validation: int = 500
    explained: int = 200
    background: int = 50
    trees: int = 100
    hidden: int = 32
    steps: int = 200
    rate: float = 1e-2
    starts: int = 3
    most_test: int = 4066


SIZES = {
    Scale.smoke: Sizes(120, 60, 60, 20, 10, 5, 8, 8, 1e-2, 2, 200),
    Scale.pocket: Sizes(),
    Scale.full: Sizes(explained=1000, background=200, starts=5, most_test=10**9),
}


@study(
    "factor-consistency",
    claims=[
        Claim("knowledge-lowers-error", "knowledge.squared_error", "plain.squared_error", "lower"),
        Claim(
            "knowledge-beats-other-regularisers", "knowledge.squared_error", "decayed.squared_error", "lower"
        ),
        Claim("knowledge-steadies-explanations", "knowledge.seed_gap", "plain.seed_gap", "lower"),
        Claim(
            "knowledge-steadies-what-it-trains",
            "knowledge.trained_seed_gap",
            "plain.trained_seed_gap",
            "lower",
        ),
        Claim("knowledge-beats-equal-shares", "knowledge.squared_error", "equal.squared_error", "lower"),
        Claim(
            "knowledge-beats-reversed-shares", "knowledge.squared_error", "reversed.squared_error", "lower"
        ),
        Claim("kinds-agree-as-resamples-do", "kinds.js_gap", "resamples.js_gap", "lower", margin=-0.01),
        Claim("primary-factors-carry-the-network", "knowledge.primary_gap", "knowledge.any_gap", "higher"),
    ],
    baseline="the same network without a penalty; weight decay, equal and reversed shares",
)
def factor_consistency(scale: Scale, seed: int) -> Measurements:
    """Measure whether kinds of models agree on factors, and what a network gains by training towards that."""
    from concordant.learn.randomness import child_seeds

    n = SIZES[scale]
    names, x, y = _your_survey() if scale is Scale.full else marriages()
    order = np.random.default_rng(seed).permutation(len(x))
    ends = np.cumsum([n.pool, n.train, n.validation])
    pool, learnt, valid, rest = np.split(order, ends)
    if not len(rest):
        message = f"a survey needs more than {ends[-1]:,} rows, got {len(x):,}"
        raise DataError(message)
    x = (x - x[pool].mean(0)) / x[pool].std(0)
    y = y - y[pool].mean()
    parts = {"learnt": learnt, "valid": valid, "test": rest[: n.most_test]}
    tables = {name: (x[rows], y[rows]) for name, rows in parts.items()}
    pool_seed, *starts = child_seeds(seed, 1 + n.starts)
    known, measured = _pool(names, x[pool], y[pool], n, pool_seed)
    return measured | _networks(known, tables, n, starts)


def marriages() -> tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.float64]]:
    """Return the names of the factors, the factors and the ratings of the marriages.

    Returns
    -------
    tuple of 8 names, array of shape ``(6366, 8)``, array of shape ``(6366,)``

    Raises
    ------
    MissingExtraError
        If statsmodels, which has the data, is not installed.

    References
    ----------
    R. C. Fair (1978), A theory of extramarital affairs, Journal of Political Economy 86.

    Examples
    --------
    >>> names, x, y = marriages()
    >>> names[0], x.shape, float(y.min()), float(y.max())
    ('age', (6366, 8), 1.0, 5.0)
    """
    import polars as pl

    package = require("statsmodels", "explain", "the marriages of the study factor-consistency")
    assert package.__file__ is not None
    path = Path(package.__file__).parent / "datasets" / "fair" / "fair.csv"
    table = pl.read_csv(path, schema_overrides={"affairs": pl.Float64}).cast(pl.Float64)
    factors = table.drop("rate_marriage")
    return tuple(factors.columns), factors.to_numpy(), table["rate_marriage"].to_numpy()


def _your_survey() -> tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.float64]]:
    import polars as pl

    from concordant.core.tables import read_table

    path = os.environ.get(DATA)
    if not path:
        message = f"the study factor-consistency at full scale needs a table that {DATA} names, got none"
        raise ConfigError(message)
    table = read_table(path)
    if TARGET not in table.columns or len(table.columns) < K + 2:
        message = f"{path} must have a column {TARGET!r} and at least {K + 1} factors, got {', '.join(table.columns)}"
        raise DataError(message)
    bad = [c for c in table.columns if not table[c].dtype.is_numeric() or table[c].null_count()]
    if bad:
        message = f"{path}: the column {bad[0]!r} must have a number in every row"
        raise DataError(message)
    factors = table.drop(TARGET).cast(pl.Float64)
    return tuple(factors.columns), factors.to_numpy(), table[TARGET].cast(pl.Float64).to_numpy()


def _pool(
    names: tuple[str, ...], x: NDArray[np.float64], y: NDArray[np.float64], n: Sizes, seed: int
) -> tuple[Importance, dict[str, float]]:
    """Fit and explain the pool, and two resamples of each kind; return what the pool agrees on and how far it does."""
    from concordant.explanations.factors import agreed, compared

    rng = np.random.default_rng(seed)
    explained, background = x[: n.explained], x[-n.background :]

    def shares(kind: str, rows: NDArray[np.intp]) -> Importance:
        return _explained(kind, x[rows], y[rows], explained, background, names, n, int(rng.integers(2**31)))

    pool = {kind: shares(kind, np.arange(len(x))) for kind in KINDS}
    kinds = [compared(pool[a], pool[b], k=K) for a, b in combinations(KINDS, 2)]
    again = []
    for kind in KINDS:
        twice = [shares(kind, rng.integers(len(x), size=len(x))) for _ in range(2)]
        again.append(compared(*twice, k=K))
    measured = {
        f"{name}.{measure}": float(np.mean([row[measure] for row in rows]))
        for name, rows in (("kinds", kinds), ("resamples", again))
        for measure in ("js_gap", "top_k_score", "tau_score", "order_score", "direction_score")
    }
    tops = [one.primary(1) for one in pool.values()]
    measured["kinds.same_first_factor_score"] = float(np.mean([a == b for a, b in combinations(tops, 2)]))
    return agreed(pool.values()), measured


def _explained(
    kind: str,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    explained: NDArray[np.float64],
    background: NDArray[np.float64],
    names: tuple[str, ...],
    n: Sizes,
    seed: int,
) -> Importance:
    from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
    from sklearn.linear_model import Ridge

    from concordant.explanations.factors import importance, linear_attribution, tree_attribution

    make: dict[str, Any] = {
        "linear": Ridge,
        "boosted": partial(GradientBoostingRegressor, n_estimators=n.trees, max_depth=3, random_state=seed),
        "forest": partial(RandomForestRegressor, n.trees, min_samples_leaf=20, random_state=seed),
    }
    model = make[kind]().fit(x, y)
    attribution = linear_attribution if kind == "linear" else tree_attribution
    return importance(attribution(model, explained, background), names, explained)


def _networks(known: Importance, tables: dict[str, Any], n: Sizes, starts: list[int]) -> dict[str, float]:
    """Train each arm from several starts, with the weight that is best on the rows of validation, and measure it."""
    from concordant.explanations.factors import reversed_shares, uniform_shares

    arms: dict[str, tuple[Importance | None, tuple[float, ...]]] = {
        "plain": (None, (0.0,)),
        "decayed": (None, DECAYS),
        "knowledge": (known, PENALTIES),
        "equal": (uniform_shares(known), PENALTIES),
        "reversed": (reversed_shares(known), PENALTIES),
    }
    measured: dict[str, float] = {}
    for arm, (shares, weights) in arms.items():
        runs = {w: [_trained(tables["learnt"], shares, w, n, start) for start in starts] for w in weights}
        errors = {w: _error(models, *tables["valid"]) for w, models in runs.items()}
        best = min(errors, key=errors.__getitem__)
        measured |= _measured(arm, runs[best], known, tables["test"], n)
        if len(weights) > 1:
            measured[f"{arm}.chosen_weight"] = best
    return measured


def _trained(
    table: tuple[NDArray[np.float64], NDArray[np.float64]],
    shares: Importance | None,
    weight: float,
    n: Sizes,
    start: int,
) -> MLP:
    """Train a network with a penalty towards shares, or with weight decay where there are none."""
    import torch

    from concordant.explanations.factors import with_knowledge
    from concordant.learn import MLP, Batches, train

    x, y = (torch.from_numpy(part).float() for part in table)
    model = MLP(x.shape[1], 1, hidden=(n.hidden,), activation=torch.tanh, seed=start)
    loss: Any = squared_error if shares is None else with_knowledge(squared_error, shares, weight)
    decay = weight if shares is None else 0.0
    train(
        model,
        loss,
        Batches((x, y), len(x)),
        steps=n.steps,
        optimizer=partial(torch.optim.AdamW, lr=n.rate, weight_decay=decay),
        device="cpu",
        seed=start,
        progress=False,
    )
    return model


def squared_error(model: Any, batch: Any) -> Any:
    """Return the mean squared error of a network with one output, a loss for `concordant.learn.train`."""
    x, y = batch
    return (model(x)[:, 0] - y).square().mean()


def _predicted(model: MLP, x: NDArray[np.float64]) -> NDArray[np.float64]:
    import torch

    with torch.no_grad():
        return np.asarray(model(torch.from_numpy(x).float())[:, 0].double().numpy())


def _error(models: list[MLP], x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    return float(np.mean([((_predicted(model, x) - y) ** 2).mean() for model in models]))


def _measured(
    arm: str,
    models: list[MLP],
    known: Importance,
    test: tuple[NDArray[np.float64], NDArray[np.float64]],
    n: Sizes,
) -> dict[str, float]:
    """Measure an arm: its error, and its factors by sampled Shapley values and by what the penalty trains."""
    from concordant.explanations.factors import (
        compared,
        deletion_check,
        gradient_attribution,
        importance,
        permutation_attribution,
    )

    x, y = test
    explained, background = x[: n.explained], x[-n.background :]
    found = [
        importance(
            permutation_attribution(partial(_predicted, model), explained, background, pairs=5),
            known.names,
            explained,
        )
        for model in models
    ]
    pairs = [compared(a, b, k=K) for a, b in combinations(found, 2)]
    trained = [importance(gradient_attribution(model, explained), known.names) for model in models]
    trained_pairs = [compared(a, b)["js_gap"] for a, b in combinations(trained, 2)]
    deleted = deletion_check(lambda rows: _error(models, rows, y), x, known, k=K, repeats=2)
    return {
        f"{arm}.squared_error": _error(models, x, y),
        f"{arm}.seed_gap": float(np.mean([pair["js_gap"] for pair in pairs])),
        f"{arm}.trained_seed_gap": float(np.mean(trained_pairs)),
        f"{arm}.trained_knowledge_gap": float(np.mean([compared(known, one)["kl_gap"] for one in trained])),
        f"{arm}.seed_top_k_score": float(np.mean([pair["top_k_score"] for pair in pairs])),
        f"{arm}.knowledge_gap": float(np.mean([compared(known, one)["kl_gap"] for one in found])),
        f"{arm}.primary_gap": deleted["primary_gap"],
        f"{arm}.any_gap": deleted["any_gap"],
    }
