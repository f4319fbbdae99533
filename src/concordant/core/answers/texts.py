"""Texts without their trivial differences, and JSON documents in one form."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from concordant.core.answers.reading import as_text

_FENCED = r"(?s)```(?:json|JSON)?\s*\n(.*?)```"


def normalized(texts: pl.Series) -> pl.Series:
    r"""Bring texts to a form in which trivial differences are gone, much as the SQuAD evaluation does.

    Unicode compatibility forms and case are folded; English articles and punctuation are dropped, and white
    space is collapsed. The sign, point and slash of a number stay, since 3.5 is not 35; so do symbols such as
    ``<`` and ``$``. A text of nothing but articles and punctuation keeps them.

    Parameters
    ----------
    texts
        Texts or other plain values, n of them.

    Returns
    -------
    pl.Series
        n texts, null where there was none.

    Raises
    ------
    DataError
        If the values are lists, arrays or structs.

    Examples
    --------
    >>> normalized(pl.Series(["  The Eiffel\n tower. ", "-3.50", "A"])).to_list()
    ['eiffel tower', '-3.50', 'a']
    """
    folded = as_text(texts, "normalised texts").str.normalize("NFKC").str.to_lowercase()
    for letters, form in (("ß", "ss"), ("ς", "σ"), ("−", "-")):  # what folding does beyond lower case
        folded = folded.str.replace_all(letters, form, literal=True)
    bare = folded.str.replace_all(r"[\p{P}--[-./]]", "").str.replace_all(r"[-./]+([^0-9]|$)", "${1}")
    bare = _collapsed(bare.str.replace_all(r"\b(?:a|an|the)\b", " "))
    return bare.set(bare == "", None).fill_null(_collapsed(folded)) if (bare == "").any() else bare


def json_canonical(texts: pl.Series) -> pl.Series:
    r"""Bring JSON documents to one form: sorted keys, no white space, whole numbers without a point.

    Parameters
    ----------
    texts
        n JSON documents, as the whole text or in its last fence; or structs, lists and plain values.

    Returns
    -------
    pl.Series
        n texts, null where there is no JSON document.

    Examples
    --------
    >>> json_canonical(pl.Series(['{"b": 1.0, "a": [true]}', "none"])).to_list()
    ['{"a":[true],"b":1}', None]
    """
    if texts.dtype != pl.String:
        values = [None if value is None else _dump(value) for value in texts.to_list()]
        return pl.Series(texts.name, values, dtype=pl.String)
    distinct = texts.drop_nulls().unique()
    inside = distinct.str.extract_all(_FENCED).list.last().str.replace(_FENCED, "${1}").fill_null(distinct)
    documents = pl.Series([_canonical(text) for text in inside.to_list()], dtype=pl.String)
    return texts.replace_strict(distinct, documents, default=None, return_dtype=pl.String)


def _collapsed(texts: pl.Series) -> pl.Series:
    return texts.str.replace_all(r"\s+", " ").str.strip_chars()


def _canonical(text: str) -> str | None:
    try:
        return _dump(json.loads(text, parse_constant=_refuse))
    except (ValueError, RecursionError):
        return None


def _refuse(constant: str) -> None:
    raise ValueError(constant)  # NaN and Infinity are not JSON


def _dump(value: Any) -> str:
    return json.dumps(_whole(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def _whole(value: Any) -> Any:
    """Write 1.0 as 1: JSON has one kind of number."""
    if isinstance(value, dict):
        return {key: _whole(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_whole(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
