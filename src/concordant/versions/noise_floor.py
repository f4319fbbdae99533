r"""Noise floor: how much a model disagrees with itself when nothing was changed but the seed, the order or the batch size.

A version difference means little without it. If old and new were the same noisy model, an item would be right
first and wrong then with half the probability that two runs differ; so with :math:`d_i` the mean over repeats
and versions of "the outcome differs from the first run", the flips beyond noise of item i are
:math:`o_i(1-w_i) - d_i/2`, paired item by item.

Repeats are asked again on purpose: neither the answer cache nor an answer already recorded for the first run
serves them. A recorded model answers a repeat with its next recorded sample; recorded once, it has no noise
floor, and the findings are missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from concordant.core.errors import ConfigError, nearest
from concordant.core.finding import Measure
from concordant.core.kinds import compare
from concordant.core.relation import AGREEMENT, Relation, Variant
from concordant.core.shares import mean_of_known

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from concordant.core.behaviours import Behaviours
    from concordant.core.items import Items
    from concordant.core.model import Model

REPEATS = ("seed", "order", "batch_size")
MEASURES = (
    Measure(
        "noise_flip_rate", "flipped", "lower", "items whose outcome differs when the same is asked again"
    ),
    Measure(
        "answer_change_rate", "changed", "lower", "items whose answer differs when the same is asked again"
    ),
    AGREEMENT,
)
AGAINST_MEASURES = (
    Measure("negative_flip_rate", "negative_flip", "lower", "items that were right and are wrong now"),
    Measure(
        "negative_flips_from_noise", "noise", "lower", "negative flips that asking again alone would give"
    ),
    Measure(
        "negative_flips_beyond_noise",
        "beyond",
        "lower",
        "negative flips minus what asking again alone would give",
        (-1.0, 1.0),
    ),
)


class NoiseFloor(Relation):
    """Asks the model again and counts what changes.

    Parameters
    ----------
    against
        Another version; then its repeats are measured too, and the negative flips beyond noise are found.
    repeats
        What is changed: ``"seed"`` (the sampling seed), ``"order"`` (the rows are shuffled into other batches),
        ``"batch_size"``.
    batch_size
        The batch size of that repeat.
    seed
        Seed of the other sampling and of the shuffle; it must not be the seed of the run.

    Examples
    --------
    >>> import concordant as cc
    >>> items = cc.Items.from_records([{"input": "a", "reference": "A"}, {"input": "b", "reference": "B"}])
    >>> result = cc.check(cc.load(str.upper), items, [NoiseFloor(repeats=["order"])])["versions.noise_floor"]
    >>> result.noise_flip_rate.value
    0.0
    """

    name = "versions.noise_floor"

    def __init__(
        self,
        against: Model | None = None,
        *,
        repeats: Sequence[str] = REPEATS,
        batch_size: int = 1,
        seed: int = 1_000_003,
    ) -> None:
        for repeat in repeats:
            if repeat not in REPEATS:
                message = f"versions.noise_floor: there is no repeat {repeat!r}; {nearest(repeat, REPEATS)}"
                raise ConfigError(message)
        if not repeats:
            message = f"versions.noise_floor: repeats is empty; allowed: some of {', '.join(REPEATS)}"
            raise ConfigError(message)
        self.repeats = list(repeats)
        self.batch_size = batch_size
        self.seed = seed
        self._against = against
        each = tuple(map(_measure_of, repeats)) if len(repeats) > 1 else ()
        self.measures = MEASURES + each + (() if against is None else AGAINST_MEASURES)

    def expand(self, items: Items) -> list[Variant]:
        """Make the first run and one column for each repeat; for both versions where there are two."""
        changes: dict[str, dict[str, Any]] = {
            "seed": {"seed": self.seed},
            "order": {"order_seed": self.seed},
            "batch_size": {"batch_size": self.batch_size},
        }
        variants = [Variant("first", items)]
        if self._against is not None:
            variants.append(Variant("old", items, model=self._against))
        for number, repeat in enumerate(self.repeats, start=1):
            ask = {"repeat": number, **changes[repeat]}
            variants.append(Variant(repeat, items, ask=ask))
            if self._against is not None:
                variants.append(Variant(f"old, {repeat}", items, model=self._against, ask=ask))
        return variants

    def judge(self, items: Items, answers: Mapping[str, Behaviours]) -> pl.DataFrame:
        """Judge each repeat against the first run of the same version."""
        first = answers["first"]
        flips = [_outcome_differs(first, answers[repeat]) for repeat in self.repeats]
        agreements = [compare(first, answers[repeat]) for repeat in self.repeats]
        agreement = mean_of_known(agreements)
        columns = {"agreement": agreement, "flipped": mean_of_known(flips), "changed": 1.0 - agreement}
        columns |= {f"flipped_{repeat}": flip for repeat, flip in zip(self.repeats, flips, strict=True)}
        if self._against is not None:
            old = answers["old"]
            old_flips = [_outcome_differs(old, answers[f"old, {repeat}"]) for repeat in self.repeats]
            graded = old.graded[:, 0] & first.graded[:, 0]
            negative = np.where(graded, old.right[:, 0] & ~first.right[:, 0], np.nan)
            noise = mean_of_known(flips + old_flips) / 2
            columns |= {"negative_flip": negative, "noise": noise, "beyond": negative - noise}
        return pl.DataFrame(columns).fill_nan(None)


def _measure_of(repeat: str) -> Measure:
    about = f"the same, with another {repeat.replace('_', ' ')}"
    return Measure(f"noise_flip_rate_{repeat}", f"flipped_{repeat}", "lower", about)


def _outcome_differs(a: Behaviours, b: Behaviours) -> NDArray[np.float64]:
    graded = a.graded[:, 0] & b.graded[:, 0]
    return np.where(graded, a.right[:, 0] != b.right[:, 0], np.nan)
