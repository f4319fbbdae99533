"""Merges of model folders that are larger than memory: one weight after the other, from all parents to the result.

In memory are one weight of every model as it is stored, the next one that is read meanwhile, and the result. Shares of
a layer or of the model need thresholds before the first weight is merged: their weights are read three times.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from concordant.core.errors import ConfigError, DataError, nearest
from concordant.core.progress import progress_bars
from concordant.models.huggingface import SETTINGS
from concordant.models.weight_files import INDEX, PICKLES, WeightFiles
from concordant.models.weight_output import SHARD_BYTES, WeightOutput, new_folder
from concordant.versions.merging.ancestry import ancestry, check_one_architecture, check_tokens
from concordant.versions.merging.cuts import group_bands
from concordant.versions.merging.fused import check_finite, delta_sizes, merged_weight, pieces
from concordant.versions.merging.masks import ranks
from concordant.versions.merging.plan import Plan, setting
from concordant.versions.merging.record import RECORD, Merge
from concordant.versions.merging.sparse import groups
from concordant.versions.merging.spherical import branch, cosine
from concordant.versions.merging.weights import is_weight, wide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

    from concordant.versions.merging.cuts import Band

    Tell: TypeAlias = Callable[[str, int, int], None]

CONFIG = "config.json"
HEAD = "lm_head.weight"
PRECISIONS = {name: getattr(torch, name) for name in ("float32", "bfloat16", "float16", "float64")}
READINGS_OF_GROUPS = 3
WORKERS = 2


def merge_folders(
    plan: Plan,
    folder: Path,
    *,
    force: bool = False,
    trust_pickle: bool = False,
    shard_bytes: int = SHARD_BYTES,
    progress: bool = True,
) -> Merge:
    """Merge model folders into a new one, weight by weight.

    Parameters
    ----------
    plan
        What is merged, and how.
    folder
        For the result: weights, configuration and tokenizer, and ``merge.json``. There must be nothing there.
    force
        Merge models of different vocabularies, or without a common ancestor, all the same.
    trust_pickle
        Whether ``pytorch_model.bin`` is read where a model has no safetensors.
    shard_bytes
        Length of a file of weights, at most; five gigabytes by default.
    progress
        Whether to draw a bar (on a terminal only).

    Returns
    -------
    Merge
        What was done; its `to_dict` is what ``merge.json`` holds.

    Raises
    ------
    ModelError
        If weights cannot be read.
    DataError
        If the models do not fit together, or a weight is not finite.
    ConfigError
        If there is no such precision, or vocabularies differ.
    StoreError
        If the folder is there already, or the disk is full. What was written is removed.
    """
    with _opened(plan, trust_pickle=trust_pickle) as files, ExitStack() as stack:
        found = _examined(plan, files, force=force)
        tell: Tell = stack.enter_context(progress_bars()) if progress else lambda *_: None
        unfinished = stack.enter_context(new_folder(folder))
        branches: Counter[str] = Counter()
        sums: list[dict[str, int]] = [{} for _ in files]
        with WeightOutput(unfinished, _layout(plan, files[0]), shard_bytes=shard_bytes) as output:
            for name, weight, between in _merged(plan, files, sums, tell):
                output.write(name, weight)
                if between is not None:
                    branches[branch(between)] += 1
        digests = tuple(_digest(each, checksums) for each, checksums in zip(files, sums, strict=True))
        merge = replace(found, branches=dict(branches), digests=digests)
        _copy_settings(plan, unfinished)
        text = json.dumps(merge.to_dict(), indent=2, allow_nan=False, default=str)
        (unfinished / RECORD).write_text(text + "\n", encoding="utf-8")
    return merge


def examine_folders(plan: Plan, *, force: bool = False, trust_pickle: bool = False) -> Merge:
    """Say what a merge would do, without writing anything.

    For slerp all weights are read, to say which branch they take.

    Parameters
    ----------
    plan, force, trust_pickle
        As for :func:`merge_folders`, which raises the same.
    """
    with _opened(plan, trust_pickle=trust_pickle) as files:
        found = _examined(plan, files, force=force)
        if plan.method != "slerp":
            return found
        names = [name for name in files[0].entries if _is_weight(plan, files[0], name)]
        pairs = ([wide(each.read(name)) for each in files] for name in names)
        return replace(found, branches=dict(Counter(branch(cosine(u, v)) for u, v in pairs)))


@contextmanager
def _opened(plan: Plan, *, trust_pickle: bool) -> Iterator[list[WeightFiles]]:
    if plan.dtype is not None and plan.dtype not in PRECISIONS:
        message = f"there is no precision {plan.dtype!r} of merged weights; {nearest(plan.dtype, PRECISIONS)}"
        raise ConfigError(message)
    with ExitStack() as stack:
        files = []
        for model in plan.models:
            opened = WeightFiles(model.folder, name=model.name, trust_pickle=trust_pickle)
            files.append(stack.enter_context(opened))
            _leave_out_tied(opened)
        yield files


def _leave_out_tied(files: WeightFiles) -> None:
    """Leave out a head that is stored beside the embedding it is tied to: it would be changed twice."""
    config = files.folder / CONFIG
    if config.is_file() and json.loads(config.read_text(encoding="utf-8")).get("tie_word_embeddings") is True:
        files.entries.pop(HEAD, None)


def _examined(plan: Plan, files: Sequence[WeightFiles], *, force: bool) -> Merge:
    check_one_architecture(plan, files)
    forced = []
    try:
        check_tokens(plan)
    except ConfigError as error:
        if not force:
            raise
        forced.append(str(error))
    kin = ancestry(plan, files)
    if strange := kin.strangers():
        if not force:
            message = f"{strange}; --force merges them all the same"
            raise DataError(message)
        forced.append(strange)
    entries = files[0].entries
    merged = [name for name in entries if _is_weight(plan, files[0], name)]
    stored = max((sum(each[name].n_bytes for each in files) for name in merged), default=0)
    scratch = max((entries[name].n_entries for name in merged), default=0) * _scratch_bytes(plan)
    layout = _layout(plan, files[0])
    return Merge(
        plan,
        n_weights=len(merged),
        n_kept=len(entries) - len(merged),
        n_bytes=sum(math.prod(shape) * dtype.itemsize for dtype, shape in layout.values()),
        memory_bytes=2 * stored + scratch,
        n_readings=READINGS_OF_GROUPS if _in_groups(plan) else 1,
        ancestry=kin,
        branches={},
        forced=tuple(forced),
    )


def _scratch_bytes(plan: Plan) -> int:
    """Return about how many bytes an entry takes besides what is stored: the result, and what is selected from."""
    if plan.method == "slerp":
        return 16
    return 4 + 4 * WORKERS * (plan.method in ("breadcrumbs", "ties") and plan.scope == "tensor")


def _layout(plan: Plan, first: WeightFiles) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    def dtype(stored: torch.dtype) -> torch.dtype:
        return PRECISIONS[plan.dtype] if plan.dtype is not None and stored.is_floating_point else stored

    return {name: (dtype(entry.dtype), entry.shape) for name, entry in first.entries.items()}


def _merged(
    plan: Plan, files: Sequence[WeightFiles], sums: Sequence[dict[str, int]], tell: Tell
) -> Iterator[tuple[str, Tensor, float | None]]:
    """Give the weights of the result, and for slerp the cosines between those of the parents."""
    layout, entries = _layout(plan, files[0]), files[0].entries
    grouped = _in_groups(plan)
    by_group = groups(list(entries), plan.scope) if grouped else {"": list(entries)}
    names = [name for members in by_group.values() for name in members]
    last_of = {members[-1] for members in by_group.values()}
    total, done = sum(entry.n_entries for entry in entries.values()), 0
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(WORKERS) as workers:
        upcoming = iter(by_group.values())
        bands: list[Band] | None = None
        ahead = reader.submit(_read, plan, files, names[0], sums)
        for name, following in zip(names, [*names[1:], None], strict=True):
            weights = ahead.result()
            if following is not None:
                ahead = reader.submit(_read, plan, files, following, sums)
            if grouped and bands is None:
                bands = _bands(plan, files, next(upcoming))
            dtype = layout[name][0]
            if len(weights) < len(files):
                yield name, weights[0].to(dtype), None
            else:
                yield name, *merged_weight(plan, name, weights, dtype, workers=workers, bands=bands)
            if name in last_of:
                bands = None
            done += entries[name].n_entries
            tell("merging weights", done, total)


def _read(
    plan: Plan, files: Sequence[WeightFiles], name: str, sums: Sequence[dict[str, int]]
) -> list[Tensor]:
    """Read a weight of all models, or of the first what is no weight, and keep their checksums."""
    weights = []
    for each, checksums in zip(files if _is_weight(plan, files[0], name) else files[:1], sums, strict=False):
        weight = each.read(name)
        data: Any = weight.reshape(-1).view(torch.uint8).numpy() if weight.numel() else b""
        checksums[name] = zlib.crc32(data)
        weights.append(weight)
    return weights


def _bands(plan: Plan, files: Sequence[WeightFiles], members: Sequence[str]) -> list[Band]:
    """Return what survives of each delta over the weights of a group, by reading them twice."""
    weights = [name for name in members if _is_weight(plan, files[0], name)]
    n = sum(files[0][name].n_entries for name in weights)
    if not n:
        return []
    wanted = [
        ranks(n, setting(parent.keep, weights[0]), setting(parent.remove, weights[0]))
        for parent in plan.parents
    ]

    def sizes() -> Iterator[list[Tensor]]:
        for name in weights:
            for start, end in pieces(files[0][name].shape, rows=False):
                base, *parents = (each.piece(name, start, end) for each in files)
                found = [delta_sizes(base, parent).float() for parent in parents]
                for place, delta in enumerate(found):
                    if not torch.isfinite(delta.sum()):
                        check_finite(plan, name, 0, base)
                        check_finite(plan, name, place + 1, parents[place])
                yield found

    return group_bands(n, wanted, sizes)


def _in_groups(plan: Plan) -> bool:
    return plan.method in ("breadcrumbs", "ties") and plan.scope in ("layer", "global")


def _is_weight(plan: Plan, files: WeightFiles, name: str) -> bool:
    return is_weight(name, torch.empty(0, dtype=files[name].dtype), plan.buffers)


def _digest(files: WeightFiles, checksums: dict[str, int]) -> str:
    """Return the digest of the names, shapes, precisions and checksums of what was read."""
    lines = (
        f"{name} {files[name].dtype} {files[name].shape} {checksums[name]}" for name in sorted(checksums)
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _copy_settings(plan: Plan, folder: Path) -> None:
    """Copy configuration, tokenizer and chat template, and say the precision of the weights."""
    source = plan.files or plan.models[0].folder
    for path in sorted(path for pattern in SETTINGS for path in source.glob(pattern)):
        if path.name not in (INDEX, RECORD, *PICKLES):
            shutil.copyfile(path, folder / path.name)
    config = folder / CONFIG
    if plan.dtype is not None and config.is_file():
        said = json.loads(config.read_text(encoding="utf-8"))
        key = "torch_dtype" if "torch_dtype" in said else "dtype"
        config.write_text(json.dumps(said | {key: plan.dtype}, indent=2) + "\n", encoding="utf-8")
