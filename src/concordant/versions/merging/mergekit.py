"""Recipes of mergekit: the YAML files of another tool, for the methods that both have, with what they mean there.

Shares are of each tensor (``density`` is our `keep`, ``gamma`` our `remove`), numbers may change over the layers and by
parts of names, and slices must be whole models. Where a sum of trimmed deltas is exactly 0, the elected sign is plus.
What DARE drops is drawn anew here: equal in distribution, not entry by entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from concordant.core.errors import nearest
from concordant.versions.merging.plan import Parent, Plan, Setting
from concordant.versions.merging.recipe import n_layers
from concordant.versions.merging.spherical import depth_schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from concordant.versions.merging.recipe import Place, Wrong

METHODS: dict[str, dict[str, Any]] = {
    "linear": {"method": "linear"},
    "slerp": {"method": "slerp"},
    "task_arithmetic": {"method": "task_arithmetic"},
    "breadcrumbs": {"method": "breadcrumbs"},
    "breadcrumbs_ties": {"method": "breadcrumbs", "elect": True},
    "ties": {"method": "ties"},
    "dare_linear": {"method": "dare"},
    "dare_ties": {"method": "dare", "elect": True},
}
"""What their names stand for."""

KEYS = (
    "merge_method",
    "base_model",
    "models",
    "slices",
    "parameters",
    "dtype",
    "out_dtype",
    "tokenizer_source",
)
NUMBERS = ("weight", "density", "gamma", "t", "lambda", "normalize", "int8_mask", "rescale")
GAMMA = 0.01
"""Share of the largest entries that breadcrumbs remove, where nothing is said."""


def is_mergekit(data: Any) -> bool:
    """Return whether plain data are a recipe of mergekit.

    Examples
    --------
    >>> is_mergekit({"merge_method": "slerp"}), is_mergekit({"method": "slerp"})
    (True, False)
    """
    return isinstance(data, dict) and ("merge_method" in data or "slices" in data)


def mergekit_plan(
    data: Mapping[str, Any],
    wrong: Wrong,
    located: Callable[[str], Path],
    names: Callable[[Path], Iterable[str]],
) -> Plan:
    """Return the plan of a recipe of mergekit.

    Parameters
    ----------
    data
        Plain data of the file.
    wrong
        ``wrong(place, sentence)`` makes the error that says on which line something is wrong.
    located
        Gives the folder of a model by what names it.
    names
        Gives the names of the weights of a folder, for numbers that change over the layers.

    Raises
    ------
    ConfigError
        For what is not known, or not supported: parts of models, models as tokenizers, other methods.
    """
    for key in data:
        if key not in KEYS:
            raise wrong((key,), f"the key {key!r} of mergekit is not supported; {nearest(key, KEYS)}")
    method = str(data.get("merge_method"))
    if method not in METHODS:
        raise wrong(("merge_method",), f"the method {method!r} is not supported; {nearest(method, METHODS)}")
    entries, own, place = _models(data, wrong)
    shared = {**_mapping(data.get("parameters"), ("parameters",), wrong), **own}
    base = data.get("base_model")
    folder = located(entries[0][0])
    reader = _Reader(shared, wrong, folder, names)
    parents = []
    for i, (model, parameters) in enumerate(entries):
        if model == base and method not in ("linear", "slerp"):
            continue  # what the base adds to itself is nothing
        at = (*place, i, "parameters")
        for key in parameters:
            if key not in NUMBERS:
                raise wrong((*at, key), f"the number {key!r} is not supported; {nearest(key, NUMBERS)}")
        parents.append(_parent(method, model, located(model), parameters, at, reader))
    if method == "slerp":
        _order(parents, base, wrong)
    given = METHODS[method]
    mean = shared.get("normalize")
    if shared.get("rescale", True) is not True:
        raise wrong(("parameters",), "rescale: false is not supported: what DARE keeps is made larger")
    on_a_base = method not in ("linear", "slerp")
    if on_a_base and base is None:
        raise wrong((), f"{method} adds deltas to a base: the key 'base_model' is missing")
    return Plan(
        given["method"],
        tuple(parents),
        Parent(str(base), located(str(base))) if on_a_base else None,
        scale=float(shared.get("lambda", 1.0)),
        t=reader.number("t", {}, ("parameters", "t"), None) if method == "slerp" else None,
        scope="tensor",
        elect=given.get("elect"),
        mean=None if mean is None else bool(mean),
        no_vote_is_positive=True,
        dtype=data.get("out_dtype") or data.get("dtype"),
        files=_files(data, base, located, wrong),
        recipe={"mergekit": dict(data)},
    )


class _Reader:
    """Reads numbers that may change over the layers and by parts of names."""

    def __init__(
        self,
        shared: Mapping[str, Any],
        wrong: Wrong,
        folder: Path,
        names: Callable[[Path], Iterable[str]],
    ) -> None:
        self._shared, self._wrong, self._folder, self._names = shared, wrong, folder, names
        self._n_layers: int | None = None

    def number(self, key: str, own: Mapping[str, Any], place: Place, default: float | None) -> Setting:
        """Return a number of one model, of all, or the default; None for one that must be given."""
        value = own.get(key, self._shared.get(key, default))
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if value is None:
            raise self._wrong(place[:-1], f"the number {key!r} is missing")
        table: dict[str | None, Any] = {}
        conditions = value if isinstance(value, list) and all(isinstance(v, dict) for v in value) else None
        for condition in conditions if conditions else [{"value": value}]:
            part, numbers = condition.get("filter"), condition.get("value")
            numbers = numbers if isinstance(numbers, list) else [numbers]
            if not numbers or any(not isinstance(n, int | float) for n in numbers):
                raise self._wrong(place, f"{key} must be numbers, got {numbers!r}")
            table.setdefault(None if part == "*" else part, numbers)
        if None not in table:
            if default is None:
                raise self._wrong(place, f"{key} has no number for weights that no filter names")
            table[None] = default
        if self._n_layers is None:
            self._n_layers = n_layers(self._names(self._folder))
        return depth_schedule(table, self._n_layers)


def _parent(
    method: str, model: str, folder: Path, own: Mapping[str, Any], place: Place, reader: _Reader
) -> Parent:
    if method == "slerp":
        return Parent(model, folder)
    weight = reader.number("weight", own, (*place, "weight"), None)
    density = reader.number("density", own, (*place, "density"), 1.0)
    if method.startswith("dare"):
        return Parent(model, folder, weight, drop=_rest(density))
    if method.startswith("breadcrumbs"):
        gamma = reader.number("gamma", own, (*place, "gamma"), GAMMA)
        return Parent(model, folder, weight, keep=density, remove=_at_most_rest(gamma, density))
    return Parent(model, folder, weight, keep=density if method == "ties" else 1.0)


def _rest(density: Setting) -> Setting:
    return (lambda name: 1.0 - density(name)) if callable(density) else 1.0 - density


def _at_most_rest(gamma: Setting, density: Setting) -> Setting:
    """Return the share that is removed: they remove less where both shares are more than all."""
    if not callable(gamma) and not callable(density):
        return min(gamma, 1.0 - density)

    def share(name: str) -> float:
        removed, kept = (one(name) if callable(one) else one for one in (gamma, density))
        return min(removed, 1.0 - kept)

    return share


def _models(
    data: Mapping[str, Any], wrong: Wrong
) -> tuple[list[tuple[str, dict[str, Any]]], dict[str, Any], Place]:
    """Return models with their numbers, further numbers of all, and where the models stand."""
    place: Place = ("models",)
    entries, shared = data.get("models"), {}
    if "slices" in data:
        slices = data["slices"]
        if not isinstance(slices, list) or len(slices) != 1 or not isinstance(slices[0], dict):
            raise wrong(
                ("slices",), "merges of parts of models are not supported: give one slice, of all layers"
            )
        place = ("slices", 0, "sources")
        entries, shared = slices[0].get("sources"), _mapping(slices[0].get("parameters"), place, wrong)
        ranges = [entry.get("layer_range") for entry in entries or [] if isinstance(entry, dict)]
        if any(layers != ranges[0] or (layers and layers[0] != 0) for layers in ranges):
            raise wrong(place, f"merges of parts of models are not supported, got layer ranges {ranges}")
    if not isinstance(entries, list) or not entries:
        raise wrong(place[:1], "the models are missing: a list of mappings with the key 'model'")
    found = []
    for i, entry in enumerate(entries):
        model = entry.get("model") if isinstance(entry, dict) else entry
        if not isinstance(model, str):
            raise wrong((*place, i), f"a model is named by a text, got {model!r}")
        inside = entry.get("parameters") if isinstance(entry, dict) else None
        found.append((model, _mapping(inside, (*place, i, "parameters"), wrong)))
    return found, shared, place


def _mapping(value: Any, place: Place, wrong: Wrong) -> dict[str, Any]:
    if value is not None and not isinstance(value, dict):
        raise wrong(place, f"parameters are a mapping, got {value!r}")
    return dict(value or {})


def _order(parents: list[Parent], base: Any, wrong: Wrong) -> None:
    """Put the model that t = 0 stands for first."""
    if len(parents) != 2 or base not in [parent.name for parent in parents]:
        raise wrong(
            (), "slerp is between two models, of which base_model names the one that t = 0 stands for"
        )
    if parents[1].name == base:
        parents.reverse()


def _files(data: Mapping[str, Any], base: Any, located: Callable[[str], Path], wrong: Wrong) -> Path | None:
    source = data.get("tokenizer_source")
    if source == "union":
        raise wrong(("tokenizer_source",), "unions of vocabularies are not supported: name a model, or base")
    named = base if source in (None, "base") else source
    return None if named is None else located(str(named))
