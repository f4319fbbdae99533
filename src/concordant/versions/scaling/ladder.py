"""A ladder: models of one family with the compute of each, and what each holds the options of the same items for.

The log-probabilities come from models, which are asked, or from sample files that lm-evaluation-harness wrote.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from concordant.core.answers.options import named_option
from concordant.core.errors import ConfigError, DataError, ModelError
from concordant.core.items import Items
from concordant.core.progress import progress_bars
from concordant.models.option_scores import option_scores
from concordant.models.readers import read_records

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import polars as pl
    from numpy.typing import NDArray

    from concordant.core.model import Model

OPERATIONS = 6.0
"""Operations of training a parameter on a token: 2 forward, 4 back."""


@dataclass(frozen=True)
class OptionTable:
    """What the models of a ladder hold the options of items for.

    Parameters
    ----------
    names
        Of the models, by ascending compute.
    compute
        Shape (models,): operations of their training.
    ids
        Of the items.
    logprobs
        Shape (models, items, options): nats; minus infinity where an item has fewer options than others.
    right
        Shape (items,): position of the right option.
    """

    names: tuple[str, ...]
    compute: NDArray[np.float64]
    ids: tuple[str, ...]
    logprobs: NDArray[np.float64]
    right: NDArray[np.int64]


class Rung(BaseModel):
    """One model of a ladder file: `model` or `log`, and `compute` or `parameters` and `tokens`."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = None
    log: str | None = None
    compute: float | None = None
    parameters: float | None = None
    tokens: float | None = None

    @property
    def operations(self) -> float:
        """The compute, 6 * parameters * tokens where it is not given."""
        if self.compute is not None:
            return self.compute
        if self.parameters is None or self.tokens is None:
            message = f"{self.model or self.log}: give compute, or parameters and tokens"
            raise ConfigError(message)
        return OPERATIONS * self.parameters * self.tokens


class LadderFile(BaseModel):
    """A ladder file."""

    model_config = ConfigDict(extra="forbid")

    models: list[Rung]
    items: str | None = None
    options: Literal["letter", "cloze", "blank"] = "cloze"


def read_ladder(
    path: str | Path, *, load: Callable[[str], Model] | None = None, limit: int | None = None
) -> OptionTable:
    """Read a ladder file and ask its models.

    Parameters
    ----------
    path
        YAML with `models`, each with `model` (what `concordant.load` takes) or `log` (a sample file of lm-eval), and
        `compute` or `parameters` and `tokens`; `items` (a file) and `options` (``"cloze"``, the default, ``"letter"`` or
        ``"blank"``) are for models. Paths are relative to the file.
    load
        How models are loaded; `concordant.load` by default.
    limit
        Take the first items only.

    Raises
    ------
    ConfigError
        If the file is not understood.
    DataError
        If items lack choices or a right one, or the logs share no items.
    ModelError
        If a model is not a language model that scores texts.
    """
    path = Path(path)
    file = _parsed(path)
    base = path.parent
    tables: list[tuple[str, float, dict[str, tuple[list[float], int]]]] = []
    items = None if file.items is None else Items.read(_located(file.items, base), limit=limit)
    with progress_bars() as tell:
        for done, rung in enumerate(file.models):
            if (rung.model is None) == (rung.log is None):
                message = f"{path}: each of models needs one of model and log"
                raise ConfigError(message)
            if rung.log is not None:
                options = _of_log(_located(rung.log, base), limit)
            elif items is None:
                message = f"{path}: models are asked items: name a file of them (items:)"
                raise ConfigError(message)
            else:
                options = _of_model(rung.model or "", items, file.options, load)
            tables.append((rung.model or Path(rung.log or "").name, rung.operations, options))
            tell("asking models", done + 1, len(file.models))
    return _joined(tables)


def ladder_of_logs(
    sources: Sequence[str | Path], compute: Sequence[float], *, limit: int | None = None
) -> OptionTable:
    """Make the table of sample files of lm-eval, one for each model.

    Parameters
    ----------
    sources
        As `concordant.models.readers.read_records` takes them; items with options and their log-likelihoods.
    compute
        Operations of the training of each model, in the same order.
    limit
        Take the first items only.

    Raises
    ------
    DataError
        If a log holds no log-probabilities of options, or they share no items.
    ConfigError
        If the two differ in number.
    """
    if len(sources) != len(compute):
        message = f"each log needs its compute: there are {len(sources)} logs and {len(compute)} numbers"
        raise ConfigError(message)
    return _joined(
        [(Path(str(s)).name, float(c), _of_log(str(s), limit)) for s, c in zip(sources, compute, strict=True)]
    )


def _parsed(path: Path) -> LadderFile:
    try:
        document: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        return LadderFile.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = f"{path}: {where or 'the file'}: {first['msg'].lower()}"
        raise ConfigError(message) from None
    except yaml.YAMLError as error:
        message = f"{path} is not YAML: {' '.join(str(error).split())}"
        raise ConfigError(message) from None


def _located(name: str, base: Path) -> str:
    return str(base / name) if (base / name.partition("?")[0]).exists() else name


def _of_model(
    spec: str, items: Items, way: Literal["letter", "cloze", "blank"], load: Callable[[str], Model] | None
) -> dict[str, tuple[list[float], int]]:
    if load is None:
        from concordant.models.load import load as loaded

        load = loaded
    language_model = getattr(load(spec), "language_model", None)
    if language_model is None or not callable(getattr(language_model, "score", None)):
        message = f"{spec}: the options of items are scored by a local language model, and this is none"
        raise ModelError(message)
    right = _right(items.ids, items.reference, items.choices, "the items")
    scored = option_scores(language_model, items, options=way)
    return {
        name: (found.logprobs.tolist(), right[name])
        for name, found in zip(items.ids.to_list(), scored, strict=True)
        if name in right
    }


def _of_log(source: str, limit: int | None) -> dict[str, tuple[list[float], int]]:
    records = read_records(source)
    missing = [c for c in ("choices", "choice_logprobs", "reference") if c not in records.columns]
    if missing:
        message = f"{source} holds no {missing[0]}: it must be a sample file of multiple-choice items, as lm-eval writes it"
        raise DataError(message)
    records = records.unique("item", keep="first", maintain_order=True)
    records = records if limit is None else records.head(limit)
    right = _right(records["item"], records["reference"], records["choices"], source)
    values = records["choice_logprobs"].to_list()
    rows = zip(records["item"].to_list(), values, strict=True)
    return {name: (list(found), right[name]) for name, found in rows if name in right and found is not None}


def _right(
    ids: pl.Series, reference: pl.Series | None, choices: pl.Series | None, source: str
) -> dict[str, int]:
    """Return the position of the right option, of the items that have one."""
    if reference is None or choices is None:
        message = f"{source} must have choices and a reference, the right one of them"
        raise DataError(message)
    found = named_option(reference, choices)
    return {
        name: place for name, place in zip(ids.to_list(), found.to_list(), strict=True) if place is not None
    }


def _joined(tables: list[tuple[str, float, dict[str, tuple[list[float], int]]]]) -> OptionTable:
    """Keep the items that all models have with equally many options, the models by ascending compute."""
    tables = sorted(tables, key=lambda table: table[1])
    first = tables[0][2]
    ids = [
        name
        for name, (values, right) in first.items()
        if all(
            name in options and len(options[name][0]) == len(values) and options[name][1] == right
            for _, _, options in tables
        )
    ]
    if not ids:
        message = f"the {len(tables)} models share no items with the same right option"
        raise DataError(message)
    widest = max(len(first[name][0]) for name in ids)
    logprobs = np.full((len(tables), len(ids), widest), -np.inf)
    for m, (_, _, options) in enumerate(tables):
        for i, name in enumerate(ids):
            values = options[name][0]
            logprobs[m, i, : len(values)] = values
    return OptionTable(
        names=tuple(name for name, _, _ in tables),
        compute=np.array([operations for _, operations, _ in tables]),
        ids=tuple(ids),
        logprobs=logprobs,
        right=np.array([first[name][1] for name in ids]),
    )
