"""What explanations of series cost: a training step of TimeX, its explanations, and integrated gradients beside captum's."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch

from bench.timing import Figure
from concordant.explanations.gradients import IntegratedGradients
from concordant.explanations.series_data import freq_shapes, seq_comb_uv
from concordant.explanations.series_transformer import SeriesTransformer
from concordant.explanations.timex import TimeX

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS, BATCH, EPOCHS, ROUNDS, STEP_REACH = 1280, 64, 3, 5, 2.0
"""Of a round of training: 60 steps of each side, in turns."""

MANY, PART, EXPLAIN_REACH = 10_000, 100, 50.0
"""Series that are explained by TimeX, and how many of them by integrated gradients, whose time is scaled up."""

SERIES, POINTS = 400, 50


def main() -> list[Figure]:
    """Measure on one thread, in CPU seconds, the least of several rounds that alternate."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [*training(), *explaining(), *integrating()]
    finally:
        torch.set_num_threads(threads)


def training() -> list[Figure]:
    """Return what a step on FreqShapes costs, beside the arithmetic of the published code."""
    from bench.peers.timex_step import published_steps

    data = freq_shapes(ROWS, 0)
    x, labels = torch.as_tensor(data.x), torch.as_tensor(data.labels)
    model = balanced(SeriesTransformer(1, 4, 50, seed=0), x)
    theirs = published_steps(model, x, labels, batch_size=BATCH, seed=0)
    explainer, steps = TimeX(model, epochs=EPOCHS, batch_size=BATCH), EPOCHS * ROWS // BATCH
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", UserWarning
        )  # the mean of divergences over elements, which is what it takes
        ours, peer = rounds(lambda: explainer.fit(data.x), lambda: theirs(steps), runs=ROUNDS)
    return [
        Figure(
            f"TimeX: a step of {BATCH} series of 50 steps, one thread",
            f"{ours / steps * 1e3:.1f} ms CPU, {peer / ours:.2f} times as fast",
            f"{STEP_REACH:g} times the arithmetic of the published code",
            f"that arithmetic, said again: {peer / steps * 1e3:.1f} ms",
            peer / ours >= STEP_REACH,
        )
    ]


def explaining() -> list[Figure]:
    """Return what it costs to explain many series, beside integrated gradients of the same classifier."""
    x = seq_comb_uv(MANY, 0).x
    model = balanced(
        SeriesTransformer(1, 4, 200, layers=2, feedforward=64, seed=0), torch.as_tensor(x[:: MANY // 64])
    )
    explainer = TimeX(model, layers=2, feedforward=64, epochs=0).fit(x[:: MANY // 64])
    ours, once = rounds(
        lambda: explainer.explain(x),
        lambda: IntegratedGradients(model, steps=POINTS).explain(x[:PART]),
        runs=2,
    )
    peer = once * MANY / PART
    return [
        Figure(
            f"TimeX: {MANY:,} series of 200 steps explained, one thread",
            f"{ours:.1f} s CPU, {peer / ours:.0f} times as fast",
            f"{EXPLAIN_REACH:g} times integrated gradients of {POINTS} points",
            f"ours of the same classifier: {peer:.0f} s, scaled up from {PART} series",
            peer / ours >= EXPLAIN_REACH,
        )
    ]


def integrating() -> list[Figure]:
    """Return what integrated gradients cost, beside captum's at its better size of batches."""
    try:
        import captum
        from captum.attr import IntegratedGradients as Captum
    except ImportError:
        captum = None
    x = torch.as_tensor(freq_shapes(SERIES, 0).x)
    model = balanced(SeriesTransformer(1, 4, 50, seed=0), x).eval()
    what = f"integrated gradients: {SERIES} series of 50 steps, {POINTS} points, one thread"
    explainer = IntegratedGradients(model, steps=POINTS)
    if captum is None:
        ours, _ = rounds(lambda: explainer.explain(x), lambda: None, runs=3)
        return [Figure(what, f"{ours:.2f} s CPU", "as fast as captum", "captum is not installed")]
    targets, theirs = model(x).argmax(-1), Captum(model)

    def attribute(size: int | None) -> np.ndarray:
        return theirs.attribute(x, target=targets, n_steps=POINTS, internal_batch_size=size).numpy(force=True)

    assert np.allclose(explainer.explain(x), attribute(None), atol=1e-4), "not the same attributions"
    ours, whole = rounds(lambda: explainer.explain(x), lambda: attribute(None), runs=3)
    again, batched = rounds(lambda: explainer.explain(x), lambda: attribute(512), runs=3)
    ours, peer = min(ours, again), min(whole, batched)
    return [
        Figure(
            what,
            f"{ours:.2f} s CPU, {peer / ours:.2f} times as fast",
            "as fast as captum",
            f"captum {captum.__version__}: {peer:.2f} s",
            peer >= ours,
        )
    ]


def rounds(ours: Callable[[], object], theirs: Callable[[], object], *, runs: int) -> tuple[float, float]:
    """Return the least CPU seconds of each, over runs in turns after one that is not counted."""
    least = [float("inf")] * 2
    for run in range(runs + 1):
        for side, function in enumerate((ours, theirs)):
            before = time.process_time()
            function()
            if run:
                least[side] = min(least[side], time.process_time() - before)
    return least[0], least[1]


def balanced(model: SeriesTransformer, x: torch.Tensor) -> SeriesTransformer:
    """Move the last bias so that the classes of an untrained classifier differ, as TimeX asks."""
    model.eval()  # dropout would move the mean
    with torch.no_grad():
        model.head.layers[-1].bias -= model(x).median(0).values
    return model
