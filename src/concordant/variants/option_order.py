"""OptionOrder: the same option, whatever the order in which the options are listed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from concordant.core.answers import named_option
from concordant.core.answers.options import position
from concordant.core.errors import ConfigError, DataError
from concordant.core.finding import NOT_NEGATIVE, Finding, Measure
from concordant.core.kinds import first
from concordant.core.prompts import LETTERS
from concordant.core.relation import AGREEMENT, Relation, Variant
from concordant.core.shares import share
from concordant.variants.orders import orders_of
from concordant.variants.position_bias import position_bias
from concordant.variants.votes import MISSING, coded, pairwise_agreement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from concordant.core.behaviours import Behaviours
    from concordant.core.items import Items
    from concordant.core.relation import Verdicts

POSITION_BIAS = Measure(
    "position_bias", "positions", "lower", "how far the chosen positions are from even", NOT_NEGATIVE
)


class OptionOrder(Relation):
    r"""The same option, whatever the order in which the options are listed.

    Use it for every multiple-choice question. The options are permuted and lettered anew; references that are
    letters or positions are turned into the text of their option first, and what is compared is the text of
    the chosen option, read as `concordant.core.answers.choice` reads it. Items may have different numbers
    of options; those with fewer than two are not judged.

    - ``agreement_score``: the share of pairs of orders that choose the same option,
      :math:`\sum_a m_a (m_a - 1) / (m (m - 1))` where a is chosen in :math:`m_a` of m orders. A model that
      always answers "A" has 0 over cyclic orders, one that knows the option has 1;
    - ``order_changed_rate``: items for which some order changes the option that is chosen;
    - ``accuracy`` as given, ``mean_order_accuracy`` over the orders, ``robust_accuracy``: right in every
      order;
    - ``position_bias``: the total variation between the positions that are chosen and even ones, over balanced
      orders (cyclic or all) in each of which an option was found, with a bootstrap interval clustered by item
      and a test (`concordant.variants.position_bias`).

    Parameters
    ----------
    permutations
        ``"cyclic"``: each of the m options stands once at each position, m orders; ``"all"``: all m! orders,
        for at most 5 options; or a number of orders, at least 2: the order as given and others drawn at random,
        without repetition (all of them where there are no more).
    seed
        Seed of the orders that are drawn; what is drawn for an item depends on its id and the seed only.

    Raises
    ------
    DataError
        If the items have no choices, or too many for ``"all"``.

    References
    ----------
    P. Pezeshkpour, E. Hruschka (2024), Large language models sensitivity to the order of options in
    multiple-choice questions, Findings of NAACL. C. Zheng et al. (2024), Large language models are not robust
    multiple choice selectors, ICLR.

    Examples
    --------
    >>> import concordant as cc
    >>> choices = ["1", "2", "3"]
    >>> records = [{"input": f"Which is {n}?", "choices": choices, "reference": n} for n in choices]
    >>> items = cc.Items.from_records(records)
    >>> report = cc.check(cc.load(lambda prompt: "A"), items, [OptionOrder()], progress=False)
    >>> result = report["variants.option_order"]
    >>> result.agreement_score.value, round(result.position_bias.value, 3)
    (0.0, 0.667)
    >>> result.position_bias.note
    'position A is chosen in 100% of the answers to 3 options; even is 33%'
    """

    name = "variants.option_order"
    measures = (
        AGREEMENT,
        Measure("order_changed_rate", "order_changed", "lower", "items whose option another order changes"),
        Measure("robust_accuracy", "always_right", "higher", "items answered rightly in every order"),
        Measure("accuracy", "right", "higher", "items answered rightly in the order as given"),
        Measure("mean_order_accuracy", "order_right", "higher", "right answers over the orders of an item"),
        POSITION_BIAS,
    )

    def __init__(self, permutations: Literal["cyclic", "all"] | int = "cyclic", seed: int = 0) -> None:
        is_count = isinstance(permutations, int) and not isinstance(permutations, bool) and permutations >= 2
        if not is_count and permutations not in ("cyclic", "all"):
            message = (
                f"{self.name}: permutations must be cyclic, all or a number from 2 on, got {permutations!r}"
            )
            raise ConfigError(message)
        self.permutations = permutations
        self.seed = seed

    def expand(self, items: Items) -> list[Variant]:
        """Make the order as given and one variant for each further order."""
        if items.choices is None:
            message = (
                f"{self.name} needs items with choices; the columns are {', '.join(items.frame.columns)}"
            )
            raise DataError(message)
        orders = orders_of(items, self.permutations, self.seed)
        if not orders:
            message = f"{self.name}: no item has two choices to put in another order"
            raise DataError(message)
        columns = {}
        if items.reference is not None:
            columns["reference"] = _option_texts(items.reference, items.choices)
        variants = [Variant("order 0", items)]
        for number, order in enumerate(orders, start=1):
            permuted = items.replace(choices=items.choices.list.gather(order), **columns)
            variants.append(Variant(f"order {number}", permuted.rows(order.is_not_null().to_numpy())))
        return variants

    def judge(self, items: Items, answers: Mapping[str, Behaviours]) -> pl.DataFrame:
        """Judge whether all orders of an item choose the same option, and at which positions they do."""
        orders = list(answers.values())
        n_options = _sizes(items)
        codes = np.full((len(items), len(orders)), MISSING)
        counts = np.zeros((len(items), n_options.max()))
        complete, n_orders = n_options > 1, np.zeros(len(items), np.int64)
        for column, behaviours in enumerate(orders):
            choices = _asked_choices(items, behaviours)
            output = first(behaviours, "output")
            place = position(output, choices)
            found = place.is_not_null().to_numpy()
            unparsed = ~found & output.is_not_null().to_numpy()
            codes[:, column] = coded(choices.list.get(place, null_on_oob=True), 1, unparsed[:, None])[:, 0]
            counts[np.flatnonzero(found), place.drop_nulls().to_numpy()] += 1
            asked = choices.is_not_null().to_numpy()
            complete &= found | ~asked
            n_orders += asked
        if isinstance(self.permutations, int):  # drawn orders are balanced where they are all there are
            complete &= n_orders == [math.factorial(m) for m in n_options.tolist()]
        codes[n_options < 2] = MISSING
        known = codes != MISSING
        changed = (known & (codes != codes[:, :1])).any(axis=1)
        compared = known[:, 0] & known[:, 1:].any(axis=1)
        right = np.column_stack([behaviours.right[:, 0] for behaviours in orders])
        graded = np.column_stack([behaviours.graded[:, 0] for behaviours in orders])
        n_right, n_graded = right.sum(axis=1), graded.sum(axis=1)
        positions = [
            row[:m] if whole else None
            for row, m, whole in zip(counts.tolist(), n_options, complete, strict=True)
        ]
        verdicts = {
            "agreement": pairwise_agreement(codes),
            "order_changed": np.where(compared, changed, np.nan),
            "always_right": np.where(n_graded > 0, n_right == n_graded, np.nan),
            "right": np.where(graded[:, 0], right[:, 0], np.nan),
            "order_right": share(n_right, n_graded),
        }
        frame = pl.DataFrame(verdicts).fill_nan(None)
        return frame.with_columns(pl.Series("positions", positions, pl.List(pl.Float64)))

    def summarize(self, verdicts: Verdicts) -> list[Finding]:
        """Estimate the mean of each measure, and the position bias over all items together."""
        findings = [verdicts.finding(measure) for measure in self.measures if measure is not POSITION_BIAS]
        findings.append(_bias(verdicts))
        return [finding for finding in findings if finding is not None]


def _bias(verdicts: Verdicts) -> Finding | None:
    judged = verdicts.frame["positions"].is_not_null().to_numpy()
    if not judged.any():
        return None
    positions = verdicts.frame["positions"].drop_nulls()
    n_options = positions.list.len().to_numpy().astype(np.int64)
    counts = np.zeros((len(positions), n_options.max()))
    counts[np.arange(n_options.max()) < n_options[:, None]] = positions.explode().to_numpy()
    groups = verdicts.items.groups
    clusters = None if groups is None else groups[judged]
    bias = position_bias(counts, n_options, clusters=clusters, level=verdicts.level)
    note = (
        f"position {LETTERS[bias.preferred]} is chosen in {bias.chosen:.0%} of the answers to"
        f" {bias.n_options} options; even is {1 / bias.n_options:.0%}"
    )
    finding = verdicts.make(POSITION_BIAS, bias.estimate, note=note)
    return finding.with_p(bias.p_value, "chi-square of positions")


def _sizes(items: Items) -> NDArray[np.int64]:
    assert items.choices is not None
    return items.choices.list.len().fill_null(0).to_numpy().astype(np.int64)


def _asked_choices(items: Items, behaviours: Behaviours) -> pl.Series:
    """Return the choices as this order listed them, in the order of the items; null where left out."""
    asked = behaviours.items.frame.select("id", "choices")
    return items.frame.select("id").join(asked, on="id", how="left", maintain_order="left")["choices"]


def _option_texts(reference: pl.Series, choices: pl.Series) -> pl.Series:
    """Return the texts of the options that references name, one or a list of right ones an item."""
    if not isinstance(reference.dtype, pl.List):
        return choices.list.get(named_option(reference, choices), null_on_oob=True)
    rows = pl.DataFrame({"reference": reference, "choices": choices}).with_row_index("row")
    rows = rows.explode("reference")
    texts = _option_texts(rows["reference"], rows["choices"])
    grouped = rows.select("row", reference=texts).group_by("row", maintain_order=True).agg("reference")
    return grouped["reference"].list.drop_nulls()
