"""Recipes: what a file says about a merge, in our own words.

::

    method: breadcrumbs
    base: models/base
    parents:
      - models/code
      - {model: models/law, scale: 0.5}
    scale: 0.4
    keep: 0.2
    remove: 0.1

`concordant.versions.merging.mergekit` reads the files of mergekit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from concordant.core.errors import ConfigError, nearest
from concordant.versions.merging.masks import Scope  # noqa: TC001 - pydantic reads it
from concordant.versions.merging.plan import MethodName, Parent, Plan, check_method
from concordant.versions.merging.spherical import depth_schedule, layer_of
from concordant.versions.merging.weights import BUFFERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    Place = tuple[str | int, ...]
    Wrong = Callable[[Place, str], ConfigError]

OTHER = "other"
"""The key of a schedule over depth for names that no part matches."""

USES: dict[str, tuple[str, ...]] = {
    "linear": (),
    "slerp": ("t",),
    "task_arithmetic": ("scale",),
    "breadcrumbs": ("scale", "keep", "remove", "scope", "elect"),
    "ties": ("scale", "keep", "scope"),
    "dare": ("scale", "drop", "seed", "elect"),
}
"""Which numbers a method reads, besides its parents and base."""

NEEDS = {"slerp": ("t",), "breadcrumbs": ("keep", "remove"), "ties": ("keep",), "dare": ("drop",)}
"""Which of them have no default."""

Number = float | list[float]


class Entry(BaseModel):
    """A mapping whose keys are all known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ParentEntry(Entry):
    """A parent: its folder alone, or with what is its own."""

    model: str = Field(min_length=1, description="a folder, hf:FOLDER, pocket:NAME or a name of the hub")
    scale: float | None = Field(default=None, description="of its delta, instead of the scale of all")
    share: float | None = Field(default=None, description="of the mean (linear) or of the vote (ties)")
    items: str | None = Field(default=None, description="a file of items of its own task, for the check")


class CheckEntry(Entry):
    """What is asked of the merged model and of its parents afterwards."""

    items: str | None = Field(default=None, description="a file of items that all are asked")
    gates: list[str] = Field(
        default=[], description="bounds on findings against each parent: negative_flip_rate <= 0.05"
    )
    grade: str | None = Field(default=None, description="how outputs are found right")
    limit: int | None = Field(default=None, ge=1, description="the first so many items only")


def _as_mapping(value: Any) -> Any:
    return {"model": value} if isinstance(value, str) else value


class Recipe(Entry):
    """A merge."""

    method: MethodName
    parents: list[Annotated[ParentEntry, BeforeValidator(_as_mapping)]] = Field(min_length=1)
    base: str | None = Field(default=None, description="the model that all parents come from")
    scale: float | None = Field(default=None, description="of the deltas; 1 by default")
    keep: float | None = Field(default=None, description="share of entries that survives")
    remove: float | None = Field(default=None, description="share of the largest entries that does not")
    drop: float | None = Field(default=None, description="chance of an entry to be dropped")
    scope: Scope | None = Field(default=None, description="what shares of entries are of")
    elect: bool | None = Field(default=None, description="add only entries that have the elected sign")
    t: Number | dict[str, Number] | None = Field(
        default=None, description="from the first to the second parent"
    )
    seed: int | None = Field(default=None, description="of what is dropped; 0 by default")
    dtype: str | None = Field(
        default=None, description="precision of the result; by default that of the base"
    )
    files: str | None = Field(
        default=None, description="the model whose configuration and tokenizer are copied"
    )
    buffers: list[str] | None = Field(
        default=None, description="names that are no weights, as shell patterns"
    )
    check: CheckEntry | None = Field(default=None, description="what is asked afterwards")


def read_recipe(data: Any, wrong: Wrong) -> Recipe:
    """Read what a file says.

    Parameters
    ----------
    data
        Plain data of the file.
    wrong
        ``wrong(place, sentence)`` makes the error that says on which line something is wrong.

    Raises
    ------
    ConfigError
        For the first thing that is wrong: the line, what is allowed, what was got, the nearest key.
    """
    if not isinstance(data, dict):
        got = "nothing" if data is None else type(data).__name__
        raise wrong((), f"a recipe is a mapping with a method and parents, got {got}")
    try:
        if isinstance(data.get("method"), str):
            check_method(data["method"])
        recipe = Recipe.model_validate(data)
    except ConfigError as error:
        raise wrong(("method",), str(error)) from None
    except ValidationError as error:
        place, sentence = _first(error)
        raise wrong(place, sentence) from None
    _check_numbers(recipe, wrong)
    return recipe


def recipe_plan(
    recipe: Recipe, located: Callable[[str], Path], names: Callable[[Path], Iterable[str]]
) -> Plan:
    """Return the plan of a recipe.

    Parameters
    ----------
    recipe
        What is wanted.
    located
        Gives the folder of a model by what names it.
    names
        Gives the names of the weights of a folder, for a schedule over depth.

    Raises
    ------
    ConcordantError
        If a model is not there, or a number is not allowed.
    """
    method = recipe.method
    parents = tuple(
        Parent(
            entry.model,
            located(entry.model),
            weight=_weight(recipe, entry),
            keep=1.0 if recipe.keep is None else recipe.keep,
            remove=recipe.remove or 0.0,
            drop=recipe.drop or 0.0,
        )
        for entry in recipe.parents
    )
    base = None if recipe.base is None else Parent(recipe.base, located(recipe.base))
    return Plan(
        method,
        parents,
        base if method not in ("linear", "slerp") else None,
        scale=1.0 if recipe.scale is None or method != "ties" else recipe.scale,
        t=_depth(recipe.t, parents[0].folder, names),
        scope=recipe.scope or ("row" if method == "breadcrumbs" else "tensor"),
        elect=recipe.elect,
        seed=recipe.seed or 0,
        dtype=recipe.dtype,
        files=None if recipe.files is None else located(recipe.files),
        buffers=BUFFERS if recipe.buffers is None else tuple(recipe.buffers),
        recipe=recipe.model_dump(exclude_none=True),
    )


def n_layers(names: Iterable[str]) -> int:
    """Return how many layers the names of weights speak of.

    Examples
    --------
    >>> n_layers(["layers.0.mlp.weight", "layers.11.mlp.weight", "lm_head.weight"])
    12
    """
    layers = [layer for name in names if (layer := layer_of(name)) is not None]
    return max((int(layer.rsplit(".", 1)[-1]) for layer in layers), default=0) + 1


def _weight(recipe: Recipe, entry: ParentEntry) -> float:
    if recipe.method in ("linear", "ties"):
        return 1.0 if entry.share is None else entry.share
    scale = recipe.scale if entry.scale is None else entry.scale
    return 1.0 if scale is None else scale


def _depth(t: Any, folder: Path, names: Callable[[Path], Iterable[str]]) -> Any:
    if t is None or isinstance(t, float | int):
        return t
    table = {OTHER: t} if isinstance(t, list) else t
    parts = {None if part == OTHER else part: value for part, value in table.items()}
    return depth_schedule(parts, n_layers(names(folder)))


def _check_numbers(recipe: Recipe, wrong: Wrong) -> None:
    method, given = recipe.method, recipe.model_fields_set
    numbers = {key for keys in USES.values() for key in keys}
    if unused := next((key for key in sorted(given & numbers) if key not in USES[method]), None):
        uses = f"it reads {', '.join(USES[method])}" if USES[method] else "it reads no such numbers"
        raise wrong((unused,), f"{method} has no {unused}: {uses}")
    if missing := next((key for key in NEEDS.get(method, ()) if getattr(recipe, key) is None), None):
        raise wrong((), f"{method} needs the key {missing!r}")
    on_a_base = method not in ("linear", "slerp")
    if on_a_base and recipe.base is None:
        raise wrong((), f"{method} adds deltas to a base: the key 'base' is missing")
    if not on_a_base and recipe.base is not None:
        raise wrong(("base",), f"{method} has no base: it is between its parents")
    if method == "slerp" and len(recipe.parents) != 2:
        raise wrong(("parents",), f"slerp is between two models, got {len(recipe.parents)}")
    own = "share" if method in ("linear", "ties") else "scale"
    for i, entry in enumerate(recipe.parents):
        for key in ("scale", "share"):
            if getattr(entry, key) is not None and (key != own or method == "slerp"):
                hint = "t says how much of each there is" if method == "slerp" else f"a parent has a {own}"
                raise wrong(("parents", i, key), f"in {method} a parent has no {key}: {hint}")


def _first(error: ValidationError) -> tuple[Place, str]:
    first = error.errors()[0]
    place = tuple(part for part in first["loc"] if not str(part).startswith(("function-", "dict[", "list[")))
    if first["type"] == "extra_forbidden":
        inner: dict[str, type[Entry]] = {"parents": ParentEntry, "check": CheckEntry}
        known = inner.get(str(place[0]), Recipe) if len(place) > 1 else Recipe
        return place, f"there is no key {place[-1]!r}; {nearest(str(place[-1]), known.model_fields)}"
    if first["type"] == "missing":
        return place, f"the key {place[-1]!r} is missing"
    message = first["msg"].removeprefix("Input ")
    got = first["input"]
    shown = f", got {got!r}" if isinstance(got, str | int | float | None) else ""
    return place, f"{'.'.join(map(str, place))}: {message}{shown}"
