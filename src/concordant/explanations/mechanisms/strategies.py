"""Ways to prompt: how many demonstrations, which, whether steps are written, how many answers vote, and the words for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from concordant.core.errors import ConfigError, DataError, nearest
from concordant.explanations.mechanisms.demonstrations import Choice

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Reasoning = Literal["direct", "steps"]

_FIELD = re.compile(r"\{(input|solution|reference)\}")


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way to prompt.

    Parameters
    ----------
    reasoning
        "direct" (default): the answer alone; "steps": a written solution before it.
    k
        Demonstrations, at least 0.
    choice
        "random" (default), "nearest" or "reverse"; see `chosen_demonstrations`.
    samples
        Answers that vote, at least 1; one answer is the most probable one.

    Raises
    ------
    ConfigError
        If there is no such way.

    Examples
    --------
    >>> Strategy("steps", 4, "nearest", samples=5).name, Strategy().name
    ('steps, 4 nearest, vote of 5', 'direct')
    """

    reasoning: Reasoning = "direct"
    k: int = 0
    choice: Choice = "random"
    samples: int = 1

    def __post_init__(self) -> None:
        for what, value, allowed in (
            ("the reasoning", self.reasoning, get_args(Reasoning)),
            ("the choice", self.choice, get_args(Choice)),
        ):
            if value not in allowed:
                message = f"{what} of a strategy must be {', '.join(allowed)}, got {value!r}; {nearest(str(value), allowed)}"
                raise ConfigError(message)
        for what, number, low in (("k", self.k, 0), ("samples", self.samples, 1)):
            if number < low:
                message = f"{what} of a strategy must be at least {low}, got {number}"
                raise ConfigError(message)

    @property
    def name(self) -> str:
        """What tables call it."""
        shown = [f"{self.k} {self.choice}"] if self.k else []
        votes = [f"vote of {self.samples}"] if self.samples > 1 else []
        return ", ".join([self.reasoning, *shown, *votes])


def all_strategies(
    *,
    reasonings: Iterable[Reasoning] = get_args(Reasoning),
    ks: Iterable[int] = (0, 1, 2, 4, 8),
    choices: Sequence[Choice] = get_args(Choice),
    samples: Iterable[int] = (1,),
) -> list[Strategy]:
    """Combine ways to prompt, each once: without demonstrations there is nothing to choose.

    Parameters
    ----------
    reasonings, ks, choices, samples
        Values of the parts of a strategy.

    Examples
    --------
    >>> [one.name for one in all_strategies(reasonings=["direct"], ks=[0, 2], choices=["random", "nearest"])]
    ['direct', 'direct, 2 random', 'direct, 2 nearest']
    """
    every = (
        Strategy(reasoning, k, choice if k else "random", voters)
        for voters in samples
        for reasoning in reasonings
        for k in ks
        for choice in choices
    )
    return list(dict.fromkeys(every))


@dataclass(frozen=True, slots=True)
class Wording:
    r"""How questions and demonstrations are written.

    A demonstration is a template filled with the columns of its item; a question is the same template up to the first
    field of the answer, so that the model goes on from there.

    Parameters
    ----------
    direct
        With ``{input}`` and ``{reference}``.
    steps
        With ``{input}``, ``{solution}`` and ``{reference}``.
    separator
        Between demonstrations.
    direct_instruction, steps_instruction
        What stands before all, where a model needs to be told.
    stop
        Texts that end an answer.

    Raises
    ------
    ConfigError
        If a template lacks one of its fields.

    Examples
    --------
    >>> Wording().prompt("direct", {"input": "2 + 2?"}, [{"input": "1 + 2?", "reference": "3"}])
    'Question: 1 + 2?\nAnswer: 3\n\nQuestion: 2 + 2?\nAnswer:'
    """

    direct: str = "Question: {input}\nAnswer: {reference}"
    steps: str = "Question: {input}\nSolution: {solution}\nAnswer: {reference}"
    separator: str = "\n\n"
    direct_instruction: str = ""
    steps_instruction: str = ""
    stop: tuple[str, ...] = ("Question:",)

    def __post_init__(self) -> None:
        for name, fields in (
            ("direct", ("input", "reference")),
            ("steps", ("input", "solution", "reference")),
        ):
            found = tuple(_FIELD.findall(getattr(self, name)))
            if found != fields:
                wanted = ", ".join(f"{{{field}}}" for field in fields)
                message = f"the wording {name} must have the fields {wanted} in this order, got {getattr(self, name)!r}"
                raise ConfigError(message)

    def prompt(
        self, reasoning: Reasoning, question: Mapping[str, Any], demonstrations: Sequence[Mapping[str, Any]]
    ) -> str:
        """Write a prompt.

        Parameters
        ----------
        reasoning
            "direct" or "steps".
        question
            Has ``input``.
        demonstrations
            Have ``input``, ``reference`` and, for steps, ``solution``.

        Raises
        ------
        DataError
            If a demonstration lacks what is shown of it.
        """
        template: str = getattr(self, reasoning)
        instruction: str = getattr(self, f"{reasoning}_instruction")
        end = next(field.start() for field in _FIELD.finditer(template) if field[1] != "input")
        shown = [_filled(template, one) for one in demonstrations]
        asked = _filled(template[:end].rstrip(), question)
        return self.separator.join([*([instruction] if instruction else []), *shown, asked])


def _filled(template: str, row: Mapping[str, Any]) -> str:
    def value(field: re.Match[str]) -> str:
        found = row.get(field[1])
        if found is None:
            message = f"a demonstration has no {field[1]}, which its template shows: {row.get('input')!r:.80}"
            raise DataError(message)
        return str(found)

    return _FIELD.sub(value, template)
