"""Passes: one model asked one column of inputs in one way, which is what is run, recorded and resumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from concordant.core.content import frame_digest
from concordant.core.model import digest

if TYPE_CHECKING:
    from concordant.core.episode import Episode
    from concordant.core.items import Items
    from concordant.core.model import Model, Request

ASKED = ("id", "input", "choices")
"""The columns of items that decide what a model is asked."""


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
        key = pass_key(model.fingerprint, asked_digest(items), request, episode)
        return cls(label, model, items, request, episode, key)


def asked_digest(items: Items) -> str:
    """Return the digest of what of items a model is asked."""
    return frame_digest(items.frame.select(column for column in ASKED if column in items.frame.columns))


def pass_key(fingerprint: str, asked: str, request: Request, episode: Episode | None = None) -> str:
    """Return the key of a pass, made of the digests of the model and of what it is asked; it names the segments."""
    return digest(fingerprint, asked, request.key(), None if episode is None else episode.key())


Progress = Callable[[str, int, int], None]
"""Called with the label of a pass, how many of its items are done, and how many there are."""
