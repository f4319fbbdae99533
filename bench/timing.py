"""Timing by the clock and by the processor, as medians over runs."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Figure:
    """One line of docs/benchmarks.md."""

    what: str
    measured: str
    reach: str
    peer: str = ""
    holds: bool | None = None


def timed(function: Callable[[], object], runs: int = 5) -> tuple[float, float]:
    """Return the median wall and CPU seconds of a call, after one call that is not counted."""
    function()
    walls, cpus = [], []
    for _ in range(runs):
        wall, cpu = time.perf_counter(), time.process_time()
        function()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return statistics.median(walls), statistics.median(cpus)


def child_cpu(command: list[str], runs: int = 5, **environment: str) -> float:
    """Return the median CPU seconds (user and system) of a command as a process of its own."""
    cpus = []
    for _ in range(runs + 1):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, **environment})
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpus.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return statistics.median(cpus[1:])


def peer(python: str, script: str, **arguments: object) -> dict[str, float] | None:
    """Run a peer in its own environment; the script prints one JSON object. None where it is not installed there."""
    path = Path(__file__).parent / "peers" / script
    done = subprocess.run(
        [python, str(path), json.dumps(arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    if done.returncode:
        print(f"  ({script} could not run: {done.stderr.strip().splitlines()[-1:] or 'no message'})")
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])
