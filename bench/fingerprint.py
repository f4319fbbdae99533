"""What verifying a fingerprint costs beyond the model's own time, and how large the file is."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

import concordant as cc
from bench.timing import Figure, timed
from concordant.versions.fingerprints import PerformanceClaim, load_fingerprint, record, verify

N, CLASSES, FEATURES = 10_000, 10, 20
REACH_S = 2.0


class _Timed:
    """A classifier that keeps count of its own time."""

    def __init__(self, predictor: LogisticRegression) -> None:
        self.predictor, self.classes_, self.seconds = predictor, predictor.classes_, 0.0

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.probabilities(x).argmax(axis=1)

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        started = time.perf_counter()
        found = self.predictor.predict_proba(x)
        self.seconds += time.perf_counter() - started
        return found


def main() -> list[Figure]:
    """Record 10,000 answers of a classifier, and verify them from the file."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(CLASSES, FEATURES))
    y = rng.integers(CLASSES, size=N)
    x = centres[y] + 1.5 * rng.normal(size=(N, FEATURES))
    model = _Timed(LogisticRegression(max_iter=200).fit(x[:2000], y[:2000]))
    claims = [PerformanceClaim(metric, 0.6) for metric in ("accuracy", "f1", "recall")]
    with tempfile.TemporaryDirectory() as folder:
        path = record(model, cc.Items.from_arrays(x, y), claims=claims, progress=False).save(
            Path(folder, "bench")
        )
        size = path.stat().st_size / 2**20
        own: list[float] = []

        def once() -> None:
            model.seconds = 0.0
            verify(load_fingerprint(path), model, progress=False)
            own.append(model.seconds)

        wall, _ = timed(once)
    beyond = wall - float(np.median(own))
    return [
        Figure(
            f"verify {N:,} stored answers of a classifier of {CLASSES} classes, three claims, the file read",
            f"{beyond:.2f} s beyond the model's own time",
            f"{REACH_S:g} s",
            f"the model itself: {np.median(own):.3f} s",
            beyond < REACH_S,
        ),
        Figure(
            f"the file of {N:,} answers with {FEATURES} features and {CLASSES} probabilities each",
            f"{size:.1f} MB",
            "",
        ),
    ]
