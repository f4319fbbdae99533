"""Explanations on a terminal: the answer, the warnings, and the explainers beside a random one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from concordant.report.explained_words import (
    RANDOM,
    answer,
    figures,
    higher_is_better,
    name_of,
    ranked,
    seconds_text,
    sentence,
    title_of,
)

if TYPE_CHECKING:
    from rich.console import Console

    from concordant.explanations.explained import Explained
    from concordant.explanations.judging import Judgement


def print_explained(explained: Explained, console: Console) -> None:
    """Print which explainer is truest to the classifier, what must be known before believing it, and all measures.

    Parameters
    ----------
    explained
        What came of explaining a set.
    console
        Where to print.
    """
    console.print(Text(answer(explained), style="bold"))
    for line in explained.warnings:
        console.print(Text(f"! {sentence(line)}", style="yellow"))
    console.print()
    if explained.judged is None:
        console.print(_seconds(explained))
        return
    console.print(_ranking(explained, explained.judged))
    console.print()
    console.print(_measures(explained.judged))
    console.print(
        Text(
            "In brackets 95 % intervals. * best of a measure, ~ not shown to be better than random.",
            style="dim",
        )
    )
    for note in explained.judged.notes:
        console.print(Text(sentence(note), style="dim"))


def _ranking(explained: Explained, judged: Judgement) -> Table:
    table = _table("rank", "explainer", title_of(judged.main), "over random", "time", "beats ranks")
    places = ranked(judged)
    rank = {place.name: str(place.rank) for place in places}
    for place in places:
        figure, seconds = place.figure, explained.seconds.get(place.name)
        cells = (
            str(place.rank),
            name_of(place.name),
            f"{figure.value} ({figure.interval})",
            figure.over_random,
            "" if seconds is None else seconds_text(seconds),
            ", ".join(rank[name] for name in place.beats) or "none",
        )
        table.add_row(*map(Text, cells), style="dim" if place.name == RANDOM else "")
    return table


def _measures(judged: Judgement) -> Table:
    order = [place.name for place in ranked(judged)]
    table = _table("measure", "better", *map(name_of, order))
    for measure, by_name in figures(judged).items():
        found = [by_name.get(name) for name in order]
        cells = [
            f"{f.value}{'*' if f.is_best else '~' if f.is_like_random else ' '}" if f else "– " for f in found
        ]
        better = "higher" if higher_is_better(judged, measure) else "lower"
        table.add_row(*map(Text, (title_of(measure), better, *cells)))
    return table


def _seconds(explained: Explained) -> Table:
    table = _table("explainer", "time")
    for name in explained.attributions:
        seconds = explained.seconds.get(name)
        table.add_row(Text(name_of(name)), Text("" if seconds is None else seconds_text(seconds)))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    words = {"explainer", "beats ranks", "measure", "better"}
    for name in columns:
        is_number = name not in words
        table.add_column(
            Text(name), justify="right" if is_number else "left", overflow="fold", no_wrap=is_number
        )
    return table
