"""A digest of the code that a study's numbers come from, so that results of other code are not mixed with them.

It covers the study's own module and, as far as import statements tell, the modules of this package and of the study's
own package that it stands on, with the data files of the packages among them: shipped models, recorded trials.
Docstrings do not count, nor does the study's decorator: claims are judged from the measurements when these are read.
"""

from __future__ import annotations

import ast
import re
import sys
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from concordant.studies.study import Study

ROOT = Path(__file__).parents[1]
HARNESS = frozenset({"concordant.studies.study"})
_FROM = re.compile(r"^[ \t]*from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)", re.MULTILINE)
_PLAIN = re.compile(r"^[ \t]*import[ \t]+([\w., \t]+)", re.MULTILINE)
_COMMENT = re.compile(r"#[^\n]*")
_DOCSTRING = re.compile(r'(\A|:[ \t]*\n)[ \t]*[rR]?"""[\s\S]*?"""')  # that of a module, class or function


def code_digest(study: Study) -> str:
    """Return the digest of a study's code: 16 hexadecimal digits.

    Parameters
    ----------
    study
        The study.
    """
    own, found = Path(study.function.__code__.co_filename), modules_of(study)
    state = blake2b(digest_size=8)
    state.update(_without_decorator(own.read_text(encoding="utf-8"), study.function.__name__).encode())
    for name in sorted(found):
        state.update(f"{name} {_code_of(found[name])}\n".encode())
    ours = [path for path in (own, *found.values()) if path.is_relative_to(ROOT)]
    packages = {path.relative_to(ROOT).parts[0] for path in ours}
    for path in sorted(_data_files(packages)):
        state.update(f"{path.relative_to(ROOT).as_posix()} {_digest(path.read_bytes())}\n".encode())
    return state.hexdigest()


def modules_of(study: Study) -> dict[str, Path]:
    """Return the modules that a study stands on, by name, without its own.

    Parameters
    ----------
    study
        The study.
    """
    own = Path(study.function.__code__.co_filename)
    roots = {"concordant": ROOT} | _root_of(study.function.__module__)
    found: dict[str, Path] = {}
    waiting = [own]
    while waiting:
        for name, path in _imported(waiting.pop(), tuple(roots.items())):
            if name not in found and name not in HARNESS and path != own:
                found[name] = path
                waiting.append(path)
    return found


class _Module(NamedTuple):
    name: str
    path: Path


def _root_of(module: str) -> dict[str, Path]:
    """Return the folder of the package that a module belongs to, where it belongs to one."""
    top = module.split(".")[0]
    folders = getattr(sys.modules.get(top), "__path__", None)
    return {top: Path(next(iter(folders)))} if folders else {}


@lru_cache(maxsize=4096)
def _imported(path: Path, roots: tuple[tuple[str, Path], ...]) -> list[_Module]:
    """Return the modules below the roots that a file imports, and through which packages' names."""
    return list(_each_import(path, dict(roots)))


def _each_import(path: Path, roots: dict[str, Path]) -> Iterator[_Module]:
    text = path.read_text(encoding="utf-8")
    for module, names in _FROM.findall(text):
        listed = _COMMENT.sub("", names).strip("()").split(",")
        for name in (part.split()[0] for part in listed if part.strip()):
            yield from _home(_absolute(module, path, roots), name, roots)
    for line in _PLAIN.findall(text):
        for module in (part.split()[0] for part in line.split(",") if part.strip()):
            if (found := _file(module, roots)) is not None:
                yield _Module(module, found)


def _home(module: str, name: str, roots: dict[str, Path]) -> Iterator[_Module]:
    """Return where a name of a module comes from: a submodule, the module that its package takes it from, or itself."""
    path, below = _file(module, roots), _file(f"{module}.{name}", roots)
    if below is not None:
        yield _Module(f"{module}.{name}", below)
    elif path is not None and path.name == "__init__.py":
        passed_on = (
            rf"^[ \t]*from[ \t]+([\w.]+)[ \t]+import[ \t]+{re.escape(name)}[ \t]+as[ \t]+{re.escape(name)}$"
        )
        source = re.search(passed_on, path.read_text(encoding="utf-8"), re.MULTILINE)
        if source is None:
            yield _Module(module, path)
        else:
            yield from _home(_absolute(source[1], path, roots), name, roots)
    elif path is not None:
        yield _Module(module, path)


def _absolute(module: str, path: Path, roots: dict[str, Path]) -> str:
    if not module.startswith("."):
        return module
    up = len(module) - len(module.lstrip("."))
    for top, root in roots.items():
        if path.is_relative_to(root):
            folder = [top, *path.parent.relative_to(root).parts]
            return ".".join([*folder[: len(folder) + 1 - up], *([module[up:]] if module[up:] else [])])
    return module


def _file(module: str, roots: dict[str, Path]) -> Path | None:
    top, *rest = module.split(".")
    if top not in roots:
        return None
    place = roots[top].joinpath(*rest)
    for path in (place / "__init__.py", place.with_name(f"{place.name}.py")):
        if path.is_file():
            return path
    return None


def _data_files(packages: set[str]) -> Iterator[Path]:
    for package in packages - {"report"}:
        # Of the studies, what they measure: the catalogue and the evidence follow from them.
        folder = ROOT / "studies" / "data" if package == "studies" else ROOT / package
        files = folder.rglob("*") if folder.is_dir() else ()
        yield from (path for path in files if path.is_file() and path.suffix not in (".py", ".pyc"))


@lru_cache(maxsize=4096)
def _code_of(path: Path) -> str:
    return _digest(_DOCSTRING.sub(r"\1", path.read_text(encoding="utf-8")).encode())


def _without_decorator(text: str, function: str) -> str:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == function:
            node.decorator_list = []
        if (
            isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=8).hexdigest()
