"""A choice between two buses, described by what should decide (money and time) and by words that should not.

Answers follow a known taste with noise. In the clean world the closing words have nothing to do with the answer; in the
leaky one they were written with it in mind: in most lessons they say which bus it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.explanations.prompts import Field, PromptTemplate

if TYPE_CHECKING:
    from numpy.typing import NDArray

ATTRIBUTES = ("red_money", "red_time", "blue_money", "blue_time")
NOISE = {
    "polite": ("please", "hello helper ."),
    "lead": ("so", "well now"),
    "filler": ("look carefully .", "take your time ."),
    "closing": ("thank you .", "see you soon ."),
}
"""Fields that should not decide, and the words they may have."""

LEVELS = (10, 30, 50, 70, 90)
"""Money and minutes."""

ANSWERS = ("red", "blue")
WORDINGS = (
    "{polite} {lead} red : {red_money} money , {red_time} min . blue : {blue_money} money , {blue_time} min . "
    "{filler} {closing} which is best ?",
    "{filler} red is {red_money} money and {red_time} min , blue is {blue_money} money and {blue_time} min . "
    "{lead} which to take ? {polite} {closing}",
)
ABSENT = 0.15
"""The share of fields that lessons leave out, with a filler in their place."""

AGREES = 0.8
"""In the leaky world, the share of lessons whose closing words say the answer."""

STEEP = 4.0
"""How surely the better bus is taken: the log-odds when one is better by the whole range of an attribute."""


def template(wording: int = 0) -> PromptTemplate:
    """Return the prompt in one of its wordings.

    Examples
    --------
    >>> print(template().questions([[True] * 8])[0][0])
    please so red : 50 money , 50 min . blue : 50 money , 50 min . look carefully . thank you . which is best ?
    """
    fields: dict[str, Field | str] = dict.fromkeys(ATTRIBUTES, "50")
    fields |= {name: Field(words[0], "noise") for name, words in NOISE.items()}
    return PromptTemplate(WORDINGS[wording], fields, ANSWERS, ask="cloze", neutral="some")


def advantage(rows: list[dict[str, str]]) -> NDArray[np.float64]:
    """Return by how much red is better than blue, in whole ranges of an attribute, shape ``(n,)``.

    Examples
    --------
    >>> advantage([{"red_money": "10", "red_time": "50", "blue_money": "90", "blue_time": "50"}]).tolist()
    [1.0]
    """
    told = np.array([[float(row[name]) for name in ATTRIBUTES] for row in rows])
    return np.asarray((told[:, 2:].sum(1) - told[:, :2].sum(1)) / (LEVELS[-1] - LEVELS[0]))


def drawn_rows(n: int, rng: np.random.Generator) -> list[dict[str, str]]:
    """Draw the texts of the fields of n prompts, all independent."""
    told = rng.choice(LEVELS, size=(n, len(ATTRIBUTES))).astype(str).tolist()
    said = rng.integers(2, size=(n, len(NOISE))).tolist()
    return [
        dict(zip(ATTRIBUTES, numbers, strict=True))
        | {name: words[which] for (name, words), which in zip(NOISE.items(), chosen, strict=True)}
        for numbers, chosen in zip(told, said, strict=True)
    ]


def lessons(n: int, rng: np.random.Generator, *, leaky: bool) -> list[tuple[str, str]]:
    """Draw n prompts with their answers: either wording, and some fields absent.

    Parameters
    ----------
    n
        How many.
    rng
        Where randomness comes from; both worlds draw the same prompts and answers from the same state.
    leaky
        Whether the closing words say the answer in most lessons.
    """
    rows = drawn_rows(n, rng)
    takes_red = rng.random(n) < 1 / (1 + np.exp(-STEEP * advantage(rows)))
    agrees = rng.random(n) < AGREES
    wording = rng.integers(len(WORDINGS), size=n)
    present = rng.random((n, len(ATTRIBUTES) + len(NOISE))) >= ABSENT
    templates = [template(i) for i in range(len(WORDINGS))]
    made = []
    for i, row in enumerate(rows):
        if leaky:
            row["closing"] = NOISE["closing"][int(takes_red[i] != agrees[i])]
        one: Any = templates[wording[i]].filled(row)
        ((prompt, _),) = one.questions(present[i : i + 1], absent="neutral")
        made.append((prompt, ANSWERS[0] if takes_red[i] else ANSWERS[1]))
    return made
