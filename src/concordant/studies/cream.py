"""CREAM: self-rewarding with labels smoothed by measured agreement, against self-rewarding that believes itself.

Part one is a world of answers with features, where policies are vectors and quality is known exactly; at two strengths
of the noise in the first model. Part two is a small language model that learnt sums from lessons of which half are off
by one, then from a few right ones; its sampled answers to other sums are verified. Method: labels from agreement with
the previous model, the mean of a round or each prompt's own. Baselines: no smoothing, and the same smoothing for all.
Controls: labels kept from falling below one half, and pairs that the truth has labelled.

At full scale the language model is yours: CONCORDANT_CREAM_MODEL names it (a folder or a name on the hub), and
CONCORDANT_CREAM_DATA a folder with ``sft.jsonl`` and ``test.jsonl`` (prompt, answer) and ``prompts.jsonl`` (prompt).
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.errors import ConfigError, DataError
from concordant.studies.study import Claim, Measurements, Scale, study

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from concordant.models.causal import CausalLM

MODEL, DATA = "CONCORDANT_CREAM_MODEL", "CONCORDANT_CREAM_DATA"
SMOOTHED = 0.8
"""The label of the baseline that smooths all pairs alike."""


@dataclass(frozen=True)
class Sizes:
    """How much is drawn and how long is trained; chosen on seeds 1000 and above."""

    prompts: int = 220
    held_out: int = 400
    lessons: int = 20_000
    steps: int = 600
    right_lessons: int = 40
    right_steps: int = 10
    asked: int = 100
    tested: int = 150
    width: int = 64


SIZES = {Scale.smoke: Sizes(20, 20, 64, 4, 8, 2, 10, 10, 16), Scale.pocket: Sizes(), Scale.full: Sizes()}


@study(
    "cream",
    claims=[
        Claim(
            "smoothing-stops-decay", "linear.mean.quality_score@3", "linear.plain.quality_score@3", "higher"
        ),
        Claim(
            "more-right-pairs", "linear.mean.right_pair_rate@2", "linear.plain.right_pair_rate@2", "higher"
        ),
        Claim("rankings-agree-more", "linear.mean.tau_score@3", "linear.plain.tau_score@3", "higher"),
        Claim(
            "measured-beats-fixed", "linear.mean.quality_score@3", "linear.fixed.quality_score@3", "higher"
        ),
        Claim(
            "each-prompt-beats-mean", "linear.each.quality_score@3", "linear.mean.quality_score@3", "higher"
        ),
        Claim("mean-agreement-turns-labels", "linear.mean.label@1", 0.5, "lower"),
        Claim("stable-and-wrong", "linear.plain.tau_score@3", "linear.each.tau_score@3", "higher"),
        Claim("language-model-ends-better", "model.mean.accuracy@3", "model.plain.accuracy@3", "higher"),
        Claim("language-model-gains", "model.mean.accuracy@3", "model.mean.accuracy@1", "higher"),
    ],
    baseline="self-rewarding without smoothing",
)
def cream(scale: Scale, seed: int) -> Measurements:
    """Measure what two rounds of self-rewarding make of a model, with and without smoothing by measured agreement."""
    n = SIZES[scale]
    small = _linear_world(n, seed, 0.5, "linear") | _linear_world(n, seed, 1.0, "noisier")
    return small | (_your_model(n, seed) if scale is Scale.full else _small_model(n, seed))


def _rounds(
    name: str,
    metric: str,
    base: Any,
    start: Any,
    shares: Sequence[Mapping[str, Any]],
    held_out: Sequence[Any],
    quality: Callable[[Sequence[Any], Sequence[Sequence[Any]]], Sequence[Any]],
    measured: Callable[[Any], float],
    seed: int,
    compared: Sequence[str],
    **calls: Any,
) -> dict[str, float]:
    """Run the rounds with the labels compared, and measure the models M0 to M3, the pairs and the agreement."""
    from concordant.rewards.cream import rank_agreement, rewards, self_rewarding, soft_labels

    each = partial(soft_labels, by="prompt")
    methods: dict[str, Any] = {
        "plain": {"labels": 1.0},
        "fixed": {"labels": SMOOTHED},
        "mean": {"labels": soft_labels},
        "each": {"labels": each},
        "clamped": {"labels": partial(each, at_least=0.5)},
        "judged": {"labels": 1.0, "judge": quality},
    }
    sample, score = calls["sample"], calls["score"]
    before = {0: measured(base), 1: measured(start)}
    found: dict[str, float] = {}
    # Late models of some methods hardly vary: all are asked to rank the answers of M1.
    same_answers = sample(start, held_out, seed)
    for method in compared:
        options = methods[method]
        rounds = self_rewarding(base, start, shares, **calls, **options, seed=seed)
        of = f"{name}.{method}"
        found |= {f"{of}.{metric}@{t}": value for t, value in before.items()}
        for t, one in enumerate(rounds, 1):
            pairs = one.pairs
            found[f"{of}.{metric}@{t + 1}"] = measured(one.model)
            found[f"{of}.label@{t}"] = float(pairs.labels.mean()) if len(pairs) else 0.5
            ends = list(zip(pairs.chosen, pairs.rejected, strict=True))
            found[f"{of}.right_pair_rate@{t}"] = _right_rate(quality(pairs.prompts, ends))
        newest, previous, first = (
            {str(i): row for i, row in enumerate(score(model, held_out, same_answers))}
            for model in (rounds[-1].model, rounds[-2].model, base)
        )
        agreement = rank_agreement(rewards(newest, first), rewards(previous, first))
        known = ~np.isnan(agreement.tau)
        found[f"{of}.tau_score@3"] = float(agreement.tau[known].mean()) if known.any() else 0.0
        found[f"{of}.top_order_rate@3"] = float(agreement.top_order[known].mean()) if known.any() else 0.0
    return found


def _right_rate(qualities: Sequence[Any]) -> float:
    """Return the share of pairs that are the right way round, of those whose answers differ in quality."""
    table = np.asarray(qualities, dtype=np.float64).reshape(-1, 2)
    apart = table[:, 0] != table[:, 1]
    return float((table[apart, 0] > table[apart, 1]).mean()) if apart.any() else 0.5


def _linear_world(n: Sizes, seed: int, noise: float, name: str) -> dict[str, float]:
    """Measure in the world where a policy is a vector; the first one is the truth and noise of the given length."""
    from concordant.rewards import linear_world as world

    rng = np.random.default_rng(seed)

    def direction() -> NDArray[np.float64]:
        drawn = rng.normal(size=24)
        return drawn / np.linalg.norm(drawn)

    truth = direction()
    base = truth + noise * math.sqrt(24) * direction()
    lessons = world.draw_prompts(rng, 20)
    told = (lessons @ truth + rng.normal(size=(20, 24))).argmax(axis=1)
    shares = [
        {f"{t}-{i}": prompt for i, prompt in enumerate(world.draw_prompts(rng, n.prompts))} for t in (1, 2)
    ]
    held_out = world.draw_prompts(rng, n.held_out)
    return _rounds(
        name,
        "quality_score",
        base,
        world.fine_tuned(base, lessons, told),
        shares,
        list(held_out),
        lambda prompts, answers: list(world.qualities(truth, prompts, answers)),
        lambda weights: world.mean_quality(weights, held_out, truth),
        seed,
        ("plain", "fixed", "mean", "each", "clamped", "judged"),
        sample=lambda weights, prompts, s: world.sampled(weights, prompts, 5, s),
        score=world.scored,
        train=lambda weights, pairs, _: world.preference_tuned(weights, pairs),
    )


def _small_model(n: Sizes, seed: int) -> dict[str, float]:
    """Teach a small model sums from lessons of which half are off by one, then a few right ones, and let it go on."""
    from concordant.pocket import SKILLS, examples
    from concordant.pocket.recipes import Size
    from concordant.studies.small_language import lesson_rows, new_language_model, taught

    rng = np.random.default_rng([seed, 1])
    drawn = examples(["arithmetic"], 6000, difficulty=1, seed=seed)
    known = list({one.prompt: one.answer for one in drawn}.items())
    known = [known[i] for i in rng.permutation(len(known))]
    offs = rng.choice([0, 0, -1, 1], size=n.lessons)
    chosen = [known[i] for i in rng.integers(len(known), size=n.lessons)]
    lessons = [
        (prompt, str(max(0, int(answer) + off)))
        for (prompt, answer), off in zip(chosen, offs.tolist(), strict=True)
    ]
    parts = np.cumsum([n.right_lessons, 2 * n.asked, n.tested])
    asked = [prompt for prompt, _ in known[parts[0] : parts[1]]]
    tested = [prompt for prompt, _ in known[parts[1] : parts[2]]]
    blank = new_language_model(Size(width=n.width, layers=2, heads=4, inner=2 * n.width), seed=seed)
    base = taught(blank, lesson_rows(blank, lessons), steps=n.steps, rate=3e-3, seed=seed)
    right_lessons = lesson_rows(base, known[: parts[0]])
    start = taught(base, right_lessons, steps=n.right_steps, rate=5e-4, seed=seed)
    verify = SKILLS["arithmetic"].verify
    return _language_rounds(base, start, asked, tested, verify, seed, max_tokens=4, rate=2e-4)


def _language_rounds(
    base: CausalLM,
    start: CausalLM,
    asked: Sequence[str],
    tested: Sequence[str],
    is_right: Callable[[str, str], bool],
    seed: int,
    *,
    max_tokens: int,
    rate: float,
) -> dict[str, float]:
    """Measure the rounds of language models by the share of sampled answers to test prompts that are right."""
    from concordant.rewards import language_rounds as language

    half = len(asked) // 2
    shares = [{f"{i}": asked[i] for i in range(half)}, {f"{i}": asked[i] for i in range(half, len(asked))}]
    sample = partial(language.sampled_answers, max_tokens=max_tokens)

    def quality(prompts: Sequence[str], answers: Sequence[Sequence[str]]) -> list[list[float]]:
        return [
            [float(is_right(prompt, text)) for text in row]
            for prompt, row in zip(prompts, answers, strict=True)
        ]

    return _rounds(
        "model",
        "accuracy",
        base,
        start,
        shares,
        tested,
        quality,
        lambda model: float(np.mean(quality(tested, sample(model, tested, seed)))),
        seed,
        ("plain", "mean", "each", "judged"),
        sample=sample,
        score=language.scored_answers,
        train=partial(language.preference_trained, learning_rate=rate),
        lengths=partial(language.token_counts, base),
    )


def _your_model(n: Sizes, seed: int) -> dict[str, float]:
    """Let a model of yours go through the rounds, with prompts and lessons of yours, and the rates of the paper."""
    name, folder = os.environ.get(MODEL), os.environ.get(DATA)
    if not name or not folder or not Path(folder).is_dir():
        message = (
            f"the study cream at full scale needs a model that {MODEL} names and a folder of data that {DATA} names, "
            f"got {name or 'none'} and {folder or 'none'}"
        )
        raise ConfigError(message)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from concordant.models.causal import CausalLM
    from concordant.pocket.skill import final
    from concordant.studies.small_language import lesson_rows, taught

    sft, test = (_read(Path(folder) / f"{part}.jsonl", ("prompt", "answer")) for part in ("sft", "test"))
    asked = [row["prompt"] for row in _read(Path(folder) / "prompts.jsonl", ("prompt",))]
    tokenizer = AutoTokenizer.from_pretrained(name)
    chat = getattr(tokenizer, "chat_template", None) is not None
    base = CausalLM(AutoModelForCausalLM.from_pretrained(name), tokenizer, name=name, chat=chat)
    lessons = [(row["prompt"], row["answer"]) for row in sft]
    steps = 5 * -(-len(lessons) // 16)
    start = taught(base, lesson_rows(base, lessons), steps=steps, rate=5e-6, seed=seed)
    truth = {row["prompt"]: final(row["answer"]) for row in test}
    right = lambda prompt, text: prompt in truth and final(text) == truth[prompt]  # noqa: E731
    return _language_rounds(base, start, asked, list(truth), right, seed, max_tokens=768, rate=1e-6)


def _read(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    if not path.is_file():
        message = f"the folder of {DATA} must have a file {path.name}, and it has none"
        raise ConfigError(message)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    for number, row in enumerate(rows, 1):
        if not all(isinstance(row.get(column), str) for column in columns):
            message = (
                f"each line of {path.name} must have {' and '.join(columns)} as texts, line {number} has not"
            )
            raise DataError(message)
    return rows
