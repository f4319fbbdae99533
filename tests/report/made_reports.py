"""Reports to write and to look at: made by the real flow from recorded answers, with nothing left to chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from concordant.core.check import check
from concordant.core.finding import Measure
from concordant.core.gate import Gate, GateResult
from concordant.core.items import Items
from concordant.core.kinds import Equal
from concordant.core.relation import AGREEMENT, Relation, Variant
from concordant.core.results import Report, Result
from concordant.core.rewrites import judge_rewrites
from concordant.core.statistics import t_estimate
from concordant.versions import Flips

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)> \"onmouseover='alert(3)' {{ 7*7 }} {% raw %} ]]> &amp; "
    "\x1b[31mred\x1b]0;title\x07 \x00 \x9b2J \u202eesrever\u2066 \ufffe \U000e0041 [bold]markup[/bold] | `code` | <!-- -->"
)
HOSTILE_NAME = HOSTILE + "\ud800"  # a table cannot hold half a surrogate pair, a name can
TOPICS = ("algebra", "geometry", "number theory", "probability", "word problems")
STEPS = "There are {a} of them at first, and {b} more arrive during the day.\nSo we add: {a} + {b} = {c}.\n#### {c}"


class Answers:
    """A batch model that answers from a column of texts, by the number in the id."""

    batch_size = 1_000_000

    def __init__(self, name, outputs, errors=None, samples=None):
        self.name, self.fingerprint = name, f"made-{name}"
        self.outputs, self.errors, self.samples = outputs, errors, samples

    def respond(self, items, request):
        rows = items.ids.str.extract(r"(\d+)").cast(pl.Int64).to_numpy()
        if request.n > 1:
            return pl.DataFrame({"output": [self.samples[row][i] for row in rows for i in range(request.n)]})
        frame = pl.DataFrame({"output": self.outputs[rows]})
        return frame if self.errors is None else frame.with_columns(error=self.errors[rows])


class Reworded(Relation):
    """Asks in other words: once politely, once with the numbers spelt out, once sampled five times."""

    name = "made.reworded"
    measures = (
        AGREEMENT,
        Measure(
            "violation_rate", "violated", "lower", "items on which at least one rewriting breaks the relation"
        ),
        Measure("accuracy", "right", "higher", "items answered rightly as they are"),
    )

    def __init__(self, other, n_variants=2):
        self.n_variants = n_variants
        self._other = other

    def expand(self, items):
        polite = [f"Please, if you can: {text} Thank you." for text in items.inputs]
        ways = [items, *[items.replace(input=polite)] * (self.n_variants - 1)]
        return [
            Variant("plain", items),
            *(Variant(f"polite {i}", way, model=self._other) for i, way in enumerate(ways[1:])),
        ]

    def judge(self, items, answers):
        return judge_rewrites(answers, Equal())


class Sampled(Relation):
    """Asks three times with a temperature."""

    name = "made.sampled"

    def expand(self, items):
        return [Variant("samples", items, ask={"n": 3, "temperature": 0.7})]

    def judge(self, items, answers):
        right = answers["samples"].right.mean(axis=1)
        return pl.DataFrame({"agreement": np.maximum(right, 1 - right)})


def questions(n=240, seed=0):
    """Items with a reference, a topic and a level."""
    generator = np.random.default_rng(seed)
    a, b = generator.integers(2, 90, n), generator.integers(2, 90, n)
    frame = pl.DataFrame({"a": a, "b": b}).with_columns(c=pl.col("a") + pl.col("b"))
    text = "Mia has {} marbles and finds {} more on her way home. How many marbles has she got now?"
    return Items.from_frame(
        frame.select(
            id=pl.format("q{}", pl.int_range(pl.len())),
            input=pl.format(text, "a", "b"),
            reference=pl.col("c").cast(pl.String),
            topic=pl.Series(np.array(TOPICS)[generator.integers(0, len(TOPICS), n)]),
            level=pl.Series(np.array(["easy", "hard"])[generator.integers(0, 2, n)]),
        )
    )


def outputs(items, accuracy, seed, words="of them"):
    """Worked solutions that end in the right number with a probability that falls with the level."""
    generator = np.random.default_rng(seed)
    harder = (items.frame["level"] == "hard").to_numpy() * 0.15
    harder = harder + (items.frame["topic"] == "geometry").to_numpy() * 0.2 * (seed % 2)
    wrong = generator.random(len(items)) > accuracy - harder
    c = items.reference.cast(pl.Int64) + pl.Series(wrong * generator.integers(1, 9, len(items)))
    frame = pl.DataFrame({"c": c})
    text = (
        "There are some "
        + words
        + " at first, and more are found on the way.\nSo we add them up to {}.\n#### {}"
    )
    return frame.select(pl.format(text, "c", "c")).to_series()


def model_pair(items, *, hostile=False, n_errors=3):
    """An old and a new model; the old one fails on a few items."""
    old, new = outputs(items, 0.72, 1), outputs(items, 0.84, 2, words="marbles")
    if hostile:
        new = pl.Series([HOSTILE] * len(items))
    errors = pl.Series(
        [f"time-out after 30 s {HOSTILE if hostile else ''}"] * n_errors + [None] * (len(items) - n_errors)
    )
    return Answers(HOSTILE_NAME if hostile else "marbles-1", old, errors), Answers("marbles-2", new)


def flips_report(
    n=240, *, gates=("negative_flip_rate <= 0.3", "gain >= 0.05", "gain >= 0.4"), hostile=False, more=()
):
    """A report on an update, by the real flow."""
    items = questions(n)
    if hostile:
        inputs = [f"{text} {HOSTILE}" for text in items.inputs]
        items = items.replace(
            input=inputs, topic=[HOSTILE if t == "algebra" else t for t in items.frame["topic"]]
        )
    old, new = model_pair(items, hostile=hostile)
    return check(
        new,
        items,
        [Flips(old), *more],
        gates={"versions.flips": list(gates)} if gates else None,
        grade="number",
        progress=False,
        title=HOSTILE_NAME if hostile else "marbles-2 against marbles-1",
    )


def several_report(n=240):
    """A report with three relations."""
    items = questions(n)
    return flips_report(
        n,
        more=[
            Reworded(Answers("marbles-2", outputs(items, 0.8, 3, words="marbles"))),
        ],
    )


def with_unknowns(report):
    """The same report with figures that are not numbers, and gates on them."""
    result = report.results["versions.flips"]
    gain = result.findings["gain"]
    unknown = replace(
        gain, measure="unknown", estimate=t_estimate(0.3, float("inf"), 0, n=1), p_value=float("nan")
    )
    nothing = replace(
        gain, measure="nothing", estimate=t_estimate(float("nan"), float("nan"), 0, n=0), p_value=None
    )
    findings = {**result.findings, "unknown": unknown, "nothing": nothing}
    gate = GateResult(Gate("unknown", high=0.5), unknown, "undecided", 1.0, 1.0, None)
    changed = Result(result.relation, result.items, result.answers, result.verdicts, findings, result.slices)
    return Report(
        report.title,
        report.items,
        {**report.results, result.name: changed},
        [*report.gates, gate],
        report.about,
    )


def stored(report):
    """The same report as it is read from a run of which only findings and verdicts are kept."""
    results = {
        name: Result(r.relation, r.items, {}, r.verdicts, r.findings, r.slices)
        for name, r in report.results.items()
    }
    return Report(report.title, report.items, results, report.gates, report.about)
