"""Results of promptfoo, ``promptfoo eval -o results.json`` (version 3 of its results or later) or ``.jsonl``.

One result is one test under one prompt of one provider. promptfoo numbers the repeats of ``--repeat`` like
further tests; here equal tests are one item, numbered as they are in the configuration, and its repeats are
samples. A failed assertion is a wrong answer and no error: an `error` is what promptfoo counts as one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from concordant.core.errors import DataError
from concordant.models.readers.aliases import TAKEN
from concordant.models.readers.rows import frame_of, plain_fields

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

FAILED_BY_ERROR = 2
RESERVED = TAKEN | {"model", "prompt"}
"""Names that the variables of a test cannot take."""


def promptfoo_results(document: Any) -> list[dict[str, Any]] | None:
    """Find the results in a JSON document of promptfoo; None where it is none."""
    results = document.get("results") if isinstance(document, dict) else None
    results = results.get("results") if isinstance(results, dict) else results
    return results if isinstance(results, list) and results and is_promptfoo(results[0]) else None


def is_promptfoo(row: Any) -> bool:
    """Whether an object is one result of promptfoo."""
    return isinstance(row, dict) and {"provider", "success", "vars"} <= row.keys()


def promptfoo_frame(path: Path, results: list[dict[str, Any]]) -> pl.DataFrame:
    """Turn results of promptfoo into the columns of records."""
    try:
        ordered = sorted(
            enumerate(results),
            key=lambda pair: (pair[1].get("testIdx", pair[0]), pair[1].get("promptIdx", 0)),
        )
        tests: dict[str, int] = {}
        prompts: dict[str, int] = {}
        for _, result in ordered:
            tests.setdefault(_test(result), len(tests))
            prompts.setdefault(_template(result), len(prompts))
        rows = []
        for _, result in ordered:
            item = str(tests[_test(result)])
            if len(prompts) > 1:
                item = f"{item}/{prompts[_template(result)]}"
            rows.append(_row(result, item))
    except (AttributeError, KeyError, TypeError) as error:
        message = f"{path}: the results are not as promptfoo writes them ({error!r})"
        raise DataError(message) from None
    return frame_of(rows)


def _row(result: dict[str, Any], item: str) -> dict[str, Any]:
    provider, prompt = result["provider"], result.get("prompt") or {}
    response = result.get("response") or {}
    output = response.get("output") if isinstance(response, dict) else response
    usage = (response.get("tokenUsage") if isinstance(response, dict) else None) or {}
    failed = result.get("failureReason", FAILED_BY_ERROR if output is None else 0) == FAILED_BY_ERROR
    latency = result.get("latencyMs")
    return {
        "item": item,
        "input": prompt.get("raw") or json.dumps(result["vars"], sort_keys=True),
        "output": None if failed else output,
        "correct": None if failed else bool(result["success"]),
        "score": None if failed else result.get("score"),
        "tokens": usage.get("completion"),
        "latency_s": None if latency is None else latency / 1000,
        "error": (result.get("error") or "failed without a message") if failed else None,
        "model": provider if isinstance(provider, str) else provider.get("label") or provider["id"],
        "prompt": _template(result),
        **plain_fields(result["vars"], RESERVED, "vars"),
    }


def _template(result: dict[str, Any]) -> str:
    prompt = result.get("prompt") or {}
    return str(prompt.get("label") or result.get("promptId") or "")


def _test(result: dict[str, Any]) -> str:
    test = result.get("testCase") or {}
    asked = [result["vars"], test.get("assert"), test.get("description")]
    return json.dumps(asked, sort_keys=True, default=str)
