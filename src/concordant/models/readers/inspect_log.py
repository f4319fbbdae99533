"""Logs of Inspect, ``.eval`` and ``.json``, read from the file alone.

An ``.eval`` file is a zip with one member a sample, ``samples/ID_epoch_N.json`` (or, where a sample was too
large for one member, ``samples/ID_epoch_N/sample.json`` and ``metadata.json`` beside its messages and
events). Members are compressed with zstandard, method 93, which the zip module of the standard library knows
from Python 3.14 on only; before, pyarrow unpacks them. A member that was written twice counts as it was
written last.
"""

from __future__ import annotations

import json
import math
import re
import struct
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, Any

import polars as pl

from concordant.core.errors import DataError, first_line, nearest
from concordant.models.readers.aliases import TAKEN
from concordant.models.readers.rows import frame_of, plain_fields

if TYPE_CHECKING:
    from pathlib import Path

ZSTANDARD = 93
LETTERS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
RESERVED = TAKEN | {"model", "answer", "limit"}
"""Names that metadata cannot take."""

_SAMPLE = re.compile(r"samples/(?P<name>.+_epoch_\d+)(?P<chunked>/sample)?\.json")


def is_inspect(document: Any) -> bool:
    """Whether a JSON document is a log of Inspect."""
    return isinstance(document, dict) and isinstance(document.get("eval"), dict) and "plan" in document


def read_eval(path: Path, scorer: str | None) -> pl.DataFrame:
    """Read an ``.eval`` file into the columns of records; `scorer` as in `inspect_frame`."""
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            members = {info.filename: info for info in archive.infolist()}
            samples = []
            for name, info in members.items():
                match = _SAMPLE.fullmatch(name)
                if match is None:
                    continue
                sample = _member(path, file, archive, info)
                metadata = members.get(f"samples/{match['name']}/metadata.json") if match["chunked"] else None
                if metadata is not None:
                    sample["metadata"] = _member(path, file, archive, metadata)
                samples.append(sample)
            head = members.get("header.json") or members.get("_journal/start.json")
            header = _member(path, file, archive, head) if head is not None else {}
    except FileNotFoundError:
        message = f"{path}: there is no such file"
        raise DataError(message) from None
    except (zipfile.BadZipFile, OSError) as error:
        message = f"{path} is a torn or truncated Inspect log: {error}"
        raise DataError(message) from None
    return inspect_frame(path, header.get("eval") or {}, samples, scorer)


def inspect_frame(
    path: Path, spec: dict[str, Any], samples: list[dict[str, Any]], scorer: str | None
) -> pl.DataFrame:
    """Turn samples of Inspect into the columns of records.

    Parameters
    ----------
    path
        The file, for messages.
    spec
        What Inspect calls the eval: model, task, data set.
    samples
        The samples, as Inspect writes them.
    scorer
        Name of the scorer that grades, ``NAME.KEY`` for one value of several; by default the first one of the
        log.
    """
    if not samples:
        message = (
            f"{path} holds no samples: the log was written without them, or the run ended before the first"
        )
        raise DataError(message)
    order = {str(id): i for i, id in enumerate((spec.get("dataset") or {}).get("sample_ids") or ())}
    for sample in samples:
        if not isinstance(sample, dict) or not {"id", "epoch"} <= sample.keys():
            message = f"{path}: a sample of Inspect has an id and an epoch, and here is one without"
            raise DataError(message)
    samples = sorted(samples, key=lambda sample: (order.get(str(sample["id"]), len(order)), sample["epoch"]))
    name, key = _which_scorer(path, samples, scorer)
    rows = [_row(path, sample, spec.get("model"), name) for sample in samples]
    if any(isinstance(row["input"], list) for row in rows):
        rows = [{**row, "input": _turns(row["input"])} for row in rows]
    frame = frame_of(rows)
    graded = [_value(sample, name, key) for sample in samples]
    if key is None and any(isinstance(value, dict) for value in graded):
        keys = dict.fromkeys(k for value in graded if isinstance(value, dict) for k in value)
        options = " or ".join(f"scorer={name}.{k}" for k in keys)
        message = f"{path}: scorer {name!r} gives several values; say which: {options}"
        raise DataError(message)
    scores = [_number(value) for value in graded]
    is_grade = all(s in (0.0, 1.0, None) or v == "P" for v, s in zip(graded, scores, strict=True))
    correct = [None if s is None or not is_grade else s == 1.0 for s in scores]
    return frame.with_columns(
        pl.Series("correct", correct, dtype=pl.Boolean), pl.Series("score", scores, dtype=pl.Float64)
    )


def _member(path: Path, file: IO[bytes], archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> dict[str, Any]:
    try:
        data = _unpacked(file, archive, info)
        content = json.loads(data)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, struct.error) as error:
        message = f"{path}, member {info.filename}: torn or damaged ({first_line(error)})"
        raise DataError(message) from None
    if not isinstance(content, dict):
        message = f"{path}, member {info.filename}: allowed is a JSON object, got {type(content).__name__}"
        raise DataError(message)
    return content


def _unpacked(file: IO[bytes], archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    if info.compress_type != ZSTANDARD:
        return archive.read(info)
    import pyarrow

    file.seek(info.header_offset)
    signature, name_length, extra_length = struct.unpack("<4s22xHH", file.read(30))
    if signature != b"PK\x03\x04":
        message = "no member starts where the directory says"
        raise zipfile.BadZipFile(message)
    file.seek(name_length + extra_length, 1)
    packed = file.read(info.compress_size)
    data: bytes = pyarrow.decompress(packed, info.file_size, codec="zstd", asbytes=True)
    if zlib.crc32(data) != info.CRC:
        message = "its check sum is wrong"
        raise zipfile.BadZipFile(message)
    return data


def _which_scorer(
    path: Path, samples: list[dict[str, Any]], scorer: str | None
) -> tuple[str | None, str | None]:
    names = dict.fromkeys(name for sample in samples for name in _scores(sample))
    if scorer is None:
        return next(iter(names), None), None
    if scorer in names:
        return scorer, None
    name, _, key = scorer.rpartition(".")
    if name in names:
        values = (_value(sample, name, None) for sample in samples)
        keys = {k for value in values if isinstance(value, dict) for k in value}
        if key in keys:
            return name, key
        message = f"{path}: scorer {name!r} gives no value {key!r}; {nearest(key, keys)}"
        raise DataError(message)
    message = f"{path}: there is no scorer {scorer!r}; {nearest(scorer, names)}"
    raise DataError(message)


def _scores(sample: dict[str, Any]) -> dict[str, Any]:
    return sample.get("scores") or {}


def _value(sample: dict[str, Any], name: str | None, key: str | None) -> Any:
    value = (_scores(sample).get(name or "") or {}).get("value")
    if not isinstance(value, dict):
        return value
    if key is not None:
        return value.get(key)
    return next(iter(value.values())) if len(value) == 1 else value


def _number(value: Any) -> float | None:
    """Read one score as a number: C is 1, P is 0.5, I and N are 0, and NaN says "not scored"."""
    if isinstance(value, str):
        known = LETTERS.get(value, LETTERS.get(value.lower()))
        if known is not None:
            return known
        try:
            value = float(value)
        except ValueError:
            return None
    if not isinstance(value, (bool, int, float)) or math.isnan(value):
        return None
    return float(value)


def _row(path: Path, sample: dict[str, Any], model: str | None, scorer: str | None) -> dict[str, Any]:
    try:
        return _columns(sample, model, scorer)
    except (AttributeError, KeyError, TypeError, IndexError) as error:
        message = (
            f"{path}: sample {sample['id']}, epoch {sample['epoch']}, is not as Inspect writes it ({error!r})"
        )
        raise DataError(message) from None


def _columns(sample: dict[str, Any], model: str | None, scorer: str | None) -> dict[str, Any]:
    output = sample.get("output") or {}
    first = (output.get("choices") or [{}])[0]
    usage = output.get("usage") or {}
    tokens = (first.get("logprobs") or {}).get("content") or []
    error, limit = sample.get("error") or {}, sample.get("limit") or {}
    text = _text(first.get("message", {}).get("content"), sample)
    target = sample.get("target")
    row = {
        "item": str(sample["id"]),
        "sample": sample["epoch"],
        "input": _input(sample),
        "output": text or (None if error else text),
        "reference": target[0] if isinstance(target, list) and len(target) == 1 else target,
        "choices": sample.get("choices"),
        "logprob": sum(token["logprob"] for token in tokens) if tokens else None,
        "tokens": usage.get("output_tokens"),
        "latency_s": sample.get("working_time") or sample.get("total_time"),
        "error": error.get("message"),
        "model": model,
        "answer": (_scores(sample).get(scorer or "") or {}).get("answer"),
        "limit": limit.get("type"),
    }
    row = {
        name: value
        for name, value in row.items()
        if value is not None or name in ("item", "sample", "output", "input", "error")
    }
    return row | plain_fields(sample.get("metadata") or {}, RESERVED, "metadata")


def _input(sample: dict[str, Any]) -> Any:
    given = sample.get("input")
    if isinstance(given, list):
        return [{"role": turn["role"], "content": _text(turn.get("content"), sample)} for turn in given]
    return _attached(given, sample)


def _turns(given: Any) -> Any:
    return [{"role": "user", "content": given}] if isinstance(given, str) else given


def _text(content: Any, sample: dict[str, Any]) -> str | None:
    """Flatten the content of a message: its texts, the kind of whatever else is in it, and no reasoning."""
    if isinstance(content, list):
        parts = (part for part in content if part.get("type") != "reasoning")
        return "".join(
            _attached(part["text"], sample) if "text" in part else f"[{part.get('type')}]" for part in parts
        )
    return content if content is None else _attached(str(content), sample)


def _attached(text: Any, sample: dict[str, Any]) -> Any:
    """Put back a long text that Inspect keeps aside as an attachment."""
    prefix = "attachment://"
    if isinstance(text, str) and text.startswith(prefix):
        return (sample.get("attachments") or {}).get(text.removeprefix(prefix), text)
    return text
