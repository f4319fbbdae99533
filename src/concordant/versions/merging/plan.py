"""What a merge of files does, with every number decided: the methods by name, and their settings for each weight."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from concordant.core.errors import ConfigError, nearest
from concordant.versions.merging.masks import Scope, check_scope, check_shares
from concordant.versions.merging.sparse import check_drop
from concordant.versions.merging.weights import BUFFERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

MethodName = Literal["linear", "slerp", "task_arithmetic", "breadcrumbs", "ties", "dare"]
Setting: TypeAlias = "float | Callable[[str], float]"
"""A number, or one that depends on the name of the weight."""

ON_A_BASE = ("task_arithmetic", "breadcrumbs", "ties", "dare")
"""Methods that add deltas to a base."""


@dataclass(frozen=True, slots=True)
class Parent:
    """One of the models that are merged.

    Parameters
    ----------
    name
        What messages and the record call it.
    folder
        Where it is.
    weight
        How much of it there is: its share (linear), its scale (deltas), its share in vote and mean (ties).
    keep, remove
        Shares of the entries of its delta, as for `concordant.versions.merging.breadcrumbs`.
    drop
        The chance of an entry to be dropped, as for `concordant.versions.merging.dare`.
    """

    name: str
    folder: Path
    weight: Setting = 1.0
    keep: Setting = 1.0
    remove: Setting = 0.0
    drop: Setting = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """A merge of model folders.

    Parameters
    ----------
    method
        ``"linear"``, ``"slerp"``, ``"task_arithmetic"``, ``"breadcrumbs"``, ``"ties"`` or ``"dare"``.
    parents
        What is merged, in order; two for slerp.
    base
        What the deltas are from, for all but linear and slerp.
    scale
        Of the merged delta.
    t
        From the first to the second parent, for slerp.
    scope
        What shares of entries are of.
    elect
        Whether only entries with the elected sign are added; by default for ties only.
    mean
        Whether sums are divided by the weights that are in them; by default for linear and ties only.
    no_vote_is_positive
        Whether the sign of a sum of exactly 0 is plus, as mergekit has it, or none.
    seed
        Of what DARE drops.
    dtype
        Precision of the result, such as "bfloat16"; by default that of the base, or of the first parent.
    files
        The folder that configuration and tokenizer are copied from; by default that of the base, or first parent.
    buffers
        Names, or shell patterns of names, of what is no weight and stays that of the base.
    recipe
        What was asked for, as it goes on record.
    """

    method: MethodName
    parents: tuple[Parent, ...]
    base: Parent | None = None
    scale: float = 1.0
    t: Setting | None = None
    scope: Scope = "tensor"
    elect: bool | None = None
    mean: bool | None = None
    no_vote_is_positive: bool = False
    seed: int = 0
    dtype: str | None = None
    files: Path | None = None
    buffers: tuple[str, ...] = BUFFERS
    recipe: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_method(self.method)
        if self.elect is None:
            object.__setattr__(self, "elect", self.method == "ties")
        if self.mean is None:
            object.__setattr__(self, "mean", self.method in ("linear", "ties"))
        check_scope(self.scope)
        if not self.parents:
            message = "a merge needs at least one parent, got none"
            raise ConfigError(message)
        if self.method in ON_A_BASE and self.base is None:
            message = f"{self.method} adds deltas to a base: name the model that all parents come from"
            raise ConfigError(message)
        if self.method not in ON_A_BASE and self.base is not None:
            message = f"{self.method} has no base: it is between its parents"
            raise ConfigError(message)
        if self.method == "slerp" and (len(self.parents) != 2 or self.t is None):
            message = f"slerp is between two models at t, got {len(self.parents)} models and t {self.t}"
            raise ConfigError(message)
        for parent in self.parents:
            if not callable(parent.keep) and not callable(parent.remove):
                check_shares(parent.keep, parent.remove)
            if not callable(parent.drop):
                check_drop(parent.drop)

    @property
    def models(self) -> tuple[Parent, ...]:
        """The base, if there is one, and the parents: the first gives names, precisions and buffers."""
        return self.parents if self.base is None else (self.base, *self.parents)


def check_method(method: str) -> None:
    """Refuse a method that is not one."""
    if method not in get_args(MethodName):
        message = f"there is no method {method!r} of merging; {nearest(method, get_args(MethodName))}"
        raise ConfigError(message)


def setting(value: Setting, name: str) -> float:
    """Return the number of one weight."""
    return float(value(name)) if callable(value) else float(value)
