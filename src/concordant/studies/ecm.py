"""A circuit as a law of prompting: fitted on half of the settings of a grid, it predicts the accuracy of the other half.

Data: a small decoder under 39 ways to prompt, on chained sums of one to five additions: with and without written steps,
with none to eight demonstrations that are random, nearest or farthest, and with votes. Method: the circuit, its constants
fitted on half of the cells of strategy and length. Baselines: the law of inference-time scaling in tokens, in
demonstrations and in both; logistic regression on the same inputs, which sees all that the circuit sees; the constants as
they were published; a constant. Controls: the laws under strategies that none was fitted on, what is said of one answer
rather than of a cell, and bins. At full scale the model and the questions are yours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from concordant.studies.study import Claim, Measurements, Scale, study

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from concordant.core.items import Items
    from concordant.explanations.mechanisms import Strategy
    from concordant.explanations.mechanisms.accuracy_laws import AccuracyLaw

NAMES = {
    "CONCORDANT_ECM_MODEL": "a language model (hf:NAME or openai:NAME)",
    "CONCORDANT_ECM_SHOWN": "questions with worked answers to show, as those of GSM8K",
    "CONCORDANT_ECM_TEST": "questions with worked answers to ask, as those of GSM8K or BigGSM",
}
"""What environment variables name at full scale. Answers stand behind ``####``, calculations in ``<<48/2=24>>``."""

FULL_ITEMS, FULL_TOKENS = 500, 512
PUBLISHED = ("bge", "skill")
"""Whose published weights of flux are tried: the lowest and the highest."""
SAME = 0.03
"""Rank correlations that are not further apart than this count as equal; set before the reported seeds were run."""


@dataclass(frozen=True)
class Sizes:
    """How long is trained and how much is asked; chosen on seeds 1000 and above."""

    width: int = 64
    layers: int = 2
    steps: int = 1500
    contexts: int = 10
    rate: float = 4e-3
    worlds: int = 50
    asked: int = 2
    pool: int = 24
    ks: tuple[int, ...] = (0, 1, 2, 3, 5, 8)
    voted_ks: tuple[int, ...] = (0, 1, 2, 5)
    samples: int = 5
    starts: int = 4


SIZES = {
    Scale.smoke: Sizes(16, 1, 12, 2, 4e-3, 3, 1, 12, (0, 2), (2,), 2, 1),
    Scale.pocket: Sizes(),
    Scale.full: Sizes(ks=(0, 1, 2, 4, 8), voted_ks=(0, 4)),
}


@study(
    "ecm",
    claims=[
        Claim("circuit-beats-token-law", "circuit.rank_score", "token_law.rank_score", "higher"),
        Claim(
            "circuit-beats-demonstration-law", "circuit.rank_score", "demonstration_law.rank_score", "higher"
        ),
        Claim("circuit-beats-law-of-both", "circuit.rank_score", "both_law.rank_score", "higher"),
        Claim("circuit-linear-beats-token-law", "circuit.linear_score", "token_law.linear_score", "higher"),
        Claim("rank-correlation-above-0-7", "circuit.rank_score", 0.7, "higher"),
        Claim("circuit-beats-logistic", "circuit.rank_score", "logistic.rank_score", "higher"),
        Claim("circuit-equals-logistic", "circuit.rank_score", "logistic.rank_score", "higher", margin=-SAME),
        Claim("logistic-equals-circuit", "logistic.rank_score", "circuit.rank_score", "higher", margin=-SAME),
        Claim("fitted-beats-published", "circuit.rank_score", "published.rank_score", "higher"),
        Claim("demonstrations-raise-accuracy", "shown.accuracy", "zero_shot.accuracy", "higher"),
        Claim("nearest-beat-random", "nearest.accuracy", "random.accuracy", "higher"),
        Claim("random-beat-reverse", "random.accuracy", "reverse.accuracy", "higher"),
        Claim("written-steps-raise-accuracy", "steps.accuracy", "direct.accuracy", "higher"),
        Claim("unseen-strategies", "unseen.circuit.rank_score", "unseen.both_law.rank_score", "higher"),
        Claim(
            "unseen-choice", "unseen_choice.circuit.rank_score", "unseen_choice.logistic.rank_score", "higher"
        ),
        Claim("bins-flatter", "circuit.binned_rank_score", "circuit.rank_score", "higher"),
    ],
    baseline="the law of inference-time scaling, linear in the logarithm of tokens",
)
def ecm(scale: Scale, seed: int) -> Measurements:
    """Measure how well a circuit and its rivals predict accuracies under prompts that they were not fitted on."""
    n = SIZES[scale]
    if scale is Scale.full:
        return measured(_your_grid(n, seed), ("operations", "largest"), starts=n.starts, seed=seed)
    return measured(_pocket_grid(n, seed), ("length",), starts=n.starts, seed=seed)


def measured(rows: pl.DataFrame, descriptors: Sequence[str], *, starts: int, seed: int) -> dict[str, float]:
    """Fit and score all laws on a grid of answers.

    Parameters
    ----------
    rows
        Of `strategy_grid`.
    descriptors
        Columns of difficulty; the first is the number of operations, and makes the cells.
    starts
        Of the fit of a circuit.
    seed
        Decides which cells are held out.
    """
    from concordant.explanations.mechanisms import cells_of, split_cells

    cells = cells_of(rows.drop("item"), ["strategy", descriptors[0]])
    fitted, left = split_cells(cells, seed=seed)
    seen, unseen = split_cells(cells, "strategy", seed=seed)
    is_nearest = pl.col("choice") == "nearest"
    laws = _laws(descriptors, starts, seed)
    found = _accuracies(rows) | _best_published(_scored(laws, fitted, left))
    for name, at_hand, other in (
        ("unseen", seen, unseen),
        ("unseen_choice", cells.filter(~is_nearest), cells.filter(is_nearest)),
    ):
        few = {law: laws[law] for law in ("circuit", "logistic", "both_law")}
        found |= {f"{name}.{key}": value for key, value in _scored(few, at_hand, other).items()}
    circuit = laws["circuit"].fit(fitted)
    found["circuit.pinned_share"] = float(circuit.summary()["is_pinned"].to_numpy().mean())
    found["circuit.starts_agree_rate"] = circuit.starts_agree_rate_
    found["grid.cells"], found["grid.answers"] = float(len(cells)), float(len(rows))
    return found


def _laws(descriptors: Sequence[str], starts: int, seed: int) -> dict[str, Any]:
    from concordant.explanations.mechanisms import (
        CircuitModel,
        ConstantLaw,
        InferenceTimeLaw,
        LogisticLaw,
        PublishedCircuit,
    )
    from concordant.explanations.mechanisms.published_circuit import FLUX_WEIGHTS

    operations, largest = descriptors[0], descriptors[1] if len(descriptors) > 1 else None
    return {
        "circuit": CircuitModel(descriptors, starts=starts, seed=seed),
        "isotonic_circuit": CircuitModel(descriptors, link="isotonic", starts=starts, seed=seed),
        "logistic": LogisticLaw(descriptors),
        "token_law": InferenceTimeLaw(("tokens",)),
        "demonstration_law": InferenceTimeLaw(("k",)),
        "both_law": InferenceTimeLaw(("tokens", "k")),
        "constant": ConstantLaw(),
        **{
            f"published_{name}": PublishedCircuit(operations, largest, flux_weight=FLUX_WEIGHTS[name])
            for name in PUBLISHED
        },
    }


def _scored(laws: Mapping[str, AccuracyLaw], fitted: pl.DataFrame, left: pl.DataFrame) -> dict[str, float]:
    """Fit each law on some cells, and score it on others."""
    from concordant.explanations.mechanisms import law_scores

    found: dict[str, float] = {}
    for name, law in laws.items():
        scores = law_scores(left, law.fit(fitted).predict(left), n_replicates=10)
        found |= {
            f"{name}.rank_score": scores.spearman.value,
            f"{name}.linear_score": scores.pearson.value,
            f"{name}.binned_rank_score": scores.binned_spearman,
            f"{name}.auroc": float(np.nan_to_num(scores.auroc, nan=0.5)),
            f"{name}.calibration_loss": scores.calibration_error,
        }
    return found


def _best_published(found: dict[str, float]) -> dict[str, float]:
    """Add the published constants with the better of their weights of flux."""
    ranked = max(found[f"published_{name}.rank_score"] for name in PUBLISHED)
    return {**found, "published.rank_score": ranked}


def _accuracies(rows: pl.DataFrame) -> dict[str, float]:
    """Return the accuracies under kinds of strategies that differ in one thing."""
    alone, votes = rows.filter(pl.col("samples") == 1), rows.filter(pl.col("samples") > 1)
    shown = alone.filter(pl.col("k") > 0)
    kinds = {
        "zero_shot": alone.filter(pl.col("k") == 0),
        "shown": shown,
        **{name: shown.filter(pl.col("choice") == name) for name in ("random", "nearest", "reverse")},
        **{way: alone.filter(pl.col("reasoning") == way) for way in ("direct", "steps")},
        "vote": votes,
        "same_without_vote": alone.join(votes, on=("reasoning", "k", "choice", "item"), how="semi"),
    }
    by_k = {
        f"shown.accuracy@{k}": part["right"].mean() for (k,), part in shown.group_by("k", maintain_order=True)
    }
    found = {**{f"{name}.accuracy": part["right"].mean() for name, part in kinds.items()}, **by_k}
    return {name: float(value) for name, value in found.items()}  # type: ignore[arg-type]


def _strategies(n: Sizes) -> list[Strategy]:
    """Combine all ways to prompt; votes are of answers with written steps, with random and nearest demonstrations."""
    from concordant.explanations.mechanisms import all_strategies

    return [
        *all_strategies(ks=n.ks),
        *all_strategies(
            reasonings=["steps"], ks=n.voted_ks, choices=["random", "nearest"], samples=[n.samples]
        ),
    ]


def _pocket_grid(n: Sizes, seed: int) -> pl.DataFrame:
    """Teach a decoder, and ask it items of worlds that it has not seen."""
    from concordant.explanations.mechanisms import strategy_grid
    from concordant.learn.randomness import child_seeds
    from concordant.studies import chained_sums as sums

    model_seed, world_seed, grid_seed = child_seeds(seed, 3)
    model = sums.taught_model(
        width=n.width, layers=n.layers, steps=n.steps, contexts=n.contexts, rate=n.rate, seed=model_seed
    )
    rng = np.random.default_rng(world_seed)
    worth = sums.worlds(n.worlds, rng)
    lengths = np.tile(np.repeat(np.arange(1, sums.TERMS + 1), n.asked), (n.worlds, 1))
    shown = rng.integers(sums.TERMS + 1, size=(n.worlds, n.pool))
    return strategy_grid(
        model,
        sums.items_of(sums.chains(worth, lengths, rng)),
        _strategies(n),
        demonstrations=sums.items_of(sums.chains(worth, shown, rng)),
        descriptors=["length"],
        wording=sums.WORDING,
        within="world",
        grader="number",
        max_tokens=sums.TERMS + 3,
        seed=grid_seed,
        progress=False,
    )


def _your_grid(n: Sizes, seed: int) -> pl.DataFrame:
    """Ask a model of yours questions of yours; difficulty is of the worked answers, as it was published."""
    from concordant.explanations.mechanisms import Wording, strategy_grid
    from concordant.studies.your_models import named

    found = named("ecm", NAMES)
    model, shown, test = (found[name] for name in NAMES)
    wording = Wording(
        direct_instruction="Give the final number only.",
        steps_instruction="Solve step by step, then give the answer.",
    )
    return strategy_grid(
        model,
        _worked(test, seed, FULL_ITEMS),
        _strategies(n),
        demonstrations=_worked(shown, seed),
        descriptors=["operations", "largest"],
        wording=wording,
        grader="number",
        max_tokens=FULL_TOKENS,
        seed=seed,
    )


def _worked(path: str, seed: int, limit: int | None = None) -> Items:
    """Read questions whose answers are worked, and split these into solution and reference."""
    from concordant.core.errors import DataError
    from concordant.core.items import Items
    from concordant.explanations.mechanisms import solution_difficulty

    items = Items.read(path)
    if items.reference is None or not items.reference.cast(pl.String).str.contains("####").all():
        message = f"worked answers must end in '#### NUMBER', and not all of {path} do"
        raise DataError(message)
    worked = items.reference.cast(pl.String)
    difficulty = solution_difficulty(worked)
    frame = items.frame.with_columns(
        solution=worked.str.replace(r"(?s)\s*####.*$", "").str.replace_all(r"<<[^<>]*>>", ""),
        reference=worked.str.extract(r"####\s*(\S+)"),
        operations=difficulty["operations"].clip(upper_bound=8),
        largest=difficulty["largest"],
    )
    if limit is not None and len(frame) > limit:
        frame = frame.sample(limit, seed=seed)
    return Items(frame)
