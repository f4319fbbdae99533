r"""Grid: the same accuracy on every variation of a problem, up to chance.

With :math:`p_v` the share of right answers over the :math:`n_v` trials of variation v, of V variations of a
problem:

- accuracy :math:`\bar p`, worst variation :math:`\min_v p_v`, spread :math:`\mathrm{sd}_v(p_v)` (with V - 1);
- over-dispersion :math:`D = \mathrm{sd}_v(p_v)^2 / [\bar p (1 - \bar p) / n]`, about 1 when chance alone
  makes the variations differ, tested by :math:`X^2 = \sum_v (k_v - n_v \bar p)^2 / (n_v \bar p (1 - \bar
  p)) \sim \chi^2_{V-1}`;
- control gap: accuracy on control questions of the same form minus accuracy on the problem.

Pooling the variations hides all of this but the accuracy. Greedy answers make every :math:`p_v` 0 or 1 and
their trials one: sample them.

References
----------
M. Nezhurina, L. Cipolina-Kun, M. Cherti, J. Jitsev (2024), Alice in Wonderland: simple tasks showing
complete reasoning breakdown in state-of-the-art large language models, arXiv 2406.02061.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from concordant.core.errors import ConfigError, DataError, nearest
from concordant.core.finding import ANY_NUMBER, NOT_NEGATIVE, Finding, Measure
from concordant.core.relation import AGREEMENT, Relation, Variant
from concordant.core.shares import share
from concordant.core.statistics import Estimate, estimate_mean, over_dispersion, t_estimate, wilson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from concordant.core.behaviours import Behaviours
    from concordant.core.items import Items
    from concordant.core.relation import Verdicts

TRIALS = "trials"
ACCURACY = Measure("accuracy", "rate", "higher", "right answers, every variation counting the same")
WORST = Measure(
    "worst_variation_accuracy", "rate", "higher", "right answers on the worst variation", NOT_NEGATIVE
)
SPREAD = Measure(
    "variation_spread", "rate", "lower", "standard deviation of the accuracy over variations", NOT_NEGATIVE
)
DISPERSION = Measure(
    "over_dispersion_ratio", "rate", "lower", "variance over variations, in multiples of chance", NOT_NEGATIVE
)
CONTROL = Measure("control_accuracy", "control_rate", "higher", "right answers to the control questions")
GAP = Measure(
    "control_gap", "rate", "lower", "accuracy on the controls minus accuracy on the problem", ANY_NUMBER
)


class Grid(Relation):
    """The same accuracy on every variation of a problem that keeps its structure and difficulty.

    Use it with items from `grid_items`, or any items that say which are variations of one problem. The
    findings are over variations: ``accuracy``, ``worst_variation_accuracy``, ``variation_spread``,
    ``over_dispersion_ratio``, and where there are control questions ``control_accuracy`` and
    ``control_gap``; formulas in `concordant.variants.grid`. With several problems they are means over
    problems, and slices by problem tell them apart. ``agreement_score`` is 1 minus the distance of a
    variation's accuracy from that of its problem.

    Items of the same problem, variation and control are one variation in several forms, and their trials
    are taken together. A trial that is an error counts for nothing.

    Parameters
    ----------
    variation
        Column that numbers the variations; without such a column every item is a variation.
    problem
        Column that names the problem; by default `problem` where there is one, else all items are one
        problem.
    control
        Column that says which items are control questions, by a name or true; by default `control` where
        there is one.
    k
        Trials of each item, at least 1.
    temperature
        Sampling temperature of several trials, or None for that of the run. Greedy trials are all alike.

    Examples
    --------
    A model that knows two variations by heart and no more:

    >>> import concordant as cc
    >>> from concordant.variants import grid_items
    >>> items = grid_items("{b} brothers, {s} sisters: how many sisters has a brother?",
    ...                    {"b": [3, 7, 1, 4], "s": [6, 2, 4, 1]}, lambda b, s: s + 1, combine="zip")
    >>> model = cc.load(lambda text: "7" if "6 sisters" in text else "2")
    >>> result = cc.check(model, items, [Grid(k=30)], progress=False)["variants.grid"]
    >>> result.accuracy.value, result.worst_variation_accuracy.value, result.over_dispersion_ratio.value
    (0.5, 0.0, 40.0)
    """

    name = "variants.grid"
    measures = (ACCURACY, WORST, SPREAD, DISPERSION, CONTROL, GAP, AGREEMENT)

    def __init__(
        self,
        variation: str = "variation",
        problem: str | None = None,
        control: str | None = None,
        *,
        k: int = 1,
        temperature: float | None = 0.7,
    ) -> None:
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            message = f"{self.name}: k must be a number of trials, at least 1, got {k!r}"
            raise ConfigError(message)
        self.variation = variation
        self.problem = problem
        self.control = control
        self.k = k
        self.temperature = temperature

    def expand(self, items: Items) -> list[Variant]:
        """Make one variant that asks for k trials."""
        self._cells(items)  # says what is wrong before anything is asked
        sampled = self.k > 1 and self.temperature is not None
        return [
            Variant(TRIALS, items, ask={"n": self.k} | ({"temperature": self.temperature} if sampled else {}))
        ]

    def judge(self, items: Items, answers: Mapping[str, Behaviours]) -> pl.DataFrame:
        """Count the right trials of each item, and hold its accuracy against that of its problem."""
        trials = answers[TRIALS]
        n_right, n_graded = trials.right.sum(axis=1), trials.graded.sum(axis=1)
        cells = self._cells(items).with_columns(
            rate=pl.Series(share(n_right, n_graded)).fill_nan(None),
            n_right=pl.Series(n_right),
            n_graded=pl.Series(n_graded),
        )
        distance = (pl.col("rate") - pl.col("rate").mean().over("problem", "control")).abs()
        return cells.select(
            (1.0 - distance).alias("agreement"),
            pl.when(~pl.col("control")).then("rate").alias("rate"),
            pl.when("control").then("rate").alias("control_rate"),
            "n_right",
            "n_graded",
        )

    def summarize(self, verdicts: Verdicts) -> list[Finding]:
        """Estimate the measures over variations, and over problems where there are several."""
        frame = self._cells(verdicts.items).hstack(verdicts.frame.select("n_right", "n_graded"))
        frame = frame.filter(pl.col("n_graded") > 0)
        grouped = frame.group_by("problem", "variation", "control", maintain_order=True)
        cells = grouped.agg(pl.col("n_right", "n_graded").sum())
        cells = cells.with_columns(rate=pl.col("n_right") / pl.col("n_graded"))
        main, control = cells.filter(~pl.col("control")), cells.filter("control")
        level = verdicts.level
        findings: list[Finding | None] = []
        if len(main):
            findings += [_mean_rate(verdicts, ACCURACY, main), *_over_variations(verdicts, main)]
        if len(control):
            findings.append(_mean_rate(verdicts, CONTROL, control))
        if len(main) and len(control):
            findings.append(verdicts.make(GAP, _gap(main, control, level), unit="variations"))
        findings.append(verdicts.finding(AGREEMENT))
        return [finding for finding in findings if finding is not None]

    def _cells(self, items: Items) -> pl.DataFrame:
        """Return `problem`, `variation` and `control` (true or false) of each item."""
        columns = items.frame.columns
        for name in (self.problem, self.control, None if self.variation == "variation" else self.variation):
            if name is not None and name not in columns:
                message = f"{self.name}: there is no column {name!r}; {nearest(name, columns)}"
                raise DataError(message)
        problem = _column(self.problem or "problem", columns, pl.lit(""))
        frame = items.frame.select(
            problem.cast(pl.String).fill_null("").alias("problem"),
            _column(self.variation, columns, pl.col("id")).cast(pl.String).alias("variation"),
            _column(self.control or "control", columns, pl.lit(value=False)).alias("control"),
        )
        control = pl.col("control")
        if frame["control"].dtype == pl.String:
            control = control.is_not_null() & (control != "")
        return frame.with_columns(control.cast(pl.Boolean).fill_null(value=False))


def _column(name: str, columns: list[str], otherwise: pl.Expr) -> pl.Expr:
    return pl.col(name) if name in columns else otherwise


def _mean_rate(verdicts: Verdicts, measure: Measure, cells: pl.DataFrame) -> Finding:
    """Estimate the mean over variations, which is no surer than its trials alone allow."""
    rates, trials = cells["rate"].to_numpy(), cells["n_graded"].to_numpy()
    clusters = cells["problem"].to_numpy() if cells["problem"].n_unique() > 1 else None
    estimate = estimate_mean(rates, clusters=clusters, level=verdicts.level, bounds=measure.bounds)
    noise = math.sqrt((rates * (1.0 - rates) / trials).sum()) / len(rates)
    if estimate.stderr < noise and "wilson" not in estimate.method:
        n, groups, level = estimate.n, estimate.n_clusters, verdicts.level
        df = (groups or n) - 1
        estimate = t_estimate(
            estimate.value, noise, df, n=n, n_clusters=groups, level=level, bounds=(0.0, 1.0)
        )
    return verdicts.make(measure, estimate, unit="variations")


def _over_variations(verdicts: Verdicts, main: pl.DataFrame) -> list[Finding]:
    """Estimate the worst variation, the spread and the over-dispersion, of a problem or over problems."""
    problems = [cells for cells in main.partition_by("problem", maintain_order=True) if len(cells) > 1]
    if not problems:
        return []
    counts = [(cells["n_right"].to_numpy(), cells["n_graded"].to_numpy()) for cells in problems]
    worst = np.array([(k / n).min() for k, n in counts])
    spread = np.array([(k / n).std(ddof=1) for k, n in counts])
    noise = math.sqrt(np.mean([over_dispersion(k, n).sd_binomial ** 2 for k, n in counts]))
    level, most = verdicts.level, math.sqrt(0.5)  # the largest sd that numbers in [0, 1] can have
    if len(problems) == 1:
        unit, note = "variations", f"the worst variation is {problems[0].sort('rate')['variation'][0]}"
        k, n = counts[0]
        smoothed = (k.sum() + 0.5) / (n.sum() + 1.0)
        least = math.sqrt(smoothed * (1.0 - smoothed) * (1.0 / n).mean())
        worst_estimate = _lowest(k, n, level)
        spread_estimate = _chi_square(float(spread[0]), len(k), len(k) - 1, level, 0.5, least, most)
    else:
        unit, note = "problems", ""
        worst_estimate = estimate_mean(worst, level=level, bounds=(0.0, 1.0))
        spread_estimate = estimate_mean(spread, level=level, bounds=(0.0, most))
    findings = [
        verdicts.make(WORST, worst_estimate, unit=unit, note=note),
        verdicts.make(SPREAD, spread_estimate, unit=unit, note=f"chance alone would give {noise:.3f}"),
    ]
    # Where nothing or all is right, or each was tried once, there is no noise to hold the spread against.
    varied = [(k, n) for k, n in counts if 0 < k.sum() < n.sum() and n.max() > 1]
    if varied:
        ratio, p_value, df = _dispersion(varied)
        n_units = len(varied) if len(problems) > 1 else len(counts[0][0])
        finding = verdicts.make(DISPERSION, _chi_square(ratio, n_units, df, level, 1.0, 1.0), unit=unit)
        findings.append(finding.with_p(p_value, "chi-square of equal variations"))
    return findings


def _dispersion(counts: list[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> tuple[float, float, int]:
    """Return D, the p value of equal variations and the degrees of freedom, over all problems together."""
    from scipy.special import chdtrc

    ratios = np.array([over_dispersion(k, n).ratio for k, n in counts])
    df = np.array([len(k) - 1 for k, _ in counts])
    pooled = [(k, n, k.sum() / n.sum()) for k, n in counts]
    statistic = sum(float(((k - n * p) ** 2 / (n * p * (1 - p))).sum()) for k, n, p in pooled)
    return float(ratios @ df / df.sum()), float(chdtrc(df.sum(), statistic)), int(df.sum())


def _chi_square(
    value: float, n: int, df: int, level: float, power: float, chance: float, most: float = math.inf
) -> Estimate:
    """Make the estimate of a variance (power 1) or standard deviation (power 1/2) over variations.

    Independent trials cannot vary less than by chance, so that the upper end is that of at least `chance`.
    """
    interval_at = partial(_chi_square_interval, value, df, power, chance, most)
    stderr = power * value * math.sqrt(2.0 / df)
    return Estimate(value, *interval_at(level), level, n, None, stderr, "chi-square", interval_at)


def _chi_square_interval(
    value: float, df: int, power: float, chance: float, most: float, level: float
) -> tuple[float, float]:
    from scipy.special import chdtri

    tail = (1.0 - level) / 2.0
    low = value * (df / float(chdtri(df, tail))) ** power
    high = max(value, chance) * (df / float(chdtri(df, 1.0 - tail))) ** power
    return min(low, value), max(value, min(high, most))


def _lowest(right: NDArray[np.int64], trials: NDArray[np.int64], level: float) -> Estimate:
    """Make the estimate of the lowest of several rates, from Wilson intervals that hold all together."""
    worst = int(np.argmin(right / trials))
    value = float(right[worst] / trials[worst])
    interval_at = partial(_lowest_interval, right, trials)
    stderr = math.sqrt(value * (1.0 - value) / trials[worst])
    return Estimate(value, *interval_at(level), level, len(right), None, stderr, "simultaneous", interval_at)


def _lowest_interval(
    right: NDArray[np.int64], trials: NDArray[np.int64], level: float
) -> tuple[float, float]:
    low, high = wilson(right, trials, 1.0 - (1.0 - level) / len(right))
    return float(low.min()), float(high.min())


def _gap(main: pl.DataFrame, control: pl.DataFrame, level: float) -> Estimate:
    """Estimate the control's accuracy minus the problem's, variation by variation if each has a control."""
    keys = ["problem", "variation"]
    controls = control.group_by(keys).agg(pl.col("rate").mean().alias("control_rate"))
    both = main.join(controls, on=keys, how="inner", maintain_order="left")
    if len(both) == len(main):
        clusters = both["problem"].to_numpy() if both["problem"].n_unique() > 1 else None
        difference = (both["control_rate"] - both["rate"]).to_numpy()
        return estimate_mean(difference, clusters=clusters, level=level, bounds=(-1.0, 1.0))
    a, b = control["rate"].to_numpy(), main["rate"].to_numpy()
    value, n = float(a.mean() - b.mean()), len(a) + len(b)
    if min(len(a), len(b)) < 2:
        return t_estimate(value, math.inf, 0, n=n, level=level, bounds=(-1.0, 1.0), method="welch")
    parts = np.array([a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)])
    squares = float((parts**2 / (len(a) - 1, len(b) - 1)).sum())
    df = float(parts.sum() ** 2 / squares) if squares > 0 else n - 2.0
    return t_estimate(value, math.sqrt(parts.sum()), df, n=n, level=level, bounds=(-1.0, 1.0), method="welch")
