"""Which answers changed, probe by probe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from concordant.core.kinds import compare
from concordant.versions.fingerprints.recording import probability_shift
from concordant.versions.fingerprints.verdicts import FingerprintCheck

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from concordant.core.behaviours import Behaviours
    from concordant.versions.fingerprints.file import Fingerprint
    from concordant.versions.fingerprints.measures import Outcomes

NEAR_TIE = 1e-4
"""A recorded margin between the two most probable classes up to which a changed answer is a matter of rounding."""

NUMBER_TOLERANCE = 1e-5
"""Relative tolerance of answers that are numbers with a fraction."""


def changes_of(
    fingerprint: Fingerprint, before: Behaviours, after: Behaviours, then: Outcomes, near_tie: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return whose answers changed, near ties apart, and which near ties changed."""
    fractions = before["output"].dtype.is_float() and after["output"].dtype.is_float()
    same = (
        compare(before, after, "number", tolerance=NUMBER_TOLERANCE) if fractions else compare(before, after)
    )
    only_one = before.answered[:, 0] ^ after.answered[:, 0]
    differs = (same < 1) | only_one  # NaN, where neither answered, is no change
    largest = float(fingerprint.answers["shift_again"].max() or 0.0)  # type: ignore[arg-type]
    close = then.margin <= max(near_tie, 2 * largest)
    near = differs & close & ~only_one
    return differs & ~near, near


def item_table(
    before: Behaviours,
    after: Behaviours,
    then: Outcomes,
    now: Outcomes,
    changed: NDArray[np.bool_],
    near: NDArray[np.bool_],
) -> pl.DataFrame:
    """Return the table of probes: what was and is answered, and what became of it."""
    graded = then.graded & now.graded
    return pl.DataFrame(
        {
            "item": before.items.ids,
            "recorded": before["output"],
            "now": after["output"],
            "changed": changed,
            "near_tie": near,
            "was_right": _known(then.graded, then.right),
            "is_right": _known(now.graded, now.right),
            "negative_flip": graded & then.right & ~now.right,
            "positive_flip": graded & ~then.right & now.right,
        }
    )


def _known(graded: NDArray[np.bool_], right: NDArray[np.bool_]) -> pl.Series:
    return pl.select(pl.when(pl.Series(graded)).then(pl.Series(right))).to_series()


def shown_checks(
    before: Behaviours, after: Behaviours, then: Outcomes, now: Outcomes
) -> list[FingerprintCheck]:
    """Return what is shown beside the checks: accuracy, flips, shifts of probabilities, errors."""
    shown = []
    both = then.graded & now.graded
    if both.any():
        n = int(both.sum())
        lost, won = both & then.right & ~now.right, both & ~then.right & now.right
        shown += [
            FingerprintCheck("accuracy", float(then.right[both].mean()), float(now.right[both].mean()), n=n),
            FingerprintCheck("negative flips", None, float(lost.sum() / n), n=n),
            FingerprintCheck("positive flips", None, float(won.sum() / n), n=n),
        ]
    shift = probability_shift(before, after)
    if then.p_truth.size and not np.isnan(then.margin).all():
        shown.append(
            FingerprintCheck("largest shift of a probability", 0.0, float(shift.max()), n=len(shift))
        )
    failed = after.failed[:, 0]
    if failed.any():
        shown.append(
            FingerprintCheck("errors", float(before.failed.mean()), float(failed.mean()), n=len(failed))
        )
    return shown
