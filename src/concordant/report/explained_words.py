"""What a comparison of explainers says, in words and rows: for the page and for the terminal."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from concordant.explanations.judging.measures import MEASURES
from concordant.report.figures import NO_BREAK, UNKNOWN, decimals, number, p_text
from concordant.report.sanitize import brief

if TYPE_CHECKING:
    from concordant.explanations.explained import Explained
    from concordant.explanations.judging import Judgement

RANDOM = "random"
LEVEL = 0.05
RANDOM_PASSES = {"sanity_loss"}
"""Measures that random numbers pass by their nature, so that it says nothing not to be better."""
MAX_NAME = 60
MAX_LINE = 400
MAX_LISTED = 4
NUMBER = re.compile(r"[-+]?[\d.]+")
TITLES = {"auprc_score": "AUPRC", "aup_score": "AUP", "aur_score": "AUR", "iou_score": "IoU"}
PHRASES = {
    "sufficiency_gap": "when only the numbers that it calls most important are kept, the class loses {} of its probability",
    "comprehensiveness_score": "without the numbers that it calls most important, the class loses {} of its probability",
}
"""What the main measure means in a sentence about an explainer."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A measure of an explainer.

    Attributes
    ----------
    value, interval
        As text.
    over_random, over_random_interval
        How much better than random numbers it is, as text; empty where that is not known.
    p
        Of that difference, corrected, as text.
    numbers
        The value and the ends of its interval.
    n
        Series that it stands on.
    is_best
        Whether no other explainer's value is better; random numbers are no explainer.
    is_like_random
        Whether it was compared with random numbers, and is not shown to be better.
    """

    value: str
    interval: str
    over_random: str
    over_random_interval: str
    p: str
    numbers: tuple[float, float, float]
    n: int
    is_best: bool
    is_like_random: bool


@dataclass(frozen=True, slots=True)
class Place:
    """An explainer's place in the ranking.

    Attributes
    ----------
    rank
        1 for the first.
    name
        Of the explainer.
    figure
        Its main measure.
    beats
        Those that it is better than beyond chance.
    """

    rank: int
    name: str
    figure: Figure
    beats: list[str]


def name_of(text: str) -> str:
    """Return a name as it is shown: one line, not too long."""
    return brief(text, MAX_NAME)


def ranked(judged: Judgement) -> list[Place]:
    """Return the ranking, the first first."""
    main = figures(judged)[judged.main]
    rows = judged.ranking.sort("rank").iter_rows(named=True)
    return [Place(int(r["rank"]), r["explainer"], main[r["explainer"]], list(r["beats"] or [])) for r in rows]


def beats_text(place: Place, places: list[Place]) -> str:
    """Return which explainers one beats; of many, which of those below it it does not.

    Parameters
    ----------
    place
        Its place.
    places
        The whole ranking.
    """
    if len(place.beats) <= MAX_LISTED:
        return listed(place.beats) if place.beats else "none"
    others = [other.name for other in places if other.rank > place.rank and other.name not in place.beats]
    return f"all below but {listed(others)}" if others else "all below"


def figures(judged: Judgement) -> dict[str, dict[str, Figure]]:
    """Return all figures by measure and explainer, in the order in which they were measured."""
    found: dict[str, dict[str, Figure]] = {}
    for measure in judged.measures["measure"].unique(maintain_order=True):
        rows = judged.measures.filter(measure=measure)
        known = rows.filter(rows["explainer"] != RANDOM)["value"].drop_nulls().drop_nans()
        best = known.max() if higher_is_better(judged, measure) else known.min()
        found[measure] = {row["explainer"]: _figure(row, best) for row in rows.iter_rows(named=True)}
    return found


def higher_is_better(judged: Judgement, measure: str) -> bool:
    """Whether more of a measure is better."""
    return bool(judged.measures.filter(measure=measure)["direction"][0] == "higher")


def answer(explained: Explained) -> str:
    """Say in a sentence or two which explainer is truest to the classifier, and whether that is known.

    Parameters
    ----------
    explained
        What was explained.
    """
    judged = explained.judged
    if judged is None:
        only = name_of(next(iter(explained.attributions)))
        return (
            f"{only} explains {rows_text(explained)}. It was not compared with anything, so nothing here says whether to "
            "believe it."
        )
    places = ranked(judged)
    first = places[0]
    best = next((place for place in places if place.name != RANDOM), first)
    control = next((place for place in places if place.name == RANDOM), None)
    phrase = PHRASES.get(judged.main, f"its {title_of(judged.main)} is {{}}")
    said = phrase.format(_with_interval(best.figure))
    if control is not None:
        said += f"; with random numbers, {_with_interval(control.figure)}"
    name = name_of(best.name)
    if control is not None and RANDOM not in best.beats:
        return f"No explainer is shown to be truer to the classifier than random numbers. The best is {name}: {said}."
    rivals = [place.name for place in places if place is not best and place.name not in best.beats]
    equal = f" It is not shown to be truer than {listed(rivals)}." if rivals else ""
    return f"{name} is truest to the classifier here: {said}.{equal}"


def rows_text(explained: Explained) -> str:
    """Return how many series or rows there are, and of what: ``150 series of GunPoint_TEST.ts``."""
    n = len(explained.data.x)
    unit = ("row" if n == 1 else "rows") if explained.data.is_table else "series"
    return f"{n:,} {unit} of {name_of(explained.data.name)}"


def class_name(explained: Explained, label: int) -> str:
    """Return what a class is called; where it has no name, or a number for one, that with the word."""
    classes = explained.data.classes
    name = brief(classes[label], MAX_NAME) if label < len(classes) else str(label)
    return f"class {name}" if NUMBER.fullmatch(name) else name


def listed(names: list[str]) -> str:
    """Return names as people list them.

    Examples
    --------
    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    shown = [name_of(name) for name in names]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def title_of(measure: str) -> str:
    """Return what a measure is called in a sentence.

    Examples
    --------
    >>> title_of("sufficiency_gap"), title_of("iou_score")
    ('sufficiency gap', 'IoU')
    """
    return TITLES.get(measure, measure.replace("_", " "))


def sentence(text: str) -> str:
    """Return a clause as a sentence on one line, with the measures as they are called in sentences.

    Examples
    --------
    >>> sentence("sanity_loss of timex was not measured")
    'Sanity loss of timex was not measured.'
    """
    line = brief(text, MAX_LINE)
    for measure in MEASURES:
        line = line.replace(measure, title_of(measure))
    return line[:1].upper() + line[1:] + ("" if line.endswith((".", "!", "?", "…")) else ".")


def seconds_text(seconds: float) -> str:
    """Return how long something took.

    Examples
    --------
    >>> seconds_text(0.0123), seconds_text(5.21), seconds_text(190.0)
    ('0.01 s', '5.2 s', '3 min 10 s')
    """
    if seconds >= 120:
        return f"{int(seconds) // 60} min {int(seconds) % 60} s"
    return f"{seconds:.{2 if seconds < 1 else 1 if seconds < 10 else 0}f} s"


def _figure(row: dict[str, Any], best: Any) -> Figure:
    value, low, high = (_float(row[key]) for key in ("value", "low", "high"))
    gain, gain_low, gain_high = (
        _float(row[key]) for key in ("over_random", "over_random_low", "over_random_high")
    )
    places, gain_places = decimals(low, high), decimals(gain_low, gain_high)
    gain_interval = (
        f"{number(gain_low, gain_places, signed=True)} to {number(gain_high, gain_places, signed=True)}"
    )
    return Figure(
        number(value, places),
        UNKNOWN if math.isnan(low) else f"{number(low, places)} to {number(high, places)}",
        "" if math.isnan(gain) else number(gain, gain_places, signed=True),
        "" if math.isnan(gain_low) else gain_interval,
        "" if row["p_adjusted"] is None else p_text(row["p_adjusted"]),
        (value, low, high),
        int(row["n"] or 0),
        row["explainer"] != RANDOM and value == best,
        row["p_adjusted"] is not None
        and row["measure"] not in RANDOM_PASSES
        and not (gain > 0 and row["p_adjusted"] < LEVEL),
    )


def _with_interval(figure: Figure) -> str:
    return f"{figure.value}{NO_BREAK}({figure.interval})"


def _float(value: float | None) -> float:
    return float("nan") if value is None else float(value)
