"""The recorded results of studies: read for the catalogue and the page of evidence, written from finished runs."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from concordant.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from concordant.studies.results import StudyResult

FOLDER = Path(__file__).parent
SCHEMA = 1
SCALE = "pocket"
"""The scale that evidence is made from."""


@cache
def recorded() -> Mapping[str, Mapping[str, Any]]:
    """Return the results that come with this package, by slug: the documents of `StudyResult.to_dict`.

    Raises
    ------
    DataError
        If a file is not what `keep` writes.
    """
    found = {path.stem: read(path) for path in sorted(FOLDER.glob("*.json"))}
    return MappingProxyType(found)


def read(path: Path) -> Mapping[str, Any]:
    """Return the document of a file.

    Raises
    ------
    DataError
        If it is not a result of this schema, or of another study than its name says.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        schema, slug = document["schema"], document["study"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        message = f"{path} holds no result of a study: {error}"
        raise DataError(message) from None
    if schema != SCHEMA or slug != path.stem:
        message = (
            f"{path} must hold schema {SCHEMA} of the study {path.stem!r}, got schema {schema} of {slug!r}"
        )
        raise DataError(message)
    return document  # type: ignore[no-any-return]


def states_of(slug: str) -> dict[str, str]:
    """Return the states of a paper's claims by id; empty where it has not been run.

    Examples
    --------
    >>> states_of("no-such-paper")
    {}
    """
    document = recorded().get(slug)
    return {} if document is None else {claim["id"]: claim["state"] for claim in document["claims"]}


def keep(results: Sequence[StudyResult], folder: Path = FOLDER) -> list[Path]:
    """Write results as what the catalogue knows of their papers, in place of what it knew; return the files.

    Parameters
    ----------
    results
        Results at `SCALE`, of papers of the catalogue, without failed seeds.
    folder
        Where the files are; by default in this package.

    Raises
    ------
    ConfigError
        If a result is not fit to be kept.
    StoreError
        If a file cannot be written.
    """
    from concordant.studies.seeds import write_json

    for result in results:
        _check(result)
    paths = []
    for result in results:
        paths.append(folder / f"{result.study.slug}.json")
        write_json(paths[-1], result.to_dict())
    recorded.cache_clear()
    return paths


def _check(result: StudyResult) -> None:
    from concordant.studies.catalogue.entries import load

    slug = result.study.slug
    wrong = None
    if result.scale != SCALE:
        wrong = f"it was run at {result.scale} scale, and evidence is of {SCALE} scale"
    elif result.errors or not result.decisions:
        wrong = "seeds of it failed"
    elif slug not in load():
        wrong = "the catalogue has no such paper"
    else:
        known = {claim.id for claim in load()[slug].claims}
        if missing := [claim.id for claim in result.study.claims if claim.id not in known]:
            wrong = f"the catalogue has no claims {', '.join(missing)} of it"
    if wrong is not None:
        message = f"the results of {slug!r} cannot be kept as evidence: {wrong}"
        raise ConfigError(message)
