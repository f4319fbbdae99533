"""A world small enough for a laptop, with ground truth: skills that draw questions, solve and verify them.

All texts are words of one closed vocabulary. Nothing here imports torch, tokenizers or transformers before
`pocket_tokenizer` is called.
"""

from __future__ import annotations

from concordant.pocket.sampling import examples, items, split_of
from concordant.pocket.skill import MAX_ANSWER_WORDS, MAX_PROMPT_WORDS, Example, Skill
from concordant.pocket.skills import SKILLS
from concordant.pocket.tokenizer import CHAT_TEMPLATE, pocket_tokenizer
from concordant.pocket.vocabulary import VOCABULARY, spaced
from concordant.pocket.world import World, draw_world

__all__ = [
    "CHAT_TEMPLATE",
    "MAX_ANSWER_WORDS",
    "MAX_PROMPT_WORDS",
    "SKILLS",
    "VOCABULARY",
    "Example",
    "Skill",
    "World",
    "draw_world",
    "examples",
    "items",
    "pocket_tokenizer",
    "spaced",
    "split_of",
]
