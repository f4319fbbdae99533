"""Recording a fingerprint: the model answers the probes, answers them again to see its own noise, and all is stored."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from concordant.core.behaviours import RIGHT, WRONG
from concordant.core.kinds import compare
from concordant.core.model import BatchModel, Request
from concordant.core.plan import adapted
from concordant.core.prompts import prompts
from concordant.versions.fingerprints.asking import FIRST, Asked, asked
from concordant.versions.fingerprints.file import Fingerprint
from concordant.versions.fingerprints.measures import probabilities_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from concordant.core.behaviours import Behaviours
    from concordant.core.items import Items
    from concordant.versions.fingerprints.claims import PerformanceClaim
    from concordant.versions.fingerprints.file import TokenRecord

LIBRARIES = ("numpy", "scikit-learn", "onnxruntime", "torch", "transformers", "tokenizers")
"""Those whose versions may change what a model answers."""

KEPT = ("output", "error", "probabilities", "score", "logprob", "tokens", "latency_s")

TOP = 64


def record(
    model: Any,
    probes: Items,
    *,
    claims: Iterable[PerformanceClaim] = (),
    grade: Any = None,
    request: Request | None = None,
    noise: bool = True,
    top: int = TOP,
    progress: bool = True,
) -> Fingerprint:
    """Record what a model answers.

    Parameters
    ----------
    model
        What `concordant.load` gives, or any object that it takes.
    probes
        What is asked; with references, so that answers can be right or wrong.
    claims
        What is claimed of the model; see `concordant.versions.fingerprints.read_claims`.
    grade
        How outputs are found right; as for `concordant.check`. A grader of one's own must be given again to verify.
    request
        How the model is asked; greedily by default.
    noise
        Whether the probes are asked again, in other batches (and with another seed where answers are sampled), to see how
        much the model differs from itself.
    top
        Of local language models: most probable tokens that are stored at each token of an answer; 0 for none.
    progress
        Whether to draw bars.

    Returns
    -------
    Fingerprint
        To be saved, and verified later.

    Raises
    ------
    ConcordantError
        If the model cannot be asked.

    Examples
    --------
    >>> import concordant as cc
    >>> probes = cc.Items.from_records([{"input": t, "reference": t.upper()} for t in ("a", "b", "c")])
    >>> found = record(cc.load(str.upper), probes)
    >>> found.answers["output"].to_list(), found.about["noise"]["answer_change_rate"]
    (['A', 'B', 'C'], 0.0)
    """
    model = adapted(model)
    request = request or Request()
    repeats = ["order", "batch_size"] if noise else []
    if noise and request.temperature > 0:
        repeats.append("seed")
    answers = asked(model, probes, Asked(repeats=repeats), grade=grade, request=request, progress=progress)
    first, others = answers[FIRST], [answers[name] for name in repeats]
    frame = _frame(first, others)
    tokens = tokens_of(model, probes, frame["output"], top, progress=progress) if top else None
    return Fingerprint(
        about={
            "concordant": version("concordant"),
            "recorded": datetime.now(UTC).isoformat(timespec="seconds"),
            "model": {"name": model.name, "fingerprint": model.fingerprint},
            "classes": list(first.classes),
            "deterministic": request.is_deterministic and isinstance(model, BatchModel),
            "request": asdict(request),
            "grader": None if first.grader is None else first.grader.name,
            "probes": {"n": len(probes), "digest": probes.digest()},
            "noise": _noise(frame, repeats),
            **environment(),
        },
        probes=probes,
        answers=frame,
        claims=tuple(claims),
        tokens=tokens,
    )


def environment() -> dict[str, Any]:
    """Return what of this place may change answers or their speed: versions of libraries, and hardware."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    hardware = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
    }
    return {"python": platform.python_version(), "libraries": found, "hardware": hardware}


def tokens_of(
    model: Any, probes: Items, outputs: pl.Series, top: int, *, progress: bool = False
) -> TokenRecord | None:
    """Return the distributions at the tokens of a local language model's answers; None for other models."""
    causal = causal_of(model)
    if causal is None or outputs.dtype != pl.String:
        return None
    from concordant.versions.token_divergence import record_tokens

    return record_tokens(causal, prompts(probes), outputs.fill_null("").to_list(), top=top, progress=progress)


def causal_of(model: Any) -> Any:
    """Return the local language model inside a model, where it writes its answers; None otherwise."""
    inner = getattr(model, "language_model", None)
    if inner is None or getattr(model, "options", None) is not None or not hasattr(inner, "tokens"):
        return None
    return inner if hasattr(inner, "model") else None


def _frame(first: Behaviours, others: list[Behaviours]) -> pl.DataFrame:
    """Make one row a probe: what was answered, and how it changed when asked again."""
    n = len(first)
    outcome = first.outcome[:, 0]
    known = (outcome == RIGHT) | (outcome == WRONG)
    correct = pl.select(pl.when(pl.Series(known)).then(pl.Series(outcome == RIGHT))).to_series()
    behaviours = first.frame.gather_every(first.n)
    columns = [behaviours[name] for name in KEPT if name in behaviours.columns]
    changed, flipped, shift = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n)
    for other in others:
        changed += compare(first, other) < 1  # NaN, where nothing was answered, is no change
        flipped += known & other.graded[:, 0] & (first.right[:, 0] != other.right[:, 0])
        shift = np.maximum(shift, probability_shift(first, other))
    frame = pl.DataFrame([first.items.ids.alias("item"), correct.alias("correct"), *columns])
    return frame.with_columns(
        repeats=pl.lit(len(others), dtype=pl.Int64),
        changed_again=pl.Series(changed),
        flipped_again=pl.Series(flipped),
        shift_again=pl.Series(shift),
    )


def probability_shift(a: Behaviours, b: Behaviours) -> NDArray[np.float64]:
    """Return the largest change of a probability of each probe; 0 where probabilities are not known."""
    p, q = probabilities_of(a), probabilities_of(b)
    if p is None or q is None or p.shape != q.shape:
        return np.zeros(len(a))
    found: NDArray[np.float64] = np.abs(p - q).max(axis=1)
    return found


def _noise(frame: pl.DataFrame, repeats: list[str]) -> dict[str, Any]:
    asked = len(frame) * len(repeats)
    if not asked:
        return {"repeats": []}
    return {
        "repeats": repeats,
        "answer_change_rate": float(frame["changed_again"].sum()) / asked,
        "flip_rate": float(frame["flipped_again"].sum()) / asked,
        "largest_shift": float(frame["shift_again"].max() or 0.0),  # type: ignore[arg-type]
    }
