"""What decoding costs beside ``transformers.generate``: a model of the size of pocket 1M, with its own questions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bench.timing import Figure
from concordant.models.causal import CausalLM
from concordant.pocket import SKILLS, examples, pocket_tokenizer
from concordant.pocket.recipes import SIZES
from concordant.pocket.training import new_model

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH, NEW, SAMPLES, LONG = 256, 24, 8, 64
GREEDY_REACH, SAMPLES_REACH = 1.5, 3.0
ROUNDS = 5


def main() -> list[Figure]:
    """Measure greedy decoding of one length and of many, and samples of long prompts; CPU seconds of one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        lm = _model()
        drawn = examples(tuple(SKILLS), 100, seed=0)
        questions = [drawn[i].prompt for i in np.random.default_rng(0).permutation(len(drawn))]
        words = " ".join(questions).split()
        even = [" ".join(words[i * LONG : i * LONG + NEW - 1]) for i in range(BATCH)]
        long = [" ".join(words[i * LONG : (i + 1) * LONG - 1]) for i in range(16)]
        return [
            _greedy(lm, questions[:BATCH], f"questions of {_lengths(lm, questions[:BATCH])} tokens"),
            _greedy(lm, even, f"prompts of {_lengths(lm, even)} tokens"),
            _samples(lm, long[:1]),
            _samples(lm, long),
        ]
    finally:
        torch.set_num_threads(threads)


def _model() -> CausalLM:
    """Return a model that was not trained, so that no answer ends before its last token."""
    model, tokenizer = new_model(SIZES["1m"], seed=0), pocket_tokenizer()
    lm = CausalLM(model, tokenizer, fingerprint="bench")
    lm._ends = []
    model.generation_config.eos_token_id = None
    return lm


def _greedy(lm: CausalLM, prompts: list[str], what: str) -> Figure:
    made: dict[str, list[str]] = {}

    def ours() -> None:
        made["ours"] = [row[0].text for row in lm.generate(prompts, max_tokens=NEW)]

    def theirs() -> None:
        made["theirs"] = _generate(lm, prompts, do_sample=False)

    our_s, their_s = best_seconds(ours, theirs)
    same = sum(a == b for a, b in zip(made["ours"], made["theirs"], strict=True))
    assert same >= 0.99 * len(prompts), f"only {same} of {len(prompts)} texts are the same"
    rate = len(prompts) * NEW / our_s
    return Figure(
        f"greedy, batch {len(prompts)}, {NEW} new tokens, {what}",
        f"{rate:,.0f} tokens a CPU second, {their_s / our_s:.2f} times as fast",
        f"{GREEDY_REACH} times transformers.generate",
        f"{len(prompts) * NEW / their_s:,.0f} (the same text for {same} of {len(prompts)})",
        their_s / our_s >= GREEDY_REACH,
    )


def _samples(lm: CausalLM, prompts: list[str]) -> Figure:
    def ours() -> None:
        lm.generate(prompts, n=SAMPLES, temperature=1.0, max_tokens=NEW)

    def theirs() -> None:
        for _ in range(SAMPLES):
            _generate(lm, prompts, do_sample=True, top_k=0)

    our_s, their_s = best_seconds(ours, theirs)
    return Figure(
        f"{SAMPLES} samples of each of {len(prompts)} prompts of {LONG} tokens, {NEW} new tokens",
        f"{our_s * 1e3:.0f} ms CPU, {their_s / our_s:.1f} times as fast",
        f"{SAMPLES_REACH:.0f} times {SAMPLES} calls of transformers.generate",
        f"{their_s * 1e3:.0f} ms",
        their_s / our_s >= SAMPLES_REACH,
    )


def _generate(lm: CausalLM, prompts: list[str], **options: Any) -> list[str]:
    tokenizer = lm.tokens.tokenizer
    inputs = tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left")
    inputs = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        made = lm.model.generate(**inputs, max_new_tokens=NEW, pad_token_id=tokenizer.pad_token_id, **options)
    return tokenizer.batch_decode(made[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


def _lengths(lm: CausalLM, prompts: list[str]) -> str:
    lengths = [len(row) for row in lm.tokens.encode(prompts)]
    return f"{min(lengths)} to {max(lengths)}" if min(lengths) < max(lengths) else str(lengths[0])


def best_seconds(*functions: Callable[[], None]) -> list[float]:
    """Return the CPU seconds of each in its best round; in turns, so that a busy moment hits all alike."""
    best = [float("inf")] * len(functions)
    for round_ in range(ROUNDS + 1):
        for i, function in enumerate(functions):
            started = time.process_time()
            function()
            if round_:  # the first warms up
                best[i] = min(best[i], time.process_time() - started)
    return best
