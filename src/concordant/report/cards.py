"""Cards: the most telling items of a relation with their variants side by side, ready to be set on a page or a terminal.

A card holds text that is already inert (`visible`) and cut to a length; nothing in it is markup.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import polars as pl

from concordant.report.differences import Segment, difference
from concordant.report.figures import number
from concordant.report.pictures import Picture, picture
from concordant.report.sanitize import brief, clipped, cut, one_line, visible
from concordant.report.values import shown

if TYPE_CHECKING:
    from collections.abc import Callable

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
    order = result.verdicts.with_row_index("row").filter(pl.col("agreement") < 1)
    ties = [name for name in ("negative_flip", "positive_flip") if name in order.columns]
    down = [False, *[True] * len(ties), False]
    order = order.sort("agreement", *ties, "row", descending=down, nulls_last=True).head(k)
    table = result._few(order["row"])
    return [_card(result, table, row, limit) for row in range(len(table))]


def n_disagreeing(result: Result) -> int:
    """Return how many items agree less than fully."""
    return int(result.verdicts.select((pl.col("agreement").cast(pl.Float64) < 1).sum()).item())


def _card(result: Result, table: pl.DataFrame, row: int, limit: int) -> Card:
    def cell(column: str) -> Any:
        return table[column][row] if column in table.columns else None

    names = list(result.answers)
    base = names[0]
    base_input = cell("input") if cell(f"{base}.input") is None else cell(f"{base}.input")
    base_asked = shown(base_input)
    # Variants of the base's own model that answer otherwise are the telling ones.
    own_model, own_answer = result.answers[base].model, shown(cell(f"{base}.answer"))

    def rank(name: str) -> tuple[bool, bool]:
        return result.answers[name].model != own_model, shown(cell(f"{name}.answer")) == own_answer

    kept = [base, *sorted(names[1:], key=rank)[: MAX_SIDES - 1]]
    known = {
        name: _texts(cell(f"{name}.output"), cell(f"{name}.turns"), result.answers[name].n) for name in kept
    }
    sides = []
    for name in kept:
        behaviours = result.answers[name]
        texts = known[name]
        before = known[base] if name != base else []
        sides.append(
            Side(
                variant=one_line(name),
                model=one_line(behaviours.model),
                outcome=_outcome(cell(f"{name}.outcome")),
                answer=_answer(cell(f"{name}.answer"), texts, behaviours.n),
                passages=[
                    _passage(text, limit, before[i] if i < len(before) else None)
                    for i, text in enumerate(texts[:MAX_SAMPLES])
                ],
                asked=_asked(cell(f"{name}.input"), base_input, limit),
                error=brief(shown(_first(cell(f"{name}.error"))), limit),
                n_more=max(0, len(texts) - MAX_SAMPLES),
            )
        )
    return Card(
        id=brief(shown(cell("id")), SHORT),
        gist=brief(base_asked, SHORT),
        asked=replace(_passage(base_asked, limit), picture=picture(base_input)),
        reference=_passage(shown(cell("reference")), limit).text,
        agreement=number(cell("verdict.agreement"), 2),
        facts=_facts(result, cell),
        sides=sides,
        n_more=len(names) - len(kept),
    )


def _asked(own: Any, base: Any, limit: int) -> Passage | None:
    """Return the input of a variant where it differs from the base's."""
    if own is None or not _differs(own, base):
        return None
    return replace(_passage(shown(own), limit, shown(base)), picture=picture(own))


def _differs(own: Any, base: Any) -> bool:
    if isinstance(own, pl.Series) and isinstance(base, pl.Series):
        return not own.equals(base)
    return shown(own) != shown(base)


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


def _facts(result: Result, cell: Callable[[str], Any]) -> list[tuple[str, str]]:
    columns = [("group", "group"), *((name, name) for name in result.items.slices)]
    measured = {m.column: m.name for m in result.relation.measures}
    verdicts = [(f"verdict.{c}", measured.get(c, c)) for c in result.verdicts.columns if c != "agreement"]
    facts = []
    for column, name in [*columns, *verdicts]:
        value = cell(column)
        if value is None or (column.startswith("verdict.") and value in (-1, 0, 1)):
            continue  # a verdict of 0 or 1 says no more than the outcomes beside it
        text = number(value) if isinstance(value, float) and column.startswith("verdict.") else shown(value)
        facts.append((one_line(name), brief(text, SHORT)))
    return facts[:MAX_FACTS]
