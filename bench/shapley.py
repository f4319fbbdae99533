"""What Shapley values of prompts cost beside shap's permutation explainer: ten fields, a pocket model, CPU seconds."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.timing import Figure, peer
from concordant.explanations.prompts import Field, PromptTemplate, explain_prompt
from concordant.models.load import load
from concordant.pocket import model_folder

MODEL, PROMPTS = "250k-chat-v1", 100
EVALUATIONS = 210
"""Of a prompt, shap's default for ten fields: ten orders and their reverses, 2 n + 1 each."""

MANY, FEW = 25_200, 2
"""Evaluations that bring shap's mean error to about 0.001, and of how many prompts that is measured."""

REACH = 5.0
TEXT = (
    "{hello} {please} i {really} like {pet} , and {friend} is {very} {old} . "
    "what is the {what} of {who} {now} ?"
)
NOISE = ("hello", "please", "really", "very", "now")
WORDS = {
    "hello": ("hello .", "good day ."),
    "please": ("please tell me :", "well ,"),
    "really": ("really", "often"),
    "pet": ("cat", "dog", "bird", "horse"),
    "friend": ("mira", "tom", "anna", "paul"),
    "very": ("very", "rather"),
    "old": ("old", "tall", "happy"),
    "what": ("job", "pet", "city"),
    "who": ("sofia", "emma", "maya", "oscar", "peter"),
    "now": ("now", "today"),
}
OPTIONS = ("poet", "doctor", "baker")


def main(peer_python: str = sys.executable) -> list[Figure]:
    """Measure exact values of all prompts, and sampled values at the error that shap's have."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _figures(peer_python)
    finally:
        torch.set_num_threads(threads)


def _figures(peer_python: str) -> list[Figure]:
    model, rows = load(f"pocket:{MODEL}", device="cpu"), _rows(PROMPTS)
    explain_prompt(model, _template(), rows[:1], absent="neutral", pairs=2, progress=False)
    exact, exact_s = _timed(model, rows)
    what = f"exact Shapley values, 10 fields, {len(rows)} prompts, pocket {MODEL}"
    said = f"{exact.n_questions:,} different prompts, {exact_s / len(rows):.2f} s CPU a prompt"
    patient = _theirs(peer_python, rows[:FEW], MANY)
    if patient is None:
        return [Figure(what, said, "")]
    faster = patient["cpu_s"] / FEW / (exact_s / len(rows))
    first = Figure(
        f"{what}, beside orders drawn until the mean error is about 0.001",
        f"{said}, {faster:.1f} times as fast",
        f"{REACH:.0f} times shap's permutation explainer",
        f"shap {patient['version']}, {FEW} prompts: {patient['calls'] / FEW:,.0f} calls and "
        f"{patient['cpu_s'] / FEW:.2f} s a prompt, mean error {_error(patient['values'], exact):.4f}",
        faster >= REACH,
    )
    usual = _theirs(peer_python, rows, EVALUATIONS)
    assert usual is not None
    error = _error(usual["values"], exact)
    pairs, ours, ours_s = _at_error(model, rows, exact, error)
    faster = usual["cpu_s"] / ours_s
    second = Figure(
        f"the same sampled, at the mean error of shap's default, {error:.4f}",
        f"{pairs} pairs of orders, {ours.n_questions:,} different prompts, {ours_s:.1f} s CPU, {faster:.1f} times as fast",
        f"{REACH:.0f} times shap's permutation explainer",
        f"{usual['calls']:,.0f} calls, {usual['cpu_s']:.1f} s",
        faster >= REACH,
    )
    return [first, second]


def _error(values: Any, exact: Any) -> float:
    return float(np.abs(np.array(values) - exact.phi[: len(values)]).mean())


def _template() -> PromptTemplate:
    fields: dict[str, Field | str] = {
        name: Field(words[0], "noise" if name in NOISE else "informative") for name, words in WORDS.items()
    }
    return PromptTemplate(TEXT, fields, OPTIONS, ask="cloze", neutral="some")


def _rows(n: int) -> list[dict[str, str]]:
    rng = np.random.default_rng(0)
    return [{name: str(rng.choice(words)) for name, words in WORDS.items()} for _ in range(n)]


def _timed(model: Any, rows: list[dict[str, str]], **how: Any) -> tuple[Any, float]:
    started = time.process_time()
    found = explain_prompt(model, _template(), rows, absent="neutral", progress=False, **how)
    return found, time.process_time() - started


def _at_error(model: Any, rows: list[dict[str, str]], exact: Any, error: float) -> tuple[int, Any, float]:
    """Return the fewest pairs of orders whose mean error is at most that of the peer, and what they cost."""
    pairs = 2
    while True:
        found, seconds = _timed(model, rows, pairs=pairs)
        if _error(found.phi, exact) <= error or pairs >= 64:
            return pairs, found, seconds
        pairs += max(1, pairs // 4)


def _theirs(python: str, rows: list[dict[str, str]], evaluations: int) -> dict[str, Any] | None:
    names = list(WORDS)
    parts = [names.index(name) if name else text for text, name in _template().pieces()[0]]
    given = {
        "folder": str(model_folder(MODEL)),
        "rows": [[row[name] for name in names] for row in rows],
        "parts": parts,
        "absent": "some",
        "options": list(OPTIONS),
        "evaluations": evaluations,
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "prompts.json"
        file.write_text(json.dumps(given), encoding="utf-8")
        return peer(python, "shap_permutation.py", file=str(file))
