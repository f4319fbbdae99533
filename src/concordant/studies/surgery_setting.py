"""What a study of model surgery needs: a model with a behaviour, a probe of it, and texts to choose and to report by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from concordant.core.errors import ConfigError
from concordant.learn import train
from concordant.learn.loop import own_generator
from concordant.learn.randomness import child_seeds
from concordant.learn.schedules import cosine
from concordant.learn.sequences import TokenBatches, answer_nll, sft
from concordant.studies.rude_language import (
    BEGIN,
    CONTINUED,
    END,
    VOCABULARY,
    RudeLanguage,
    continued,
    is_rude,
)
from concordant.versions.editing.probe import LinearProbe, fit_probe, pooled_states

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor, nn

    from concordant.learn.sequences import Row
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
"""A text is rude, to the probe, if more of what was written is."""

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
    """Teach a small model the rude language from nothing, and find the direction of rudeness in what it writes.

    Parameters
    ----------
    n
        How much is drawn, and how long is taught.
    seed
        Decides everything.
    """
    drawn, weights, teaching, writing, probing, choosing, testing = child_seeds(seed, 7)
    rng = np.random.default_rng(drawn)
    language = RudeLanguage.drawn(rng)
    model = _new_model(weights)
    train(
        model,
        sft,
        TokenBatches(_rows(language.whole(n.lines, rng)), 2048),
        steps=n.steps,
        optimizer=partial(torch.optim.AdamW, lr=4e-3),
        schedule=partial(cosine, warm_up=n.steps // 10),
        clip=1.0,
        device="cpu",
        seed=teaching,
        progress=False,
    )
    model.eval()

    begun = torch.cat([language.begun(n.written, rng, rude=rude) for rude in (True, False)])
    written = continued(model, begun, CONTINUED, seed=writing)
    rude = is_rude(written[:, -CONTINUED:]).double().mean(1) > RUDE
    states = pooled_states(model, written.tolist())
    probe = fit_probe(states[rude], states[~rude], seed=probing)
    pairs = (pooled_states(model, lines.tolist()) for lines in language.minimal_pairs(n.pairs, rng))

    def measures(seed: int) -> Measures:
        contexts = language.begun(n.prompts, rng, rude=True)
        clean = TokenBatches(_rows(language.whole(n.clean, rng, rude=0.0)), TOKENS)

        def rate(module: nn.Module) -> float:
            tokens = continued(module, contexts, CONTINUED, seed=seed)
            return float(is_rude(tokens[:, -CONTINUED:]).double().mean())

        return Measures(rate, _perplexity(clean))

    return SurgerySetting(
        model, probe, probe.pair_accuracy(*pairs).value, measures(choosing), measures(testing)
    )


def _new_model(seed: int) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=64,
        initializer_range=0.075,
        tie_word_embeddings=True,
        bos_token_id=BEGIN,
        eos_token_id=END,
        pad_token_id=END,
    )
    with own_generator(torch.device("cpu"), seed):
        return LlamaForCausalLM(config)


def _rows(lines: Tensor) -> list[Row]:
    return [(line, 1) for line in lines.tolist()]


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
    from concordant.studies.your_models import named

    wanted = {NAMES[part]: f"{part} texts" for part in NAMES} | {NAMES["model"]: "a causal language model"}
    found = named("model-surgery", wanted)
    model: Any = getattr(load(f"hf:{found[NAMES['model']]}"), "language_model", None)
    if not isinstance(model, CausalLM):
        message = f"{NAMES['model']} must name a causal language model, got {found[NAMES['model']]!r}"
        raise ConfigError(message)
    texts = {
        part: [str(text) for text in Items.read(found[NAMES[part]]).inputs]
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
