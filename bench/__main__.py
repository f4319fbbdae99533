"""Measures everything and writes docs/benchmarks.md: ``make bench``, or ``python -m bench [--peer-python PATH] [NAME ...]``.

The figures of a script are kept in bench/figures.json with their date and machine; a run of some scripts replaces theirs.

Peers run in the environment of ``--peer-python`` (by default this one); a peer that is not installed there is
left out, and said so.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import os
import platform
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.timing import Figure

SCRIPTS = (
    "start_up",
    "flow",
    "endpoint",
    "episodes",
    "statistics",
    "million",
    "fingerprint",
    "ensemble",
    "preference",
    "studies",
    "decoding",
    "options",
    "merging",
    "masking",
    "shapley",
    "explaining",
    "judging",
)
KEPT = Path(__file__).parent / "figures.json"
PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"


def main() -> int:
    """Run the named scripts, or all of them, print their figures, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*SCRIPTS, []], help="scripts to run; all by default")
    parser.add_argument("--peer-python", default=sys.executable, help="the Python that has the peers")
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))  # the makers of tiny models
    for name in options.names or SCRIPTS:
        print(f"{name} ...", flush=True)
        function = importlib.import_module(f"bench.{name}").main
        takes_peer = "peer_python" in inspect.signature(function).parameters
        figures: list[Figure] = []
        for figure in function(peer_python=options.peer_python) if takes_peer else function():
            mark = {True: "reached", False: "NOT REACHED", None: ""}[figure.holds]
            print(
                f"  {figure.what}: {figure.measured} (reach: {figure.reach}) {mark} {figure.peer}", flush=True
            )
            figures.append(figure)
        keep(name, figures)
    print(f"wrote {PAGE}")
    return 0


def keep(name: str, figures: list[Figure]) -> None:
    """Replace the figures of one script, and write the page anew."""
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    kept[name] = {
        "measured": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{os.cpu_count()} shared cores, {machine}",
        "figures": [asdict(figure) for figure in figures],
    }
    kept = {script: kept[script] for script in SCRIPTS if script in kept}
    KEPT.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(kept), encoding="utf-8")


def page(kept: dict[str, Any]) -> str:
    """Return docs/benchmarks.md."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`, or `python -m bench NAME` for one part; no figure here was typed by hand. Peers are",
        "measured in the same run.",
    ]
    for name, part in kept.items():
        lines += [
            "",
            f"## {name}",
            "",
            f"Measured {part['measured']} on {part['machine']}.",
            "",
            "| what | measured | beside | aim | reached |",
            "| --- | --- | --- | --- | --- |",
        ]
        for f in part["figures"]:
            reached = {True: "yes", False: "no", None: ""}[f["holds"]]
            lines.append(f"| {f['what']} | {f['measured']} | {f['peer']} | {f['reach']} | {reached} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    raise SystemExit(main())
