"""The comparable answer in a raw output: a number, a letter, an option, a normalised text, a JSON document.

Every function takes a whole column and returns a whole column, null where there is no such answer. Outputs say their
answer in many ways; what counts, in this order, is what they mark as the answer (``#### 18``, ``\\boxed{18}``,
``Answer: 18``, ``The answer is 18.``), the last mark before the first, and only then what stands last.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import polars as pl

from concordant.core.errors import DataError
from concordant.core.prompts import LETTERS

if TYPE_CHECKING:
    from concordant.core.items import Items

_DIGITS = r"(?:\b[0-9]{1,3}(?:,[0-9]{3})+\b|\b[0-9]+)(?:\.[0-9]+)?|\B\.[0-9]+"
# A minus is a sign only where it cannot be a subtraction or a hyphen: not behind a word, a bracket or a digit.
_SIGN = r"(?:^|[^\w.)\]}%])[-+]"
_CURRENCY = r"[$€£¥₹]?\s?"
_NUMBER = rf"(?:{_SIGN})?\s?{_CURRENCY}(?:{_DIGITS})(?:[eE][-+]?[0-9]+\b)?"
_FRACTION = r"(?:\s?/\s?[0-9]+(?:\.[0-9]+)?\b)"
_MIXED = r"(?: [0-9]{1,3}/[0-9]{1,3}\b)"
_VALUE = rf"{_NUMBER}(?:{_FRACTION}|{_MIXED})?"

# "Answer: 18", "**Answer**: 18", "The final answer is 18", and a last line "A: 18"
_ANSWER = r"(?:(?i:\banswer)[*_]*(?:\s+(?i:is|was)\b|\s*[:=])|(?:^|\n)A:)"
_BOXED = r"\\boxed\s*\{(?:[^{}]|\{[^{}]*\})*\}"
