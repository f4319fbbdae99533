"""What preference training costs: steps of DPO and of a reward model, ours and TRL's in turns on the same batches."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.timing import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from concordant.learn.preferences import PreferencePairs

PAIRS, BATCH, STEPS, ROUNDS, THREADS = 512, 32, 5, 5, 1
VOCABULARY, WIDTH, LAYERS = 740, 128, 4  # about a million weights, as the models of the pocket world
PROMPT, ANSWER = (8, 24), (3, 12)  # words, uniform
REACH = 1.5


def main(peer_python: str | None = None) -> list[Figure]:
    """Measure both sorts of training: the least CPU seconds of a step over rounds that alternate with TRL's."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        with tempfile.TemporaryDirectory() as folder:
            pairs = made(folder)
            return [
                figure for name in ("dpo", "reward") for figure in measured(name, folder, pairs, peer_python)
            ]
    finally:
        torch.set_num_threads(threads)


def made(folder: str) -> PreferencePairs:
    """Write the models, the tokenizer and the texts into a folder, for both sides; return the pairs as ours has them."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from concordant.learn import PreferencePairs, reward_head

    words = ["<pad>", "<s>", "</s>", *(f"w{i}" for i in range(VOCABULARY - 3))]
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<pad>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=352,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        max_position_embeddings=128,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    reward_head(model).save_pretrained(f"{folder}/judge")
    tokenizer.save_pretrained(folder)
    generator = np.random.default_rng(0)

    def text(low: int, high: int) -> str:
        return " ".join(generator.choice(words[3:], generator.integers(low, high, endpoint=True)))

    prompts = [text(*PROMPT) for _ in range(PAIRS)]
    sides = {side: [" " + text(*ANSWER) for _ in range(PAIRS)] for side in ("chosen", "rejected")}
    Path(folder, "pairs.json").write_text(json.dumps({"prompt": prompts, **sides}))
    return PreferencePairs.of_texts(tokenizer, prompts, sides["chosen"], sides["rejected"])


def measured(name: str, folder: str, pairs: PreferencePairs, peer_python: str | None) -> list[Figure]:
    """Return what a step of one sort costs us, and how that compares."""
    theirs = rounds(peer_python, f"trl_{name}.py", folder) if peer_python else iter(())
    version = next(theirs, None)
    seconds: dict[str, list[tuple[float, float]]] = {"ours": [], "twice": [], "trl": []}
    turns = {
        "ours": our_rounds(name, folder, pairs, once=True),
        "twice": our_rounds(name, folder, pairs, once=False),
    }
    last = 0.0
    for _ in range(ROUNDS):
        for side, taken in turns.items():
            wall, cpu, last = next(taken)
            seconds[side].append((wall, cpu))
        if version is not None:
            said = next(theirs)
            seconds["trl"].append((said["wall_s"], said["cpu_s"]))
    what = {"dpo": "DPO", "reward": "reward model"}[name]
    what = f"{what}: a step of {BATCH} pairs, a model of 1 M weights, one thread"
    # The best round of each: on shared cores whoever else is running only ever adds time. Not the first: it warms up.
    best = {
        side: tuple(min(column) for column in zip(*times[1:], strict=True))
        for side, times in seconds.items()
        if times
    }
    wall, cpu = best["ours"]
    if version is None:
        return [Figure(what, f"{cpu * 1e3:.0f} ms CPU", f"{REACH} times TRL", "TRL is not installed")]
    final = next(theirs)
    assert abs(final["last_loss"] - last) < 0.01 * last, f"not the same work: {final['last_loss']} and {last}"
    assert next(theirs, None) is None
    peer_wall, peer_cpu = best["trl"]
    beside = f"TRL {version['version']}: {peer_cpu * 1e3:.0f} ms CPU, {peer_wall * 1e3:.0f} ms by the clock"
    return [
        Figure(
            f"{what}, prompts read {'once' if side == 'ours' else 'twice'}",
            f"{best[side][1] * 1e3:.0f} ms CPU, {peer_cpu / best[side][1]:.2f} times as fast; "
            f"{best[side][0] * 1e3:.0f} ms by the clock",
            f"{REACH} times TRL",
            beside,
            peer_cpu / best[side][1] >= REACH if side == "ours" else None,
        )
        for side in ("ours", "twice")
    ]


def our_rounds(
    name: str, folder: str, pairs: PreferencePairs, *, once: bool
) -> Iterator[tuple[float, float, float]]:
    """Yield, for each round of some steps, the wall and CPU seconds of a step and the loss of its last."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    from concordant.learn import preference_loss, reward_loss, train

    if name == "dpo":
        model = AutoModelForCausalLM.from_pretrained(folder)
        pairs, loss = pairs.with_reference(model), preference_loss("dpo", beta=0.1)
    else:
        model = AutoModelForSequenceClassification.from_pretrained(f"{folder}/judge")
        loss = reward_loss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.0, fused=True)
    batches = pairs.batches(BATCH, model=model if once else None, shuffle=False)
    position = 0

    def going_on(generator: torch.Generator) -> Iterator[Any]:
        parts = [range(i, i + BATCH) for i in range(0, len(pairs), BATCH)]
        for i in range(STEPS):
            yield batches.batch(parts[(position + i) % len(parts)])

    while True:
        before = time.perf_counter(), time.process_time()
        history = train(
            model, loss, going_on, steps=STEPS, optimizer=optimizer, clip=1.0, device="cpu", progress=False
        )
        wall, cpu = time.perf_counter() - before[0], time.process_time() - before[1]
        yield wall / STEPS, cpu / STEPS, history.loss[-1]
        position += STEPS


def rounds(python: str, script: str, folder: str) -> Iterator[dict[str, Any]]:
    """Yield what a peer prints, line by line; it takes its next round only when it is asked for it."""
    path = Path(__file__).parent / "peers" / script
    arguments = {"folder": folder, "batch": BATCH, "steps": STEPS, "rounds": ROUNDS, "threads": THREADS}
    process = subprocess.Popen(
        [python, str(path), json.dumps(arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(THREADS)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        said = (json.loads(line) for line in process.stdout if line.startswith('{"'))  # trainers print too
        version = next(said, None)
        if version is None:  # the peer is not installed there
            return
        yield version
        for _ in range(ROUNDS):
            process.stdin.write("\n")
            process.stdin.flush()
            yield next(said)
        yield next(said)
