"""What a smoke run of the studies costs: all of them through the command, imports and the report included."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.timing import Figure

REACH_S = 3.0


def main() -> list[Figure]:
    """Measure wall seconds a study of ``concordant study --scale smoke --all``, both seeds of each."""
    command = [
        str(Path(sys.executable).parent / "concordant"),
        "study",
        "--all",
        "--scale",
        "smoke",
        "--json",
    ]
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        done = subprocess.run([*command, "--output", folder], capture_output=True, text=True)
        seconds = time.perf_counter() - started
    found = json.loads(done.stdout)
    studies = found["studies"]
    failed = [study["study"] for study in studies if study["errors"]] + list(found["not_loaded"])
    if failed or not studies:
        raise SystemExit(
            f"studies that could not be run: {', '.join(failed) or 'there are none'}\n{done.stderr}"
        )
    each = seconds / len(studies)
    slowest = max(studies, key=lambda study: max(study["seconds_of_seeds"].values()))
    beside = f"the slowest seed: {max(slowest['seconds_of_seeds'].values()):.1f} s ({slowest['study']})"
    what = f"`concordant study --scale smoke --all`, {len(studies)} studies"
    return [Figure(what, f"{each:.2f} s a study", f"{REACH_S:g} s", beside, each < REACH_S)]
