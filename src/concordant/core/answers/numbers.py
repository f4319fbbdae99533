"""The number that an output gives as its answer."""

from __future__ import annotations

import polars as pl

from concordant.core.answers.reading import ANSWER, HASHES, as_text, boxed, first_found, marked

# A minus is a sign only where it can be no subtraction or hyphen: not behind a word, a number or a bracket.
_SIGN = r"(?:^|[^\w.)\]}%+-])[-+](?:\\?[$€£¥₹]\s?)?"
_WHOLE = r"(?-u:\b)(?:[0-9]{1,3}(?:,[0-9]{3})+(?-u:\b)|[0-9]+)(?:\.[0-9]+)?"
_POINT = r"(?:^|[^\w.])[-+]?\.[0-9]+"
_POWER = r"(?:[eE][-+]?[0-9]+(?-u:\b))?"
_OVER = r"(?:\s?/\s?[0-9]+(?:\.[0-9]+)?(?-u:\b)| [0-9]{1,3}/[0-9]{1,3}(?-u:\b))?"
_NUMBER = rf"(?:(?:{_SIGN})?{_WHOLE}|{_POINT}){_POWER}{_OVER}"

_LATEX_FRACTION = r"\\[dt]?frac\s*\{\s*(-?[0-9.]+)\s*\}\s*\{\s*([0-9.]+)\s*\}"
_TIMES_TEN = r"([0-9])\s*(?:\\times|\\cdot|[×x·*])\s*10\s*(?:\^|\*\*)\s*\{?([-+]?[0-9]+)\}?"
_ROW = r"(?:^|\n)A:"  # "A: 18" as a line of its own


def number(outputs: pl.Series) -> pl.Series:
    r"""Find the number that each output gives as its answer.

    The number behind the last ``####``, else in the last ``\boxed{}``, else behind the last "Answer:" or "the
    answer is" (behind the last ``=`` where that line goes on with a calculation), else the last number there
    is. Thousands are grouped by commas; ``3/4``, ``1 1/2``, ``\frac{3}{4}``, ``1.5e3`` and ``1.5 \times
    10^3`` are read; signs of currency and percent are units and are left out: ``12%`` is 12.

    Parameters
    ----------
    outputs
        Texts or numbers, n of them.

    Returns
    -------
    pl.Series
        n floats, null where there is no number.

    Raises
    ------
    DataError
        If the outputs are lists, arrays or structs.

    Examples
    --------
    >>> number(pl.Series(["6 * 3 = 18 eggs", "so $1,250 remain.\n#### 1,250", "none"])).to_list()
    [18.0, 1250.0, None]
    """
    if outputs.dtype.is_numeric() or outputs.dtype == pl.Boolean:
        return outputs.cast(pl.Float64)
    texts = as_text(outputs, "numbers").str.replace_all("−", "-", literal=True)
    texts = texts.str.replace_all(_LATEX_FRACTION, "${1}/${2}").str.replace_all(_TIMES_TEN, "${1}e${2}")
    readers = [
        lambda rows: _first_number(marked(rows["text"], HASHES)),
        lambda rows: _last_number(boxed(rows["text"])),
        lambda rows: _first_number(marked(rows["text"], ANSWER)),
        lambda rows: _first_number(marked(rows["text"], _ROW)),
        lambda rows: _last_number(rows["text"]),
    ]
    return first_found(pl.DataFrame({"text": texts}), readers, pl.Float64()).alias(outputs.name)


def are_numbers(texts: pl.Series) -> pl.Series:
    r"""Say which texts are a number and nothing else, or end in a marked one (``#### 18``, ``A: 18``).

    Examples
    --------
    >>> are_numbers(pl.Series(["$1,250.50", "12%", "so 3.\n#### 3", "B2", "7 dwarfs"])).to_list()
    [True, True, True, False, False]
    """
    unit = r"(?:\s*(?:\\?%|[$€£¥₹]))?\.?\s*$"
    alone = rf"^\s*(?:\\?[$€£¥₹]\s?)?{_NUMBER}{unit}"
    behind = rf"(?:####|(?:^|\n)A:)\s*(?:\\?[$€£¥₹]\s?)?{_NUMBER}{unit}"
    return texts.str.contains(rf"{alone}|{behind}")


def _first_number(texts: pl.Series) -> pl.Series:
    behind_equals = texts.str.extract(rf"=\s*({_NUMBER})[^=]*$")
    return _value(behind_equals.fill_null(texts.str.extract(rf"({_NUMBER})")))


def _last_number(texts: pl.Series) -> pl.Series:
    return _value(texts.str.extract_all(_NUMBER).list.last())


def _value(numbers: pl.Series) -> pl.Series:
    """Turn what the pattern found into floats: first what is plain, then fractions such as 3/4 and 1 1/2."""
    plain = numbers.str.replace_all(r"[^-+0-9eE./ ]", "").str.strip_chars()
    value = plain.cast(pl.Float64, strict=False)
    if value.null_count() == plain.null_count():
        return value
    parts = plain.str.extract_groups(
        r"^(?<sign>[-+]?)(?:(?<whole>[0-9]+) )?(?<over>[^/ ]+) ?/ ?(?<under>[^/ ]+)$"
    )
    whole, over, under = (
        parts.struct.field(name).cast(pl.Float64, strict=False) for name in ("whole", "over", "under")
    )
    size = whole.fill_null(0.0) + over / under.replace(0.0, None)
    return value.fill_null(size * parts.struct.field("sign").replace_strict({"-": -1.0}, default=1.0))
