"""Cards: the most telling items of a relation with their variants side by side, ready to be set on a page or a terminal.

A card holds text that is already inert (`visible`) and cut to a length; nothing in it is markup.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import polars as pl

from concordant.core.prompts import LETTERS
from concordant.report.differences import Segment, difference
from concordant.report.figures import number
from concordant.report.pictures import Picture, picture
from concordant.report.sanitize import brief, clipped, cut, one_line, visible
from concordant.report.values import shown

if TYPE_CHECKING:
    from concordant.core.results import Result

MAX_SIDES = 6
MAX_SAMPLES = 3
MAX_FACTS = 12
SHORT = 120


@dataclass(frozen=True, slots=True)
class Passage:
    """A text, cut to a length: its segments against the base variant, and how many characters were left out.

    An array has a picture beside its text.
    """

    segments: list[Segment]
    n_more: int = 0
    picture: Picture | None = None

    @property
    def text(self) -> str:
        """The text itself, without what the base had in its place."""
        return "".join(s.text for s in self.segments if s.kind != "gone")


@dataclass(frozen=True, slots=True)
class Side:
    """One variant of an item.

    Parameters
    ----------
    variant, model
        Name of the column, and of the model that answered.
    outcome
        "right", "wrong", "ungraded", "error", "not asked", or for several samples their counts: "3 right, 2 wrong".
    answer
        What was compared, where it is not the whole output; with several samples, each with how often it came.
    passages
        The output, or the first samples, or the turns of a conversation.
    asked
        The input, where it differs from the base's.
    error
        Why there is no output.
    n_more
        Samples or turns left out.
    """

    variant: str
    model: str
    outcome: str
    answer: str
    passages: list[Passage]
    asked: Passage | None = None
    error: str = ""
    n_more: int = 0


@dataclass(frozen=True, slots=True)
class Card:
    """One item and its variants.

    Parameters
    ----------
    id, gist, asked, reference
        The item; `gist` is the input on one line.
    agreement
        How far its variants agree, as text.
    facts
        Further columns and verdicts, as pairs of texts.
    sides
        The variants: the base, then those of the same model that answer otherwise, then the others.
    n_more
        Variants left out.
    """

    id: str
    gist: str
    asked: Passage
    reference: str
    agreement: str
    facts: list[tuple[str, str]]
    sides: list[Side] = field(default_factory=list)
    n_more: int = 0


def cards(result: Result, k: int = 10, limit: int = 2000) -> list[Card]:
    """Return the `k` most telling items of a relation.

    The items that agree least come first; among equals those that went from right to wrong, then those that went
    from wrong to right, then the order of the items.

    Parameters
    ----------
    result
        What the relation found.
    k
        How many items.
    limit
        Characters kept of each text.
    """
    if not result.answers:  # read from a run of which only the findings are known
        return []
    table = result.worst(k)
    options = _options(result, table["id"])
    return [_card(result, _Row(table, options, row), limit) for row in range(len(table))]


def n_disagreeing(result: Result) -> int:
    """Return how many items agree less than fully."""
    return int(result.verdicts.select((pl.col("agreement").cast(pl.Float64) < 1).sum()).item())


Options = dict[str, dict[str, list[str]]]


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of the wide table, with the options of each variant beside it."""

    table: pl.DataFrame
    options: Options
    row: int

    def __getitem__(self, column: str) -> Any:
        return self.table[column][self.row] if column in self.table.columns else None

    def asked(self, variant: str) -> str:
        """Return what a variant asked, its lettered options included; nothing where it left the item out."""
        text = shown(self[f"{variant}.input"])
        options = self.options.get(variant, {}).get(self["id"]) or []
        lines = [f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False)]
        return text if not lines or lines[0] in text else "\n".join([text, *lines])


def _options(result: Result, ids: pl.Series) -> Options:
    found: Options = {}
    for name, behaviours in result.answers.items():
        if (choices := behaviours.items.choices) is not None:
            kept = behaviours.items.ids.is_in(ids.implode())
            rows = zip(behaviours.items.ids.filter(kept), choices.filter(kept).to_list(), strict=True)
            found[name] = dict(rows)
    return found


def _card(result: Result, row: _Row, limit: int) -> Card:
    names = list(result.answers)
    base = names[0]
    # Variants of the base's own model that answer otherwise are the telling ones.
    own_model, own_answer = result.answers[base].model, shown(row[f"{base}.answer"])

    def rank(name: str) -> tuple[bool, bool]:
        return result.answers[name].model != own_model, shown(row[f"{name}.answer"]) == own_answer

    kept = [base, *sorted(names[1:], key=rank)[: MAX_SIDES - 1]]
    is_asked = row[f"{base}.input"] is not None
    asked = row.asked(base) if is_asked else shown(row["input"])
    drawn = picture(row[f"{base}.input"] if is_asked else row["input"])
    return Card(
        id=brief(shown(row["id"]), SHORT),
        gist=brief(asked, SHORT),
        asked=replace(_passage(asked, limit), picture=drawn),
        reference=_passage(shown(row["reference"]), limit).text,
        agreement=number(row["verdict.agreement"], 2),
        facts=_facts(result, row),
        sides=[_side(result, row, name, base, limit) for name in kept],
        n_more=len(names) - len(kept),
    )


def _side(result: Result, row: _Row, name: str, base: str, limit: int) -> Side:
    behaviours = result.answers[name]
    texts = _texts(row[f"{name}.output"], row[f"{name}.turns"], behaviours.n)
    before: list[str] = []
    if name != base:
        before = _texts(row[f"{base}.output"], row[f"{base}.turns"], result.answers[base].n)
    return Side(
        variant=one_line(name),
        model=one_line(behaviours.model),
        outcome=_outcome(row[f"{name}.outcome"]),
        answer=_answer(row[f"{name}.answer"], texts, behaviours.n),
        passages=[
            _passage(text, limit, before[i] if i < len(before) else None)
            for i, text in enumerate(texts[:MAX_SAMPLES])
        ],
        asked=_asked(row, name, base, limit),
        error=brief(shown(_first(row[f"{name}.error"])), limit),
        n_more=max(0, len(texts) - MAX_SAMPLES),
    )


def _asked(row: _Row, name: str, base: str, limit: int) -> Passage | None:
    """Return what a variant asked, where it differs from what the base asked."""
    own, other = row[f"{name}.input"], row[f"{base}.input"]
    if own is None or other is None or name == base:
        return None
    numbers = isinstance(own, pl.Series) and isinstance(other, pl.Series)
    text, before = row.asked(name), row.asked(base)
    if own.equals(other) if numbers else text == before:
        return None
    return replace(_passage(text, limit, before), picture=picture(own))


def _texts(output: Any, turns: Any, n: int) -> list[str]:
    if turns is not None and n == 1:
        return [shown(turn) for turn in turns]
    outputs = [output] if n == 1 else ([] if output is None else list(output))
    return [shown(o) for o in outputs if o is not None]


def _passage(text: str, limit: int, before: str | None = None) -> Passage:
    shown_text, n_cut = cut(visible(text[:limit]), limit)
    n_more = n_cut + max(0, len(text) - limit)
    if before is None or before == text:
        return Passage([Segment("same", shown_text)] if shown_text else [], n_more)
    return Passage(difference(visible(before[:limit])[:limit], shown_text), n_more)


def _outcome(outcome: Any) -> str:
    if outcome is None:
        return "not asked"
    if isinstance(outcome, str):
        return outcome
    counts = Counter("not asked" if o is None else o for o in outcome)
    if len(counts) == 1:
        return str(next(iter(counts)))
    return ", ".join(f"{n} {name}" for name, n in counts.most_common())


def _answer(answer: Any, texts: list[str], n: int) -> str:
    """Return what was compared, unless the output itself says just that."""
    if n == 1:
        text = one_line(shown(answer))
        return "" if [text] == [t.strip() for t in texts] else clipped(text, SHORT)
    if answer is None:
        return ""
    counts = Counter(one_line(shown(a)) for a in answer if a is not None)
    return ", ".join(f"{clipped(text, SHORT // 2)} ×{times}" for text, times in counts.most_common(5))


def _first(value: Any) -> Any:
    if isinstance(value, pl.Series | list):
        return next((v for v in value if v is not None), None)
    return value


def _facts(result: Result, row: _Row) -> list[tuple[str, str]]:
    columns = [("group", "group"), *((name, name) for name in result.items.slices)]
    facts = [
        (one_line(name), brief(shown(row[column]), SHORT))
        for column, name in columns
        if row[column] is not None
    ]
    measured = {m.column: m.name for m in result.relation.measures}
    for column in result.verdicts.columns:
        value = row[f"verdict.{column}"]
        # A verdict of 0 or 1 says no more than the outcomes beside it.
        if column != "agreement" and isinstance(value, float) and value not in (-1, 0, 1):
            facts.append((one_line(measured.get(column, column)), number(value)))
    return facts[:MAX_FACTS]
