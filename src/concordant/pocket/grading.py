"""Grading by the skills' own verifiers: several answers may be right, and work before them does not count."""

from __future__ import annotations

from typing import Any

import polars as pl

from concordant.core.grading import Grader
from concordant.core.prompts import LETTERS
from concordant.pocket.skill import Example, final
from concordant.pocket.skills import SKILLS


def verified(output: object, item: Any) -> bool:
    """Whether an output is right by the verifier of the item's skill.

    Several answers may be right: any expression that reaches the target, any order of a list. Work before
    ``answer :`` does not count.

    Parameters
    ----------
    output
        What a model wrote.
    item
        An item of `concordant.pocket.items`, with its `skill`, `input` and `choices`.

    Examples
    --------
    >>> from concordant.pocket.sampling import items
    >>> (item,) = items(["countdown"], 1, difficulty=1)
    >>> verified(SKILLS["countdown"].solve(item.input), item), verified("no idea", item)
    (True, False)
    """
    choices = getattr(item, "choices", None)
    asked = Example(
        item.input, "", item.skill, 0, choices=None if choices is None else tuple(choices)
    ).asked()
    return SKILLS[item.skill].verify(asked, str(output))


def grader() -> Grader:
    """Make the grader of pocket items, for ``concordant.check(grade=...)``.

    What is compared between models and variants is the answer proper: without the steps before it, and the text of an
    option for its letter, so that reordered options and other steps to one answer agree.

    Examples
    --------
    >>> from concordant.pocket.sampling import items
    >>> asked = items(["siblings"], 1, difficulty=2, seed=0)
    >>> right = SKILLS["siblings"].solve(asked.inputs[0])
    >>> outputs = pl.Series([f"girls 5 , boys 4 ; answer : {right}"])
    >>> answers = grader().answers(outputs, asked)
    >>> answers.to_list() == [right], grader().correct(answers, asked).to_list()
    (True, [True])
    """
    return Grader("pocket", _answers, _correct, "the verifiers of the skills")


def _answers(outputs: pl.Series, items: Any) -> pl.Series:
    found = [
        None if output is None else _answer(str(output), getattr(item, "choices", None))
        for output, item in zip(outputs, items, strict=True)
    ]
    return pl.Series(found, dtype=pl.String)


def _answer(output: str, choices: list[str] | None) -> str:
    answer = final(output)
    named = dict(zip(LETTERS, choices or [], strict=False))
    return named.get(answer, answer)


def _correct(answers: pl.Series, items: Any) -> pl.Series:
    right = [
        False if answer is None else verified(answer, item)
        for answer, item in zip(answers, items, strict=True)
    ]
    return pl.Series(right, dtype=pl.Boolean)
