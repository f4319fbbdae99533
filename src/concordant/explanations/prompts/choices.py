"""How much a language model favours one option of each question: from its scores, or from answers that it gives."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import polars as pl
from scipy.special import expit, logsumexp

from concordant.core.answers.options import position
from concordant.core.asking import completed
from concordant.core.errors import ConfigError, ModelError, nearest
from concordant.core.items import Items
from concordant.core.model import Request
from concordant.core.passes import Pass
from concordant.core.run import run
from concordant.core.store import MemoryStore, RunFolder
from concordant.models.option_scores import option_scores

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from concordant.core.model import Model
    from concordant.core.passes import Progress
    from concordant.core.store import Store
    from concordant.explanations.prompts.template import Ask, Question

Value = Literal["probability", "log_odds"]

BLOCK = 2048
"""Questions that are scored in one call, so that progress is seen."""

SAMPLES = 20
"""Answers to each question, of a model whose options cannot be scored."""

LABEL = "prompts"


@dataclass(frozen=True, slots=True)
class Favour:
    """How much an option is favoured in each question.

    Parameters
    ----------
    values
        Probabilities or log-odds (nats) of the option, shape ``(n,)``.
    variances
        Of the values, where they are counted from answers; zeros where they are read from scores.
    unread_rate
        The share of answers that name no option, in [0, 1].
    """

    values: NDArray[np.float64]
    variances: NDArray[np.float64]
    unread_rate: float = 0.0


def can_be_scored(model: Model) -> bool:
    """Whether a model gives log-probabilities of texts that it did not write."""
    return hasattr(getattr(model, "language_model", None), "score")


def scored(
    model: Model,
    questions: Sequence[Question],
    targets: NDArray[np.intp],
    *,
    ask: Ask,
    value: Value,
    tell: Progress,
) -> Favour:
    """Read how much options are favoured from the scores of all options.

    Parameters
    ----------
    model
        One that `can_be_scored`.
    questions
        Prompts with their options, of each as many.
    targets
        Position of the option in each question, shape ``(n,)``.
    ask
        "letter" or "cloze".
    value
        "probability", by softmax over the options; or "log_odds", its logit.
    tell
        Told as questions are done.
    """
    check_value(value)
    language_model = model.language_model  # type: ignore[union-attr]  # of a model that can be scored
    scores = np.empty((len(questions), len(questions[0][1])))
    # in the order of their texts, so that prompts that begin alike are read together
    order = sorted(range(len(questions)), key=lambda i: questions[i][0])
    for start in range(0, len(order), BLOCK):
        block = order[start : start + BLOCK]
        tell(LABEL, start, len(order))
        asked = _items([questions[i] for i in block], with_choices=True)
        scores[block] = [found.scores for found in option_scores(language_model, asked, options=ask)]
    tell(LABEL, len(order), len(order))
    of_target = np.arange(scores.shape[1]) == targets[:, None]
    log_odds = scores[of_target] - logsumexp(np.where(of_target, -np.inf, scores), axis=1)
    return Favour(log_odds if value == "log_odds" else expit(log_odds), np.zeros(len(questions)))


def counted(
    model: Model,
    questions: Sequence[Question],
    targets: NDArray[np.intp],
    *,
    ask: Ask,
    value: Value,
    samples: int,
    max_tokens: int,
    seed: int,
    folder: str | Path | None,
    tell: Progress,
) -> Favour:
    r"""Count how often options are chosen in sampled answers: for models that show no probabilities.

    Of k answers of which x choose the option, the probability is x / k, with the variance of a share that is drawn in
    a little towards a half; the log-odds are :math:`\log\frac{x + 1/2}{k - x + 1/2}` with variance
    :math:`\frac1{x + 1/2} + \frac1{k - x + 1/2}`, so that they are finite. An answer that names no option chooses none.

    Parameters
    ----------
    model
        Any model of texts.
    questions, targets, ask, value, tell
        As for `scored`.
    samples
        Answers to each question, at temperature 1.
    max_tokens
        Of an answer.
    seed
        Of the sampling.
    folder
        Where answers are kept as they come, so that the same call goes on where it was stopped; by default nowhere.

    Raises
    ------
    ModelError
        If a question was not answered at all.

    References
    ----------
    F. J. Anscombe (1956), On estimating binomial response relations, Biometrika 43.
    """
    check_value(value)
    items = _items(questions, with_choices=ask == "letter")
    request = Request(n=samples, temperature=1.0, max_tokens=max_tokens, seed=seed)
    with ExitStack() as stack:
        store: Store = MemoryStore()
        if folder is not None:
            store = stack.enter_context(RunFolder(folder, resume=True).opened())
        asked = Pass.of(LABEL, model, items, request)
        rows = completed(run([asked], store, progress=tell))[asked.key]
    outputs = rows["output"].cast(pl.String)
    question = rows["item"].cast(pl.Int64).to_numpy()
    answered = outputs.is_not_null().to_numpy()
    n = np.bincount(question[answered], minlength=len(questions))
    if not n.all():
        at = int(n.argmin())
        why = next(iter(rows.filter(rows["item"] == str(at))["error"].drop_nulls()), "no answer")
        message = f"model {model.name!r} did not answer {questions[at][0]!r:.200}: {why}"
        raise ModelError(message)
    options = pl.Series("choices", [list(choices) for _, choices in questions], dtype=pl.List(pl.String))
    found = position(outputs, options.gather(question)).to_numpy()
    hits = np.bincount(question[found == targets[question]], minlength=len(questions))
    unread = float(np.isnan(found[answered].astype(float)).mean())
    if value == "log_odds":
        yes, no = hits + 0.5, n - hits + 0.5
        return Favour(np.log(yes / no), 1 / yes + 1 / no, unread)
    drawn_in = (hits + 1) / (n + 2)
    return Favour(hits / n, drawn_in * (1 - drawn_in) / n, unread)


def check_value(value: str) -> None:
    """Check the name of a value.

    Raises
    ------
    ConfigError
        If there is no such value.
    """
    if value not in get_args(Value):
        message = (
            f"value must be {' or '.join(get_args(Value))}, got {value!r}; {nearest(value, get_args(Value))}"
        )
        raise ConfigError(message)


def _items(questions: Sequence[Question], *, with_choices: bool) -> Items:
    columns: dict[str, pl.Series] = {
        "id": pl.int_range(len(questions), eager=True).cast(pl.String),
        "input": pl.Series([prompt for prompt, _ in questions]),
    }
    if with_choices:
        columns["choices"] = pl.Series([list(choices) for _, choices in questions])
    return Items(pl.DataFrame(columns))
