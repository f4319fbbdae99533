"""Names for relations, models, graders and report writers, ours and third parties' alike.

Everything that a file or the command line can name is an entry point: ours are declared in this project's pyproject.toml in
the groups ``concordant.relations``, ``concordant.models`` and ``concordant.writers``, and an installed package
adds its own the same way. Looking a name up imports only the module that holds it.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from concordant.core.errors import ConfigError, nearest


@cache
def registered(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of ``concordant.<group>`` by name.

    Examples
    --------
    >>> "versions.flips" in registered("relations")
    True
    """
    return {point.name: point for point in entry_points(group=f"concordant.{group}")}


def lookup(group: str, name: str) -> Any:
    """Load what is registered under `name` in ``concordant.<group>``.

    Raises
    ------
    ConfigError
        If nothing is registered under that name; the nearest name is given.
    """
    points = registered(group)
    if name not in points:
        message = f"there is no {group.removesuffix('s')} {name!r}; {nearest(name, points)}"
        raise ConfigError(message)
    return points[name].load()
