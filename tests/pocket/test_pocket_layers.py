"""The pocket world stands on core alone, beside the packages that check models."""

import ast
from pathlib import Path

import concordant.pocket


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_only_core_is_imported():
    folder = Path(concordant.pocket.__file__).parent
    ours = {name for path in folder.rglob("*.py") for name in imported(path) if name.startswith("concordant")}
    assert "concordant.core.items" in ours
    assert {".".join(name.split(".")[:2]) for name in ours} == {"concordant.core", "concordant.pocket"}
