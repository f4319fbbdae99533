"""Studies of nothing in particular, quick enough to run by the dozen; found by worker processes as any module is."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from concordant.core.errors import ConfigError
from concordant.studies.study import Claim, Scale, study

HIGHER = Claim("better", better="new.accuracy", than="old.accuracy", direction="higher")


@study(
    "toy-mean",
    claims=[
        Claim("nearer", better="mean.error", than="first.error", direction="lower"),
        Claim("not-worse", better="mean.error", than="median.error", direction="lower", margin=-0.5),
        Claim("small", better="mean.error", than=0.01, direction="lower"),
        Claim("units", better="each.score", than=0.25, direction="higher", over="units"),
    ],
    baseline="the first value",
)
def toy_mean(scale, seed):
    """Estimate a mean from all values, and from the first one."""
    n = {Scale.smoke: 25, Scale.pocket: 100, Scale.full: 400}[scale]
    values = np.random.default_rng(seed).normal(size=n)
    curve = {f"mean.curve_error@{k}": abs(values[:k].mean()) for k in (5, 10, 25)}
    return {
        "mean.error": abs(values.mean()),
        "first.error": 3 + abs(values[0]),
        "median.error": np.median(np.abs(values)),
        "each.score": np.linspace(0.4, 0.6, 7),
        **curve,
    }


@study("toy-watched", claims=[HIGHER], baseline="half of it")
def toy_watched(scale, seed):
    """Write down each seed that is run, wait as long as the environment says, and fail or die where it says so."""
    with Path(os.environ["TOY_LOG"]).open("a") as log:
        log.write(f"{seed}\n")
    print("a line to standard output")
    print("and one to standard error", file=sys.stderr)
    time.sleep(float(os.environ.get("TOY_SLEEP", "0")))
    if str(seed) in os.environ.get("TOY_FAIL", "").split():
        raise ValueError(f"no such luck with {seed}\nand a second line")
    if str(seed) in os.environ.get("TOY_REFUSE", "").split():
        raise ConfigError("the data of the paper must be given: --data DIR")
    if str(seed) in os.environ.get("TOY_EXIT", "").split():
        sys.exit(3)
    if str(seed) in os.environ.get("TOY_DIE", "").split():
        os.kill(os.getpid(), signal.SIGKILL)
    value = float(np.random.default_rng(seed).uniform())
    return {
        "new.accuracy": value,
        "old.accuracy": value / 2,
        "threads.n": int(os.environ.get("OMP_NUM_THREADS", 0)),
    }


@study("toy-worse", claims=[HIGHER], baseline="twice as good")
def toy_worse(scale, seed):
    """Lose by a wide margin."""
    noise = float(np.random.default_rng(seed).uniform(0, 0.01))
    return {"new.accuracy": 0.4 + noise, "old.accuracy": 0.8}
