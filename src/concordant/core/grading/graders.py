"""Graders: how an answer is read out of an output, and held against the reference."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from concordant.core import answers
from concordant.core.agreement.values import exact as equal_values
from concordant.core.agreement.values import label as equal_labels
from concordant.core.agreement.values import number as equal_numbers
from concordant.core.answers.reading import as_text
from concordant.core.errors import ConfigError, nearest
from concordant.core.items import Items
from concordant.core.registry import lookup, registered

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Read = Callable[[pl.Series, Items], pl.Series]
    Agree = Callable[[pl.Series, pl.Series], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Grader:
    """How outputs are found right or wrong.

    Parameters
    ----------
    name
        What it is called in reports.
    answers
        A function of the outputs and their items (one an output) that gives what is compared, null where an
        output holds no answer.
    correct
        A function of those answers and the items that says which are correct: true, false (also for an answer
        that is null), or null where that cannot be said since there is no reference. It may give scores
        instead; 0.5 and more is correct.
    reason
        Why this grader was chosen, for reports.
    """

    name: str
    answers: Callable[[pl.Series, Items], pl.Series]
    correct: Callable[[pl.Series, Items], pl.Series]
    reason: str = ""


def exact() -> Grader:
    """Grade by equality: the output is the reference, to the letter."""
    return _by_reference("exact", lambda values, _: values, equal_values)


def normalized() -> Grader:
    """Grade texts by equality but for case, white space, punctuation and articles."""
    return _by_reference("normalized", lambda values, _: answers.normalized(values), equal_values)


def number(*, tolerance: float = 1e-6, absolute: float = 1e-9) -> Grader:
    """Grade by the number that the output gives as its answer, within a relative or absolute tolerance."""

    def equal(a: pl.Series, b: pl.Series) -> NDArray[np.float64]:
        return equal_numbers(a, b, tolerance=tolerance, absolute=absolute)

    return _by_reference("number", lambda values, _: answers.number(values), equal)


def choice() -> Grader:
    """Grade by the option chosen; references are the text, the letter or the position (from 0) of one."""

    def named(references: pl.Series, items: Items) -> pl.Series:
        options = items.choices
        if options is None:
            message = "grader 'choice' needs items with choices"
            raise ConfigError(message)
        return options.list.get(answers.named_option(references, options), null_on_oob=True)

    return _by_reference("choice", answers.choice, equal_values, named)


def label() -> Grader:
    """Grade class labels; 1, 1.0 and "1" are one label."""

    def stripped(values: pl.Series, _: Items) -> pl.Series:
        return values.str.strip_chars() if values.dtype == pl.String else values

    return _by_reference("label", stripped, equal_labels)


def json() -> Grader:
    """Grade JSON documents by their values, whatever their layout."""
    return _by_reference("json", lambda values, _: answers.json_canonical(values), equal_values)


def contains() -> Grader:
    """Grade by whether the reference occurs in the output, as whole words, but for case and punctuation."""
    return _by_reference("contains", lambda values, _: answers.normalized(values), _contains)


def none() -> Grader:
    """Grade nothing: there is nothing to hold outputs against."""
    nothing = lambda values, _: pl.repeat(None, len(values), dtype=pl.Boolean, eager=True)  # noqa: E731
    return Grader("none", lambda outputs, _: outputs, nothing)


GRADERS: dict[str, Callable[..., Grader]] = {
    "exact": exact,
    "normalized": normalized,
    "number": number,
    "choice": choice,
    "label": label,
    "json": json,
    "contains": contains,
    "none": none,
}
"""What makes the graders, by name."""


def grader(spec: Any, **options: Any) -> Grader:
    """Find a grader by name, or make one of a function.

    Parameters
    ----------
    spec
        A name in `GRADERS`, or registered by a package under ``concordant.graders``; a `Grader`; or a function of an
        output and its item (an object with one attribute a column) that gives true, false, a score (0.5 and more is
        right), or None for "cannot be graded".
    options
        Options of a named grader, such as ``tolerance=0.01`` of ``number``.

    Raises
    ------
    ConfigError
        If the name or an option is not known.

    Examples
    --------
    >>> grader("number", tolerance=0.01).name
    'number'
    >>> grader(lambda output, item: item.reference in output).name
    '<lambda>'
    """
    if isinstance(spec, Grader):
        return spec
    if isinstance(spec, str):
        if spec not in GRADERS and spec not in registered("graders"):
            message = f"there is no grader {spec!r}; {nearest(spec, [*GRADERS, *registered('graders')])}"
            raise ConfigError(message)
        made = GRADERS[spec] if spec in GRADERS else lookup("graders", spec)
        known = inspect.signature(made).parameters
        if unknown := next((option for option in options if option not in known), None):
            message = f"grader {spec!r} has no option {unknown!r}; {nearest(unknown, known)}"
            raise ConfigError(message)
        found: Grader = made(**options)
        return found
    if not callable(spec):
        message = f"a grader is a name, a Grader or a function of an output and an item, got {spec!r}"
        raise ConfigError(message)
    return _one_by_one(spec)


def _by_reference(name: str, read: Read, agree: Agree, read_reference: Read | None = None) -> Grader:
    """Make a grader that reads answers and references and compares them, one reference an item or several."""

    def correct(found: pl.Series, items: Items) -> pl.Series:
        reference = items.reference
        if reference is None:
            return pl.repeat(None, len(found), dtype=pl.Boolean, eager=True)
        if isinstance(reference.dtype, pl.List) and not found.dtype.is_nested():
            return _any_reference(found, reference, items, read_reference or read, agree)
        return _is_right(found, (read_reference or read)(reference, items), agree)

    return Grader(name, read, correct)


def _is_right(found: pl.Series, reference: pl.Series, agree: Agree) -> pl.Series:
    right = pl.Series(agree(found, reference) == 1.0)  # NaN, where no answer was found, is not right
    return right.set(reference.is_null(), None)


def _any_reference(
    found: pl.Series, references: pl.Series, items: Items, read: Read, agree: Agree
) -> pl.Series:
    """Say where an answer is right by one of several references."""
    count = references.list.len().cast(pl.Int64).fill_null(0)
    row = np.repeat(np.arange(len(found)), count.to_numpy())
    each = Items(items.frame[row].with_columns(id=pl.int_range(pl.len()).cast(pl.String)))  # one a reference
    right = _is_right(found[row], read(references.filter(count > 0).explode(), each), agree)
    judged = (
        pl.DataFrame({"row": row, "right": right})
        .group_by("row")
        .agg(pl.when(pl.col("right").is_not_null().any()).then(pl.col("right").any()))
    )
    rows = pl.DataFrame({"row": np.arange(len(found))})
    return rows.join(judged, on="row", how="left", maintain_order="left")["right"]


def _contains(found: pl.Series, reference: pl.Series) -> NDArray[np.float64]:
    output, wanted = pl.col("output"), pl.col("wanted")
    words = pl.format(" {} ", output).str.contains(pl.format(" {} ", wanted), literal=True)
    spaceless = (wanted.str.len_bytes() > wanted.str.len_chars()) & output.str.contains(wanted, literal=True)
    frame = pl.DataFrame({"output": as_text(found, "texts"), "wanted": as_text(reference, "texts")})
    # scripts without spaces between words are searched as they are
    return frame.select((words | spaceless).cast(pl.Float64)).to_series().fill_null(np.nan).to_numpy()


def _one_by_one(function: Callable[[Any, Any], Any]) -> Grader:
    name = getattr(function, "__name__", type(function).__name__)

    def correct(found: pl.Series, items: Items) -> pl.Series:
        verdicts = []
        for output, item in zip(found.to_list(), items, strict=True):
            try:
                verdicts.append(None if output is None else function(output, item))
            except Exception as error:
                message = f"grader {name!r} failed on item {item.id!r}: {type(error).__name__}: {error}"
                raise ConfigError(message) from error
        if all(verdict is None or isinstance(verdict, bool | np.bool_) for verdict in verdicts):
            return pl.Series(
                [None if verdict is None else bool(verdict) for verdict in verdicts], dtype=pl.Boolean
            )
        try:
            scores = [None if verdict is None else float(verdict) for verdict in verdicts]
        except (TypeError, ValueError) as error:
            message = f"grader {name!r} must give true, false, a number or None: {error}"
            raise ConfigError(message) from None
        return pl.Series(scores, dtype=pl.Float64).fill_nan(None)

    return Grader(name, lambda outputs, _: outputs, correct, "a function that was passed in")
