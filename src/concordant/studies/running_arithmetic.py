"""Running arithmetic on a dial of seven, and teachers that write the same solution down in more or less detail.

A problem starts from a value and goes through lines, each of which adds, takes away or multiplies by a digit; of every
result the remainder by seven is kept. All problems have as many lines; those that do nothing add 0, so the length of a
problem is the number of lines that do something. Seven is a prime and no line multiplies by 0, so none forgets what came
before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from concordant.core.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

Level = Literal["answer", "short", "long", "style"]
"""What a teacher shows before the answer: nothing; the value after each line; of each line the sum that is done, its
result and the value; or the same as that, but with values that are all wrong."""

DIAL = 7
SIGNS = ("+", "-", "*")
LARGEST = (DIAL - 1) ** 2
WORDS = (
    "<pad>",
    "<bos>",
    "<eos>",
    *SIGNS,
    "=",
    ",",
    ";",
    "?",
    "answer",
    ":",
    *(str(n) for n in range(LARGEST + 1)),
)
"""The words of problems and solutions, one token each."""

_IDS = {word: i for i, word in enumerate(WORDS)}
PAD, BOS, EOS = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem.

    Parameters
    ----------
    start
        The value it starts from.
    signs, digits
        What is done in each line, and by which digit.

    Examples
    --------
    >>> problem = Problem(3, ("+", "*", "-"), (5, 2, 6))
    >>> problem.question(), problem.values()
    ('3 + 5 * 2 - 6 ?', [1, 2, 3])
    """

    start: int
    signs: tuple[str, ...]
    digits: tuple[int, ...]

    def question(self) -> str:
        """Return the problem in words."""
        lines = (f"{sign} {digit}" for sign, digit in zip(self.signs, self.digits, strict=True))
        return " ".join([str(self.start), *lines, "?"])

    def values(self) -> list[int]:
        """Return the value after each line; the last one is the answer."""
        value, found = self.start, []
        for sign, digit in zip(self.signs, self.digits, strict=True):
            value = worked(value, sign, digit)[1]
            found.append(value)
        return found


def worked(value: int, sign: str, digit: int) -> tuple[str, int]:
    """Return a line as it is worked out, and the value after it; seven is lent where a difference needs it.

    Examples
    --------
    >>> worked(6, "*", 3), worked(2, "-", 5)
    (('6 * 3 = 18', 4), ('9 - 5 = 4', 4))
    """
    if sign == "-" and value < digit:
        value += DIAL
    total = value + digit if sign == "+" else value * digit if sign == "*" else value - digit
    return f"{value} {sign} {digit} = {total}", total % DIAL


def draw_problems(rng: np.random.Generator, n: int, n_lines: int, lengths: Sequence[int]) -> list[Problem]:
    """Draw problems.

    Parameters
    ----------
    rng
        Decides everything.
    n
        How many.
    n_lines
        Lines of each problem.
    lengths
        How many of them may do something, at places of their own; each number as often as the others.

    Examples
    --------
    >>> [problem.question() for problem in draw_problems(np.random.default_rng(0), 2, 4, [2])]
    ['0 + 0 + 0 - 4 * 2 ?', '6 + 0 + 0 * 6 + 2 ?']
    """
    does = rng.random((n, n_lines)).argsort(axis=1) < rng.choice(np.asarray(lengths), size=n)[:, None]
    signs = np.where(does, rng.integers(len(SIGNS), size=does.shape), SIGNS.index("+"))
    least = np.where(signs == SIGNS.index("*"), 2, 1)  # to multiply by 1 would do nothing
    digits = np.where(does, rng.integers(least, DIAL), 0)
    starts = rng.integers(DIAL, size=n).tolist()
    return [
        Problem(start, tuple(SIGNS[i] for i in row), tuple(numbers))
        for start, row, numbers in zip(starts, signs.tolist(), digits.tolist(), strict=True)
    ]


def solution(problem: Problem, level: Level, rng: np.random.Generator) -> str:
    """Return what a teacher answers.

    Parameters
    ----------
    problem
        What is solved.
    level
        What the teacher shows.
    rng
        Draws the wrong values of the teacher "style"; not used by the others.

    Raises
    ------
    ConfigError
        If there is no such level.

    Examples
    --------
    >>> problem, rng = Problem(3, ("+", "*", "-"), (5, 2, 6)), np.random.default_rng(0)
    >>> solution(problem, "answer", rng), solution(problem, "short", rng)
    ('answer : 3', '1 ; 2 ; 3 ; answer : 3')
    >>> solution(problem, "long", rng)
    '3 + 5 = 8 , 1 ; 1 * 2 = 2 , 2 ; 9 - 6 = 3 , 3 ; answer : 3'
    """
    if level not in get_args(Level):
        message = f"there is no level of detail {level!r}; {nearest(level, get_args(Level))}"
        raise ConfigError(message)
    values = problem.values()
    shown = np.array(values)
    if level == "style":
        shown = (shown + rng.integers(1, DIAL, size=len(shown))) % DIAL
    parts, before = [], problem.start
    for sign, digit, value in zip(problem.signs, problem.digits, shown.tolist(), strict=True):
        parts.append(f"{value} ;" if level == "short" else f"{worked(before, sign, digit)[0]} , {value} ;")
        before = value
    return " ".join([*(parts if level != "answer" else []), f"answer : {values[-1]}"])


def token_row(question: str, reply: str) -> tuple[list[int], int]:
    """Return a question with its reply as a row for `concordant.learn`: token ids, and how many are the question's.

    Examples
    --------
    >>> ids, given = token_row("3 + 5 ?", "answer : 1")
    >>> given, words_of(ids[given:])
    (5, 'answer : 1')
    """
    asked, said = ([_IDS[word] for word in text.split()] for text in (question, reply))
    return [BOS, *asked, *said, EOS], 1 + len(asked)


def words_of(ids: Sequence[int]) -> str:
    """Return the text of token ids up to the end of the reply."""
    found = list(ids)
    return " ".join(WORDS[i] for i in (found[: found.index(EOS)] if EOS in found else found))
