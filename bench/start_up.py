"""What starting costs: importing the package, and asking the command for help."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.timing import Figure, child_cpu


def main() -> list[Figure]:
    """Measure CPU seconds of whole processes, beside an empty one."""
    python = sys.executable
    empty = child_cpu([python, "-c", "pass"])
    imported = child_cpu([python, "-c", "import concordant"])
    helped = child_cpu([str(Path(python).parent / "concordant"), "--help"])
    beside = f"an empty Python process: {empty:.3f} s"
    return [
        Figure("`import concordant`", f"{imported:.3f} s CPU", "0.15 s CPU", beside, imported < 0.15),
        Figure("`concordant --help`", f"{helped:.3f} s CPU", "0.3 s CPU", beside, helped < 0.3),
    ]
