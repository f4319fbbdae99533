"""What a skill is: a generator of examples, a solver that reads the prompt, a verifier of answers."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from concordant.core.errors import ConfigError, DataError
from concordant.core.prompts import INSTRUCTION, LETTERS
from concordant.pocket.vocabulary import spaced, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.random import Generator

MAX_PROMPT_WORDS = 120
"""No prompt, as it is asked, has more words than this."""

MAX_ANSWER_WORDS = 120
"""No answer with its worked steps has more words than this."""


@dataclass(frozen=True, slots=True)
class Example:
    """One question with its right answer.

    Parameters
    ----------
    prompt
        The question, words separated by single spaces; without the options.
    answer
        A right answer; where there are `choices`, the text of the right one.
    skill, difficulty
        Where it comes from.
    form
        Which kind of question of the skill it is: "control", "behaviour", "coverage", ...
    group
        What questions that belong together share: the fact, the story, the program.
    choices
        The options in the order asked, or None.
    steps
        The work that leads to the answer, as text, or None.

    Examples
    --------
    >>> Example("which is red ?", "blood", "facts", 1, choices=("sky", "blood")).reply()
    'B'
    """

    prompt: str
    answer: str
    skill: str
    difficulty: int
    form: str = ""
    group: str = ""
    choices: tuple[str, ...] | None = None
    steps: str | None = None

    def asked(self) -> str:
        """Return the prompt with lettered options, in the words of `concordant.core.prompts`."""
        if self.choices is None:
            return self.prompt
        options = " ".join(f"{letter}. {text}" for letter, text in zip(LETTERS, self.choices, strict=False))
        return spaced(f"{self.prompt} {options} {INSTRUCTION}")

    def reply(self, *, worked: bool = False) -> str:
        """Return the right reply to `asked`: the letter of an option, or the answer, after its steps if `worked`."""
        last = self.answer if self.choices is None else LETTERS[self.choices.index(self.answer)]
        return f"{self.steps} answer : {last}" if worked and self.steps else last

    def messages(self, *, worked: bool = False) -> list[dict[str, str]]:
        """Return question and reply as the two turns of a conversation, for a chat template."""
        reply = self.reply(worked=worked)
        return [{"role": "user", "content": self.asked()}, {"role": "assistant", "content": reply}]


@dataclass(frozen=True, slots=True)
class Skill:
    """Something that can be asked, with ground truth.

    Parameters
    ----------
    name
        Its name in the registry.
    about
        One line on what it asks.
    difficulties
        The levels it has, easiest first.
    draw
        Draws an example of a difficulty from a generator; use `generate`.
    work_out
        Finds a right answer from the text of the prompt alone, sharing no code path with `draw`; use `solve`.
    accepts
        Whether an answer to a prompt is right; by default, whether it equals what `work_out` finds.
    draw_group
        Draws all questions that belong together, for skills that have such; use `generate_group`.
    """

    name: str
    about: str
    difficulties: tuple[int, ...]
    draw: Callable[[Generator, int], Example]
    work_out: Callable[[str], str]
    accepts: Callable[[str, str], bool] | None = None
    draw_group: Callable[[Generator, int], list[Example]] | None = None

    def generate(self, rng: Generator, difficulty: int) -> Example:
        """Draw an example.

        Raises
        ------
        ConfigError
            If the skill has no such difficulty.
        """
        self.check_difficulty(difficulty)
        return self.draw(rng, difficulty)

    def generate_group(self, rng: Generator, difficulty: int) -> list[Example]:
        """Draw questions that belong together: all about one story, run or family; one alone for other skills."""
        self.check_difficulty(difficulty)
        return [self.draw(rng, difficulty)] if self.draw_group is None else self.draw_group(rng, difficulty)

    def check_difficulty(self, difficulty: int) -> None:
        """Raise `ConfigError` if the skill has no such difficulty."""
        if difficulty not in self.difficulties:
            allowed = ", ".join(str(level) for level in self.difficulties)
            message = f"skill {self.name!r} has the difficulties {allowed}; got {difficulty!r}"
            raise ConfigError(message)

    def solve(self, prompt: str) -> str:
        """Return a right answer to a prompt; the letter of an option where the prompt lists options.

        Raises
        ------
        DataError
            If the prompt is not one of this skill's.
        """
        stem, options = read_options(prompt)
        with self._reading(prompt):
            answer = self.work_out(stem)
            return LETTERS[options.index(answer)] if options else answer

    def verify(self, prompt: str, answer: str) -> bool:
        """Whether an answer to a prompt is right, in any of the forms it may take.

        Work before the last ``answer :`` and a full stop at the end do not count. Where the prompt lists
        options, their letter or their text will do.

        Raises
        ------
        DataError
            If the prompt is not one of this skill's.
        """
        stem, options = read_options(prompt)
        given = final(answer)
        if len(given) == 1 and given in LETTERS[: len(options)]:
            given = options[LETTERS.index(given)]
        with self._reading(prompt):
            return given == self.work_out(stem) if self.accepts is None else self.accepts(stem, given)

    @contextmanager
    def _reading(self, prompt: str) -> Iterator[None]:
        """Say in one sentence that a prompt cannot be read, whatever it was that failed on it."""
        try:
            yield
        except (ValueError, LookupError, AttributeError, ArithmeticError, TypeError):
            message = f"skill {self.name!r} reads only prompts such as it generates; got {prompt[:80]!r}"
            raise DataError(message) from None


def one_of(draw_group: Callable[[Generator, int], list[Example]]) -> Callable[[Generator, int], Example]:
    """Make a draw of one example from a draw of examples that belong together."""

    def draw(rng: Generator, difficulty: int) -> Example:
        group = draw_group(rng, difficulty)
        return group[int(rng.integers(len(group)))]

    return draw


def final(answer: str) -> str:
    """Return the answer proper: what follows the last ``answer :``, without a full stop at its end.

    Examples
    --------
    >>> final("3 + 4 = 7. Answer: 7."), final("yes")
    ('7', 'yes')
    """
    text = re.split(r"(?:^| )answer : ", spaced(answer))[-1]
    return text.removesuffix(".").strip()


def read_options(prompt: str) -> tuple[str, list[str]]:
    """Split a prompt into its question and its lettered options, none where it lists none.

    Examples
    --------
    >>> read_options("which is red ? A . sky B . blood answer with the letter of the right option .")
    ('which is red ?', ['sky', 'blood'])
    """
    text = spaced(prompt)
    instruction = spaced(INSTRUCTION)
    if not text.endswith(instruction):
        return text, []
    stem, *options = re.split(r" [A-D] \. ", text.removesuffix(instruction).rstrip() + " ")
    return stem, [option.strip() for option in options]


def numbers(text: str) -> list[int]:
    """Return the numbers in a text, in order."""
    return [int(word) for word in words(text) if word.isdigit()]
