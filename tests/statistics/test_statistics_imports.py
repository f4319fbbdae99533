"""The public list is what it says, and importing it is light."""

import subprocess
import sys
import types

import concordant.core.statistics as statistics


def test_importing_loads_no_scipy():
    code = "import sys, concordant.core.statistics; print([m for m in sys.modules if m.startswith('scipy')])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.strip() == "[]"


def test_public_names_are_documented_with_an_example():
    public = {name: thing for name, thing in vars(statistics).items() if not name.startswith("_")}
    functions = {n: t for n, t in public.items() if isinstance(t, types.FunctionType)}
    assert len(functions) > 30
    for name, function in functions.items():
        assert ">>>" in function.__doc__, name
        assert function.__module__.startswith("concordant.core.statistics."), name
