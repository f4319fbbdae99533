"""Weights to files, tensor by tensor and in any order: sharded safetensors that appear whole or not at all.

Names, shapes and precisions are known before the first tensor is, so the headers come first, and each tensor goes to
its place. A folder is written beside its name and renamed when all is in it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import torch
from filelock import FileLock, Timeout

from concordant.core.errors import ModelError, StoreError
from concordant.models.weight_files import DTYPES, INDEX, SINGLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

SHARD_BYTES = 5_000_000_000
"""Length of a shard, by default."""

_NAMES = {dtype: name for name, dtype in DTYPES.items()}


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Give a folder to write into, that gets its name when all went well and is removed when not.

    Parameters
    ----------
    folder
        The name it gets; there must be nothing there. Until then it is ``.NAME.unfinished`` beside it. What a process
        that was killed left under that name is removed.

    Raises
    ------
    StoreError
        If something is there already, another process is writing it, or the disk is full or may not be written.
    """
    if folder.exists():
        message = f"{folder} is there already; name another folder, or remove it first"
        raise StoreError(message)
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    with _explained(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            message = f"{folder} is being written by another process"
            raise StoreError(message) from None
    try:
        with _explained(folder):
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
        yield unfinished
        with _explained(folder):
            unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turn what the system says about writing a folder into one sentence."""
    try:
        yield
    except OSError as error:
        what = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else str(error.strerror)
        message = f"{folder} cannot be written: {what}"
        raise StoreError(message) from None


@dataclass(slots=True)
class _Shard:
    path: Path
    header: bytes
    starts: dict[str, int]
    missing: set[str]
    file: BinaryIO | None = field(default=None)


class WeightOutput:
    """Shards with room for every tensor, which are filled in any order; a context that ends with the index.

    Parameters
    ----------
    folder
        Where the files go.
    layout
        Precision and shape of every tensor, by name.
    shard_bytes
        Length of a shard, at most, but for tensors that are longer; five gigabytes by default.

    Raises
    ------
    ModelError
        If a precision cannot be stored.
    StoreError
        If there is not enough room on the disk.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from concordant.models.weight_files import WeightFiles
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> layout = {"a": (torch.float32, (2,)), "b": (torch.bfloat16, (1, 2))}
    >>> with WeightOutput(folder, layout, shard_bytes=8) as output:
    ...     output.write("b", torch.ones(1, 2, dtype=torch.bfloat16))
    ...     output.write("a", torch.zeros(2))
    >>> sorted(path.name for path in folder.iterdir())
    ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors', 'model.safetensors.index.json']
    >>> with WeightFiles(folder) as files:
    ...     files.read("b").tolist()
    [[1.0, 1.0]]
    """

    def __init__(
        self,
        folder: Path,
        layout: Mapping[str, tuple[torch.dtype, tuple[int, ...]]],
        *,
        shard_bytes: int = SHARD_BYTES,
    ) -> None:
        self._folder, self._layout = folder, dict(layout)
        groups = _grouped(self._layout, shard_bytes)
        names = [f"model-{i + 1:05d}-of-{len(groups):05d}.safetensors" for i in range(len(groups))]
        names = [SINGLE] if len(groups) == 1 else names
        self._shards = [
            _shard(folder / name, group, self._layout) for name, group in zip(names, groups, strict=True)
        ]
        self._of = {name: shard for shard in self._shards for name in shard.starts}
        self.n_bytes = sum(_length(dtype, shape) for dtype, shape in self._layout.values())
        free = shutil.disk_usage(folder).free
        if self.n_bytes > free:
            message = f"{folder.parent} has no room for {self.n_bytes:,} bytes of weights: {free:,} are free"
            raise StoreError(message)

    def __enter__(self) -> WeightOutput:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            for shard in self._shards:
                if shard.file is not None:
                    shard.file.close()
                    shard.file = None

    def write(self, name: str, tensor: Tensor) -> None:
        """Put a tensor in its place.

        Parameters
        ----------
        name
            One of the layout.
        tensor
            Of the shape and precision that the layout says.

        Raises
        ------
        ModelError
            If it is not.
        """
        dtype, shape = self._layout[name]
        if tensor.dtype != dtype or tuple(tensor.shape) != shape:
            message = (
                f"{name!r} was to be {dtype} of shape {shape}, got {tensor.dtype} of {tuple(tensor.shape)}"
            )
            raise ModelError(message)
        shard = self._of[name]
        with _explained(self._folder):
            if shard.file is None:
                shard.file = shard.path.open("wb", buffering=0)
                _write_all(shard.file, memoryview(shard.header))
            if tensor.numel():
                shard.file.seek(shard.starts[name])
                data: Any = tensor.contiguous().reshape(-1).view(torch.uint8).numpy()
                _write_all(shard.file, memoryview(data))
            shard.missing.discard(name)
            if not shard.missing:
                os.fsync(shard.file.fileno())
                shard.file.close()

    def _finish(self) -> None:
        if missing := next((name for shard in self._shards for name in sorted(shard.missing)), None):
            message = f"the weight {missing!r} was never written"
            raise ModelError(message)
        if len(self._shards) > 1:
            places = {name: shard.path.name for name, shard in self._of.items()}
            index = {
                "metadata": {"total_size": self.n_bytes},
                "weight_map": {name: places[name] for name in self._layout},
            }
            with _explained(self._folder):
                (self._folder / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def _grouped(layout: Mapping[str, tuple[torch.dtype, tuple[int, ...]]], shard_bytes: int) -> list[list[str]]:
    groups: list[list[str]] = [[]]
    filled = 0
    for name, (dtype, shape) in layout.items():
        length = _length(dtype, shape)
        if groups[-1] and filled + length > shard_bytes:
            groups.append([])
            filled = 0
        groups[-1].append(name)
        filled += length
    return groups


def _shard(path: Path, names: list[str], layout: Mapping[str, tuple[torch.dtype, tuple[int, ...]]]) -> _Shard:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    starts: dict[str, int] = {}
    at = 0
    # The longest precision first, as the format asks: then every tensor is aligned.
    for name in sorted(names, key=lambda name: -layout[name][0].itemsize):
        dtype, shape = layout[name]
        if dtype not in _NAMES:
            message = f"{name!r}: {dtype} cannot be stored; allowed are {', '.join(sorted(DTYPES))}"
            raise ModelError(message)
        end = at + _length(dtype, shape)
        header[name] = {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [at, end]}
        starts[name], at = at, end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    start = 8 + len(text)
    return _Shard(
        path,
        len(text).to_bytes(8, "little") + text,
        {name: start + place for name, place in starts.items()},
        set(names),
    )


def _length(dtype: torch.dtype, shape: tuple[int, ...]) -> int:
    length = dtype.itemsize
    for size in shape:
        length *= size
    return length


def _write_all(file: BinaryIO, view: memoryview) -> None:
    while view:
        view = view[file.write(view) :]
