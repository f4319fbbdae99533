"""The usual names of columns, by what they hold."""

from __future__ import annotations

_LAST = ("answer", "solution")

ALIASES = {
    "item": ("item", "id", "item_id", "doc_id", "question_id", "sample_id", "example_id", "uid", "key"),
    "sample": ("sample", "sample_index", "epoch", "trial", "repeat", "repetition"),
    "input": ("input", "question", "prompt", "query", "messages", "instruction", "problem", "text"),
    "output": (
        *(
            "output",
            "response",
            "completion",
            "prediction",
            "predicted",
            "pred",
            "parsed_answer",
            "model_answer",
        ),
        *("generation", "generated_text", "model_output", *_LAST),
    ),
    "reference": (
        *(
            "reference",
            "target",
            "gold",
            "label",
            "ground_truth",
            "right_answer",
            "expected",
            "expected_output",
        ),
        *("correct_answer", "gold_answer", *_LAST),
    ),
    "choices": ("choices", "options"),
    "correct": ("correct", "is_correct", "passed", "success", "acc", "exact_match"),
    "score": ("score", "reward"),
    "logprob": ("logprob", "log_prob", "logprobs_sum"),
    "tokens": ("tokens", "output_tokens", "completion_tokens", "n_tokens"),
    "latency_s": ("latency_s", "latency", "duration_s", "total_time"),
    "error": ("error", "error_message", "exception"),
    "group": ("group", "cluster"),
}
"""Column of the records to usual names, folded, in the order of preference.

``answer`` and ``solution`` come last among outputs and references: they are the output where nothing else is,
and the reference where something else is the output.
"""


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
