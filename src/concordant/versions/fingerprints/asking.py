"""Asking a model the probes: once, again to see its noise, and beside what was recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from concordant.core.check import check
from concordant.core.relation import AGREEMENT, Relation, Variant
from concordant.versions.noise_floor import NoiseFloor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from concordant.core.behaviours import Behaviours
    from concordant.core.items import Items
    from concordant.core.model import Model, Request

FIRST, RECORDED = "first", "recorded"

REPEAT_BATCH = 64
"""Rows in a call of the repeat with another batch size."""


class Asked(Relation):
    """The answers of one model, of its repeats, and of a recording; what they amount to is judged by others.

    Parameters
    ----------
    recorded
        A recording that answers beside the model.
    repeats
        As for `concordant.versions.NoiseFloor`.
    """

    name = "versions.fingerprint"
    measures = (AGREEMENT,)

    def __init__(self, *, recorded: Model | None = None, repeats: Sequence[str] = ()) -> None:
        self.repeats = list(repeats)
        self._recorded = recorded

    def expand(self, items: Items) -> list[Variant]:
        """Make one column for the model, one a repeat, and one for the recording."""
        variants = [Variant(FIRST, items)]
        if self.repeats:
            variants = NoiseFloor(repeats=self.repeats, batch_size=REPEAT_BATCH).expand(items)
        if self._recorded is not None:
            variants.append(Variant(RECORDED, items, model=self._recorded))
        return variants

    def judge(self, items: Items, answers: Mapping[str, Behaviours]) -> pl.DataFrame:
        """Judge nothing here."""
        return pl.DataFrame({"agreement": pl.repeat(None, len(items), dtype=pl.Float64, eager=True)})


def asked(
    model: Any,
    probes: Items,
    relation: Asked,
    *,
    grade: Any,
    request: Request,
    progress: bool,
) -> Mapping[str, Behaviours]:
    """Return the graded answers by column: ``"first"``, the names of the repeats, ``"recorded"``."""
    report = check(model, probes, [relation], grade=grade, request=request, slices=[], progress=progress)
    return report[relation.name].answers
