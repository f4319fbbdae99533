"""A world small enough for a laptop, with ground truth: skills that draw questions, solve and verify them, and models.

All texts are words of one closed vocabulary. `load_pocket` loads the language models that ship with the package.
Nothing here imports torch, tokenizers or transformers before `pocket_tokenizer` or `load_pocket` is called.
"""

from __future__ import annotations

from concordant.pocket.grading import grader, verified
from concordant.pocket.released import load_pocket, model_folder, released
from concordant.pocket.sampling import examples, items, rewordings, split_of
from concordant.pocket.skill import MAX_ANSWER_WORDS, MAX_PROMPT_WORDS, Example, Skill
from concordant.pocket.skill_table import skill_items, skill_table
from concordant.pocket.skills import SKILLS
from concordant.pocket.tokenizer import CHAT_TEMPLATE, pocket_tokenizer
from concordant.pocket.vocabulary import VOCABULARY, spaced, unknown_words
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
    "grader",
    "items",
    "load_pocket",
    "model_folder",
    "pocket_tokenizer",
    "released",
    "rewordings",
    "skill_items",
    "skill_table",
    "spaced",
    "split_of",
    "unknown_words",
    "verified",
]
