"""A model that is not there: its name and fingerprint without its behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from concordant.core.errors import ModelError

if TYPE_CHECKING:
    import polars as pl

    from concordant.core.items import Items
    from concordant.core.model import Request


@dataclass(slots=True)
class Absent:
    """Stands for a model where only its name and fingerprint are needed; asked, it says why it cannot answer.

    Parameters
    ----------
    name, fingerprint, classes
        Those of the model.
    why
        What is said when it is asked.
    """

    name: str
    fingerprint: str = ""
    classes: tuple[str, ...] = ()
    why: str = "the model is not loaded"
    batch_size: int = 1_000_000

    def respond(self, items: Items, request: Request) -> pl.DataFrame:
        """Say why there is no answer."""
        raise ModelError(self.why)
