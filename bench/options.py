"""What scoring the options of multiple-choice items costs: beside scoring the full strings, and beside lm-eval."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bench.decoding import best_seconds
from bench.timing import Figure, peer
from concordant.models.causal import CausalLM
from concordant.models.option_scores import option_scores
from concordant.pocket import items, pocket_tokenizer
from concordant.pocket.recipes import SIZES
from concordant.pocket.training import new_model, save_model

if TYPE_CHECKING:
    from concordant.core.items import Items
    from concordant.models.option_scores import Way

N, REACH = 256, 2.5
TEXT_WORDS, OPTION_WORDS = 40, 3


class _Plain(CausalLM):
    """A model that scores each full string by itself, in batches of similar length."""

    def _found(self, finds: Any) -> None:
        return None


def main(peer_python: str | None = None) -> list[Figure]:
    """Score the 4 options of each of 256 questions, in three ways; CPU seconds of one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model, tokenizer = new_model(SIZES["1m"], seed=0), pocket_tokenizer()
        asked = items(["choice"], N, split="train", seed=0)
        long = _long(asked)
        sorts: list[tuple[str, Items, Way]] = [
            ("questions with options of a word, as a cloze", asked, "cloze"),
            ("the same, by letter", asked, "letter"),
            (
                f"prompts of about {TEXT_WORDS} words with options of {OPTION_WORDS}, as a cloze",
                long,
                "cloze",
            ),
        ]
        figures = [_measured(model, tokenizer, *sort) for sort in sorts]
        if peer_python:
            for what, questions in (("questions with options of a word", asked), (sorts[2][0], long)):
                figures += _beside_lm_eval(model, tokenizer, what, questions, peer_python)
        return figures
    finally:
        torch.set_num_threads(threads)


def _long(asked: Items) -> Items:
    """Put a text of its own before each question, and give it options of several words."""
    words = " ".join(asked.inputs.to_list()).split()
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(words, TEXT_WORDS - 9)) + " . " + text for text in asked.inputs.to_list()]
    options = [[" ".join(rng.choice(words, OPTION_WORDS)) for _ in range(4)] for _ in texts]
    return asked.replace(input=texts, choices=options)


def _measured(model: Any, tokenizer: Any, what: str, asked: Items, way: Way) -> Figure:
    shared, plain = (make(model, tokenizer, fingerprint="bench") for make in (CausalLM, _Plain))
    ours, theirs = (option_scores(lm, asked, options=way) for lm in (shared, plain))
    apart = max(float(np.abs(a.logprobs - b.logprobs).max()) for a, b in zip(ours, theirs, strict=True))
    assert apart < 1e-3, f"the scores are up to {apart} apart"
    our_s, their_s = best_seconds(
        lambda: option_scores(shared, asked, options=way), lambda: option_scores(plain, asked, options=way)
    )
    return Figure(
        f"scores of 4 options, {what}",
        f"{our_s / N * 1e3:.2f} ms CPU an item, {their_s / our_s:.1f} times as fast",
        f"{REACH} times scoring the 4 full strings",
        f"{their_s / N * 1e3:.2f} ms (scores at most {apart:.0e} apart)",
        their_s / our_s >= REACH,
    )


def _beside_lm_eval(model: Any, tokenizer: Any, what: str, asked: Items, python: str) -> list[Figure]:
    lm = CausalLM(model, tokenizer, fingerprint="bench")
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, folder)
        pairs = [
            (q, " " + o) for q, row in zip(asked.inputs, asked.choices.to_list(), strict=True) for o in row
        ]
        Path(folder, "pairs.json").write_text(json.dumps(pairs))
        found = peer(python, "lm_eval_options.py", folder=folder, batch_size=256)
    if found is None:
        return []
    chosen = [scored.choice for scored in option_scores(lm, asked)]
    theirs = np.array(found["logprobs"]).reshape(len(asked), -1).argmax(axis=1)
    (our_s,) = best_seconds(lambda: option_scores(lm, asked))
    return [
        Figure(
            f"the same beside lm-eval {found['version']}, {what}",
            f"{our_s / N * 1e3:.2f} ms CPU an item",
            "below it",
            f"{found['cpu_s'] / N * 1e3:.2f} ms (the same option for {np.mean(theirs == chosen):.0%})",
            our_s < found["cpu_s"],
        )
    ]
