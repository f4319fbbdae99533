"""1,000,000 behaviours: write, read into columns, judge flips with slices, report; with the peak of memory."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.timing import Figure

N = 1_000_000


def measure(n: int) -> dict[str, float]:
    """Measure one run in this process."""
    import numpy as np
    import polars as pl

    import concordant as cc
    from concordant import versions
    from concordant.core.judging import conclude, judge
    from concordant.core.store import RunFolder
    from concordant.models.recorded import Recorded

    rng = np.random.default_rng(0)
    truth = rng.integers(0, 10, n)
    ids = pl.Series("item", np.arange(n)).cast(pl.String)
    items = cc.Items(
        pl.DataFrame(
            {
                "id": ids,
                "input": pl.Series(np.arange(n)).cast(pl.String),
                "reference": truth,
                "topic": pl.Series(rng.integers(0, 20, n)).cast(pl.String),
                "length": pl.Series(rng.integers(0, 5, n)).cast(pl.String),
            }
        )
    )
    records = []
    for accuracy in (0.8, 0.82):
        answers = np.where(rng.random(n) < accuracy, truth, rng.integers(0, 10, n))
        records.append(
            pl.DataFrame({"item": ids, "sample": pl.zeros(n, pl.Int64, eager=True), "output": answers})
        )

    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        started = time.perf_counter()
        with RunFolder(Path(name) / "run").opened() as folder:
            for start in range(0, n, 50_000):
                folder.append("old", records[0].slice(start, 50_000))
        figures["write_s"] = time.perf_counter() - started
        started = time.perf_counter()
        frame = RunFolder(Path(name) / "run", resume=True).read("old")
        figures["read_s"] = time.perf_counter() - started
        assert frame is not None
        assert len(frame) == n
        del frame
        old, new = (Recorded(r, name=v) for r, v in zip(records, ("old", "new"), strict=True))
        relation = versions.Flips(old)
        started = time.perf_counter()
        report = cc.check(new, items, [relation], progress=False)
        figures["check_s"] = time.perf_counter() - started
        answers = report["versions.flips"].answers
        started = time.perf_counter()
        conclude(relation, answers, judge(relation, items, answers), ["topic", "length"])
        figures["judge_s"] = time.perf_counter() - started
        started = time.perf_counter()
        path = report.save(Path(name) / "report.html")
        figures["report_s"] = time.perf_counter() - started
        figures["report_mb"] = path.stat().st_size / 1e6
    figures["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return figures


def main() -> list[Figure]:
    """Measure in a fresh process, so that the peak of memory is the work's own."""
    command = [sys.executable, "-m", "bench.million", str(N)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    f = json.loads(done.stdout)
    reach = {"write_s": 10, "read_s": 2, "judge_s": 2, "peak_gb": 1, "report_mb": 5}
    names = {
        "write_s": ("write 1,000,000 behaviours", "s"),
        "read_s": ("read them into columns", "s"),
        "judge_s": ("judge flips of 1,000,000 items with two slice columns", "s"),
        "peak_gb": ("peak memory of the whole run", "GB"),
        "report_mb": ("size of the report", "MB"),
    }
    return [
        Figure(
            names[key][0], f"{f[key]:.2f} {names[key][1]}", f"{bound} {names[key][1]}", holds=f[key] <= bound
        )
        for key, bound in reach.items()
    ]


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
