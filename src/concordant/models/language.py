"""Language models that are called with many prompts at once, as models of the flow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from concordant.core.prompts import prompts
from concordant.models.fingerprints import fingerprint as fingerprint_of
from concordant.models.rows import completion_frame

if TYPE_CHECKING:
    import polars as pl

    from concordant.core.items import Items
    from concordant.core.model import Request
    from concordant.models.base import LanguageModel


class GenerativeModel:
    """A language model as a batch model: it continues the prompt of each item.

    Parameters
    ----------
    language_model
        A `concordant.models.base.LanguageModel`. Its own `name`, `fingerprint` and `batch_size` are taken
        where it has them.
    name
        What reports call it.
    batch_size
        Rows in one call. By default four batches of the language model, so that it can put prompts of similar
        length together.
    fingerprint
        Digest of what decides its behaviour.
    """

    def __init__(
        self,
        language_model: LanguageModel,
        *,
        name: str | None = None,
        batch_size: int | None = None,
        fingerprint: str | None = None,
    ) -> None:
        own_name = getattr(language_model, "name", type(language_model).__name__)
        self.language_model = language_model
        self.name = name or str(own_name)
        own_fingerprint = getattr(language_model, "fingerprint", None)
        self.fingerprint = fingerprint or own_fingerprint or fingerprint_of(language_model)
        self.batch_size = batch_size or 4 * int(getattr(language_model, "batch_size", 16))

    def __repr__(self) -> str:
        return f"GenerativeModel({self.name})"

    def respond(self, items: Items, request: Request) -> pl.DataFrame:
        """Continue the prompts of all `items`; see `BatchModel.respond`."""
        completions = self.language_model.generate(
            prompts(items),
            n=request.n,
            temperature=request.temperature,
            max_tokens=request.max_tokens,
            seed=request.seed,
            stop=request.stop,
        )
        return completion_frame(self.name, items, completions, request.n)
