"""Perturbed: the same answer when the input is disturbed in a way that should not matter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from concordant.core.errors import ConfigError, DataError, nearest
from concordant.core.finding import Measure
from concordant.core.kinds import Equal
from concordant.core.relation import Relation, Variant
from concordant.core.rewrites import BASE, REWRITE_MEASURES, judge_rewrites
from concordant.variants.perturbations import PERTURBATIONS, suiting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from concordant.core.behaviours import Behaviours
    from concordant.core.items import Items


class Perturbed(Relation):
    """The same answer to a disturbed input, or to the same input asked in another order or batch.

    Use it for what no user means and no deployment should notice. Every perturbation is a variant of its own,
    held against the item as it is given; items that it does not change (no punctuation to drop) are left out.

    ===============  ========  ===============================================================================
    name             strength  what it does
    ===============  ========  ===============================================================================
    ``typos``        0.05      this share of the letters slips: a key beside it, a transposition, a loss
    ``case``         "upper"   the text in upper, lower or title case
    ``whitespace``   0.5       this share of the spaces is doubled, and one put at the end
    ``punctuation``  "drop"    the marks that end words are dropped, or repeated ("repeat")
    ``noise``        0.01      normal noise on every feature, this share of the feature's standard deviation
    ``missing``      0.1       this share of the entries is missing: NaN in arrays, null in tables
    ``order``        1         the rows are put to the model in another order (this is its seed)
    ``batch_size``   1         the rows are put to the model this many at a time
    ===============  ========  ===============================================================================

    ``agreement_score`` is the mean agreement over the perturbations of an item, ``typos_agreement_score`` and
    its like that under one of them; further measures are those of
    `concordant.core.rewrites.REWRITE_MEASURES`. What is drawn for an item depends on its id and the seed
    only.

    Parameters
    ----------
    perturbations
        Names, or names with strengths: ``["typos", "case"]``, ``{"typos": 0.1, "batch_size": 1}`` (None:
        the default strength). By default typos, case, whitespace and punctuation of texts, and noise on
        numbers: what may be missing, and whether order and batches should matter, only the user can say.
    seed
        Seed of typos, spaces, noise and missing values.
    features
        Which fields of a tabular input get noise and missing values; all by default (noise: those of
        numbers).
    agree, options
        When two answers count as the same; as for `concordant.core.kinds.Equal`: ``agree="number"`` with
        ``options={"tolerance": 1e-6}`` for the outputs of a regressor. By default the graded answers must be
        equal.

    Raises
    ------
    ConfigError
        If a perturbation is unknown or cannot have the strength.

    References
    ----------
    Y. Belinkov, Y. Bisk (2018), Synthetic and natural noise both break neural machine translation, ICLR.

    Examples
    --------
    >>> import concordant as cc
    >>> items = cc.Items.from_records([{"input": "is ice cold?"}, {"input": "is fire cold?"}])
    >>> model = cc.load(lambda text: "yes" if "ice" in text else "no")
    >>> report = cc.check(model, items, [Perturbed(["case", "punctuation"])], progress=False)
    >>> result = report["variants.perturbed"]
    >>> result.case_agreement_score.value, result.punctuation_agreement_score.value
    (0.5, 1.0)
    """

    name = "variants.perturbed"
    measures = (
        *REWRITE_MEASURES,
        *(
            Measure(f"{name}_agreement_score", f"{name}_agreement", "higher", f"agreement under {name}")
            for name in PERTURBATIONS
        ),
    )

    def __init__(
        self,
        perturbations: Sequence[str] | Mapping[str, Any] | str | None = None,
        *,
        seed: int = 0,
        features: Sequence[str] | None = None,
        agree: str | Callable[[Any, Any], float] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        named = [perturbations] if isinstance(perturbations, str) else perturbations
        self.perturbations = None if named is None else self._understood(named)
        self.seed = seed
        self.features = None if features is None else list(features)
        self.kind = Equal(agree, dict(options or {}))

    def expand(self, items: Items) -> list[Variant]:
        """Make the items as given and one variant for each perturbation."""
        chosen = self.perturbations
        if chosen is None:
            chosen = {name: PERTURBATIONS[name].default for name in suiting(items)}
        variants = [Variant(BASE, items)]
        for name, strength in chosen.items():
            made = PERTURBATIONS[name].apply(items, strength, self.seed, self.features)
            if made is not None:
                variants.append(made)
            elif self.perturbations is not None:
                message = f"{self.name}: {name} changes none of the {len(items)} items"
                raise DataError(message)
        return variants

    def judge(self, items: Items, answers: Mapping[str, Behaviours]) -> pl.DataFrame:
        """Judge every perturbation against the item as given."""
        base = answers[BASE]
        each = {
            f"{name}_agreement": self.kind.judge(base, answers[name])
            if name in answers
            else np.full(len(items), np.nan)
            for name in PERTURBATIONS
        }
        return judge_rewrites(answers, self.kind).hstack(pl.DataFrame(each).fill_nan(None))

    def _understood(self, named: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
        strengths = dict(named) if isinstance(named, Mapping) else dict.fromkeys(named)
        if not strengths:
            message = f"{self.name} needs at least one perturbation; known: {', '.join(PERTURBATIONS)}"
            raise ConfigError(message)
        for name, strength in strengths.items():
            if name not in PERTURBATIONS:
                message = f"{self.name}: there is no perturbation {name!r}; {nearest(name, PERTURBATIONS)}"
                raise ConfigError(message)
            known = PERTURBATIONS[name]
            strengths[name] = known.default if strength is None else strength
            if not known.is_allowed(strengths[name]):
                message = f"{self.name}: {name} takes {known.allowed}, got {strength!r}"
                raise ConfigError(message)
        return strengths
