"""Measures everything and writes docs/benchmarks.md: ``make bench``, or ``python -m bench [--peer-python PATH] [NAME ...]``.

Peers run in the environment of ``--peer-python`` (by default this one); a peer that is not installed there is
left out, and said so.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.timing import Figure

SCRIPTS = (
    "start_up",
    "flow",
    "endpoint",
    "episodes",
    "statistics",
    "million",
    "ensemble",
    "preference",
    "studies",
    "decoding",
    "options",
)
PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"


def main() -> int:
    """Run the named scripts, or all of them, and print their figures; all of them also write the page."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*SCRIPTS, []], help="scripts to run; all by default")
    parser.add_argument("--peer-python", default=sys.executable, help="the Python that has the peers")
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))  # the makers of tiny models
    figures: list[Figure] = []
    for name in options.names or SCRIPTS:
        print(f"{name} ...", flush=True)
        function = importlib.import_module(f"bench.{name}").main
        takes_peer = "peer_python" in inspect.signature(function).parameters
        for figure in function(peer_python=options.peer_python) if takes_peer else function():
            mark = {True: "reached", False: "NOT REACHED", None: ""}[figure.holds]
            print(
                f"  {figure.what}: {figure.measured} (reach: {figure.reach}) {mark} {figure.peer}", flush=True
            )
            figures.append(figure)
    if not options.names:
        PAGE.write_text(page(figures), encoding="utf-8")
        print(f"wrote {PAGE}")
    return 0


def page(figures: list[Figure]) -> str:
    """Return docs/benchmarks.md."""
    rows = [
        f"| {f.what} | {f.measured} | {f.peer} | {f.reach} | {({True: 'yes', False: 'no', None: ''})[f.holds]} |"
        for f in figures
    ]
    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, polars {version('polars')}"
    return "\n".join(
        [
            "# Benchmarks",
            "",
            "Written by `make bench`; no figure here was typed by hand. Peers are measured in the same run.",
            f"Measured {datetime.now(UTC):%Y-%m-%d} on two shared cores ({machine}).",
            "",
            "| what | measured | beside | aim | reached |",
            "| --- | --- | --- | --- | --- |",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
