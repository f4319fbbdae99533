"""The verb ``info``."""

from __future__ import annotations

from typing import Any

import typer

from concordant.cli.options import Json


def info(*, json: Json = False) -> int:
    """Say what is installed and where things are kept.

    It is what a report of a fault should hold; no secret is shown.

    For example:

        concordant info
    """
    found = _facts()
    if json:
        from concordant.cli.output import print_json

        print_json(found)
        return 0
    for name, value in found.items():
        if isinstance(value, dict):
            typer.echo(f"{name}:")
            width = max(map(len, value), default=0)
            for key, entry in value.items():
                typer.echo(f"  {key:{width}}  {entry}")
        else:
            typer.echo(f"{name}: {value}")
    return 0


def _facts() -> dict[str, Any]:
    import os
    import platform
    from importlib.metadata import version

    from concordant.core.cache import default_cache_path

    needs = _requirements()
    return {
        "concordant": version("concordant"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "libraries": {name: _version(name) for name in needs.pop("", [])},
        "extras": {extra: _extra(extra, names) for extra, names in needs.items() if extra != "all"},
        "devices": _devices(),
        "cache": str(default_cache_path()),
        "environment": {
            name: "set" if name in os.environ else "not set"
            for name in (
                "OPENAI_API_KEY",
                "OPENAI_BASE_URL",
                "HF_TOKEN",
                "HF_HUB_OFFLINE",
                "CONCORDANT_CACHE",
            )
        },
    }


def _requirements() -> dict[str, list[str]]:
    """Return the names of the packages that each extra brings; the key "" is the base."""
    import re
    from importlib.metadata import requires

    found: dict[str, list[str]] = {"": []}
    for line in requires("concordant") or []:
        package, _, marker = line.partition(";")
        extra = re.search(r"extra == ['\"]([^'\"]+)['\"]", marker)
        name = re.match(r"[\w.-]+", package.strip())
        if name is not None:
            found.setdefault(extra[1] if extra else "", []).append(name[0])
    return found


def _version(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _extra(extra: str, packages: list[str]) -> str:
    missing = [name for name in packages if _version(name) is None]
    if missing:
        return f"not installed ({', '.join(missing)}): pip install 'concordant[{extra}]'"
    return "installed: " + ", ".join(f"{name} {_version(name)}" for name in packages)


def _devices() -> str:
    if _version("torch") is None:
        return "cpu (torch is not installed)"
    import importlib

    try:
        torch = importlib.import_module("torch")
    except (ImportError, OSError) as error:
        return f"cpu (torch cannot be imported: {error})"
    found = ["cpu"]
    if torch.cuda.is_available():
        found += [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps")
    return ", ".join(found)
