r"""Step agreement: whether a model does what its teacher does, step by step, and not only ends with the same answer.

With a steps in the teacher's trace of an item, b in the model's, and m that both have in the same order,

.. math:: \text{step agreement} = \frac{2m}{a + b}, \qquad \text{step coverage} = \frac{m}{a}.

The model's trace is *wrong* where it lacks a step of the teacher, :math:`m < a`; more steps than the teacher's are
allowed. A right answer behind a wrong trace was not reached in the way that was taught. Where the teacher itself is wrong,
its trace says nothing about the answer.

References
----------
S. Mukherjee et al. (2023), Orca: progressive learning from complex explanation traces of GPT-4, arXiv 2306.02707.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from concordant.core.errors import ConfigError, DataError, nearest
from concordant.core.finding import NOT_NEGATIVE, Measure
from concordant.core.kinds import first
from concordant.core.relation import Relation, Variant
from concordant.core.shares import share
from concordant.versions.traces import KINDS, Steps, common_steps, read_steps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from concordant.core.behaviours import Behaviours
    from concordant.core.items import Items
    from concordant.core.model import Model

MEASURES = (
    Measure(
        "step_agreement_score",
        "agreement",
        "higher",
        "share of the steps of both that agree, in the same order",
    ),
    Measure(
        "step_coverage_score",
        "coverage",
        "higher",
        "share of the teacher's steps that the model shows, in order",
    ),
    Measure(
        "right_with_wrong_trace_rate",
        "lucky",
        "lower",
        "right answers behind a trace that lacks a step of the teacher",
    ),
    Measure(
        "wrong_with_right_trace_rate",
        "slipped",
        "lower",
        "wrong answers behind a trace with every step of the teacher",
    ),
    Measure("mean_steps", "n_steps", None, "steps that the model shows", NOT_NEGATIVE),
)
FOLLOWS = Measure(
    "answer_follows_rate", "follows", "higher", "answers that are the value of the last step shown"
)


class StepAgreement(Relation):
    """Holds the steps that a model shows against those of a teacher.

    Parameters
    ----------
    against
        The teacher; recorded or live. Its first sample is what the model is held against.
    column
        A column of the items that holds the traces instead, as texts.
    steps
        What steps must share: ``"values"``, the number that each comes to (default); ``"texts"``, their words; or a
        function from a reply to its steps.

    Raises
    ------
    ConfigError
        If there is neither a teacher nor a column, or both, or no such kind of step.

    Examples
    --------
    >>> import concordant as cc
    >>> items = cc.Items.from_records([{"input": "3 + 4 + 5 =", "reference": 12, "worked": "3 + 4 = 7; 7 + 5 = 12"}])
    >>> model = cc.load(lambda text: "3 + 4 = 8; 8 + 5 = 12; answer: 12")
    >>> result = cc.check(model, items, [StepAgreement(column="worked")])["versions.step_agreement"]
    >>> result.step_agreement_score.value, result.right_with_wrong_trace_rate.value
    (0.5, 1.0)
    """

    name = "versions.step_agreement"

    def __init__(
        self, against: Model | None = None, *, column: str | None = None, steps: Steps = "values"
    ) -> None:
        if (against is None) == (column is None):
            got = "neither" if against is None else "both"
            message = f"versions.step_agreement needs a teacher (against) or a column of traces, got {got}"
            raise ConfigError(message)
        if not callable(steps) and steps not in KINDS:
            message = f"versions.step_agreement: there are no steps of the kind {steps!r}; {nearest(str(steps), KINDS)}"
            raise ConfigError(message)
        self.column = column
        self.steps = steps
        self._against = against
        # Where steps are no numbers, nothing says how an answer would follow from the last one.
        self.measures = MEASURES + ((FOLLOWS,) if steps == "values" else ())

    def expand(self, items: Items) -> list[Variant]:
        """Make the column of the teacher, where there is one, and that of the model."""
        if self._against is not None:
            return [Variant("teacher", items, model=self._against), Variant("model", items)]
        if self.column not in items.frame.columns:
            hint = nearest(str(self.column), items.frame.columns)
            message = f"versions.step_agreement: there is no column {self.column!r}; {hint}"
            raise DataError(message)
        return [Variant("model", items)]

    def judge(self, items: Items, answers: Mapping[str, Behaviours]) -> pl.DataFrame:
        """Judge each item by the first sample; one whose teacher shows no step is left out."""
        model = answers["model"]
        taught = (
            first(answers["teacher"], "output") if "teacher" in answers else items.frame[self.column or ""]
        )
        shown = read_steps(first(model, "output"), self.steps)
        wanted = read_steps(taught, self.steps)
        n_shown, n_wanted = (
            steps.list.len().fill_null(0).to_numpy().astype(np.float64) for steps in (shown, wanted)
        )
        judged = (wanted.is_not_null() & shown.is_not_null()).to_numpy() & (n_wanted > 0)
        common = common_steps(wanted, shown)
        whole = common == n_wanted
        graded = judged & model.graded[:, 0]
        if "teacher" in answers:
            teacher = answers["teacher"]
            graded &= ~(teacher.graded & ~teacher.right)[:, 0]
        right = model.right[:, 0]
        columns = {
            "agreement": np.where(judged, share(2.0 * common, n_wanted + n_shown), np.nan),
            "coverage": np.where(judged, share(common, n_wanted), np.nan),
            "lucky": np.where(graded & right, ~whole, np.nan),
            "slipped": np.where(graded & ~right, whole, np.nan),
            "n_steps": np.where(judged, n_shown, np.nan),
        }
        if FOLLOWS in self.measures:
            said = read_steps(first(model, "answer").cast(pl.String), "values").list.last()
            same = (said == shown.list.last()).fill_null(value=False).to_numpy()
            columns["follows"] = np.where(judged & (n_shown > 0), same, np.nan)
        return pl.DataFrame(columns).fill_nan(None)
