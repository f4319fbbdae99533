"""Names for relations, models, adapters, studies and report writers, ours and third parties' alike.

Ours are entry points declared in this project's pyproject.toml, in the groups ``concordant.relations``,
``concordant.models``, ``concordant.graders``, ``concordant.adapters``, ``concordant.explainers``,
``concordant.networks``, ``concordant.studies`` and ``concordant.writers``; an installed package adds its own the same
way. Looking a name up imports only the module that holds it.
"""

from __future__ import annotations

import inspect
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from concordant.core.errors import ConfigError, nearest

_ONE = {"explainers": "method", "studies": "study"}
"""What one of a group is called, where it is not the group's name without its s."""


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
        one = _ONE.get(group, group.removesuffix("s"))
        message = f"there is no {one} {name!r}; {nearest(name, points)}"
        raise ConfigError(message)
    return points[name].load()


def first_sentence(value: Any) -> str:
    """Return what the first line of a docstring says of a thing that can be named.

    Examples
    --------
    >>> first_sentence(registered).startswith("Return the entry points")
    True
    """
    return (inspect.getdoc(value) or "").strip().split("\n", 1)[0]
