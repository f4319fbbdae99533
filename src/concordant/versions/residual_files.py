"""Residuals of model folders that are larger than memory: one weight after the other, from three models to a fourth.

Read are the instruct model, its base, and the updated base. The result has the precision of the updated base, and the
configuration, tokenizer and chat template of the instruct model, with whose tokens it is asked.
"""

from __future__ import annotations

import json
import math
import shutil
from contextlib import ExitStack
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch

from concordant.core.errors import ConfigError, DataError, nearest
from concordant.core.progress import progress_bars
from concordant.models.huggingface import SETTINGS, TOKENIZERS
from concordant.models.weight_files import INDEX, PICKLES, WeightFiles
from concordant.models.weight_output import SHARD_BYTES, WeightOutput, new_folder
from concordant.versions.editing.digests import model_digest, tensor_digest
from concordant.versions.merging.ancestry import Ancestry, ancestry
from concordant.versions.merging.plan import Parent, Plan
from concordant.versions.merging.weights import dot, is_weight, squared, wide
from concordant.versions.residuals import Drift, with_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from torch import Tensor

RECORD = "residual.json"
"""The file of a restored model that says what it was made of."""

PRECISIONS = {name: getattr(torch, name) for name in ("float32", "bfloat16", "float16", "float64")}
ROLES = ("base", "instruct", "updated")


class ResidualFiles:
    """Three model folders whose weights add up to a fourth; a context that closes their files.

    Parameters
    ----------
    base, instruct, updated
        Folders of the base, of the instruct model made from it, and of the base trained further.
    force
        Go on where vocabularies differ, or the models have no common ancestor.
    trust_pickle
        Whether ``pytorch_model.bin`` is read where there are no safetensors.

    Attributes
    ----------
    names
        Of the weights.
    kin
        How near the models are to each other.
    forced
        What would have been refused.

    Raises
    ------
    ModelError
        If weights cannot be read.
    DataError
        If names or shapes differ, other than by tokens that the instruct model has more, or ancestors do.
    ConfigError
        If a token has another number in another model.
    """

    def __init__(
        self, base: Path, instruct: Path, updated: Path, *, force: bool = False, trust_pickle: bool = False
    ) -> None:
        folders = (base, instruct, updated)
        with ExitStack() as stack:
            self._files = [
                stack.enter_context(WeightFiles(folder, name=f"the {role} model", trust_pickle=trust_pickle))
                for role, folder in zip(ROLES, folders, strict=True)
            ]
            tied = _is_tied(instruct)
            for each in self._files:
                if tied:  # stored beside the embedding it is tied to, it would be changed twice
                    each.entries.pop("lm_head.weight", None)
            self._check_shapes()
            self.names = list(self._files[1].entries)
            parents = [Parent(role, folder) for role, folder in zip(ROLES, folders, strict=True)]
            plan = Plan("task_arithmetic", tuple(parents[1:]), parents[0])
            self.kin: Ancestry = ancestry(plan, self._files)
            found = (_other_token(folders), self.kin.strangers())
            self.forced = tuple(sentence for sentence in found if sentence)
            if self.forced and not force:
                message = f"{self.forced[0]}; --force goes on all the same"
                raise (ConfigError if self.forced[0] == found[0] else DataError)(message)
            self._stack = stack.pop_all()

    def __enter__(self) -> ResidualFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def weight(self, name: str, coefficient: float = 1.0) -> Tensor:
        """Return a weight of the restored model, in float32 (float64 where it is stored so), or as the updated base has it.

        Parameters
        ----------
        name
            Of the weight.
        coefficient
            How much of the residual.

        Raises
        ------
        DataError
            If a model has a number there that is not finite.
        """
        return _restored(name, self._read(name), coefficient)

    def drift(self) -> Drift:
        """Return how far the updated base has moved, held against the residual."""
        tally = _Tally()
        for name in self.names:
            tally.add(name, self._read(name))
        return tally.drift

    def write(
        self,
        folder: Path,
        *,
        coefficient: float = 1.0,
        dtype: str | None = None,
        about: Mapping[str, Any] | None = None,
        shard_bytes: int = SHARD_BYTES,
        progress: bool = True,
    ) -> dict[str, Any]:
        """Write the restored model, and return the record that is kept beside it.

        Parameters
        ----------
        folder
            There must be nothing there; it appears when it is whole.
        coefficient
            How much of the residual.
        dtype
            Precision of the result, such as "bfloat16"; by default that of the updated base.
        about
            Further things to put on record.
        shard_bytes
            Length of a file of weights, at most; five gigabytes by default.
        progress
            Whether to draw a bar (on a terminal only).

        Raises
        ------
        ConfigError
            If there is no such precision, or the coefficient is not finite.
        StoreError
            If the folder is there already, or the disk is full. What was written is removed.
        """
        if not math.isfinite(coefficient):
            message = f"the coefficient of a residual must be a finite number, got {coefficient}"
            raise ConfigError(message)
        if dtype is not None and dtype not in PRECISIONS:
            message = f"there is no precision {dtype!r} of weights; {nearest(dtype, PRECISIONS)}"
            raise ConfigError(message)
        layout = {name: (self._dtype(name, dtype), self._files[1][name].shape) for name in self.names}
        with ExitStack() as stack:
            tell = stack.enter_context(progress_bars()) if progress else lambda *_: None
            unfinished = stack.enter_context(new_folder(folder))
            tally = _Tally()
            with WeightOutput(unfinished, layout, shard_bytes=shard_bytes) as output:
                for done, name in enumerate(self.names, 1):
                    weights = self._read(name)
                    tally.add(name, weights)
                    output.write(name, _restored(name, weights, coefficient).to(layout[name][0]))
                    tell("adding the residual", done, len(self.names))
            record = self._record(coefficient, tally) | dict(about or {})
            _copy_settings(self._files[1].folder, unfinished, {str(one[0])[6:] for one in layout.values()})
            text = json.dumps(record, indent=2, allow_nan=False, default=str)
            (unfinished / RECORD).write_text(text + "\n", encoding="utf-8")
        return record

    def _dtype(self, name: str, wanted: str | None) -> torch.dtype:
        stored = self._files[2][name].dtype
        return PRECISIONS[wanted] if wanted is not None and stored.is_floating_point else stored

    def _record(self, coefficient: float, tally: _Tally) -> dict[str, Any]:
        cosine, length_ratio = tally.drift
        return {
            "schema": 1,
            "concordant": version("concordant"),
            "coefficient": coefficient,
            "models": {
                role: {"folder": str(each.folder), "digest": model_digest(tally.digests[role])}
                for role, each in zip(ROLES, self._files, strict=True)
            },
            "ancestry": self.kin.to_dict(),
            "drift": {
                "cosine": cosine,
                "length_over_residual": length_ratio if math.isfinite(length_ratio) else None,
            },
            "forced": list(self.forced),
        }

    def _read(self, name: str) -> list[Tensor]:
        weights = [each.read(name) for each in self._files]
        for role, weight in zip(ROLES, weights, strict=True):
            if weight.is_floating_point() and not torch.isfinite(weight.sum(dtype=torch.float64)):
                message = f"the {role} model has a number in {name!r} that is not finite"
                raise DataError(message)
        return weights

    def _check_shapes(self) -> None:
        instruct = self._files[1]
        for role, each in ((ROLES[0], self._files[0]), (ROLES[2], self._files[2])):
            for name in [*instruct.entries, *(name for name in each.entries if name not in instruct)]:
                shapes = [
                    files[name].shape if name in files else "no such weight" for files in (instruct, each)
                ]
                if shapes[0] == shapes[1]:
                    continue
                if all(isinstance(shape, tuple) and len(shape) == 2 for shape in shapes):
                    blank = torch.empty(shapes[1], device="meta")  # type: ignore[arg-type]  # a shape
                    if tuple(with_rows(name, blank, int(shapes[0][0])).shape) == shapes[0]:
                        continue
                message = (
                    f"a residual needs models of one architecture, got {name!r} with {shapes[0]} in the instruct "
                    f"model and {shapes[1]} in the {role} model"
                )
                raise DataError(message)


class _Tally:
    """Digests of what was read, and the sums that say how far the update went."""

    def __init__(self) -> None:
        self.digests: dict[str, dict[str, str]] = {role: {} for role in ROLES}
        self._product = self._moved = self._added = 0.0

    def add(self, name: str, weights: Sequence[Tensor]) -> None:
        for role, weight in zip(ROLES, weights, strict=True):
            self.digests[role][name] = tensor_digest(weight)
        base, instruct, updated = _of_one_shape(name, weights)
        if is_weight(name, updated):
            moved, added = wide(updated) - wide(base), wide(instruct) - wide(base)
            self._product += dot(moved, added)
            self._moved += squared(moved)
            self._added += squared(added)

    @property
    def drift(self) -> Drift:
        length, other = math.sqrt(self._moved), math.sqrt(self._added)
        cosine = self._product / (length * other) if length and other else 0.0
        return Drift(cosine, length / other if other else math.inf)


def _restored(name: str, weights: Sequence[Tensor], coefficient: float) -> Tensor:
    base, instruct, updated = _of_one_shape(name, weights)
    if not is_weight(name, updated):
        return updated
    return wide(updated) + coefficient * (wide(instruct) - wide(base))


def _of_one_shape(name: str, weights: Sequence[Tensor]) -> list[Tensor]:
    """Return the weights of the three models in the shape of the instruct model."""
    rows = weights[1].shape[0] if weights[1].ndim == 2 else None
    return [weight if rows is None else with_rows(name, weight, rows) for weight in weights]


def _is_tied(folder: Path) -> bool:
    config = folder / "config.json"
    return config.is_file() and bool(
        json.loads(config.read_text(encoding="utf-8")).get("tie_word_embeddings")
    )


def _other_token(folders: tuple[Path, ...]) -> str | None:
    """Return in one sentence which token of a base has another number in the instruct model, or None."""
    if not all(any(next(folder.glob(one), None) for one in TOKENIZERS) for folder in folders):
        return None
    from transformers import AutoTokenizer

    base, instruct, updated = (AutoTokenizer.from_pretrained(folder).get_vocab() for folder in folders)
    for role, vocabulary in ((ROLES[0], base), (ROLES[2], updated)):
        for token, number in vocabulary.items():
            if instruct.get(token) != number:
                there = f"number {instruct[token]}" if token in instruct else "no token"
                return f"the token {token!r} is number {number} in the {role} model and {there} in the instruct model"
    return None


def _copy_settings(source: Path, folder: Path, dtypes: set[str]) -> None:
    """Copy configuration, tokenizer and chat template, and say the precision where there is one."""
    for path in sorted(path for pattern in SETTINGS for path in source.glob(pattern)):
        if path.name not in (INDEX, RECORD, *PICKLES):
            shutil.copyfile(path, folder / path.name)
    config = folder / "config.json"
    found = sorted(dtype for dtype in dtypes if dtype in PRECISIONS)
    if config.is_file() and len(found) == 1:
        said = json.loads(config.read_text(encoding="utf-8"))
        key = "torch_dtype" if "torch_dtype" in said else "dtype"
        config.write_text(json.dumps(said | {key: found[0]}, indent=2) + "\n", encoding="utf-8")
