"""Factual recall (Yu et al., 2023): whether a model repeats a false fact from its prompt or the true one it learnt.

A small decoder learns facts about entities of Zipf frequency, with texts that contradict some of them. Heads are found by
direct logit attribution on half of the entities, and their scales chosen there; what they do is measured on the other half,
against no intervention and against every other head at the same scale, and on a second relation on which nothing was chosen.
At full scale the model, conflicts such as those of "Competition of Mechanisms", and a sample of the training text to count
in are yours, by environment variables.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.errors import ConfigError, DataError
from concordant.studies.study import Claim, Measurements, Scale, study

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from concordant.explanations.mechanisms import Conflicts, FactConflict, HeadChoice, HeadSweep, Recall

MODEL = "CONCORDANT_RECALL_MODEL"
CONFLICTS = "CONCORDANT_RECALL_CONFLICTS"
"""Names a JSON file: a list of ``subject``, ``base_prompt``, ``prompt``, ``target_true`` and ``target_new``."""

TEXTS = "CONCORDANT_RECALL_TEXTS"
"""Names a text file, a sample of what the model was trained on, in which subjects and answers are counted."""

UP, DOWN = (2.0, 3.0, 5.0), (0.0, -1.0, -2.0)
"""Scales that promote a head, and that take it out or reverse it."""

MOST_OTHER = 0.1
"""By how much the rate of other answers may rise where scales are chosen."""

LEAST_KNOWN = 4
"""Entities that must be known for the others to be left out."""

N_OTHERS = 20
"""Other heads that are scaled where all would take too long."""


@dataclass(frozen=True)
class Sizes:
    """How much is drawn and how long is trained; chosen on seeds 1000 and above."""

    entities: int = 250
    n_values: int = 40
    names: int = 60
    texts: int = 57_600
    width: int = 64
    layers: int = 4
    heads: int = 8
    per_entity: int = 2


SIZES = {Scale.smoke: Sizes(8, 6, 4, 256, 16, 2, 2, 2), Scale.pocket: Sizes()}


@dataclass(frozen=True, eq=False)
class Setting:
    """A model, what it is asked, and how often that was in its training.

    Parameters
    ----------
    model
        The model, of transformers.
    first, second
        Conflicts of a relation that heads are chosen on, and of one that nothing is chosen on.
    entity_counts, answer_counts
        How often the entity of each of `first` was there, and its answer in the context, shape ``(n,)``.
    answers
        The answers in the context of `first`, as names.
    seed
        Decides the split.
    most_heads
        How many other heads are scaled; all by default.
    """

    model: Any
    first: Conflicts
    second: Conflicts
    entity_counts: NDArray[np.float64]
    answer_counts: NDArray[np.float64]
    answers: Sequence[str]
    seed: int
    most_heads: int | None = None


@study(
    "factual-recall",
    claims=[
        Claim("one-head-promotes-copying", "copy_up.in_context_rate", "untouched.in_context_rate", "higher"),
        Claim("one-head-promotes-memory", "copy_down.in_context_rate", "untouched.in_context_rate", "lower"),
        Claim(
            "memory-head-out-promotes-copying",
            "memory_down.in_context_rate",
            "untouched.in_context_rate",
            "higher",
        ),
        Claim(
            "memory-head-promotes-memory", "memory_up.in_context_rate", "untouched.in_context_rate", "lower"
        ),
        Claim(
            "copying-head-is-special", "copy_up.in_context_rate", "others.copy_up.in_context_rate", "higher"
        ),
        Claim(
            "reversed-copying-head-is-special",
            "copy_down.in_context_rate",
            "others.copy_down.in_context_rate",
            "lower",
        ),
        Claim(
            "memory-head-is-special", "memory_up.in_context_rate", "others.memory_up.in_context_rate", "lower"
        ),
        Claim("attribution-finds-heads-that-work", "attribution.effect_rank_score", 0.0, "higher"),
        Claim("frequent-facts-are-recalled", "untouched.entity_frequency_score", 0.0, "lower"),
        Claim("frequent-answers-are-copied-less", "untouched.answer_frequency_score", 0.0, "lower"),
        Claim("promoting-keeps-answers-sensible", "copy_up.other_rate", 0.1, "lower"),
        Claim(
            "copying-head-transfers",
            "second.copy_up.in_context_rate",
            "second.untouched.in_context_rate",
            "higher",
        ),
    ],
    baseline="the untouched model, and every other head at the same scale",
)
def factual_recall(scale: Scale, seed: int) -> Measurements:
    """Measure how scaling one attention head moves a model between copying its prompt and recalling what it learnt."""
    if scale is Scale.full:
        return _measured(_your_setting(seed))
    return _small(SIZES[scale], seed)


def _small(n: Sizes, seed: int) -> dict[str, float]:
    """Teach a small decoder facts and contradictions, and measure it."""
    from concordant.learn.randomness import child_seeds
    from concordant.studies.contradicted_facts import POSITIONS, ContradictedFacts, known_entities
    from concordant.studies.small_decoder import new_decoder, trained

    world_seed, model_seed, split_seed = child_seeds(seed, 3)
    rng = np.random.default_rng(world_seed)
    world = ContradictedFacts.drawn(rng, n.entities, n_values=n.n_values, names=n.names)
    model = new_decoder(
        world.n_words, width=n.width, layers=n.layers, heads=n.heads, positions=POSITIONS, seed=model_seed
    )
    rows = [(row, POSITIONS - 1) for row in world.texts(rng, n.texts).tolist()]
    trained(model, rows, rate=3e-3, tokens=64 * POSITIONS, seed=model_seed)
    known = [known_entities(model, world, relation) for relation in (0, 1)]
    asked = [some if some.sum() >= LEAST_KNOWN else np.ones(n.entities, bool) for some in known]
    (first, told), (second, _) = (
        world.conflicts(rng, relation, n.per_entity, asked[relation]) for relation in (0, 1)
    )
    entity_counts = world.frequencies[[int(entity) for entity in first.entities]]
    answer_counts = world.value_frequencies(0)[told]
    setting = Setting(
        model, first, second, entity_counts, answer_counts, [str(value) for value in told], split_seed
    )
    return {"world.known_rate": float(np.mean(known)), **_measured(setting)}


def _measured(setting: Setting) -> dict[str, float]:
    """Find both heads on one half of the entities, and measure them on the other and on the second relation."""
    from concordant.explanations.mechanisms import direct_logit_attribution, head_sweep, recall

    model = setting.model
    tune, held_out = setting.first.split(0.5, seed=setting.seed)
    found = direct_logit_attribution(model, tune.rows, tune.in_context, against=tune.memorised)
    attribution = found.heads.mean(0)
    copying, memory = found.most_for, found.most_against
    tuned = head_sweep(model, tune, scales=(*UP, *DOWN), heads=[copying, memory], progress=False)
    chosen = {
        "copy_up": _chosen(tuned, copying, UP, lowest=False),
        "copy_down": _chosen(tuned, copying, DOWN, lowest=True),
        "memory_up": _chosen(tuned, memory, UP, lowest=True),
        "memory_down": _chosen(tuned, memory, DOWN, lowest=False),
    }
    scales = sorted({choice.scale for choice in chosen.values()})
    heads = _some_heads(attribution.shape, [copying, memory], setting.most_heads, setting.seed)
    sweep = head_sweep(model, held_out, scales=scales, heads=heads, progress=False)
    untouched = recall(model, setting.second)
    measured = {
        **_rates("untouched", sweep.untouched),
        **_rates("second.untouched", untouched),
        **_frequencies(setting),
    }
    for name, choice in chosen.items():
        measured |= _rates(name, sweep.recall(*choice))
        measured |= _against_others(name, sweep, choice)
        measured |= _rates(f"second.{name}", recall(model, setting.second, scales=choice.scales))
    at = np.array([attribution[place] for place in sweep.heads])
    measured["attribution.effect_rank_score"] = effect_rank_score(at, sweep, chosen["copy_up"].scale)
    mlps = np.abs(found.mlps.mean(0)).sum()
    measured["attribution.heads_share"] = float(
        np.abs(attribution).sum() / (np.abs(attribution).sum() + mlps)
    )
    return measured


def _chosen(tuned: HeadSweep, head: tuple[int, int], scales: Sequence[float], *, lowest: bool) -> HeadChoice:
    """Return the scale of a head that works best on the tuning half; where all break the model, any may be taken."""
    try:
        return tuned.best(head=head, scales=scales, lowest=lowest, most_other=MOST_OTHER)
    except DataError:
        return tuned.best(head=head, scales=scales, lowest=lowest, most_other=1.0)


def _some_heads(
    shape: tuple[int, ...], chosen: Sequence[tuple[int, int]], most: int | None, seed: int
) -> list[tuple[int, int]]:
    """Return the chosen heads and others: all of them, or as many as are drawn."""
    others = [(layer, head) for layer, head in np.ndindex(*shape) if (layer, head) not in chosen]
    if most is not None and most < len(others):
        drawn = np.random.default_rng(seed).choice(len(others), size=most, replace=False)
        others = [others[i] for i in sorted(drawn)]
    return [*dict.fromkeys(chosen), *others]


def _rates(name: str, found: Recall) -> dict[str, float]:
    from concordant.explanations.mechanisms.sources import SOURCES

    return {f"{name}.{source}_rate": found.rate(source).value for source in SOURCES}


def _against_others(name: str, sweep: HeadSweep, choice: HeadChoice) -> dict[str, float]:
    """Measure all other heads at the same scale: their mean rate, and how many move it as far from the untouched one."""
    column = sweep.scales.index(choice.scale)
    row = sweep.heads.index((choice.layer, choice.head))
    rates = sweep.rates()[:, column]
    others = np.delete(rates, row)
    start = sweep.untouched.rate().value
    as_far = np.sign(rates[row] - start) * (others - rates[row]) >= 0
    return {
        f"{name}.scale": choice.scale,
        f"{name}.layer": float(choice.layer),
        f"others.{name}.in_context_rate": float(others.mean()),
        f"others.{name}.as_far_rate": float(as_far.mean()),
    }


def effect_rank_score(attribution: NDArray[np.float64], sweep: HeadSweep, scale: float) -> float:
    """Return how far the attributions of heads rank the rates of copied answers with each of them at a scale.

    Parameters
    ----------
    attribution
        Of each head of the sweep, to the answer in the context.
    sweep
        On items that the attributions were not made on.
    scale
        Above 1.

    Returns
    -------
    float
        Spearman's rank correlation; 0 where no scaling changes anything.
    """
    from concordant.core.statistics import spearman_rho

    rates = sweep.rates()[:, sweep.scales.index(scale)]
    return float(np.nan_to_num(spearman_rho(attribution, rates)))


def _frequencies(setting: Setting) -> dict[str, float]:
    """Measure how copying goes with the frequency of entities and of answers, in rates and in the margin of logits."""
    from concordant.core.statistics import spearman_rho
    from concordant.explanations.mechanisms import direct_logit_attribution, frequency_correlation, recall

    conflicts = setting.first
    found = recall(setting.model, conflicts)
    by_entity = frequency_correlation(found, setting.entity_counts)
    by_answer = frequency_correlation(found, setting.answer_counts, of=setting.answers)
    margins = direct_logit_attribution(
        setting.model, conflicts.rows, conflicts.in_context, against=conflicts.memorised
    ).logits
    return {
        "untouched.entity_frequency_score": by_entity.value,
        "untouched.answer_frequency_score": by_answer.value,
        "untouched.entity_margin_score": float(np.nan_to_num(spearman_rho(margins, setting.entity_counts))),
        "untouched.answer_margin_score": float(np.nan_to_num(spearman_rho(margins, setting.answer_counts))),
    }


def _your_setting(seed: int) -> Setting:
    """Make the setting of a model, conflicts and texts that environment variables name."""
    from concordant.explanations.mechanisms import known_conflicts
    from concordant.studies.your_models import named, your_model

    found = named(
        "factual-recall",
        {MODEL: "a causal language model", CONFLICTS: "a JSON file of conflicts", TEXTS: "a file of texts"},
    )
    model = your_model(found[MODEL])
    facts, relations = read_conflicts(Path(found[CONFLICTS]))
    known = sorted(set(relations))
    if len(known) < 2:
        message = f"the conflicts that {CONFLICTS} names must be of two relations at least, got {len(known)}"
        raise ConfigError(message)
    drawn = np.random.default_rng(seed).permutation(len(known))[: len(known) // 2]
    chosen = {known[i] for i in drawn}
    parts: tuple[list[FactConflict], list[FactConflict]] = ([], [])
    for fact, relation in zip(facts, relations, strict=True):
        parts[relation not in chosen].append(fact)
    first, second = (known_conflicts(model, part) for part in parts)
    told = {fact.prompt: fact.in_context.strip() for fact in parts[0]}
    # The prompts that were kept are known by their tokens.
    prompts = list(told)
    answer_of = {
        tuple(row): told[prompt] for row, prompt in zip(model.tokens.encode(prompts), prompts, strict=True)
    }
    answers = [answer_of[tuple(row)] for row in first.rows]
    texts = Path(found[TEXTS]).read_text(encoding="utf-8")
    counts = {name: float(texts.count(name)) for name in {*answers, *first.entities}}
    return Setting(
        model.model,
        first,
        second,
        np.array([counts[entity] for entity in first.entities]),
        np.array([counts[answer] for answer in answers]),
        answers,
        seed,
        N_OTHERS,
    )


def read_conflicts(path: Path) -> tuple[list[FactConflict], list[str]]:
    """Read conflicts from a JSON file, and the relation of each: its question without the subject.

    Raises
    ------
    ConfigError
        If the file is not there.
    DataError
        If it is no list of objects with the texts ``subject``, ``base_prompt``, ``prompt``, ``target_true`` and
        ``target_new``.
    """
    from concordant.explanations.mechanisms import FactConflict

    if not path.is_file():
        message = f"{CONFLICTS} must name a file, got {str(path)!r}"
        raise ConfigError(message)
    wanted = ("subject", "base_prompt", "prompt", "target_true", "target_new")
    try:
        rows: list[Mapping[str, str]] = json.loads(path.read_text(encoding="utf-8"))
        texts = [[row[name] for name in wanted] for row in rows]
    except (ValueError, KeyError, TypeError):
        texts = [[]]
    if not texts or not all(row and all(isinstance(text, str) for text in row) for row in texts):
        message = f"{path} must be a list of objects with {', '.join(wanted)} as texts"
        raise DataError(message)
    facts = [FactConflict(subject, asked, prompt, true, new) for subject, asked, prompt, true, new in texts]
    return facts, [fact.question.replace(fact.entity, "{}") for fact in facts]
