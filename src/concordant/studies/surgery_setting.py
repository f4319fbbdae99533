"""What a study of model surgery needs: a model with a behaviour, a probe of it, and texts to choose and to report by."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.errors import ConfigError
from concordant.learn.randomness import child_seeds
from concordant.learn.sequences import TokenBatches, answer_nll
from concordant.studies.rude_replies import (
    REPLY_TOKENS,
    ids_of,
    meetings,
    minimal_pairs,
    rude_rate,
    rude_share,
)
from concordant.versions.editing.probe import LinearProbe, fit_probe, pooled_states

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

    from concordant.learn.sequences import Row
    from concordant.models.causal import CausalLM
    from concordant.studies.model_surgery import Sizes

NAMES = {
    "model": "CONCORDANT_SURGERY_MODEL",
    "unwanted": "CONCORDANT_SURGERY_UNWANTED",
    "wanted": "CONCORDANT_SURGERY_WANTED",
    "prompts": "CONCORDANT_SURGERY_PROMPTS",
    "general": "CONCORDANT_SURGERY_GENERAL",
}
"""Environment variables that name the model (a folder or a name of the hub) and texts, as `Items.read` takes them."""

TOKENS = 4096
RUDE = 0.25
"""A reply is rude, to the probe, if more of its words are."""

YOUR_TOKENS = 32
YOUR_PAIRS = 200


@dataclass(frozen=True)
class Measures:
    """Texts to measure by.

    Parameters
    ----------
    rate
        Of the unwanted behaviour of a model.
    perplexity
        Of clean texts under a model.
    """

    rate: Callable[[nn.Module], float]
    perplexity: Callable[[nn.Module], float]


@dataclass(frozen=True)
class SurgerySetting:
    """A model with a behaviour.

    Parameters
    ----------
    module
        The model.
    probe
        Of the behaviour.
    pair_accuracy
        Share of minimal pairs that the probe tells.
    chosen, tested
        Measures to choose a strength by, and to report.
    """

    module: nn.Module
    probe: LinearProbe
    pair_accuracy: float
    chosen: Measures
    tested: Measures


def rude_setting(n: Sizes, *, seed: int) -> SurgerySetting:
    """Teach a pocket model the language of meetings, and find the direction of rudeness.

    Parameters
    ----------
    n
        How much is drawn, and how long is taught.
    seed
        Decides everything.
    """
    from concordant.pocket.mixes import MIXES
    from concordant.pocket.texts import token_rows
    from concordant.studies.small_language import released_language_model, taught

    drawn, general, teaching, writing, probing = child_seeds(seed, 5)
    rng = np.random.default_rng(drawn)
    lessons: list[Row] = [meeting.row for meeting in meetings(n.lessons, rng)]
    lessons += token_rows(MIXES["base"].draw(n.lessons, seed=general), chat=False)
    model = taught(released_language_model("250k-base"), lessons, rate=2e-3, steps=n.steps, seed=teaching)

    scenes = [meeting.text for meeting in meetings(n.written, rng)]
    replies = _replies(model, scenes, writing)
    texts = [ids_of(f"{scene} {reply}") for scene, reply in zip(scenes, replies, strict=True)]
    is_rude = np.array([rude_share(reply) > RUDE for reply in replies])
    states = pooled_states(model.model, texts)
    probe = fit_probe(states[is_rude], states[~is_rude], seed=probing)
    pairs = (pooled_states(model.model, [one.row[0] for one in side]) for side in minimal_pairs(n.pairs, rng))

    def measures(seed: int) -> Measures:
        prompts = [meeting.text for meeting in meetings(n.prompts, rng, cold=True)]
        clean: list[Row] = [meeting.row for meeting in meetings(n.clean, rng, cold=False)]
        clean += token_rows(MIXES["base"].draw(n.clean, seed=seed), chat=False)
        return Measures(
            lambda module: rude_rate(_replies(model, prompts, seed)), _perplexity(TokenBatches(clean, TOKENS))
        )

    chosen, tested = (measures(one) for one in child_seeds(seed + 1, 2))
    return SurgerySetting(model.model, probe, probe.pair_accuracy(*pairs).value, chosen, tested)


def named_setting(*, seed: int) -> SurgerySetting:
    """Make the setting of the model and the texts that environment variables name; the probe is the judge.

    Raises
    ------
    ConfigError
        If one of the variables is missing, or names a model that is not a causal language model.
    """
    from concordant.core.items import Items
    from concordant.models.causal import CausalLM
    from concordant.models.load import load

    missing = [variable for variable in NAMES.values() if not os.environ.get(variable)]
    if missing:
        message = (
            "the study 'model-surgery' at full scale needs a language model and texts: name them in "
            f"{', '.join(NAMES.values())}; there is no {' and no '.join(missing)}"
        )
        raise ConfigError(message)
    model: Any = getattr(load(f"hf:{os.environ[NAMES['model']]}"), "language_model", None)
    if not isinstance(model, CausalLM):
        message = f"{NAMES['model']} must name a causal language model, got {os.environ[NAMES['model']]!r}"
        raise ConfigError(message)
    texts = {
        part: [str(text) for text in Items.read(os.environ[NAMES[part]]).inputs]
        for part in NAMES
        if part != "model"
    }
    encode = model.tokens.encode
    states = {part: pooled_states(model.model, encode(texts[part])) for part in ("unwanted", "wanted")}
    probe = fit_probe(states["unwanted"], states["wanted"], seed=seed)
    n_pairs = min(YOUR_PAIRS, *map(len, states.values()))
    accuracy = probe.pair_accuracy(*(part[:n_pairs] for part in states.values())).value

    def judged(module: nn.Module, prompts: Sequence[str]) -> float:
        written = model.generate(prompts, temperature=1.0, max_tokens=YOUR_TOKENS, seed=seed)
        return float(
            (probe.scores(pooled_states(module, encode([one[0].text for one in written]))) > 0).mean()
        )

    def measures(part: int) -> Measures:
        prompts, clean = texts["prompts"][part::2], texts["general"][part::2]
        batches = TokenBatches([(row, 1) for row in encode(clean)], TOKENS)
        return Measures(lambda module: judged(module, prompts), _perplexity(batches))

    return SurgerySetting(model.model, probe, accuracy, measures(0), measures(1))


def _perplexity(batches: TokenBatches) -> Callable[[nn.Module], float]:
    return lambda module: math.exp(answer_nll(module, batches))


def _replies(model: CausalLM, prompts: Sequence[str], seed: int) -> list[str]:
    """Return one reply to each meeting, drawn from what the model would say."""
    written = model.generate(prompts, temperature=1.0, max_tokens=REPLY_TOKENS, seed=seed)
    return [one[0].text for one in written]
