from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from concordant import report


def test_the_public_names_are_those_that_are_declared():
    tree = ast.parse(Path(report.__file__).read_text(encoding="utf-8"))
    declared = {
        (alias.name, node.module.rpartition(".")[2])
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("concordant.report.")
        for alias in node.names
    }
    assert declared == set(report._HOME.items())
    assert dir(report) == report.__all__ == sorted(report.__all__)
    assert all(callable(getattr(report, name)) for name in report.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'print'"):
        _ = report.print


def test_making_text_inert_loads_nothing_heavy():
    heavy = ("polars", "numpy", "rich", "jinja2")
    code = f"import sys, concordant.report.sanitize; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
