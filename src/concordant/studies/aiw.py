"""Alice in Wonderland: how far success on one short puzzle swings with its numbers, beside what chance would do.

Part one counts again what large models answered when the paper's authors asked them: each model on each family of
prompts is a unit, of four or six variations. They differ in their numbers, and some in which of two nouns comes first;
no control questions were recorded. Part two asks a small model, trained here, about numbers for which it was taught
only the controls. At full scale a model of yours is asked instead.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.errors import ConfigError
from concordant.studies.study import Claim, Measurements, Scale, study

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import ArrayLike

    from concordant.core.items import Items

MODEL = "CONCORDANT_AIW_MODEL"
"""Names the environment variable that says which model is asked at full scale, as `concordant.load` takes it."""

FLAT = ("o1-preview", "AIW_plus_MOD-6_Ref")
"""A unit of the recorded trials without fluctuation, reported beside the others."""

QUANTILES = np.linspace(0.0, 1.0, 11)
SPREAD, CHANCE = "variation_spread", "chance_spread"


@dataclass(frozen=True)
class Sizes:
    """How many numbers, how many of their pairs are held out, how long is trained and how often each is tried."""

    side: int = 10
    held_out: float = 0.8
    steps: int = 400
    trials: int = 30


SIZES = {Scale.smoke: Sizes(3, 0.6, 40, 4), Scale.pocket: Sizes()}


@study(
    "aiw",
    claims=[
        Claim(
            "variations-differ-beyond-chance",
            f"recorded.{SPREAD}",
            f"recorded.{CHANCE}",
            "higher",
            over="units",
        ),
        Claim("asked-model-differs-too", f"puzzle.{SPREAD}", f"puzzle.{CHANCE}", "higher"),
        Claim("controls-are-solved", "controls.accuracy", "puzzle.accuracy", "higher"),
        Claim("controls-differ-less", f"controls.{SPREAD}", f"puzzle.{SPREAD}", "lower"),
    ],
    baseline="what binomial chance would give, and control questions of the same form",
)
def aiw(scale: Scale, seed: int) -> Measurements:
    """Measure how success moves with the numbers of a puzzle: in recorded trials, and for a model that is asked."""
    asked = _your_model(seed) if scale is Scale.full else _small_model(SIZES[scale], seed)
    return _recorded() | asked


def recorded_counts() -> pl.DataFrame:
    """Return the recorded trials, counted: one row a model, problem and variation.

    Returns
    -------
    pl.DataFrame
        `model`, `problem`, `variation`, `right_answer`, `successes`, `trials`, and `unread`: trials without a number,
        which count as wrong. Where they come from is said at the top of the file.

    Examples
    --------
    >>> counts = recorded_counts()
    >>> counts["model"].n_unique(), counts["trials"].sum()
    (7, 7460)
    """
    import polars as pl

    with (files("concordant.studies") / "data" / "aiw_trials.csv").open("rb") as file:
        return pl.read_csv(file.read(), comment_prefix="#")


def spread_of(successes: ArrayLike, trials: ArrayLike) -> dict[str, float]:
    """Return how success differs over variations, each of as many trials.

    Returns
    -------
    dict
        Over variations: ``accuracy`` (mean), ``worst_accuracy``, ``best_accuracy``, ``variation_spread`` (standard
        deviation) beside ``chance_spread`` (the one that binomial noise would give), and ``over_dispersion_ratio``, the
        ratio of their squares: about 1 by chance, 0 where nothing differs, also where all is right or wrong.

    Examples
    --------
    >>> found = spread_of([41, 59, 21, 60, 26, 31], 60)
    >>> round(found["variation_spread"], 3), round(found["chance_spread"], 3)
    (0.279, 0.061)
    """
    from concordant.core.statistics import over_dispersion

    found = over_dispersion(successes, trials)
    return {
        "accuracy": found.mean,
        "worst_accuracy": found.lowest,
        "best_accuracy": found.highest,
        SPREAD: found.sd,
        CHANCE: found.sd_binomial,
        "over_dispersion_ratio": found.ratio if found.sd_binomial else 0.0,
    }


def _recorded() -> dict[str, Any]:
    from concordant.core.statistics import holm, over_dispersion

    units = recorded_counts().partition_by("model", "problem", maintain_order=True, as_dict=True)
    counts = {unit: (rows["successes"].to_numpy(), rows["trials"].to_numpy()) for unit, rows in units.items()}
    found = {unit: spread_of(*pair) for unit, pair in counts.items()}
    p_values = holm([over_dispersion(*pair).p_value for pair in counts.values()])
    measured: dict[str, Any] = {
        f"recorded.{metric}": [unit[metric] for unit in found.values()] for metric in found[FLAT]
    }
    measured["recorded.differs_beyond_chance_rate"] = float(np.mean(p_values < 0.05))
    return measured | {f"flat.{metric}": value for metric, value in found[FLAT].items()}


def _small_model(sizes: Sizes, seed: int) -> dict[str, Any]:
    from concordant.learn.randomness import child_seeds
    from concordant.studies.siblings_grid import cell_items, split_cells, taught_model

    cells, training, sampling = child_seeds(seed, 3)
    held_out, seen = map(cell_items, split_cells(sizes.side, sizes.held_out, seed=cells))
    model = taught_model(held_out, seen, sizes.steps, seed=training)
    measured = _asked(model, held_out, sizes.trials, 3, sampling)
    return measured | _asked(model, seen, sizes.trials, 3, sampling, puzzle="seen")


def _your_model(seed: int) -> dict[str, Any]:
    """Ask a model of the user's the puzzle of the paper and two controls, 60 times each, in words of our own."""
    from concordant.models.load import load
    from concordant.variants import grid_items

    if not (source := os.environ.get(MODEL)):
        message = (
            f"the study 'aiw' at full scale asks a model of yours: name one in {MODEL}, such as openai:NAME"
        )
        raise ConfigError(message)
    told = "Alice has {brothers} brothers and {sisters} sisters. "
    numbers = {"brothers": [3, 4, 1, 4, 2, 3], "sisters": [6, 2, 4, 1, 3, 5]}
    items = grid_items(
        told + "How many sisters does her brother have?",
        numbers,
        lambda brothers, sisters: sisters + 1,
        controls={
            "total": (
                told + "How many siblings does she have?",
                lambda brothers, sisters: brothers + sisters,
            ),
            "own sisters": (told + "How many sisters does she have?", "sisters"),
        },
        combine="zip",
        answer="Think step by step. End with a line that has the number alone.",
    )
    return _asked(load(source), items, 60, 4096, seed)


def _asked(
    model: Any, items: Items, trials: int, max_tokens: int, seed: int, puzzle: str = "puzzle"
) -> dict[str, float]:
    """Ask a model a puzzle and its controls, the same number of trials each, by `variants.grid`."""
    import polars as pl

    from concordant.core.check import check
    from concordant.core.model import Request
    from concordant.variants import Grid

    request = Request(seed=seed % 2**31, max_tokens=max_tokens)
    grid = Grid(k=trials, temperature=1.0)
    verdicts = check(model, items, [grid], request=request, slices=[], progress=False)[grid.name].verdicts
    counts = items.frame.select("control").hstack(verdicts.select("n_right", "n_graded"))
    is_control = pl.col("control").is_not_null()
    parts = {puzzle: ~is_control} | ({"controls": is_control} if puzzle == "puzzle" else {})
    measured: dict[str, float] = {}
    for name, chosen in parts.items():
        part = counts.filter(chosen)
        found = spread_of(part["n_right"], part["n_graded"])
        measured |= {f"{name}.{metric}": value for metric, value in found.items()}
        rates = np.quantile((part["n_right"] / part["n_graded"]).to_numpy(), QUANTILES)
        measured |= {f"{name}.rate@{q:.1f}": float(rate) for q, rate in zip(QUANTILES, rates, strict=True)}
    return measured
