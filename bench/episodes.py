"""What episodes cost: 1,000 two-turn conversations with a local language model beside two plain batched passes."""

from __future__ import annotations

import tempfile

import concordant as cc
from bench.timing import Figure, timed
from concordant import variants

N = 1000


def main() -> list[Figure]:
    """Measure it on a small random Llama-style model on the CPU."""
    from tiny_models import make_causal_folder

    with tempfile.TemporaryDirectory() as folder:
        model = cc.load(f"hf:{make_causal_folder(folder)}")
        words = ["red", "green", "blue", "one", "two", "three"]
        texts = [" ".join(words[(i * k) % 6] for k in range(1, 9)) for i in range(N)]
        items = cc.Items.from_records([{"id": str(i), "input": text} for i, text in enumerate(texts)])
        request = cc.Request(max_tokens=16)
        second = "Are you sure? Answer again."

        def batched(asked: cc.Items) -> list[str]:
            starts = range(0, N, model.batch_size)
            parts = [
                model.respond(asked.rows(range(i, min(i + model.batch_size, N))), request) for i in starts
            ]
            return [text for part in parts for text in part["output"].to_list()]

        def plain() -> None:
            first = batched(items)
            turns = [
                [cc.user(t), cc.assistant(a), cc.user(second)] for t, a in zip(texts, first, strict=True)
            ]
            batched(items.replace(input=turns))

        def episodes() -> None:
            cc.check(model, items, [variants.SecondLook(second)], request=request, progress=False)

        plain_wall, _ = timed(plain, runs=3)
        episode_wall, _ = timed(episodes, runs=3)
    ratio = episode_wall / plain_wall
    what = f"{N:,} two-turn episodes beside two plain passes"
    return [
        Figure(
            what,
            f"{ratio:.2f} times ({episode_wall:.2f} s beside {plain_wall:.2f} s)",
            "1.2 times",
            holds=ratio <= 1.2,
        )
    ]
