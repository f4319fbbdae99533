"""Language models that are called with many prompts at once, as models of the flow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from concordant.core.columns import array_series
from concordant.core.errors import ConfigError
from concordant.core.model import digest
from concordant.core.prompts import LETTERS, prompts
from concordant.models.fingerprints import fingerprint as fingerprint_of
from concordant.models.option_scores import check_way, option_scores
from concordant.models.rows import completion_frame, repeat

if TYPE_CHECKING:
    from concordant.core.items import Items
    from concordant.core.model import Request
    from concordant.models.base import LanguageModel
    from concordant.models.option_scores import Norm, OptionScores, Way


class GenerativeModel:
    """A language model as a batch model: it continues the prompt of each item, or chooses among its options.

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
    options
        ``"letter"``, ``"cloze"`` or ``"blank"``: items with choices are answered by the letter of the option
        with the highest score, the same at any temperature, and `score`, `logprob` and `probabilities` over
        the letters are recorded; see `concordant.models.option_scores.option_scores`. By default they are
        answered by what the model writes.
    norm
        ``"sum"``, ``"token"``, ``"byte"`` or ``"unconditional"``, where options are scored.

    Raises
    ------
    ConfigError
        If there is no such way of scoring options or norm, or a norm without options.
    """

    def __init__(
        self,
        language_model: LanguageModel,
        *,
        name: str | None = None,
        batch_size: int | None = None,
        fingerprint: str | None = None,
        options: Way | None = None,
        norm: Norm | None = None,
    ) -> None:
        own_name = getattr(language_model, "name", type(language_model).__name__)
        self.language_model = language_model
        self.name = name or str(own_name)
        own_fingerprint = getattr(language_model, "fingerprint", None)
        self.fingerprint = fingerprint or own_fingerprint or fingerprint_of(language_model)
        self.batch_size = batch_size or 4 * int(getattr(language_model, "batch_size", 16))
        self.options, self.norm = options, norm or "sum"
        if options is not None:
            check_way(options, self.norm)
            self.classes = tuple(LETTERS)
            self.fingerprint = digest(self.fingerprint, options, self.norm)
        elif norm is not None:
            message = f"norm={norm!r} is how options are scored: say options='letter', 'cloze' or 'blank' too"
            raise ConfigError(message)

    def __repr__(self) -> str:
        return f"GenerativeModel({self.name})"

    def respond(self, items: Items, request: Request) -> pl.DataFrame:
        """Answer all `items`; see `BatchModel.respond`."""
        if self.options is None:
            return self._continued(items, request)
        chooses = np.zeros(len(items), bool)
        if items.choices is not None:
            chooses = (items.choices.list.len().fill_null(0) > 0).to_numpy()
        frames, order = [], []
        for part, answer in ((chooses, self._choosing), (~chooses, self._continued)):
            if part.any():
                frames.append(answer(items.rows(part), request))
                order.append(np.repeat(np.flatnonzero(part), request.n))
        frame = pl.concat(frames, how="diagonal")
        return frame[np.argsort(np.concatenate(order), kind="stable")]

    def _continued(self, items: Items, request: Request) -> pl.DataFrame:
        completions = self.language_model.generate(
            prompts(items),
            n=request.n,
            temperature=request.temperature,
            max_tokens=request.max_tokens,
            seed=request.seed,
            stop=request.stop,
        )
        return completion_frame(self.name, items, completions, request.n)

    def _choosing(self, items: Items, request: Request) -> pl.DataFrame:
        assert self.options is not None
        scored = option_scores(self.language_model, items, options=self.options, norm=self.norm)
        return repeat(_choice_rows(scored), request.n)


def _choice_rows(scored: list[OptionScores]) -> pl.DataFrame:
    """Make one row of the options of each item."""
    probabilities = np.zeros((len(scored), len(LETTERS)))
    for row, item in zip(probabilities, scored, strict=True):
        row[: len(item.scores)] = item.probabilities
    columns = {
        "output": [LETTERS[item.choice] for item in scored],
        "logprob": [item.logprobs[item.choice] for item in scored],
        "tokens": [item.tokens[item.choice] for item in scored],
        "error": [None] * len(scored),
        "score": [item.scores[item.choice] for item in scored],
    }
    types = {"output": pl.String, "tokens": pl.Int64, "error": pl.String}
    frame = pl.DataFrame(columns, schema_overrides=types)
    return frame.with_columns(array_series("probabilities", probabilities))
