"""Compare: what changed between two versions, from their logs or by asking them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from concordant.core.check import check
from concordant.core.errors import ConfigError
from concordant.core.gate import Gate
from concordant.core.registry import registered
from concordant.models.load import load
from concordant.models.recorded import Recorded, align
from concordant.versions.flips import Flips
from concordant.versions.scores import Scores

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from concordant.core.items import Items
    from concordant.core.model import Model
    from concordant.core.relation import Relation
    from concordant.core.results import Report

EXAMPLES = 5
"""How many ids of items that could not be aligned are put on record."""


def compare(
    old: Model | str | Path,
    new: Model | str | Path,
    items: Items | None = None,
    *,
    grade: Any = None,
    slices: Sequence[str] | None = None,
    gates: str | Gate | Iterable[str | Gate] = (),
    limit: int | None = None,
    relations: Iterable[Relation] = (),
    about: Mapping[str, Any] | None = None,
    **how: Any,
) -> Report:
    """Compare two versions on the items that both of them answered, or on `items`.

    Parameters
    ----------
    old, new
        The versions: models, or what `concordant.load` takes. The path of a log is a model, too.
    items
        What they are asked. Two logs need none: they are aligned by the ids of their items, or by the text of
        the questions.
    grade
        How outputs are found right or wrong; see `concordant.check`. A log may say itself which are right.
    slices
        Columns to look into; by default all of few values.
    gates
        Bounds on findings: ``"negative_flip_rate <= 0.02"``.
    limit
        Take the first items only.
    relations
        Further relations to check on the new version.
    about
        Further things to put on record.
    how
        As for `concordant.check`: `request`, `level`, `seed`, `folder`, `cache`, `progress`, `title`, ...

    Returns
    -------
    Report
        With the relation ``versions.flips``, and ``versions.scores`` where both logs have scores beyond right
        and wrong. ``report.about["compared"]`` says what was aligned, and by what.

    Raises
    ------
    ConcordantError
        If a version cannot be loaded, or the two share no items.

    Examples
    --------
    >>> import polars as pl
    >>> def log(*correct):
    ...     ids = [f"q{i}" for i in range(len(correct))]
    ...     records = {"item": ids, "sample": 0, "output": ["-"] * len(ids), "correct": correct}
    ...     return Recorded(pl.DataFrame(records), name="log")
    >>> report = compare(log(True, True, False, False), log(True, False, True, True), progress=False)
    >>> flips = report["versions.flips"]
    >>> flips.accuracy_old.value, flips.accuracy_new.value, flips.negative_flip_rate.value
    (0.5, 0.75, 0.25)
    """
    old, new = loaded(old), loaded(new)
    items, aligned = _items(old, new, items)
    if limit is not None:
        items = items.head(limit)
    found: list[Relation] = [Flips(old)]
    if _has_scores(old) and _has_scores(new):
        found.append(Scores(old))
    found += relations
    bounds: dict[str, list[Gate]] = {}
    for entry in [gates] if isinstance(gates, str | Gate) else gates:
        gate = Gate.parse(entry) if isinstance(entry, str) else entry
        owner = next((r for r in found if gate.measure in {m.name for m in r.measures}), found[0])
        bounds.setdefault(owner.name, []).append(gate)
    how.setdefault("title", f"{old.name} → {new.name} on {len(items):,} items")
    compared = {
        "old": old.name,
        "new": new.name,
        **aligned,
        "samples": {"old": samples(old), "new": samples(new)},
    }
    return check(
        new,
        items,
        found,
        grade=grade,
        slices=slices,
        gates=bounds,
        about={"compared": compared, **(about or {})},
        **how,
    )


def loaded(version: Model | str | Path) -> Model:
    """Return a version as it is, or what a name or the path of a log names."""
    if not isinstance(version, str | Path):
        return version
    spec = str(version)
    return load(spec if spec.partition(":")[0] in registered("models") else f"log:{spec}")


def _items(old: Model, new: Model, items: Items | None) -> tuple[Items, dict[str, Any]]:
    if items is not None:
        return items, {"by": "items", "n_both": len(items)}
    if isinstance(old, Recorded) and isinstance(new, Recorded):
        both = align(old, new)
        return both.items, {
            "by": both.by,
            "n_both": both.n_both,
            "n_only_old": len(both.only_old),
            "n_only_new": len(both.only_new),
            "only_old": list(both.only_old[:EXAMPLES]),
            "only_new": list(both.only_new[:EXAMPLES]),
        }
    recorded = next((model for model in (old, new) if isinstance(model, Recorded)), None)
    if recorded is None:
        message = (
            f"{old.name} and {new.name} are both live models: say what to ask them (items=, --items FILE)"
        )
        raise ConfigError(message)
    found = recorded.items()
    return found, {"by": f"the items of {recorded.name}", "n_both": len(found)}


def samples(model: Model) -> int:
    """Return how many samples of an item there are at most: only the first is compared."""
    return max(model.held["samples"].to_list()) if isinstance(model, Recorded) else 1


def _has_scores(model: Model) -> bool:
    """Whether a recording has scores beyond the 0 and 1 of right and wrong."""
    if not isinstance(model, Recorded) or "score" not in model.records.columns:
        return False
    scores = model.records["score"].drop_nulls()
    return scores.dtype.is_numeric() and not scores.is_in(pl.Series([0, 1], dtype=scores.dtype)).all()
