"""Which steps of a series decide? A classifier is trained, explained in several ways, and the explanations are judged.

The series are made, so it is known where in them the class is: spikes, whose direction and period make it. The page beside
the table draws the series with what each explanation finds in them.

Run it with ``python examples/explain_series.py [REPORT.html]``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from concordant.explanations import SeriesModel, SeriesSet, explain_set, fit_series
from concordant.explanations.accuracy import accuracy_text
from concordant.explanations.series_data import freq_shapes
from concordant.report import explained as page
from concordant.report.explained_terminal import print_explained

CLASSES = ("down, often", "up, often", "down, seldom", "up, seldom")


def series(name: str, n: int, seed: int) -> SeriesSet:
    """Make series with known reasons."""
    made = freq_shapes(n, seed)
    return SeriesSet(name, made.x, ("value",), made.labels, CLASSES, made.truth)


def main() -> None:
    """Train, explain, judge, and write the page."""
    train, test = series("train", 400, 0), series("test", 80, 1)
    fitted = fit_series(train, test=test, epochs=30, progress=True)
    assert fitted.test is not None
    print(f"the classifier is right on {accuracy_text(fitted.test)}")
    model = SeriesModel(fitted.module, name="convolution")
    found = explain_set(
        model,
        test,
        ["timex", "integrated-gradients", "gradient", "occlusion"],
        training=train,
        options={"timex": {"epochs": 150}},
        classes=CLASSES,
        absent="mean",
        progress=True,
    )
    print_explained(found, Console())
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "explain_series.html")
    page.write(found, target)
    print(f"report: {target}")


if __name__ == "__main__":
    main()
