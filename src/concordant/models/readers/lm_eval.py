"""Sample files of lm-eval, ``samples_TASK_DATE.jsonl``, written with ``--log_samples``.

One line is one document under one filter: ``doc``, ``target``, the requests (``arguments``), the raw answers
(``resps``), the answers after the filter (``filtered_resps``) and one key a metric. What an answer is depends
on the kind of request:

===============  ====================  ===================================================================
request          answer                output of the record
===============  ====================  ===================================================================
generate_until   text                  the text after the filter (`response`: the text before it)
multiple_choice  log-likelihoods       the choice with the highest, `logprob` its value, `choice_logprobs` all
loglikelihood    log-likelihood        whether greedy decoding gives the continuation
rolling          log-likelihood        the log-likelihood
===============  ====================  ===================================================================

All metrics are kept as ``metric.NAME``; `correct` is the first of `GRADES` that there is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from concordant.core.errors import DataError, nearest
from concordant.models.readers.aliases import TAKEN
from concordant.models.readers.rows import frame_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import polars as pl

GRADES = ("acc", "exact_match", "em", "pass@1")
"""Metrics that say whether an answer is right, in the order of preference."""

RESERVED = TAKEN | {"choice_logprobs", "model", "filter", "response"}
"""Names that the fields of a document cannot take."""


def is_lm_eval(row: Any) -> bool:
    """Whether an object is a line of a sample file of lm-eval."""
    return isinstance(row, dict) and {"doc", "target", "resps"} <= row.keys()


def lm_eval_frame(
    path: Path, lines: Iterable[tuple[int, dict[str, Any]]], filter: str | None
) -> pl.DataFrame:
    """Turn lines of a sample file into the columns of records.

    Parameters
    ----------
    path
        The file, for messages.
    lines
        Numbered objects, as `concordant.core.tables.json_lines` gives them.
    filter
        Which filter is meant, where the task has several; by default the last one. The column `filter` says
        which.
    """
    by_filter: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for number, row in lines:
        by_filter.setdefault(str(row.get("filter", "none")), []).append((number, row))
    if filter is not None and filter not in by_filter:
        message = f"{path}: there is no filter {filter!r}; {nearest(filter, by_filter)}"
        raise DataError(message)
    chosen = filter if filter is not None else next(reversed(by_filter))
    rows: list[dict[str, Any]] = []
    for number, row in by_filter[chosen]:
        try:
            rows += _samples(row)
        except (AttributeError, KeyError, TypeError, IndexError, ValueError) as error:
            message = f"{path}, line {number}: not a sample as lm-eval writes it ({error!r})"
            raise DataError(message) from None
    if all(row.get("response") == row["output"] for row in rows):
        rows = [{name: value for name, value in row.items() if name != "response"} for row in rows]
    return frame_of(rows)


def _samples(row: dict[str, Any]) -> list[dict[str, Any]]:
    requests = _requests(row["arguments"])
    answers = row["filtered_resps"] if "filtered_resps" in row else [request[0] for request in row["resps"]]
    common = {
        "item": str(row["doc_id"] if "doc_id" in row else row["doc_hash"]),
        "input": requests[0][0],
        "reference": row["target"].strip() if isinstance(row["target"], str) else row["target"],
        **_grades(row),
        "model": row.get("model"),
        "filter": str(row.get("filter", "none")),
    }
    common = {name: value for name, value in common.items() if value is not None}
    doc = row["doc"] if isinstance(row["doc"], dict) else {"doc": row["doc"]}
    extra = {
        name: v for name, v in doc.items() if isinstance(v, (str, int, float, bool)) and name not in RESERVED
    }
    if len(requests[0]) == 1:
        value = float(_first(answers[0]))
        return [{**common, "output": value, "logprob": value, **extra}]
    if isinstance(requests[0][1], str):
        return [{**common, **_likelihoods(requests, answers, row["target"]), **extra}]
    texts = answers[0] if isinstance(answers[0], list) else answers
    raw = row["resps"][0] if isinstance(row["resps"][0], list) else row["resps"]
    if len(texts) > 1:  # each is a sample of its own, and the metric is about all of them together
        common = {name: value for name, value in common.items() if name not in ("correct", "score")}
    return [
        {**common, "sample": i, "output": text, "response": raw[i] if i < len(raw) else None, **extra}
        for i, text in enumerate(texts)
    ]


def _requests(arguments: Any) -> list[list[Any]]:
    """Bring requests into one form: a context and, but for rolling ones, a continuation or settings."""
    if isinstance(arguments, dict):
        return [list(request.values()) for request in arguments.values()]
    return [list(request) for request in arguments]


def _grades(row: dict[str, Any]) -> dict[str, Any]:
    names = row.get("metrics") or [name for name in GRADES if name in row]
    values = {name: row[name] for name in names if isinstance(row.get(name), (bool, int, float))}
    right = next((values[name] for name in GRADES if values.get(name) in (0, 1)), None)
    score = right if right is not None else next(iter(values.values()), None)
    return {
        "correct": None if right is None else bool(right),
        "score": None if score is None else float(score),
        **{f"metric.{name}": float(value) for name, value in values.items()},
    }


def _likelihoods(requests: list[list[Any]], answers: list[Any], target: Any) -> dict[str, Any]:
    values = [float(_first(answer)) for answer in answers]
    if len(requests) == 1:
        greedy = answers[0][1] if isinstance(answers[0], list) else None
        return {"output": str(greedy) == "True", "logprob": values[0]}
    # Mutual-information scoring asks every continuation again behind an empty context; those are no choices.
    asked = [request for request in requests if request[0]] or requests
    texts = [request[1] for request in asked]
    if len(set(texts)) < len(texts):  # the choices are in the context, as in Winogrande
        texts = [request[0] for request in asked]
    choices, values = [text.strip() for text in texts], values[: len(texts)]
    best = max(range(len(values)), key=values.__getitem__)
    found = {"output": choices[best], "choices": choices, "logprob": values[best], "choice_logprobs": values}
    # A target is written as text; where it is a number and no choice, it is the number of the right choice.
    if str(target).isdigit() and str(target) not in choices and int(target) < len(choices):
        found["reference"] = choices[int(target)]
    return found


def _first(answer: Any) -> Any:
    return answer[0] if isinstance(answer, list) else answer
