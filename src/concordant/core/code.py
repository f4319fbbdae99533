"""What is taken from Python files, ``FILE.py:NAME``: only on the user's word."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, Any

from concordant.core.errors import ConfigError, nearest
from concordant.core.model import digest

if TYPE_CHECKING:
    from pathlib import Path


def is_code(text: str) -> bool:
    """Whether a text names something in a Python file.

    Examples
    --------
    >>> is_code("./my_relations.py:case_insensitive"), is_code("versions.flips")
    (True, False)
    """
    path, colon, name = text.rpartition(":")
    return bool(colon) and path.endswith(".py") and name.isidentifier()


def from_file(text: str, base: Path, *, trust_code: bool) -> Any:
    """Run a Python file and return what it calls by a name.

    Parameters
    ----------
    text
        ``FILE.py:NAME``.
    base
        The folder that a relative path starts from.
    trust_code
        Whether the user allows it.

    Raises
    ------
    ConfigError
        If the user does not, the file is not there or raises, or has no such name.
    """
    file, _, name = text.rpartition(":")
    path = (base / file).resolve()
    if not trust_code:
        message = f"{text} runs the code of a file; allow that with --trust-code"
        raise ConfigError(message)
    if not path.is_file():
        message = f"{path}: there is no such file"
        raise ConfigError(message)
    module = _run(path)
    if not hasattr(module, name):
        message = (
            f"{path} has no {name!r}; {nearest(name, [n for n in vars(module) if not n.startswith('_')])}"
        )
        raise ConfigError(message)
    return getattr(module, name)


def _run(path: Path) -> Any:
    module_name = f"{path.stem}_{digest(str(path))}"
    if module_name in sys.modules:  # two names of one file are parts of one module
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    sys.path.insert(0, str(path.parent))  # it may import its neighbours
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        message = f"{path} cannot be run: {type(error).__name__}: {error}"
        raise ConfigError(message) from error
    finally:
        sys.path.remove(str(path.parent))
    return module
