"""What language models learn from in a repair: one reply an item, and whose it is.

A version that shows its steps would forget them if it were taught bare right answers. So an item is taught by a reply of the
versions themselves: the new one's own where it is right, so that it stays as it is, and the old one's where only that
is right. Where both are wrong there is nothing to learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from concordant.core.answers.options import named_option
from concordant.core.errors import DataError
from concordant.core.items import Items
from concordant.core.prompts import LETTERS, prompts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from concordant.core.behaviours import Behaviours
    from concordant.core.model import Prompt


NEITHER, NEW, OLD = -1, 0, 1
"""Whose reply an item is taught by."""


@dataclass(frozen=True, slots=True)
class Replies:
    """Prompts with the replies that are taught.

    Parameters
    ----------
    prompts
        As the models are asked.
    texts
        The replies.
    from_old
        Whether a reply is the old version's.
    left_out
        Items without a lesson: no version answered them, or the reply was cut off.
    """

    prompts: list[Prompt]
    texts: list[str]
    from_old: list[bool]
    left_out: int


def replies(
    old: Behaviours, new: Behaviours, use: NDArray[np.int8], *, cut_at: int, way: str | None
) -> Replies:
    """Take one reply an item from the versions themselves.

    Parameters
    ----------
    old, new
        What the versions did on the items to train on.
    use
        Whose reply is taught: `OLD`, `NEW` or `NEITHER`, shape ``(n,)``. Where that one was cut off or failed, the item is
        left out, too.
    cut_at
        Tokens after which an answer was cut off.
    way
        How the models answer items with choices: by what they write (None), or by the scores of ``"letter"`` or
        ``"cloze"``.

    Raises
    ------
    DataError
        If no item has a lesson.
    """
    outputs = [behaviours["output"].gather_every(behaviours.n).to_list() for behaviours in (new, old)]
    whole = [_whole(behaviours, cut_at) for behaviours in (new, old)]
    texts = [
        str(outputs[own][i]) if own != NEITHER and whole[own][i] else None
        for i, own in enumerate(use.tolist())
    ]
    return _kept(old.items, _spelt(texts, old.items, way), (use == OLD).tolist(), way)


def better_reply(old: Behaviours, new: Behaviours) -> NDArray[np.int8]:
    """Return whose reply teaches each item: `OLD` where it did better and is right, else `NEW` where that is right.

    A reply that is graded by a score is right from a half on; `NEITHER` where none is.
    """
    advantage = np.nan_to_num(advantage_of_old(old, new))
    use_old = (advantage > 0) & old.right[:, 0]
    return np.where(use_old, OLD, np.where(new.right[:, 0], NEW, NEITHER)).astype(np.int8)


def references(items: Items, *, way: str | None) -> Replies:
    """Take the right answers, each as a model is to give it: a letter where it is asked for one.

    Parameters
    ----------
    items
        With references.
    way
        As for `replies`.

    Raises
    ------
    DataError
        If no item has a reference.
    """
    reference = items.reference
    if reference is None:
        message = "the lessons 'references' need items with a reference"
        raise DataError(message)
    if isinstance(reference.dtype, pl.List):  # several right answers
        reference = reference.list.first()
    texts: list[str | None] = [None if value is None else str(value) for value in reference]
    if items.choices is not None:
        places = named_option(reference, items.choices)
        for i, (place, options) in enumerate(zip(places, items.choices.to_list(), strict=True)):
            if options:
                texts[i] = None if place is None else options[place] if way == "cloze" else LETTERS[place]
    return _kept(items, texts, [False] * len(items), way)


def advantage_of_old(old: Behaviours, new: Behaviours) -> NDArray[np.float64]:
    """Return how much better the old version did on each item: its score less the new one's, or right as 1 and wrong as 0.

    NaN where one of the two could not be graded; shape ``(n,)``.
    """
    if is_scored(old) and is_scored(new):
        return np.asarray(old.matrix("score")[:, 0] - new.matrix("score")[:, 0])
    graded = old.graded[:, 0] & new.graded[:, 0]
    return np.where(graded, old.right[:, 0].astype(float) - new.right[:, 0], np.nan)


def is_scored(behaviours: Behaviours) -> bool:
    """Whether the grader gave scores, and not only right and wrong."""
    if behaviours.grader is None or "score" not in behaviours or not behaviours["score"].dtype.is_numeric():
        return False
    scores = behaviours["score"].drop_nulls()
    graded = behaviours.grader.correct(behaviours["answer"].head(1), behaviours.items.head(1))
    return graded.dtype.is_float() and not scores.is_in([0.0, 1.0]).all()


def _whole(behaviours: Behaviours, cut_at: int) -> NDArray[np.bool_]:
    """Return where there is an answer that was not cut off."""
    lengths = behaviours.matrix("tokens")[:, 0]
    answered: NDArray[np.bool_] = behaviours.answered[:, 0] & ~(lengths >= cut_at)
    return answered


def _kept(items: Items, texts: Sequence[str | None], from_old: Sequence[bool], way: str | None) -> Replies:
    kept = [i for i, text in enumerate(texts) if text is not None]
    if not kept:
        message = (
            f"there is nothing to learn: none of the {len(items)} items to train on has a reply to teach"
        )
        raise DataError(message)
    asked = _asked(items, way)
    return Replies(
        [asked[i] for i in kept],
        [str(texts[i]) for i in kept],
        [from_old[i] for i in kept],
        len(items) - len(kept),
    )


def _asked(items: Items, way: str | None) -> list[Prompt]:
    if way != "cloze":
        return prompts(items)
    plain = [column for column in items.frame.columns if column != "choices"]
    return prompts(Items(items.frame.select(plain)))


def _spelt(texts: Sequence[str | None], items: Items, way: str | None) -> list[str | None]:
    """Return replies as they are scored: the text of an option for its letter, where options are scored by text."""
    if way != "cloze" or items.choices is None:
        return list(texts)
    choices = items.choices.to_list()
    return [
        text if text is None or not options else options[LETTERS.index(text)]
        for text, options in zip(texts, choices, strict=True)
    ]
