"""A fingerprint and its file: what a model answered to a set of probes, and what is claimed of it.

The file is a zip archive of three or four members, none of which can hold code::

    fingerprint.json     schema, model, how it was asked, digest of the probes, claims, versions, hardware
    probes.parquet       the items that were asked
    answers.parquet      one row a probe: output, whether it was right, probabilities, how it changed when asked again
    tokens/*.npy         for local language models: the distribution of the next token at each token of the answers
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from concordant.core.errors import DataError, StoreError
from concordant.core.items import Items
from concordant.models.recorded import Recorded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from concordant.versions.fingerprints.claims import PerformanceClaim

SCHEMA = 1
SUFFIX = ".fingerprint"
WHOLE_SECOND = (1980, 1, 1, 0, 0, 0)
"""The time of every member, so that equal fingerprints are equal files."""


@dataclass(frozen=True, slots=True, eq=False)
class TokenRecord:
    """What a language model held for probable at each token of its own answers.

    Parameters
    ----------
    probe
        Shape (tokens,): number of the probe that a token answers.
    token
        Shape (tokens,): id of the token.
    logprob
        Shape (tokens,): its log-probability, nats.
    top_ids
        Shape (tokens, k): ids of the most probable tokens, the most probable first.
    top_logprobs
        Shape (tokens, k): their log-probabilities, nats, in half precision.
    vocabulary
        Number of tokens of the model.
    """

    probe: NDArray[np.int32]
    token: NDArray[np.int32]
    logprob: NDArray[np.float32]
    top_ids: NDArray[np.int32]
    top_logprobs: NDArray[np.float16]
    vocabulary: int

    def __len__(self) -> int:
        return len(self.token)


ARRAYS = tuple(f.name for f in fields(TokenRecord) if f.name != "vocabulary")


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """A model's stored behaviour and what is claimed of it; made by `concordant.versions.fingerprints.record`.

    Parameters
    ----------
    about
        Model, request, grader, digest of the probes, versions, hardware.
    probes
        What was asked.
    answers
        One row a probe, in their order: `item`, `output`, `correct` (null where that cannot be said), `error`, and where
        known `probabilities`, `logprob`, `tokens`, `latency_s`; `repeats` (times it was asked again), `changed_again` and
        `flipped_again` (how often the answer and its rightness changed), `shift_again` (largest change of a probability).
    claims
        What is claimed of the model.
    tokens
        For local language models.
    """

    about: dict[str, Any]
    probes: Items
    answers: pl.DataFrame
    claims: tuple[PerformanceClaim, ...] = ()
    tokens: TokenRecord | None = field(default=None)

    @property
    def name(self) -> str:
        """Name of the model that was recorded."""
        return str(self.about["model"]["name"])

    def __repr__(self) -> str:
        return f"Fingerprint({self.name}, {len(self.probes)} probes)"

    def model(self) -> Recorded:
        """Return the recorded behaviour as a model of the flow."""
        records = self.answers.with_columns(sample=pl.lit(0, dtype=pl.Int64))
        return Recorded(records, name=f"{self.name}, recorded", match="id")

    def save(self, path: str | Path) -> Path:
        """Write the file under a temporary name, and then give it its own.

        Raises
        ------
        StoreError
            If it cannot be written.
        """
        path = Path(path)
        claims = [claim.to_dict() for claim in self.claims]
        about = {"schema": SCHEMA, **self.about, "claims": claims}
        if self.tokens is not None:
            about["vocabulary"] = self.tokens.vocabulary
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                    _put(archive, "fingerprint.json", json.dumps(about, indent=1, default=str).encode())
                    _put(archive, "probes.parquet", _parquet(self.probes.frame))
                    _put(archive, "answers.parquet", _parquet(self.answers))
                    for name in ARRAYS if self.tokens is not None else ():
                        _put(archive, f"tokens/{name}.npy", _npy(getattr(self.tokens, name)), packed=True)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            message = f"the fingerprint {path} cannot be written: {error.strerror or error}"
            raise StoreError(message) from None
        finally:
            temporary.unlink(missing_ok=True)
        return path


def load_fingerprint(path: str | Path) -> Fingerprint:
    """Read a fingerprint; nothing in the file is executed.

    Raises
    ------
    DataError
        If it is none, was written by a later version, or its probes are not those it was recorded with.
    """
    from concordant.versions.fingerprints.claims import PerformanceClaim

    path = Path(path)
    if not path.is_file():
        message = f"there is no fingerprint {path}"
        raise DataError(message)
    try:
        with zipfile.ZipFile(path) as archive:
            about = json.loads(archive.read("fingerprint.json"))
            schema = about.pop("schema")
            if schema > SCHEMA:
                message = f"{path} was written by a later version of concordant; this one reads schemas up to {SCHEMA}"
                raise DataError(message)
            probes = Items(pl.read_parquet(io.BytesIO(archive.read("probes.parquet"))))
            answers = pl.read_parquet(io.BytesIO(archive.read("answers.parquet")))
            tokens = None
            if "vocabulary" in about:
                parts = {name: _array(archive, name) for name in ARRAYS}
                tokens = TokenRecord(**parts, vocabulary=int(about.pop("vocabulary")))
        claims = tuple(PerformanceClaim(**claim) for claim in about.pop("claims"))
        digest = about["probes"]["digest"]
    except (
        zipfile.BadZipFile,
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        pl.exceptions.PolarsError,
    ) as error:
        message = f"{path} is no whole fingerprint ({type(error).__name__}: {error})"
        raise DataError(message) from None
    if probes.digest() != digest:
        message = f"the probes in {path} are not those it was recorded with (digest {probes.digest()}, recorded {digest})"
        raise DataError(message)
    return Fingerprint(about, probes, answers, claims, tokens)


def _put(archive: zipfile.ZipFile, name: str, data: bytes, *, packed: bool = False) -> None:
    member = zipfile.ZipInfo(name, WHOLE_SECOND)
    member.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    archive.writestr(member, data)


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def _npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _array(archive: zipfile.ZipFile, name: str) -> Any:
    return np.load(io.BytesIO(archive.read(f"tokens/{name}.npy")), allow_pickle=False)
