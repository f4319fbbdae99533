"""What it costs to judge five explainers of a classifier of series, all measures but further trainings."""

from __future__ import annotations

from functools import partial

import torch

from bench.timing import Figure, timed
from concordant.explanations import TimeX, find_method, judge
from concordant.explanations.series_data import freq_shapes
from concordant.explanations.series_transformer import SeriesTransformer, fit_classifier

N = 1000
REACH_S = 60.0


def main() -> list[Figure]:
    """Measure the clock on the cores that torch takes; training is not counted."""
    train, held_out, test = (freq_shapes(n, seed) for seed, n in enumerate((N, 200, N)))
    x, labels = torch.tensor(train.x), torch.tensor(train.labels)
    model = SeriesTransformer(1, 4, 50, seed=0)
    validation = (torch.tensor(held_out.x), torch.tensor(held_out.labels))
    fit_classifier(model, x, labels, validation=validation, epochs=15, learning_rate=3e-3)
    explainers = {
        "gradient": "gradient",
        "integrated-gradients": "integrated-gradients",
        "absolute integrated-gradients": partial(find_method("integrated-gradients"), absolute=True),
        "occlusion": "occlusion",
        "timex": TimeX(model, epochs=2).fit(x),
    }
    given = {"labels": test.labels, "training": train.x, "progress": False}
    figures = []
    for absent, how in (("mean", ""), ("moments", ", four draws of noise in place of what is absent")):
        wall, cpu = timed(
            partial(judge, explainers, model, test.x, test.truth, absent=absent, **given), runs=1
        )
        figures.append(
            Figure(
                f"`judge` over {len(explainers)} explainers and the random one, {N:,} series of 50 steps{how}",
                f"{wall:.1f} s, {cpu:.1f} s CPU",
                f"{REACH_S:.0f} s",
                "",
                wall <= REACH_S,
            )
        )
    return figures
