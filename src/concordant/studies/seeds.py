"""What one seed of a study measured, with all that says where the numbers come from; kept as one JSON file a seed."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from concordant.core.errors import StoreError
from concordant.core.whole_files import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = 1
LIBRARIES = ("concordant", "numpy", "torch")


@dataclass(frozen=True)
class SeedResult:
    """What one seed measured.

    Parameters
    ----------
    study, scale, seed
        What was run.
    measurements
        Numbers, or one number a unit, by ``method.metric``.
    seconds
        How long it took, by the clock.
    code
        Digest of the code; see `concordant.studies.code_digest`.
    versions
        Versions of this package, Python and the libraries that numbers depend on.
    commit
        Commit of this package's sources, where they are in a repository; "-dirty" at its end where they were changed.
    machine
        Class of the machine: "2 cores, x86_64, Linux".
    threads
        Threads that the seed was given.
    """

    study: str
    scale: str
    seed: int
    measurements: Mapping[str, float | list[float]]
    seconds: float
    code: str
    versions: Mapping[str, str]
    commit: str | None
    machine: str
    threads: int


def seed_path(folder: Path, seed: int) -> Path:
    """Return the file of a seed in the folder of a study."""
    return folder / f"seed-{seed}.json"


def write_seed(folder: Path, result: SeedResult) -> None:
    """Write a seed's result; it is there whole, or not at all.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    write_json(seed_path(folder, result.seed), {"schema": SCHEMA, **asdict(result)})


def read_seed(path: Path) -> SeedResult | None:
    """Return what a file holds of a seed; None where there is none that this version can read."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.pop("schema") != SCHEMA:
            return None
        return SeedResult(**document)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def write_json(path: Path, document: Any) -> None:
    """Write a JSON document beside its place, sync and rename it, so that a kill leaves the old one or the new one.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    text = json.dumps(document, indent=1, allow_nan=False)
    try:
        write_whole(path, f"{text}\n".encode())
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror or error}; what was written before is kept"
        raise StoreError(message) from None


def versions() -> dict[str, str]:
    """Return the versions that numbers depend on; a library that is not installed is left out."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def n_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine() -> str:
    """Return the class of this machine; a GPU is named where torch has been loaded and sees one.

    Examples
    --------
    >>> machine().split(", ")[0].split()[1] in ("core", "cores")
    True
    """
    n = n_cores()
    parts = [f"{n} core{'' if n == 1 else 's'}", platform.machine(), platform.system()]
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name(0))
    return ", ".join(parts)


@cache
def commit() -> str | None:
    """Return the commit of the sources of this package; None where they are not in a repository."""
    package = Path(__file__).parents[1]

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=package, capture_output=True, text=True, check=True, timeout=20
        )
        return done.stdout.strip()

    try:
        # A package installed below somebody else's repository is not a part of it.
        git("ls-files", "--error-unmatch", "__init__.py")
        return git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return None
