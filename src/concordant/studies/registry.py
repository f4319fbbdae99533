"""The studies that can be named: ours and those of installed packages.

A study is an entry point of the group ``concordant.studies``. Looking one up imports only the module that holds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from concordant.core.errors import ConfigError, described
from concordant.core.registry import lookup, registered
from concordant.studies.study import Study

if TYPE_CHECKING:
    from collections.abc import Iterable


def study_names() -> list[str]:
    """Return the names of all studies, sorted.

    Examples
    --------
    >>> "muscle" in study_names()
    True
    """
    return sorted(registered("studies"))


def find_study(name: str) -> Study:
    """Return the study of a name.

    Parameters
    ----------
    name
        Its entry point, which is the slug of its paper.

    Raises
    ------
    ConfigError
        If there is none (the nearest name is given), if its module cannot be imported, or if what is registered under
        that name is no study.
    """
    if name not in registered("studies"):
        lookup("studies", name)  # raises, and names the nearest
    try:
        found = lookup("studies", name)
    except Exception as error:  # of whatever the module does when it is imported
        message = f"the study {name!r} cannot be loaded: {described(error)}"
        raise ConfigError(message) from error
    if not isinstance(found, Study):
        message = (
            f"the entry point {name!r} of concordant.studies must be a function under @study(...), "
            f"got {type(found).__name__}"
        )
        raise ConfigError(message)
    if found.slug != name:
        message = (
            f"the entry point {name!r} of concordant.studies is the study {found.slug!r}; give both one name"
        )
        raise ConfigError(message)
    return found


def find_studies(names: Iterable[str]) -> tuple[list[Study], dict[str, str]]:
    """Return the studies that can be loaded, and for each of the others why not: one that is broken hides no other."""
    found, broken = [], {}
    for name in dict.fromkeys(names):
        try:
            found.append(find_study(name))
        except ConfigError as error:
            broken[name] = str(error)
    return found, broken
