"""Shapley values of the named fields of prompts: how much each moves what a language model chooses."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.errors import ConfigError, DataError, nearest
from concordant.core.progress import progress_bars
from concordant.explanations.prompts.choices import (
    SAMPLES,
    Value,
    can_be_scored,
    check_value,
    counted,
    scored,
)
from concordant.explanations.prompts.explanation import PromptExplanation
from concordant.explanations.shapley import shapley_plan
from concordant.models.load import load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from concordant.core.passes import Progress
    from concordant.explanations.prompts.choices import Favour
    from concordant.explanations.prompts.template import Absent, PromptTemplate, Question
    from concordant.explanations.shapley import ShapleyPlan


def explain_prompt(
    model: Any,
    template: PromptTemplate,
    rows: Sequence[Mapping[str, str]] | None = None,
    *,
    absent: Absent = "delete",
    value: Value = "probability",
    target: str | None = None,
    both_orders: bool = True,
    pairs: int | None = None,
    samples: int | None = None,
    max_tokens: int = 64,
    seed: int = 0,
    folder: str | Path | None = None,
    progress: bool = True,
) -> PromptExplanation:
    """Share a model's choice out among the fields of a prompt, by Shapley values.

    Parameters
    ----------
    model
        What `concordant.load` takes. Of a local language model the options are scored; any other is asked for answers,
        and its choices are counted.
    template
        The prompt.
    rows
        Texts of fields for each prompt of a survey; by default one prompt, as the template is.
    absent
        "delete" or "neutral"; see `PromptTemplate.questions`. Both are far from what a model was trained on, each in its
        own way: look at both.
    value
        "probability" (default) of the target, or "log_odds" in nats, which do not flatten near 0 and 1.
    target
        The option whose choice is explained; the first by default.
    both_orders
        Whether to average over the options in the given and in the reversed order, so that a liking for a place or a
        letter does not enter.
    pairs
        Pairs of orders of fields to draw; by default none up to 12 fields, whose values are then exact, and 25 beyond.
    samples
        Answers to each question, to count choices; 20 by default where options cannot be scored.
    max_tokens
        Of a sampled answer.
    seed
        Of orders and samples.
    folder
        Where sampled answers are kept as they come, so that the same call goes on where it was stopped.
    progress
        Whether to draw a bar on a terminal.

    Returns
    -------
    PromptExplanation

    Raises
    ------
    ConfigError
        If there is no such option, rule or value.
    DataError
        If a row names no field, or there are no rows.
    ModelError
        If the model cannot be asked.

    Examples
    --------
    >>> from concordant.explanations.prompts import Field, PromptTemplate
    >>> template = PromptTemplate(
    ...     "{please} which trip?",
    ...     {"please": Field("Say,", "noise"), "price": "cheap"},
    ...     {"bus": "by {price} bus", "train": "by train"},
    ... )
    >>> def cheapest(prompt):
    ...     return next((line[0] for line in prompt.splitlines() if "cheap" in line), "A")
    >>> found = explain_prompt(cheapest, template, samples=1)
    >>> found.phi.tolist(), found.with_none.tolist(), found.noise_share.value
    ([[0.0, 0.5]], [0.5], 0.0)
    """
    check_value(value)
    loaded = load(model)
    target = template.answers[0] if target is None else target
    if target not in template.answers:
        message = f"there is no option {target!r}; {nearest(target, template.answers)}"
        raise ConfigError(message)
    if samples is not None and samples < 1:
        message = f"samples must be at least 1, got {samples}"
        raise ConfigError(message)
    plan = shapley_plan(len(template.names), pairs=pairs, seed=seed)
    questions, targets, at = planned_questions(
        template, rows, plan, absent=absent, target=target, both_orders=both_orders
    )
    with ExitStack() as stack:
        tell: Progress = stack.enter_context(progress_bars()) if progress else lambda *_: None
        if samples is None and can_be_scored(loaded):
            favour = scored(loaded, questions, targets, ask=template.ask, value=value, tell=tell)
        else:
            favour = counted(
                loaded,
                questions,
                targets,
                ask=template.ask,
                value=value,
                samples=SAMPLES if samples is None else samples,
                max_tokens=max_tokens,
                seed=seed,
                folder=folder,
                tell=tell,
            )
    return _explanation(template, target, absent, value, plan, at, favour)


def planned_questions(
    template: PromptTemplate,
    rows: Sequence[Mapping[str, str]] | None,
    plan: ShapleyPlan,
    *,
    absent: Absent,
    target: str,
    both_orders: bool = True,
) -> tuple[list[Question], NDArray[np.intp], NDArray[np.intp]]:
    """Return the different questions that a plan needs: different sets of fields may leave the same text.

    Returns
    -------
    list of n pairs
        The questions, each once.
    array of shape ``(n,)``
        Position of the target in each.
    array of shape ``(n_rows, n_orders, n_coalitions)``
        Which question each coalition is.
    """
    if rows is not None and not len(rows):
        message = "there are no rows: give at least one prompt"
        raise DataError(message)
    filled = [template] if rows is None else [template.filled(row) for row in rows]
    place = template.answers.index(target)
    n_orders = template.n_orders if both_orders else 1
    present = plan.coalitions.tolist()
    known: dict[tuple[Question, int], int] = {}
    at = np.empty((len(filled), n_orders, len(present)), np.intp)
    for r, one in enumerate(filled):
        for order in range(n_orders):
            turned = template.ask == "letter" and order == 1
            chosen = len(template.answers) - 1 - place if turned else place
            written = one.questions(present, absent=absent, reverse=order == 1)
            at[r, order] = [known.setdefault((question, chosen), len(known)) for question in written]
    return [question for question, _ in known], np.array([chosen for _, chosen in known], np.intp), at


def _explanation(
    template: PromptTemplate,
    target: str,
    absent: Absent,
    value: Value,
    plan: ShapleyPlan,
    at: NDArray[np.intp],
    favour: Favour,
) -> PromptExplanation:
    values = favour.values[at].mean(1)  # (rows, coalitions)
    of_orders = plan.variances(values)
    of_mean = plan.variances(values.mean(0))
    n_rows = len(values)
    counted_rows = np.array([_counting(plan, row[None], favour.variances) for row in at])
    counted_mean = _counting(plan, at, favour.variances)
    nothing, everything = plan.coalitions.sum(1).argmin(), plan.coalitions.sum(1).argmax()
    assert counted_rows.shape == (n_rows, len(template.names))
    return PromptExplanation(
        template=template,
        target=target,
        absent=absent,
        value=value,
        phi=plan.shapley(values),
        standard_errors=np.sqrt(of_orders + counted_rows),
        mean_standard_errors=np.sqrt(of_mean + counted_mean),
        with_all=values[:, everything],
        with_none=values[:, nothing],
        is_exact=plan.is_exact,
        n_questions=len(favour.values),
        unread_rate=favour.unread_rate,
    )


def _counting(plan: ShapleyPlan, at: NDArray[np.intp], variances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the variances of the means of Shapley values over rows and orders that come from counting choices.

    A question that stands for several coalitions has the sum of their weights: what is counted of it is one number.
    """
    if not variances.any():
        return np.zeros(len(plan.weights))
    asked, place = np.unique(at, return_inverse=True)
    weights = np.zeros((len(asked), len(plan.weights)))
    each = np.broadcast_to(plan.weights.T, (*at.shape, len(plan.weights))) / (at.shape[0] * at.shape[1])
    np.add.at(weights, place.ravel(), each.reshape(-1, len(plan.weights)))
    return np.asarray((weights**2 * variances[asked, None]).sum(0))
