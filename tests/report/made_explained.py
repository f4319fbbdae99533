"""Explanations and their comparison as the tests of pages need them: every part there, nothing computed by a classifier."""

from __future__ import annotations

import numpy as np
import polars as pl

from concordant.explanations import Explained, RandomExplanation, SeriesSet
from concordant.explanations.explained import LandmarkExamples
from concordant.explanations.judging import MEASURES, Judgement
from concordant.explanations.series_data import low_var_detect

SHARES = (0.05, 0.1, 0.25, 0.5, 0.75)
CLASSES = ("low, first", "high, first", "low, second", "high, second")
CHANNELS = ("left", "right")
METHODS = ("timex", "integrated-gradients", "random")


def made_explained(
    n=24, *, judged=True, classes=CLASSES, channels=CHANNELS, name="low_var.npz", methods=METHODS, **others
):
    """Explain series whose reason is known by masks near the truth; every seventh series is misclassified."""
    found = low_var_detect(n, seed=1000, length=80)
    given = np.where(np.arange(n) % 7 == 6, (found.labels + 1) % 4, found.labels)
    attributions = made_attributions(found.truth.astype(float), methods)
    landmarks = {
        methods[0]: LandmarkExamples(
            np.array([[0, 1], [2, 3], [4, 5]]), np.full((3, 2), 0.9), np.array([7, n - 7, 0])
        )
    }
    data = SeriesSet(name, found.x, channels, found.labels, classes, found.truth)
    return Explained(
        **{
            "model": "torch:made",
            "data": data,
            "probabilities": made_probabilities(given, 4),
            "attributions": attributions,
            "judged": made_judgement(list(attributions)) if judged is True else judged,
            "landmarks": landmarks,
            "warnings": ("The classifier is weak.",),
            "seconds": dict.fromkeys(attributions, 1.5),
            "settings": {"command": "concordant explain torch:made low_var.npz"},
            **others,
        }
    )


def made_table(n=40, n_columns=15, *, columns=None):
    """Explain rows of a table by the parts of a sum; no true classes."""
    x = np.random.default_rng(1000).normal(size=(n, 1, n_columns))
    parts = x * np.linspace(3, 0, n_columns)
    given = (parts.sum((1, 2)) > 0).astype(int)
    attributions = {"shapley": np.where(given[:, None, None], parts, -parts), "occlusion": np.abs(parts)}
    names = tuple(f"column {i}" for i in range(n_columns)) if columns is None else columns
    data = SeriesSet("table.parquet", x, names, is_table=True)
    return Explained(
        "sklearn:made", data, made_probabilities(given, 2), attributions, made_judgement(list(attributions))
    )


def made_attributions(truth, methods):
    """Return attributions for each method: near the truth, with signs for the second, and random for "random"."""
    rng = np.random.default_rng(1001)
    found = {}
    for i, name in enumerate(methods):
        found[name] = truth + rng.uniform(0, 0.3, truth.shape) - 0.2 * (i == 1)
        if name == "random":
            found[name] = RandomExplanation(0).explain(truth)
    return found


def made_probabilities(given, n_classes):
    """Return probabilities of which those of `given` are the greatest."""
    p = np.random.default_rng(1002).uniform(0.6, 1, len(given))
    rest = np.repeat(((1 - p) / (n_classes - 1))[:, None], n_classes, axis=1)
    rest[np.arange(len(given)), given] = p
    return rest


def made_judgement(explainers, *, main="sufficiency_gap", n_true=None, notes=("There is no truth.",)):
    """Make a comparison in which the explainers are the better the earlier they are; `n_true` of them beat random."""
    names = [*dict.fromkeys([*explainers, "random"])]
    names = [*(name for name in names if name != "random"), "random"]
    n_true = len(names) - 1 if n_true is None else n_true
    good = np.linspace(1, 0, len(names))
    rows = []
    for measure in list(MEASURES.values())[:6]:
        for name, g in zip(names, good.tolist(), strict=True):
            value = 0.1 + 0.7 * (g if measure.direction == "higher" else 1 - g)
            over = None if name == "random" else 0.7 * g
            rows.append(
                {
                    "explainer": name,
                    "measure": measure.name,
                    "direction": measure.direction,
                    "value": value,
                    "low": value - 0.04,
                    "high": value + 0.04,
                    "n": 40,
                    "over_random": over,
                    "over_random_low": None if over is None else over - 0.05,
                    "over_random_high": None if over is None else over + 0.05,
                    "p_adjusted": None if over is None else 0.01,
                }
            )
    curves = [
        {
            "explainer": name,
            "curve": curve,
            "share": share,
            "value": v,
            "low": v - 0.05,
            "high": v + 0.05,
            "n": 40,
        }
        for name, g in zip(names, good.tolist(), strict=True)
        for curve, v_of in (
            ("sufficiency", lambda g, s: (1 - s) ** (1 + 4 * g) * 0.7),
            ("comprehensiveness", lambda g, s: 0.7 * (1 - (1 - s) ** (1 + 4 * g))),
        )
        for share in SHARES
        for v in [v_of(g, share)]
    ]
    measures = pl.DataFrame(rows)
    of_main = {row["explainer"]: row for row in measures.filter(measure=main).iter_rows(named=True)}
    ranking = [
        {
            "explainer": name,
            "rank": rank + 1,
            **{key: of_main[name][key] for key in ("value", "low", "high")},
            "beats": names[max(rank + 1, 2) :] if rank < n_true else [],
        }
        for rank, name in enumerate(names)
    ]
    pairs = [
        {
            "first": a,
            "second": b,
            "measure": main,
            "difference": of_main[a]["value"] - of_main[b]["value"],
            "low": -0.5,
            "high": 0.5,
            "p": 0.01,
            "p_adjusted": 0.03,
        }
        for i, a in enumerate(names)
        for b in names[i + 1 :]
    ]
    return Judgement(
        "made", 40, main, measures, pl.DataFrame(curves), pl.DataFrame(ranking), pl.DataFrame(pairs), notes
    )
