"""What starting up loads: a command that takes a second to say its help is not used twice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "polars",
    "numpy",
    "scipy",
    "torch",
    "altair",
    "pandas",
    "sklearn",
    "pyarrow",
    "aiohttp",
    "transformers",
    "rich",
    "yaml",
}
COMMAND = Path(sys.executable).with_name("concordant")


def modules_after(code):
    """Run code in a fresh process and return which of the heavy modules it loaded."""
    script = f"{code}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def cpu_seconds(arguments):
    """Return the least CPU time of three calls, in seconds."""
    times = []
    for _ in range(3):
        before = os.times()
        subprocess.run(arguments, capture_output=True, check=True)
        after = os.times()
        times.append(
            after.children_user + after.children_system - before.children_user - before.children_system
        )
    return min(times)


def test_the_package_loads_nothing_heavy():
    loaded = modules_after("import concordant")
    assert not loaded & (HEAVY | {"typer", "pydantic", "asyncio"})


@pytest.mark.parametrize(
    "verb", ["", "compare", "check", "report", "validate", "list", "study", "papers", "cache", "info"]
)
def test_help_loads_nothing_heavy(verb):
    words = [*verb.split(), "--help"]
    code = f"from concordant.cli.main import app\ntry:\n    app({words!r})\nexcept SystemExit as end:\n"
    code += "    assert not end.code"
    assert not modules_after(code) & HEAVY


def test_start_up_is_quick():
    assert cpu_seconds([sys.executable, "-c", "import concordant"]) < 0.15
    assert cpu_seconds([COMMAND, "--help"]) < 0.3
    assert cpu_seconds([COMMAND, "compare", "--help"]) < 0.3
