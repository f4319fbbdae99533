"""Shapley values of the fields of a prompt: how much words that should not decide move a model's choice.

A small language model learns to choose between two buses from noisy answers of a known taste. In the clean arm the polite
words, fillers and closing words have nothing to do with the answers; in the leaky arm the closing words say the answer in
most lessons, and the model learns that, too. Fields are explained exactly, under two rules of absence and in two wordings;
sampled orders and leaving one field out are measured against the exact values, and so are choices that are only counted.
At full scale a language model of yours is taught both arms instead.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.errors import ConfigError
from concordant.studies.study import Claim, Measurements, Scale, study

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from concordant.explanations.prompts import PromptExplanation
    from concordant.explanations.prompts.template import Question
    from concordant.models.causal import CausalLM

MODEL = "CONCORDANT_SHAPLEY_MODEL"
"""Names the language model (a folder, or a name of the hub) that is taught both arms at full scale."""

PAIRS = 25
"""Pairs of an order and its reverse: fifty orders."""

SAMPLES = 20
"""Answers to each question, where choices are counted."""


@dataclass(frozen=True)
class Sizes:
    """How much is drawn and how long is trained; chosen on seeds 1000 and above."""

    width: int = 32
    layers: int = 2
    lessons: int = 15_000
    steps: int = 300
    tokens: int = 2048
    rate: float = 6e-3
    prompts: int = 40
    counted_prompts: int = 4
    tested: int = 1000


SIZES = {
    Scale.smoke: Sizes(16, 1, 64, 8, 1024, 6e-3, 1, 1, 20),
    Scale.pocket: Sizes(),
    Scale.full: Sizes(rate=2e-5, steps=1500),
}


@study(
    "llm-shapley",
    claims=[
        Claim("noise-moves-choices", "leaky.noise_share", "clean.noise_share", "higher"),
        Claim(
            "one-leaky-word-outweighs-attributes",
            "leaky.closing_share",
            "leaky.top_attribute_share",
            "higher",
        ),
        Claim(
            "noise-moves-choices-when-deleted",
            "leaky.deleted.noise_share",
            "clean.deleted.noise_share",
            "higher",
        ),
        Claim("sampling-agrees-with-exact", "sampled.rank_score", "shuffled.rank_score", "higher"),
        Claim("sampling-beats-leaving-one-out", "sampled.rank_score", "one_out.rank_score", "higher"),
        Claim("attributes-point-the-right-way", "clean.sign_score", 0.5, "higher"),
    ],
    baseline="a model taught the same answers with closing words drawn at random",
)
def llm_shapley(scale: Scale, seed: int) -> Measurements:
    """Measure what share of a model's choice noise words have, and how well samples and ablations find that."""
    from concordant.learn.randomness import child_seeds

    n = SIZES[scale]
    lesson_seed, model_seed, test_seed, order_seed = child_seeds(seed, 4)
    blank = _your_model() if scale is Scale.full else _blank(n, model_seed)
    rng = np.random.default_rng(test_seed)
    from concordant.studies.bus_choices import drawn_rows

    rows, tested = drawn_rows(n.prompts, rng), drawn_rows(n.tested, rng)
    measured: dict[str, float] = {}
    for arm in ("clean", "leaky"):
        model = _taught(blank, n, lesson_seed, leaky=arm == "leaky")
        explained = _explained(model, rows)
        measured |= _arm(arm, model, explained, rows, tested)
        if arm == "clean":
            measured |= _against_exact(model, explained, rows, n, order_seed)
    if scale is Scale.full:
        measured |= _shares("untouched", _explained(blank, rows))
    return measured


def _blank(n: Sizes, seed: int) -> CausalLM:
    from concordant.pocket.recipes import Size
    from concordant.studies.small_language import new_language_model

    return new_language_model(Size(width=n.width, layers=n.layers, heads=4, inner=2 * n.width), seed=seed)


def _your_model() -> CausalLM:
    from concordant.models.causal import CausalLM
    from concordant.models.load import load

    name = os.environ.get(MODEL)
    if not name:
        message = f"the study llm-shapley at full scale needs a language model that {MODEL} names, got none"
        raise ConfigError(message)
    model = getattr(load(f"hf:{name}"), "language_model", None)
    if not isinstance(model, CausalLM):
        message = f"{MODEL} must name a causal language model, got {name!r}"
        raise ConfigError(message)
    return model


def _taught(blank: CausalLM, n: Sizes, seed: int, *, leaky: bool) -> CausalLM:
    """Teach the answers; both arms draw the same prompts and answers, but for the closing words of the leaky one."""
    from concordant.studies.bus_choices import lessons
    from concordant.studies.small_language import lesson_rows, taught

    taken = lessons(n.lessons, np.random.default_rng(seed), leaky=leaky)
    return taught(blank, lesson_rows(blank, taken), rate=n.rate, seed=seed, steps=n.steps, tokens=n.tokens)


def _explained(model: Any, rows: list[dict[str, str]], *, wording: int = 0, **how: Any) -> PromptExplanation:
    from concordant.explanations.prompts import explain_prompt
    from concordant.studies.bus_choices import template

    return explain_prompt(model, template(wording), rows, progress=False, **{"absent": "neutral", **how})


def _arm(
    arm: str,
    model: CausalLM,
    neutral: PromptExplanation,
    rows: list[dict[str, str]],
    tested: list[dict[str, str]],
) -> dict[str, float]:
    """Measure the shares of one arm, in both wordings and under both rules of absence."""
    from concordant.explanations.prompts import template_stability

    deleted = _explained(model, rows, absent="delete")
    other = _explained(model, rows, wording=1)
    return {
        f"{arm}.accuracy": _accuracy(model, tested),
        **_shares(arm, neutral),
        **_shares(f"{arm}.deleted", deleted),
        **_shares(f"{arm}.other_wording", other),
        f"{arm}.sign_score": sign_score(neutral.phi, rows),
        f"{arm}.wordings_rank_score": template_stability([neutral, other]).value,
        f"{arm}.rules_rank_score": template_stability([neutral, deleted]).value,
    }


def _shares(name: str, found: PromptExplanation) -> dict[str, float]:
    from concordant.studies.bus_choices import ATTRIBUTES

    share = dict(zip(found.template.names, found.shares.tolist(), strict=True))
    return {
        f"{name}.noise_share": found.noise_share.value,
        f"{name}.closing_share": share["closing"],
        f"{name}.top_attribute_share": max(share[attribute] for attribute in ATTRIBUTES),
    }


def sign_score(phi: NDArray[np.float64], rows: list[dict[str, str]]) -> float:
    """Return how often what speaks for or against red moves the choice that way, in [0, 1]; chance gives a half.

    Parameters
    ----------
    phi
        Values of the fields for the choice of red, attributes first, shape ``(n, n_fields)``.
    rows
        What the attributes are. One that is better than the middle of its range speaks for its bus.
    """
    from concordant.studies.bus_choices import ATTRIBUTES, LEVELS

    told = np.array([[float(row[name]) for name in ATTRIBUTES] for row in rows])
    for_red = (np.mean(LEVELS) - told) * [1, 1, -1, -1]
    return float((np.sign(phi[:, : len(ATTRIBUTES)]) == np.sign(for_red)).mean())


def _accuracy(model: CausalLM, rows: list[dict[str, str]]) -> float:
    """Return how often the better bus is chosen, in whole prompts whose buses differ."""
    from concordant.studies.bus_choices import advantage, template

    better = advantage(rows)
    questions = [template().filled(row).questions([[True] * 8])[0] for row in rows]
    right = (_probabilities(model, questions, np.zeros(len(rows), np.intp)) > 0.5) == (better > 0)
    return float(right[better != 0].mean())


def _probabilities(
    model: CausalLM, questions: list[Question], targets: NDArray[np.intp]
) -> NDArray[np.float64]:
    from concordant.explanations.prompts.choices import scored
    from concordant.models.language import GenerativeModel

    asked = GenerativeModel(model)
    return scored(asked, questions, targets, ask="cloze", value="probability", tell=lambda *_: None).values


def _against_exact(
    model: CausalLM, exact: PromptExplanation, rows: list[dict[str, str]], n: Sizes, seed: int
) -> dict[str, float]:
    """Measure what is cheaper than all sets of fields against these: sampled orders, one field left out, counted choices."""
    from concordant.core.statistics import spearman_rho

    sampled = _explained(model, rows, pairs=PAIRS, seed=seed)
    some = rows[: n.counted_prompts]
    counted = _explained(model, some, samples=SAMPLES, max_tokens=1, seed=seed)
    one_out = leave_one_out(model, rows)
    shuffled = np.random.default_rng(seed).permuted(exact.phi, axis=1)

    def agreement(phi: NDArray[np.float64]) -> float:
        return float(np.nanmean(spearman_rho(phi, exact.phi[: len(phi)])))

    within = np.abs(sampled.phi - exact.phi) <= 2 * sampled.standard_errors
    counted_exactly = np.abs(exact.phi[: len(some)])
    is_noise = np.array([role == "noise" for role in exact.template.roles])
    return {
        "sampled.rank_score": agreement(sampled.phi),
        "one_out.rank_score": agreement(one_out),
        "counted.rank_score": agreement(counted.phi),
        "shuffled.rank_score": agreement(shuffled),
        "sampled.coverage_rate": float(within.mean()),
        "sampled.error_gap": float(np.abs(sampled.phi - exact.phi).mean()),
        "counted.noise_share": counted.noise_share.value,
        "scored.noise_share": float(counted_exactly[:, is_noise].sum() / counted_exactly.sum()),
        "sampled.questions_share": sampled.n_questions / exact.n_questions,
    }


def leave_one_out(model: Any, rows: list[dict[str, str]]) -> NDArray[np.float64]:
    """Return what the value loses when one field is absent and all others are there, shape ``(n, n_fields)``."""
    from concordant.explanations.prompts.explain import planned_questions
    from concordant.explanations.shapley import ShapleyPlan
    from concordant.studies.bus_choices import ANSWERS, template

    one = template()
    k = len(one.names)
    there = np.vstack([np.ones(k, bool), ~np.eye(k, dtype=bool)])
    plan = ShapleyPlan(there, np.hstack([np.ones((k, 1)), -np.eye(k)]))
    questions, targets, at = planned_questions(one, rows, plan, absent="neutral", target=ANSWERS[0])
    return plan.shapley(_probabilities(model, questions, targets)[at].mean(1))
