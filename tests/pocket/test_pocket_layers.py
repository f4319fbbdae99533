"""The pocket world stands on core alone, its models on learn and models too; nothing heavy is loaded early."""

import ast
import subprocess
import sys
from pathlib import Path

import concordant.pocket

MODELS = {"training.py", "released.py", "card.py"}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def packages(paths):
    names = {name for path in paths for name in imported(path) if name.startswith("concordant")}
    return {".".join(name.split(".")[:2]) for name in names}


def test_what_is_imported():
    paths = list(Path(concordant.pocket.__file__).parent.rglob("*.py"))
    world = [path for path in paths if path.name not in MODELS]
    assert packages(world) == {"concordant.core", "concordant.pocket"}
    assert packages(paths) == {f"concordant.{name}" for name in ("core", "learn", "models", "pocket")}


def test_the_world_loads_no_torch():
    code = (
        "import concordant.pocket, sys; assert not {'torch', 'transformers', 'tokenizers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
