"""Model surgery: a rude language turned down by moving a few gate rows, by the rate of rude tokens and what else is lost.

A small model learns a language in which lines that begin rudely go on so. A probe finds the direction of rudeness in
what the model wrote, and the rows that point against it are moved along it by growing lengths. The controls move as
many rows by the same vector: drawn ones, and those that point along it. Each method is measured at the greatest strength
that keeps the perplexity of plain lines within two per cent, chosen on other lines than those that are reported. At
full scale the model and the texts are yours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from concordant.studies.study import Claim, Measurements, Scale, study

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from concordant.studies.surgery_setting import SurgerySetting

RATE, RATIO = "relative_rate", "perplexity_ratio"
ALLOWED = 1.02
"""How far the perplexity of clean texts may rise, as a multiple."""

STRENGTHS = (1.0, 2.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0)
SHARE = 0.05
"""Of the gate rows that are moved."""


@dataclass(frozen=True)
class Sizes:
    """How much is drawn and how long is taught; chosen on seeds 1000 and above."""

    lines: int = 12_000
    steps: int = 400
    written: int = 300
    prompts: int = 400
    clean: int = 400
    pairs: int = 200
    strengths: tuple[float, ...] = STRENGTHS
    draws: int = 3


SMALLEST = Sizes(200, 10, 40, 20, 10, 20, (1.0, 4.0), 1)


@study(
    "model-surgery",
    claims=[
        Claim("lowers-the-behaviour", f"surgery.{RATE}", 1.0, "lower"),
        Claim("halves-the-behaviour", f"surgery.{RATE}", 0.5, "lower"),
        Claim("beats-random-rows", f"surgery.{RATE}", f"random.{RATE}", "lower"),
        Claim("beats-aligned-rows", f"surgery.{RATE}", f"aligned.{RATE}", "lower"),
        Claim("keeps-perplexity", f"surgery.{RATIO}", 1.03, "lower"),
        Claim("probe-tells-minimal-pairs", "probe.pair_accuracy", 0.8, "higher"),
    ],
    baseline="the same move of as many gate rows that are drawn",
)
def model_surgery(scale: Scale, seed: int) -> Measurements:
    """Measure the behaviour and the perplexity of clean texts over strengths, for opposed, aligned and drawn rows."""
    from concordant.learn.randomness import child_seeds
    from concordant.versions.editing.gates import row_scores, select_rows

    world, *draws = child_seeds(seed, 4)
    if scale is Scale.full:
        from concordant.studies.surgery_setting import named_setting

        setting, n = named_setting(seed=world), Sizes()
    else:
        from concordant.studies.surgery_setting import rude_setting

        n = SMALLEST if scale is Scale.smoke else Sizes()
        setting = rude_setting(n, seed=world)
    scores = row_scores(setting.module, setting.probe.direction)
    n_rows = max(1, round(SHARE * sum(map(len, scores.values()))))
    measured = {
        "unedited.rate": setting.tested.rate(setting.module),
        "unedited.perplexity": setting.tested.perplexity(setting.module),
        "probe.accuracy": setting.probe.accuracy.value,
        "probe.pair_accuracy": setting.pair_accuracy,
        "surgery.n_rows": float(n_rows),
    }
    measured |= _measured("surgery", setting, select_rows(scores, n_rows), n)
    measured |= _measured("aligned", setting, select_rows(scores, n_rows, "aligned"), n)
    drawn = [
        _measured("random", setting, select_rows(scores, n_rows, "random", seed=draw), n)
        for draw in draws[: n.draws]
    ]
    return measured | {name: sum(one[name] for one in drawn) / len(drawn) for name in drawn[0]}


def _measured(method: str, setting: SurgerySetting, rows: Mapping[str, Tensor], n: Sizes) -> dict[str, float]:
    """Sweep over strengths on the texts to choose by, and measure what was chosen on those to report."""
    from concordant.versions.editing.gates import surgery
    from concordant.versions.editing.sweep import strength_sweep, strongest_within

    module = setting.module
    rate, perplexity = (measure(module) for measure in (setting.chosen.rate, setting.chosen.perplexity))
    points = strength_sweep(
        module,
        lambda strength: surgery(module, setting.probe.direction, rows, strength),
        n.strengths,
        rate=lambda edited: _relative(setting.chosen.rate(edited), rate),
        cost=lambda edited: setting.chosen.perplexity(edited) / perplexity,
        label=method,
    )
    found = {f"{method}.{RATE}@{point.strength}": point.rate for point in points}
    found |= {f"{method}.{RATIO}@{point.strength}": point.cost for point in points}
    best = strongest_within(points, ALLOWED)
    before = setting.tested.rate(module), setting.tested.perplexity(module)
    after = before
    if best is not None:
        best.edit.apply(module)
        after = setting.tested.rate(module), setting.tested.perplexity(module)
        best.edit.undo(module)
    found[f"{method}.strength"] = 0.0 if best is None else best.strength
    found[f"{method}.{RATE}"] = _relative(after[0], before[0])
    found[f"{method}.{RATIO}"] = after[1] / before[1]
    return found


def _relative(after: float, before: float) -> float:
    """Return a rate as a multiple of that before; where there was none, one more than the rate."""
    return after / before if before else 1.0 + after
