"""A study: a paper's method and its baseline as one function of a scale and a seed, and the claims that it measures.

A study function builds its data, runs what is compared and returns numbers by name; a `Claim` says which two of them are
compared and in which direction. `concordant.studies.running` runs the seeds and `concordant.studies.decisions` decides the
claims from their paired differences.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, get_args

from concordant.core.errors import ConfigError, DataError, nearest

Measurements = Mapping[str, float | Sequence[float]]
"""What one seed measured: numbers by ``method.metric``; a sequence has one number a unit, always in the same order."""

StudyFunction = Callable[["Scale", int], Measurements]

Direction = Literal["higher", "lower"]
Over = Literal["seeds", "units"]

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+(@[-+A-Za-z0-9_.]+)?")


class Scale(StrEnum):
    """How large a study is run.

    Examples
    --------
    >>> Scale("pocket") is Scale.pocket
    True
    """

    smoke = "smoke"
    """Seconds: the same computation on tiny sizes, to see that it runs."""

    pocket = "pocket"
    """Minutes on two cores: what the evidence is made from."""

    full = "full"
    """The models, data and schedule of the paper, for those who have the hardware."""

    @classmethod
    def of(cls, name: str) -> Scale:
        """Return the scale of a name.

        Raises
        ------
        ConfigError
            If there is none; the nearest name is given.

        Examples
        --------
        >>> Scale.of("smoke") is Scale.smoke
        True
        """
        if name in list(cls):
            return cls(name)
        message = f"there is no scale {name!r}; {nearest(name, list(cls))}"
        raise ConfigError(message)


@dataclass(frozen=True, slots=True)
class Claim:
    """What is compared, and in which direction.

    The difference is better - than for "higher" and than - better for "lower", so that positive is in the claim's favour.
    The claim *holds* when the 95 % interval of the mean difference lies above `margin`, *fails* when it lies below, and is
    *undecided* otherwise.

    Parameters
    ----------
    id
        Id of the claim in the paper's entry of the catalogue, which has its text.
    better
        Name of the measurement that the claim is about.
    than
        Name of the measurement it is compared with, or a number.
    direction
        Whether "higher" or "lower" values are better.
    margin
        What the difference must exceed, in the unit of the measurement; default 0. Below zero it makes a claim of
        "not worse by more than": -0.01 allows a loss of 0.01.
    over
        "seeds" (default): the pairs are the seeds. "units": the pairs are the entries of the first seed's sequences, for
        recorded data to which another seed brings nothing new.

    Examples
    --------
    >>> Claim("beats-chance", better="x.auprc", than=0.25, direction="higher").margin
    0.0
    """

    id: str
    better: str
    than: str | float
    direction: Direction
    margin: float = 0.0
    over: Over = "seeds"

    def __post_init__(self) -> None:
        who = f"the claim {self.id!r}"
        _expect(
            _is_slug(self.id),
            f"the id of a claim must be lower-case words joined by hyphens, got {self.id!r}",
        )
        for name in (self.better, *([self.than] if isinstance(self.than, str) else [])):
            _expect(_is_name(name), f"{who} must name measurements like method.metric, got {name!r}")
        _expect(self.better != self.than, f"{who} compares {self.better!r} with itself")
        if not isinstance(self.than, str):
            _expect(
                _is_number(self.than), f"than in {who} must be a name or a finite number, got {self.than!r}"
            )
        _expect(_is_number(self.margin), f"margin in {who} must be a finite number, got {self.margin!r}")
        for name, kind in (("direction", Direction), ("over", Over)):
            value, allowed = getattr(self, name), get_args(kind)
            _expect(value in allowed, f"{name} in {who} must be one of {', '.join(allowed)}, got {value!r}")

    @property
    def names(self) -> tuple[str, ...]:
        """The measurements it needs."""
        return (self.better, self.than) if isinstance(self.than, str) else (self.better,)

    def differences(self, measurements: Measurements) -> tuple[float, ...]:
        """Return the differences that one seed gives, positive in the claim's favour: one, or one a unit.

        Examples
        --------
        >>> claim = Claim("fewer", better="new.loss", than="old.loss", direction="lower")
        >>> claim.differences({"new.loss": 0.25, "old.loss": 1.0})
        (0.75,)
        """
        sign = 1.0 if self.direction == "higher" else -1.0
        first = _as_tuple(measurements[self.better])
        second = (
            _as_tuple(measurements[self.than]) if isinstance(self.than, str) else (self.than,) * len(first)
        )
        return tuple(sign * (a - b) for a, b in zip(first, second, strict=True))


@dataclass(frozen=True)
class Study:
    """A study that can be run; made by `study`.

    Parameters
    ----------
    slug
        Slug of the paper in the catalogue.
    claims
        What it measures, at least one claim.
    baseline
        What the method is compared with, in a few words.
    function
        Function of a scale and a seed that returns measurements.
    """

    slug: str
    claims: tuple[Claim, ...]
    baseline: str
    function: StudyFunction

    def __post_init__(self) -> None:
        _expect(
            _is_slug(self.slug),
            f"the slug of a study must be lower-case words joined by hyphens, got {self.slug!r}",
        )
        who = f"the study {self.slug!r}"
        _expect(self.claims, f"{who} has no claims")
        _expect(
            all(isinstance(claim, Claim) for claim in self.claims),
            f"the claims of {who} must be of Claim(...)",
        )
        ids = [claim.id for claim in self.claims]
        _expect(len(set(ids)) == len(ids), f"the claims of {who} must have an id each, got {', '.join(ids)}")
        _expect(isinstance(self.baseline, str) and self.baseline.strip(), f"{who} must name its baseline")

    @property
    def about(self) -> str:
        """What the study does: the first line of its function's docstring."""
        return (self.function.__doc__ or "").strip().split("\n", 1)[0]

    def __call__(self, scale: Scale, seed: int) -> dict[str, float | list[float]]:
        """Run one seed and return its measurements, checked, as plain numbers and lists.

        Raises
        ------
        DataError
            If the measurements are not finite numbers by name, or lack what a claim needs.
        """
        return checked(self.function(scale, seed), self.claims, f"the study {self.slug!r}")


def study(slug: str, *, claims: Iterable[Claim], baseline: str) -> Callable[[StudyFunction], Study]:
    """Make a study of a function of a scale and a seed.

    The function takes everything random from the seed, leaves global state alone, prints nothing, and returns
    numbers by ``method.metric``; a curve is several names, ``method.metric@x``.

    Parameters
    ----------
    slug
        Slug of the paper in the catalogue.
    claims
        What is compared.
    baseline
        What the method is compared with, in a few words for the table of evidence.

    Raises
    ------
    ConfigError
        If the slug, the claims or the baseline are not as they should be.

    Examples
    --------
    >>> @study("mean", claims=[Claim("nearer", "mean.error", "first.error", "lower")], baseline="the first value")
    ... def mean(scale, seed):
    ...     import numpy as np
    ...     values = np.random.default_rng(seed).normal(size=9)
    ...     return {"mean.error": abs(values.mean()), "first.error": abs(values[0])}
    >>> sorted(mean(Scale.smoke, 0))
    ['first.error', 'mean.error']
    """

    def made(function: StudyFunction) -> Study:
        return Study(slug, tuple(claims), baseline, function)

    return made


def checked(found: Any, claims: Sequence[Claim], who: str) -> dict[str, float | list[float]]:
    """Return measurements as plain numbers and lists, in the order given, or say what is wrong with them.

    Parameters
    ----------
    found
        What a study function returned.
    claims
        The claims that need them.
    who
        What messages call the study.

    Raises
    ------
    DataError
        If a name is not like ``method.metric``, a value is not finite or not a number, a claim needs what is not
        there, or the units that it pairs differ in number.

    Examples
    --------
    >>> checked({"a.loss": float("nan")}, [], "the study 'x'")
    Traceback (most recent call last):
    ...
    concordant.core.errors.DataError: the study 'x' must measure finite numbers, got a.loss = nan
    """
    if not isinstance(found, Mapping) or not found:
        _fail(f"{who} must return its measurements by name, got {found!r:.80}")
    plain: dict[str, float | list[float]] = {}
    for name, value in found.items():
        if not isinstance(name, str) or not _is_name(name):
            _fail(f"{who} must name its measurements like method.metric, got {name!r}")
        plain[name] = _plain(value, f"{who} must measure finite numbers, got {name} = ")
    for claim in claims:
        for name in claim.names:
            if name not in plain:
                _fail(
                    f"the claim {claim.id!r} of {who} needs {name!r}, which is not measured; {nearest(name, plain)}"
                )
            if isinstance(plain[name], list) != (claim.over == "units"):
                wanted = "a sequence" if claim.over == "units" else "one number"
                _fail(f"the claim {claim.id!r} of {who} is over {claim.over}: {name!r} must be {wanted}")
        sizes = {name: len(_as_tuple(plain[name])) for name in claim.names}
        if len(set(sizes.values())) > 1:
            got = " and ".join(f"{name} {size}" for name, size in sizes.items())
            _fail(f"the claim {claim.id!r} of {who} pairs units, but there are {got}")
    return plain


def method_and_metric(name: str) -> tuple[str, str, str | None]:
    """Return the parts of a measurement's name: method, metric, and the x of a curve or None.

    Examples
    --------
    >>> method_and_metric("vpl.accuracy@0.5"), method_and_metric("linear.cream.accuracy")
    (('vpl', 'accuracy', '0.5'), ('linear.cream', 'accuracy', None))
    """
    stem, _, x = name.partition("@")
    method, _, metric = stem.rpartition(".")
    return method, metric, x or None


def _plain(value: Any, complaint: str) -> float | list[float]:
    if hasattr(value, "tolist"):  # numpy's and torch's numbers and arrays
        value = value.tolist()
    if isinstance(value, list | tuple):
        numbers = [part.tolist() if hasattr(part, "tolist") else part for part in value]
        if not numbers or not all(map(_is_number, numbers)):
            _fail(f"{complaint}{value!r:.80}")
        return [float(number) for number in numbers]
    if not _is_number(value):
        _fail(f"{complaint}{value!r:.80}")
    return float(value)


def _as_tuple(value: float | Sequence[float]) -> tuple[float, ...]:
    return tuple(value) if isinstance(value, Sequence) else (value,)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _is_slug(text: Any) -> bool:
    return isinstance(text, str) and _SLUG.fullmatch(text) is not None


def _is_name(text: Any) -> bool:
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def _expect(holds: object, message: str) -> None:
    if not holds:
        raise ConfigError(message)


def _fail(message: str) -> None:
    raise DataError(message)
