"""Families of Alice on a grid of numbers, and a small language model that saw the puzzle for some of them only.

Every cell of the grid is a number of brothers and a number of sisters. The puzzle asks how many sisters the brother
has; the controls ask, in the same words, what is told (brothers, sisters) or their sum. Of the cells that are held
out, the model is taught the controls and not the puzzle, so that it knows the numbers, the words and what it is to add.
"""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch

from concordant.learn import train
from concordant.learn.schedules import cosine
from concordant.learn.sequences import TokenBatches, answer_rows, sft
from concordant.models.causal import CausalLM
from concordant.models.language import GenerativeModel
from concordant.pocket import SKILLS, pocket_tokenizer
from concordant.pocket.recipes import Size
from concordant.pocket.skills.siblings import CONTROLS, MAIN
from concordant.pocket.training import new_model
from concordant.variants import grid_items

if TYPE_CHECKING:
    from collections.abc import Sequence

    from concordant.core.items import Items

Cell = tuple[int, int]
TOLD = "alice has {brothers} brothers and {sisters} sisters . question : "
SIZE = Size(width=48, layers=2, heads=4, inner=128)
RATE, TOKENS = 3e-3, 2048


def split_cells(side: int, held_out: float, *, seed: int) -> tuple[list[Cell], list[Cell]]:
    """Return the cells of a square grid that are held out, and the others.

    Examples
    --------
    >>> held, seen = split_cells(10, 0.8, seed=0)
    >>> len(held), len(seen), len({*held, *seen})
    (80, 20, 100)
    """
    cells = list(product(range(1, side + 1), repeat=2))
    order = np.random.default_rng(seed).permutation(len(cells)).tolist()
    n_held = round(held_out * len(cells))
    return sorted(cells[i] for i in order[:n_held]), sorted(cells[i] for i in order[n_held:])


def cell_items(cells: Sequence[Cell]) -> Items:
    """Return the puzzle and its controls for some cells, as items for `variants.grid`.

    Examples
    --------
    >>> items = cell_items([(3, 6)])
    >>> items.reference.to_list(), items.frame["control"].to_list()
    (['7', '9', '3', '6'], [None, 'total', 'own brothers', 'own sisters'])
    """
    questions = {name: TOLD + asked.format(who="alice") for name, asked in CONTROLS.items()}
    puzzle = TOLD + MAIN["sisters of brother"].format(who="alice")
    return grid_items(
        puzzle,
        {"brothers": [brothers for brothers, _ in cells], "sisters": [sisters for _, sisters in cells]},
        partial(_solved, puzzle),
        controls={name: (question, partial(_solved, question)) for name, question in questions.items()},
        combine="zip",
    )


def taught_model(held_out: Items, seen: Items, steps: int, *, seed: int) -> GenerativeModel:
    """Train a small model on everything about the cells that are seen, and on the controls of those held out."""
    lessons = [*seen.frame.rows(named=True), *held_out.frame.drop_nulls("control").rows(named=True)]
    tokenizer = pocket_tokenizer()
    rows = answer_rows(
        tokenizer,
        [[{"role": "user", "content": lesson["input"]}] for lesson in lessons],
        [lesson["reference"] for lesson in lessons],
    )
    model = new_model(SIZE, seed=seed)
    train(
        model,
        sft,
        TokenBatches(rows, TOKENS),
        steps=steps,
        optimizer=partial(torch.optim.AdamW, lr=RATE),
        schedule=partial(cosine, warm_up=min(30, steps // 4)),
        clip=1.0,
        seed=seed,
        device="cpu",
        progress=False,
    )
    return GenerativeModel(CausalLM(model, tokenizer, name="small", batch_size=512, chat=True))


def _solved(question: str, brothers: int, sisters: int) -> str:
    return SKILLS["siblings"].solve(question.format(brothers=brothers, sisters=sisters))
