"""What the flow itself costs: a model that only echoes, judged item by item, beside the same in the peers."""

from __future__ import annotations

import tempfile
from pathlib import Path

import concordant as cc
from bench.timing import Figure, peer, timed

N = 3000


def main(peer_python: str | None = None) -> list[Figure]:
    """Measure CPU seconds an item; the peers' figure is that of 3,000 items less that of 30, so that start-up drops out."""
    items = cc.Items.from_records(
        [{"id": str(i), "input": f"say {i}", "reference": f"say {i}"} for i in range(N)]
    )
    model = cc.load(lambda text: text)

    @cc.relation(variants=("plain", "again"))
    def repeated(item):
        yield item.input
        yield item.input + " "

    def checked() -> None:  # into a run folder and with its report, since the peers write their logs too
        with tempfile.TemporaryDirectory() as folder:
            cc.check(model, items, [repeated], folder=Path(folder) / "run", progress=False)

    _, cpu = timed(checked, runs=5)
    ours = cpu / (2 * N) * 1000
    figures = [
        Figure("framework CPU a judged item, echo model", f"{ours:.4f} ms", "0.3 ms", holds=ours < 0.3)
    ]
    if peer_python is None:
        return figures
    for name, script, factor in (
        ("Inspect AI", "inspect_echo.py", 20.0),
        ("lm-eval", "lm_eval_echo.py", 1.0),
    ):
        small, large = (peer(peer_python, script, n=n) for n in (30, N))
        if small is None or large is None:
            continue
        theirs = (large["cpu_s"] - small["cpu_s"]) / (N - 30) * 1000
        what = f"the same beside {name} {large['version']}"
        reach = f"1/{factor:g} of it" if factor > 1 else "below it"
        figures.append(
            Figure(what, f"1/{theirs / ours:.0f} of it", reach, f"{theirs:.3f} ms", theirs / ours >= factor)
        )
    return figures
