r"""Retention: what became of each item over three or more successive versions.

A comparison of two versions sees what the last update broke. Over several versions an item can also be forgotten long
ago, come back, or waver. With :math:`r_{it}` whether version t of T answers item i rightly,

- the forgetting rate is :math:`\sum_i e_i (1 - r_{iT}) / \sum_i e_i`, with :math:`e_i = \max_{t<T} r_{it}`: of what any
  earlier version had right, the share that is wrong now;
- the forgetting gap is the accuracy of the best earlier version minus that of the last, on the same items;
- every item is kept, learnt, regained, forgotten, or was never right: see `concordant.versions.continual.histories`.

References
----------
A. Chaudhry et al. (2018), Riemannian walk for incremental learning, ECCV (forgetting against the best earlier step).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from concordant.core.check import check
from concordant.core.errors import ConfigError
from concordant.core.finding import Finding, Measure
from concordant.core.gate import Gate
from concordant.core.relation import AGREEMENT, Relation, Variant, Verdicts
from concordant.core.statistics import paired_proportion_difference
from concordant.models.recorded import Recorded
from concordant.versions.compare import loaded, samples
from concordant.versions.continual.histories import STATES, item_states, n_changes
from concordant.versions.shared_items import align_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from concordant.core.behaviours import Behaviours
    from concordant.core.items import Items
    from concordant.core.model import Model
    from concordant.core.results import Report

GAP = Measure(
    "forgetting_gap",
    "negative_flip",
    "lower",
    "accuracy of the best earlier version minus that of the last, on the same items",
    (-1.0, 1.0),
)
MEASURES = (
    Measure(
        "forgetting_rate",
        "lost",
        "lower",
        "of what any earlier version had right, the share that is wrong now",
    ),
    GAP,
    Measure("kept_rate", "kept", "higher", "items that every version has right"),
    Measure("learnt_rate", "learnt", None, "items that are right since some later version"),
    Measure("regained_rate", "regained", None, "items that are right now and were lost on the way"),
    Measure(
        "forgotten_rate",
        "negative_flip",
        "lower",
        "items that an earlier version had right and are wrong now",
    ),
    Measure("never_right_rate", "never", "lower", "items that no version has right"),
    Measure("wavering_rate", "wavers", "lower", "items that changed between right and wrong more than once"),
    AGREEMENT,
)


class Retention(Relation):
    """Holds the model against all of its earlier versions, item by item.

    Parameters
    ----------
    against
        The earlier versions, oldest first; recorded or live. One is allowed, and then forgotten items are negative flips.

    Raises
    ------
    ConfigError
        If there is no earlier version.

    Examples
    --------
    >>> import concordant as cc
    >>> items = cc.Items.from_records([{"input": str(i), "reference": i} for i in range(10)])
    >>> def knows(*numbers):
    ...     return cc.load(lambda text: int(text) if int(text) in numbers else -1)
    >>> result = cc.check(knows(1, 3, 4), items, [Retention([knows(0, 1, 2), knows(2, 3)])])["versions.retention"]
    >>> result.forgetting_rate.value, result.forgotten_rate.value, result.regained_rate.value, result.learnt_rate.value
    (0.5, 0.2, 0.1, 0.2)
    """

    name = "versions.retention"

    def __init__(self, against: Model | Sequence[Model]) -> None:
        self._earlier: list[Model] = list(against) if isinstance(against, Sequence) else [against]
        if not self._earlier:
            message = "versions.retention: against must hold at least one earlier version, got none"
            raise ConfigError(message)
        self._names = [f"v{i}" for i in range(1, len(self._earlier) + 2)]
        self.measures = MEASURES + tuple(
            Measure(
                f"accuracy_{name}",
                f"right_{name}",
                "higher",
                f"items that version {i} of {len(self._names)} answers rightly",
            )
            for i, name in enumerate(self._names, 1)
        )

    def expand(self, items: Items) -> list[Variant]:
        """Make a column for each version, oldest first; the last is the model under test."""
        return [
            Variant(name, items, model=model)
            for name, model in zip(self._names, [*self._earlier, None], strict=True)
        ]

    def judge(self, items: Items, answers: Mapping[str, Behaviours]) -> pl.DataFrame:
        """Judge each item by its first sample in every version; one that a version could not be graded on is left out."""
        versions = [answers[name] for name in self._names]
        graded = np.all([version.graded[:, 0] for version in versions], axis=0)
        right = np.stack([version.right[:, 0] for version in versions], axis=1)
        state, changes = item_states(right), n_changes(right)
        known = right[:, :-1].any(axis=1)
        columns = {
            "agreement": 1.0 - changes / (right.shape[1] - 1),
            "negative_flip": state == STATES.index("forgotten"),
            "lost": np.where(known, ~right[:, -1], np.nan),
            "wavers": changes > 1,
            **{name: state == STATES.index(name) for name in ("kept", "learnt", "regained", "never")},
            **{f"right_{name}": column for name, column in zip(self._names, right.T, strict=True)},
        }
        return pl.DataFrame(
            {name: np.where(graded, values, np.nan) for name, values in columns.items()}
        ).fill_nan(None)

    def summarize(self, verdicts: Verdicts) -> list[Finding]:
        """Estimate every measure; the gap is against the version that is best on these items."""
        found = [
            self._gap(verdicts) if measure is GAP else verdicts.finding(measure) for measure in self.measures
        ]
        return [finding for finding in found if finding is not None]

    def _gap(self, verdicts: Verdicts) -> Finding | None:
        right = np.stack([verdicts[f"right_{name}"] for name in self._names], axis=1)
        right = right[~np.isnan(right).any(axis=1)]
        if not len(right):
            return None
        best = int(right[:, :-1].mean(axis=0).argmax())
        difference = verdicts[f"right_{self._names[best]}"] - verdicts[f"right_{self._names[-1]}"]
        gap = verdicts.finding(GAP, values=difference)
        if gap is not None and gap.estimate.n_clusters is None:
            lost, won = int((difference > 0).sum()), int((difference < 0).sum())
            gap = verdicts.make(
                GAP, paired_proportion_difference(len(right) - lost - won, lost, won, 0, level=verdicts.level)
            )
        note = f"the best earlier version on these items is {self._names[best]}"
        return None if gap is None else replace(gap, note=note)


def retention(
    versions: Sequence[Model | str | Path],
    items: Items | None = None,
    *,
    by: str | None = None,
    grade: Any = None,
    slices: Sequence[str] | None = None,
    gates: str | Gate | Iterable[str | Gate] = (),
    limit: int | None = None,
    **how: Any,
) -> Report:
    """Hold successive versions against each other on the items that all of them answered, or on `items`.

    Parameters
    ----------
    versions
        Two or more, oldest first: models, or what `concordant.load` takes. The path of a log is a model, too.
    items
        What they are asked. Logs need none: they are aligned by the ids of their items, or by the text of the questions.
    by
        A column of the items whose values are the rows of the matrix of accuracies, such as the set that an item was taught
        in; it is looked into as a slice.
    grade, gates, limit
        As for `concordant.compare`.
    slices
        Further columns to look into; by default all of few values, or none where `by` is given.
    how
        As for `concordant.check`: `seed`, `level`, `cache`, `progress`, `title`, ...

    Returns
    -------
    Report
        With the relation ``versions.retention``; ``report.about["compared"]`` says what was aligned, and by what.

    Raises
    ------
    ConcordantError
        If there are fewer than two versions, one cannot be loaded, or they share no items.

    Examples
    --------
    >>> def log(name, *correct):
    ...     ids = [f"q{i}" for i in range(len(correct))]
    ...     records = {"item": ids, "sample": 0, "output": ["-"] * len(ids), "correct": correct}
    ...     return Recorded(pl.DataFrame(records), name=name)
    >>> logs = log("one", True, True, False), log("two", True, False, True), log("three", True, True, False)
    >>> found = retention(logs, progress=False)["versions.retention"]
    >>> found.kept_rate.value == found.regained_rate.value == found.forgotten_rate.value == 1 / 3
    True
    """
    if len(versions) < 2:
        message = f"retention needs two or more versions, oldest first, got {len(versions)}"
        raise ConfigError(message)
    models = [loaded(version) for version in versions]
    items, aligned = _items(models, items)
    if limit is not None:
        items = items.head(limit)
    if by is not None:
        slices = [by, *(column for column in slices or () if column != by)]
    compared = {
        "versions": [model.name for model in models],
        **aligned,
        "matrix": by,
        "samples": [samples(model) for model in models],
    }
    how.setdefault("title", f"{' → '.join(model.name for model in models)} on {len(items):,} items")
    return check(
        models[-1],
        items,
        [Retention(models[:-1])],
        grade=grade,
        slices=slices,
        gates={Retention.name: [gates] if isinstance(gates, str | Gate) else list(gates)},
        about={"compared": compared},
        **how,
    )


def _items(models: Sequence[Model], items: Items | None) -> tuple[Items, dict[str, Any]]:
    if items is not None:
        return items, {"by": "items", "n_shared": len(items)}
    recorded = [model for model in models if isinstance(model, Recorded)]
    if not recorded:
        message = f"{' and '.join(m.name for m in models)} are live models: say what to ask them (items=, --items FILE)"
        raise ConfigError(message)
    shared = align_all(recorded)
    left_out = {model.name: n for model, n in zip(recorded, shared.n_left_out, strict=True) if n}
    return shared.items, {"by": shared.by, "n_shared": len(shared.items), "left_out": left_out}
