"""The usual names of columns, by what they hold."""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ALIASES = {
    "item": _words("item id item_id doc_id question_id sample_id example_id uid key"),
    "sample": _words("sample sample_index epoch trial repeat repetition"),
    "input": _words("input question prompt query messages instruction problem text"),
    "output": _words(
        "output response completion prediction predicted pred parsed_answer model_answer generation"
        " generated_text model_output answer solution"
    ),
    "reference": _words(
        "reference target gold label ground_truth right_answer expected expected_output correct_answer"
        " gold_answer answer solution"
    ),
    "choices": _words("choices options"),
    "correct": _words("correct is_correct passed success acc exact_match"),
    "score": _words("score reward"),
    "logprob": _words("logprob log_prob logprobs_sum"),
    "tokens": _words("tokens output_tokens completion_tokens n_tokens"),
    "latency_s": _words("latency_s latency duration_s total_time"),
    "error": _words("error error_message exception"),
    "group": _words("group cluster"),
}
"""Column of the records to usual names, folded, in the order of preference.

``answer`` and ``solution`` come last among outputs and references: they are the output where nothing else is,
and the reference where something else is the output.
"""

TAKEN = frozenset(ALIASES) - {"group"}
"""Names that further fields of a log cannot take; `group` they may: it then says what belongs together."""


def fold(name: str) -> str:
    """Fold a column name for comparison: lower case, spaces and hyphens as underscores.

    Examples
    --------
    >>> fold(" Is-Correct ")
    'is_correct'
    """
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def is_output(name: str) -> bool:
    """Whether a column of this name holds an output and nothing else, as far as names can tell."""
    return fold(name) in ALIASES["output"] and fold(name) not in ALIASES["reference"]
