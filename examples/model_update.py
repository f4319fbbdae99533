"""The main job: a model is updated, and the check says what got better, what got worse, and for whom.

An old and a new classifier of handwritten digits are trained on the data set that ships with scikit-learn. The update is a
plausible one: the new model is stronger and was trained on three times the data, but whoever collected the new data sent few
nines. The average goes up by about five points. The check says what the average hides.

Run it with ``make demo`` or ``python examples/model_update.py [REPORT.html]``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import SVC

import concordant as cc
from concordant import variants, versions
from concordant.report import print_report

if TYPE_CHECKING:
    from collections.abc import Iterator


def train() -> tuple[cc.Items, Any, Any]:
    """Train the old and the new model, and make items of the images that neither saw."""
    digits = load_digits()
    x_train, x_test, y_train, y_test = train_test_split(
        digits.data, digits.target, test_size=0.5, random_state=0, stratify=digits.target
    )
    old = make_pipeline(MinMaxScaler(), LogisticRegression(C=0.05, max_iter=500)).fit(
        x_train[:300], y_train[:300]
    )
    collected = (y_train != 9) | (np.random.default_rng(0).random(len(y_train)) < 0.13)
    new = make_pipeline(MinMaxScaler(), SVC(C=2.0)).fit(x_train[collected], y_train[collected])
    ink = x_test.sum(axis=1)
    tercile = np.searchsorted(np.quantile(ink, [1 / 3, 2 / 3]), ink)
    slices = {"digit": y_test.astype(str), "ink": np.array(["light", "medium", "heavy"])[tercile]}
    return cc.Items.from_arrays(x_test, y_test, slices=slices), old, new


@cc.relation(variants=("as it is", "one pixel to the right"), name="shifted")
def shifted(item: Any) -> Iterator[np.ndarray]:
    """Ask for the same digit one pixel further to the right."""
    image = np.reshape(item.input, (8, 8))
    yield image.ravel()
    yield np.roll(image, 1, axis=1).ravel()


def main() -> int:
    """Train, check, print, and write the report."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "demo-report.html")
    items, old, new = train()
    old, new = cc.load(old, name="digits v1"), cc.load(new, name="digits v2")
    report = cc.check(
        new,
        items,
        [
            versions.Flips(old),
            versions.NoiseFloor(old, repeats=["order", "batch_size"]),
            variants.Perturbed({"noise": 0.3}),
            shifted,
        ],
        gates={
            "versions.flips": ["negative_flip_rate <= 0.02", "gain >= 0"],
            "versions.noise_floor": "noise_flip_rate <= 0.01",
            "variants.perturbed": "agreement_score >= 0.97",
        },
        title="handwritten digits, v1 to v2",
    )
    print_report(report)
    print(f"\nOpen {report.save(path).resolve()} in a browser to look at every item that changed.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
