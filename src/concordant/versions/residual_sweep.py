"""How much of a residual to add: the restored model is asked at several coefficients, and held against the instruct model.

At each coefficient all items are asked anew, so that accuracies and flips are of the same items. Recovery is the share
of what the updated base alone has lost that is back. The coefficient with the highest accuracy is chosen, the mean of
both accuracies where there are items about the update too; of equals the one nearest to 1.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch

from concordant.core.check import check
from concordant.core.errors import ConfigError, DataError, ModelError
from concordant.core.model import Request
from concordant.core.progress import progress_bars
from concordant.core.statistics import bootstrap
from concordant.models.language import GenerativeModel
from concordant.models.recorded import Recorded
from concordant.versions.flips import Flips

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from concordant.core.finding import Finding
    from concordant.core.items import Items
    from concordant.core.results import Result
    from concordant.core.statistics import Estimate
    from concordant.models.causal import CausalLM
    from concordant.versions.residual_files import ResidualFiles

COEFFICIENTS = (0.0, 0.5, 1.0, 1.5)
N_REPLICATES = 2000


@dataclass(frozen=True, slots=True)
class Tried:
    """What a model does at one coefficient, with intervals.

    Parameters
    ----------
    coefficient
        How much of the residual; None for the instruct model itself.
    accuracy
        On the items that need instructions.
    negative_flip_rate, positive_flip_rate
        Against the instruct model, on the same items; None for that model itself.
    recovery
        Share of what the updated base alone has lost; None where it has lost nothing, or so little that no interval
        can be given.
    new_accuracy
        On the items about the update; None where there are none.
    """

    coefficient: float | None
    accuracy: Finding
    negative_flip_rate: Finding | None = None
    positive_flip_rate: Finding | None = None
    recovery: Estimate | None = None
    new_accuracy: Finding | None = None

    @property
    def score(self) -> float:
        """What a coefficient is chosen by: the accuracy, or the mean of both."""
        found = [self.accuracy.value]
        return float(np.mean(found if self.new_accuracy is None else [*found, self.new_accuracy.value]))

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        measures = ("accuracy", "negative_flip_rate", "positive_flip_rate", "recovery", "new_accuracy")
        return {
            "coefficient": self.coefficient,
            **{name: _plain(getattr(self, name)) for name in measures},
        }


@dataclass(frozen=True, slots=True)
class Sweep:
    """What was tried, and what was chosen.

    Parameters
    ----------
    instruct
        The instruct model itself.
    tried
        At each coefficient, in ascending order; 0 is the updated base, asked as the instruct model is.
    chosen
        One of those that were asked for.
    why
        In a few words.
    """

    instruct: Tried
    tried: tuple[Tried, ...]
    chosen: Tried
    why: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "instruct": self.instruct.to_dict(),
            "tried": [one.to_dict() for one in self.tried],
            "chosen": self.chosen.coefficient,
            "why": self.why,
        }


def sweep(
    files: ResidualFiles,
    instruct: CausalLM,
    items: Items,
    new_items: Items | None = None,
    *,
    coefficients: Sequence[float] = COEFFICIENTS,
    grade: Any = None,
    max_tokens: int = 256,
    level: float = 0.95,
    seed: int = 0,
    progress: bool = True,
) -> Sweep:
    """Ask the restored model at several coefficients.

    Parameters
    ----------
    files
        The weights.
    instruct
        The instruct model, loaded; its weights are replaced, and are those of the last coefficient in the end.
    items
        With references: what the instruct model could do.
    new_items
        With references: what the base has learnt since; None for none.
    coefficients
        Those to choose from; 0 is asked in any case.
    grade
        How outputs are found right; see `concordant.check`.
    max_tokens
        Longest answer.
    level
        Of the intervals.
    seed
        Of the resampling for recovery.
    progress
        Whether to draw a bar (on a terminal only).

    Raises
    ------
    ConfigError
        If there are no coefficients, or one is not finite.
    DataError
        If no item can be graded.
    ModelError
        If the loaded model has other weights than the files.
    """
    if not coefficients or not all(map(math.isfinite, coefficients)):
        message = f"coefficients must be finite numbers, at least one, got {list(coefficients)}"
        raise ConfigError(message)
    request = Request(max_tokens=max_tokens)
    sets = {"items": items, **({} if new_items is None else {"new_items": new_items})}
    before = {name: _recording(instruct, asked, request) for name, asked in sets.items()}

    def results() -> dict[str, Result]:
        """Hold the model as it is now against what it was."""
        model = GenerativeModel(instruct, fingerprint="restored")
        found = {}
        for name, asked in sets.items():
            report = check(model, asked, [Flips(before[name])], grade=grade, request=request, slices=[],
                           level=level, seed=seed, progress=False)  # fmt: skip
            found[name] = report["versions.flips"]
            if "accuracy_new" not in found[name].findings:
                message = (
                    f"none of the {len(asked)} {name.replace('_', ' ')} could be graded: they need references"
                )
                raise DataError(message)
        return found

    own = results()
    every = sorted({0.0, *map(float, coefficients)})
    found: dict[float, dict[str, Result]] = {}
    with progress_bars() if progress else nullcontext(lambda *_: None) as tell:
        for done, coefficient in enumerate(every, 1):
            put(files, instruct, coefficient)
            found[coefficient] = results()
            tell("coefficients tried", done, len(every))
    model = Tried(None, own["items"]["accuracy_new"], new_accuracy=_accuracy(own.get("new_items")))
    was, without = (_right(one["items"]) for one in (own, found[0.0]))
    tried = tuple(
        Tried(
            coefficient,
            one["items"]["accuracy_new"],
            one["items"]["negative_flip_rate"],
            one["items"]["positive_flip_rate"],
            recovery_of(_right(one["items"]), without, was, level=level, seed=seed),
            _accuracy(one.get("new_items")),
        )
        for coefficient, one in found.items()
    )
    allowed = [one for one in tried if one.coefficient in set(map(float, coefficients))]
    chosen = min(allowed, key=lambda one: (-one.score, abs((one.coefficient or 0.0) - 1.0)))
    what = "accuracy" if new_items is None else "mean of the two accuracies"
    return Sweep(model, tried, chosen, f"the highest {what}, {chosen.score:.1%}")


def put(files: ResidualFiles, model: CausalLM, coefficient: float) -> None:
    """Give a loaded model the weights of the restored one, in place.

    Parameters
    ----------
    files
        The weights.
    model
        Of the architecture of the instruct model.
    coefficient
        How much of the residual.

    Raises
    ------
    ModelError
        If the loaded model has other weights than the files.
    """
    state = model.model.state_dict()
    with torch.no_grad():
        for name in files.names:
            if name not in state:
                message = f"the loaded instruct model has no weight {name!r}, which its files have"
                raise ModelError(message)
            state[name].copy_(files.weight(name, coefficient))


def recovery_of(
    restored: NDArray[np.float64],
    updated: NDArray[np.float64],
    instruct: NDArray[np.float64],
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate | None:
    r"""Return the share of lost items that are back, :math:`\sum(e_i-c_i)/\sum(b_i-c_i)`, with its bootstrap interval.

    Parameters
    ----------
    restored, updated, instruct
        Whether each item is right (1) or wrong (0), shape ``(n,)``; items that are missing (NaN) in one are left out.
    level
        Of the interval.
    seed
        Of the resampling.

    Returns
    -------
    Estimate or None
        None where nothing was lost, or so little that the share is not a number on some resamples.

    Examples
    --------
    >>> instruct = np.ones(40)
    >>> updated = np.repeat([0.0, 1.0], 20)
    >>> restored = np.repeat([1.0, 0.0, 1.0], [15, 5, 20])
    >>> recovery_of(restored, updated, instruct).value
    0.75
    """
    e, c, b = (np.asarray(one, float) for one in (restored, updated, instruct))
    known = ~np.isnan(e + c + b)
    gained, lost = (e - c)[known], (b - c)[known]
    if not known.any() or lost.sum() <= 0:
        return None

    def share(gained: NDArray[np.float64], lost: NDArray[np.float64], axis: int = 0) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            return gained.sum(axis=axis) / lost.sum(axis=axis)

    try:
        return bootstrap(share, gained, lost, level=level, seed=seed, n_replicates=N_REPLICATES)
    except DataError:
        return None


def _recording(model: CausalLM, items: Items, request: Request) -> Recorded:
    """Ask a model, and return what it said as a model that says it again."""
    said = GenerativeModel(model).respond(items, request)["output"]
    records = pl.DataFrame({"item": items.ids, "output": said}).with_columns(sample=0)
    return Recorded(records, name="the instruct model", match="id")


def _right(result: Result) -> NDArray[np.float64]:
    return result.verdicts["new_right"].cast(pl.Float64).fill_null(np.nan).to_numpy()


def _accuracy(result: Result | None) -> Finding | None:
    return None if result is None else result["accuracy_new"]


def _plain(found: Finding | Estimate | None) -> dict[str, Any] | None:
    if found is None:
        return None
    estimate = getattr(found, "estimate", found)
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n}
