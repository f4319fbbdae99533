"""The items that several recordings share, so that successive versions are compared on the same ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from concordant.core.content import content_ids
from concordant.core.errors import DataError
from concordant.core.items import Items
from concordant.models.recorded import align, normalised

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from concordant.models.recorded import Recorded


@dataclass(frozen=True, slots=True)
class SharedItems:
    """What several recordings share.

    Parameters
    ----------
    items
        The shared items, as the first recording has them; every recording answers all of them.
    by
        What they were recognised by: their ``"id"``, or the text of their ``"input"``.
    n_left_out
        How many items of each recording the others do not all have.
    """

    items: Items
    by: Literal["id", "input"]
    n_left_out: tuple[int, ...]


def align_all(recordings: Sequence[Recorded]) -> SharedItems:
    """Find the items that all recordings share.

    Each is aligned with the first, as `concordant.models.recorded.align` does it. Where one of them can only be
    aligned by the text of the inputs, so are all.

    Parameters
    ----------
    recordings
        One or more.

    Raises
    ------
    DataError
        If they share nothing.

    Examples
    --------
    >>> import polars as pl
    >>> from concordant.models.recorded import Recorded
    >>> def log(*ids):
    ...     return Recorded(pl.DataFrame({"item": ids, "sample": [0] * len(ids), "output": ["-"] * len(ids)}))
    >>> shared = align_all([log("a", "b", "c"), log("b", "c", "d"), log("c", "b")])
    >>> shared.items.ids.to_list(), shared.by, shared.n_left_out
    (['b', 'c'], 'id', (1, 1, 0))
    """
    first = recordings[0]
    if len(recordings) == 1:
        return SharedItems(first.items(), "id", (0,))
    pairs = [align(first, other) for other in recordings[1:]]
    by: Literal["id", "input"] = "id" if all(pair.by == "id" for pair in pairs) else "input"
    frames = [_keyed(pair.items) if by == "input" else pair.items.frame for pair in pairs]
    frame = frames[0]
    for other in frames[1:]:
        more = [column for column in other.columns if column not in frame.columns]
        frame = frame.join(other.select("id", *more), on="id", how="inner", maintain_order="left")
    if frame.is_empty():
        names = ", ".join(recording.name for recording in recordings)
        message = f"the recordings {names} have no item that is in all of them, though each shares some with {first.name}"
        raise DataError(message)
    left_out = tuple(len(recording.held) - len(frame) for recording in recordings)
    return SharedItems(Items(frame), by, left_out)


def _keyed(items: Items) -> pl.DataFrame:
    """Return the items under ids made from their texts, of equal texts the first."""
    texts = normalised(items.inputs)
    frame = items.frame.filter(texts.is_not_null() & texts.is_first_distinct())
    return frame.with_columns(content_ids(normalised(frame["input"])).alias("id"))
