r"""What a merged model keeps of each parent: its accuracy as a share of the parent's own, and what flipped.

The normalised accuracy is :math:`\bar w / \bar o` over the items of the parent's task, with the merged model right
(:math:`w_i`) and the parent right (:math:`o_i`): 1 where nothing is lost. Both answer the same items, so that its
interval, symmetric on the log scale, is that of a ratio of paired means.

References
----------
M. Davari and E. Belilovsky (2024), Model breadcrumbs, ECCV.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from concordant.core.check import check
from concordant.core.finding import Finding, Measure
from concordant.core.statistics import estimate_log_ratio
from concordant.versions.flips import Flips

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from concordant.core.items import Items
    from concordant.core.model import Model
    from concordant.core.relation import Verdicts
    from concordant.core.results import Report

NORMALISED = Measure(
    "normalised_accuracy",
    "new_right",
    "higher",
    "accuracy of the merged model as a share of the parent's own",
    (0.0, np.inf),
)
SHOWN = (
    "accuracy_old",
    "accuracy_new",
    "normalised_accuracy",
    "negative_flip_rate",
    "positive_flip_rate",
)
"""The findings of a parent that are told first."""


class Kept(Flips):
    """Holds a merged model against one parent: flips, and the normalised accuracy.

    Parameters
    ----------
    parent
        The parent, recorded or live.
    name
        Of the relation, where there are several parents.

    Examples
    --------
    >>> import concordant as cc
    >>> items = cc.Items.from_records([{"input": str(i), "reference": i} for i in range(10)])
    >>> parent, merged = cc.load(lambda t: min(int(t), 7)), cc.load(lambda t: min(int(t), 5))
    >>> result = cc.check(merged, items, [Kept(parent)], progress=False)["versions.kept"]
    >>> result.accuracy_old.value, result.accuracy_new.value, round(result.normalised_accuracy.value, 4)
    (0.8, 0.6, 0.75)
    """

    name = "versions.kept"
    measures = (*Flips.measures, NORMALISED)  # type: ignore[assignment]  # one more

    def __init__(self, parent: Model, *, name: str | None = None) -> None:
        super().__init__(parent)
        if name is not None:
            self.name = name

    def summarize(self, verdicts: Verdicts) -> list[Finding]:
        """Estimate every measure of flips, and the ratio where both models are right somewhere."""
        findings = super().summarize(verdicts)
        was, now = verdicts["old_right"], verdicts["new_right"]
        graded = ~np.isnan(was)
        if not (graded.any() and was[graded].any() and now[graded].any()):
            return findings
        was, now = was[graded], now[graded]
        groups = verdicts.items.groups
        estimate = estimate_log_ratio(
            float(now.mean() / was.mean()),
            now / now.mean() - was / was.mean(),
            clusters=None if groups is None else groups[graded],
            level=verdicts.level,
        )
        return [*findings, verdicts.make(NORMALISED, estimate)]


def check_parents(
    merged: Model,
    parents: Mapping[str, Model],
    items: Mapping[str, Items],
    *,
    gates: Sequence[str] = (),
    **how: Any,
) -> list[Report]:
    """Ask a merged model and its parents, and say what it keeps of each.

    Parameters
    ----------
    merged
        The merged model.
    parents
        Its parents by name.
    items
        For each parent, the items of its task. Those of one object are asked once.
    gates
        Bounds on findings, for each parent: ``"normalised_accuracy >= 0.95"``.
    how
        As for `concordant.check`.

    Returns
    -------
    list of Report
        One for each set of items, with a relation named after each of its parents.
    """
    asked: dict[int, tuple[Items, list[Kept]]] = {}
    for name, parent in parents.items():
        asked.setdefault(id(items[name]), (items[name], []))[1].append(Kept(parent, name=name))
    return [
        check(merged, each, relations, gates={relation.name: list(gates) for relation in relations}, **how)
        for each, relations in asked.values()
    ]
