"""Multiple choice by what a language model holds for probable: the options of an item are scored, not asked for.

Three ways of asking (the letter, the option itself, the option in a blank), and four ways of making options
of different lengths comparable. All options of all items are scored in one call, so that a model that reads
what prompts share only once (`concordant.models.causal.CausalLM`) does so here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from concordant.core.errors import ConfigError, DataError, nearest
from concordant.core.items import Items
from concordant.core.model import user
from concordant.core.prompts import LETTERS, prompts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from concordant.core.model import Prompt
    from concordant.models.base import LanguageModel

Way = Literal["letter", "cloze", "blank"]
Norm = Literal["sum", "token", "byte", "unconditional"]

BLANK = re.compile("_{2,}")
"""What an option is put in place of, with ``options="blank"``."""

CONTEXT = "Answer:"
"""The bare context of the norm ``"unconditional"``."""


@dataclass(frozen=True)
class OptionScores:
    """The options of one item.

    Parameters
    ----------
    scores
        Shape ``(n_options,)``: log-likelihoods after the norm; more is better.
    logprobs
        Shape ``(n_options,)``: log-likelihoods as they are, nats.
    tokens
        Shape ``(n_options,)``: of how many tokens.
    """

    scores: NDArray[np.float64]
    logprobs: NDArray[np.float64]
    tokens: NDArray[np.int64]

    @property
    def choice(self) -> int:
        """Position of the option with the highest score, from 0; the first of several."""
        return int(self.scores.argmax())

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Softmax of the scores, shape ``(n_options,)``."""
        odds = np.exp(self.scores - self.scores.max())
        return np.asarray(odds / odds.sum(), np.float64)


def option_scores(
    model: LanguageModel,
    items: Items,
    *,
    options: Way = "cloze",
    norm: Norm = "sum",
    context: str = CONTEXT,
) -> list[OptionScores]:
    r"""Score the options of items.

    Parameters
    ----------
    model
        Only its `score` is called, once for all items.
    items
        Each with at least one of `choices`. What is asked is a text or a conversation; for ``"blank"`` a text with
        one blank of two or more underscores (``__``).
    options
        What stands for an option o of a question q:

        - ``"letter"``: its letter, after the question with lettered options as
          `concordant.core.prompts.prompts` writes it;
        - ``"cloze"``: its text, after the question alone;
        - ``"blank"``: what follows the blank, after what stands before it with the option in it.

        What is scored is set off from a text by a space, where the text does not end in white space; after a
        conversation, or in the chat template, it is the beginning of an answer.
    norm
        How :math:`\log p(o \mid q) = \sum_t \log p(o_t \mid q, o_{<t})` becomes the score:

        - ``"sum"``: as it is;
        - ``"token"``: divided by the number of tokens scored;
        - ``"byte"``: divided by the UTF-8 bytes of the text scored, without the space before it;
        - ``"unconditional"``: minus :math:`\log p(o \mid c)` after a bare context c, so that an option does not
          win because it is probable anyway. After a blank this is the same for all options.
    context
        The bare context.

    Returns
    -------
    list of OptionScores
        One an item.

    Raises
    ------
    ConfigError
        If there is no such way or norm.
    DataError
        If an item has no choices, too many (26 are allowed), an empty one, or not one blank with a text behind it.

    References
    ----------
    T. B. Brown et al. (2020), Language models are few-shot learners, NeurIPS (per token, and "Answer:" as bare
    context). T. H. Trinh, Q. V. Le (2018), A simple method for commonsense reasoning, arXiv:1806.02847 (partial
    scoring after a blank). A. Holtzman et al. (2021), Surface form competition, EMNLP.

    Examples
    --------
    >>> import concordant as cc
    >>> class Short:
    ...     "Every letter is as probable as every other, and there are 26 of them and the space."
    ...
    ...     def score(self, prompts, completions):
    ...         return [np.full(len(text), -np.log(27)) for text in completions]
    >>> items = cc.Items.from_records([{"input": "Which is longer?", "choices": ["a mile", "an inch or so"]}])
    >>> (scored,) = option_scores(Short(), items)
    >>> scored.choice, scored.tokens.tolist()
    (0, [7, 14])
    >>> option_scores(Short(), items, norm="token")[0].probabilities.tolist()
    [0.5, 0.5]
    """
    check_way(options, norm)
    choices = _choices(items)
    asked, scored = _pairs(model, items, choices, options)
    rows = [(prompt, text) for row in asked for prompt, text in row]
    if norm == "unconditional":
        bare = [_bare(prompt, context) for prompt, _ in rows]
        rows += [(c, _set_off(model, c, text.strip())) for c, (_, text) in zip(bare, list(rows), strict=True)]
    found = model.score([prompt for prompt, _ in rows], [text for _, text in rows])
    logprobs = np.array([float(np.sum(values)) for values in found])
    tokens = np.array([len(values) for values in found])
    n = sum(map(len, asked))
    scores = logprobs[:n].copy()
    if norm == "token":
        scores /= np.maximum(tokens[:n], 1)
    elif norm == "byte":
        scores /= [len(text.encode()) for row in scored for text in row]
    elif norm == "unconditional":
        scores -= logprobs[n:]
    ends = np.cumsum([len(row) for row in asked])[:-1]
    parts = (np.split(values, ends) for values in (scores, logprobs[:n], tokens[:n]))
    return [OptionScores(*row) for row in zip(*parts, strict=True)]


def check_way(options: str, norm: str) -> None:
    """Check the names of a way of asking and of a norm.

    Raises
    ------
    ConfigError
        If there is no such way or norm.
    """
    for what, name, allowed in (("options", options, get_args(Way)), ("norm", norm, get_args(Norm))):
        if name not in allowed:
            message = f"{what} must be {', '.join(allowed[:-1])} or {allowed[-1]}, got {name!r}; {nearest(name, allowed)}"
            raise ConfigError(message)


def _choices(items: Items) -> list[list[str]]:
    if items.choices is None:
        message = (
            f"options are scored for items with choices; the columns are {', '.join(items.frame.columns)}"
        )
        raise DataError(message)
    rows: list[list[str]] = []
    for name, options in zip(items.ids.to_list(), items.choices.to_list(), strict=True):
        if not options or len(options) > len(LETTERS):
            message = f"item {name!r} has {len(options or [])} choices; allowed are 1 to {len(LETTERS)}"
            raise DataError(message)
        if any(option is None or not str(option).strip() for option in options):
            message = f"item {name!r} has an empty option, which cannot be scored"
            raise DataError(message)
        rows.append([str(option) for option in options])
    return rows


def _pairs(
    model: LanguageModel, items: Items, choices: list[list[str]], options: Way
) -> tuple[list[list[tuple[Prompt, str]]], list[list[str]]]:
    """Return prompt and completion of each option of each item, and the texts that are scored."""
    if options == "blank":
        return _filled(model, items, choices)
    if options == "letter":
        choices = [list(LETTERS[: len(row)]) for row in choices]
        asked = prompts(items)
    else:
        asked = prompts(Items(items.frame.drop("choices")))
    pairs = zip(asked, choices, strict=True)
    return [[(prompt, _set_off(model, prompt, text)) for text in row] for prompt, row in pairs], choices


def _filled(
    model: LanguageModel, items: Items, choices: list[list[str]]
) -> tuple[list[list[tuple[Prompt, str]]], list[list[str]]]:
    if getattr(model, "chat", False):
        message = "options are put into the blank of a text, which no chat template can come between: leave chat out"
        raise ConfigError(message)
    asked, scored = [], []
    for name, text, row in zip(items.ids.to_list(), items.inputs.to_list(), choices, strict=True):
        parts = BLANK.split(text) if isinstance(text, str) else []
        if len(parts) != 2 or not parts[1].strip():
            allowed = "a text with one blank (__) and something behind it"
            got = f"a text with {len(parts) - 1} blanks" if parts else type(text).__name__
            if len(parts) == 2:
                got = "one with nothing behind it (options='cloze' scores an option at the end)"
            message = f"item {name!r}: options='blank' needs {allowed}, got {got}"
            raise DataError(message)
        asked.append([(parts[0] + option, parts[1]) for option in row])
        scored.append([parts[1].strip()] * len(row))
    return asked, scored


def _set_off(model: LanguageModel, prompt: Prompt, text: str) -> str:
    begins = not isinstance(prompt, str) or getattr(model, "chat", False) or prompt[-1:].isspace()
    return text if begins or not prompt else " " + text


def _bare(prompt: Prompt, context: str) -> Prompt:
    return context if isinstance(prompt, str) else [user(context)]
