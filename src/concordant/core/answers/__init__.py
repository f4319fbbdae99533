"""The comparable answer in a raw output: a number, an option, a normalised text, a JSON document.

Every function takes a whole column and returns a whole column, null where there is no such answer. What
counts is what an output marks as its answer (``#### 18``, ``Answer: 18``, ``The answer is 18.``), the last
mark before the first, and only then what stands last.
"""

from concordant.core.answers.numbers import number
from concordant.core.answers.options import choice, letter, named_option
from concordant.core.answers.texts import json_canonical, normalized

__all__ = ["choice", "json_canonical", "letter", "named_option", "normalized", "number"]
