"""Passes: one model asked one column of inputs in one way, which is what is run, recorded and resumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from concordant.core.items import frame_digest
from concordant.core.model import digest

if TYPE_CHECKING:
    from concordant.core.episode import Episode
    from concordant.core.items import Items
    from concordant.core.model import Model, Request


@dataclass(frozen=True, slots=True)
class Pass:
    """One model asked one column of inputs in one way.

    Parameters
    ----------
    label
        What progress bars call it.
    model, items, request, episode
        Who is asked what, and how.
    """

    label: str
    model: Model
    items: Items
    request: Request
    episode: Episode | None = None
    key: str = field(default="", compare=False)

    @classmethod
    def of(
        cls, label: str, model: Model, items: Items, request: Request, episode: Episode | None = None
    ) -> Pass:
        """Make a pass with its key: equal questions have equal keys."""
        asked = frame_digest(
            items.frame.select(c for c in ("id", "input", "choices") if c in items.frame.columns)
        )
        played = None if episode is None else episode.key()
        return cls(
            label, model, items, request, episode, digest(model.fingerprint, asked, request.key(), played)
        )


Progress = Callable[[str, int, int], None]
"""Called with the label of a pass, how many of its items are done, and how many there are."""
