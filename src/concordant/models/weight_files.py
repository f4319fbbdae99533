"""Weights in files, tensor by tensor: folders of safetensors, in one file or in shards, larger than memory.

A reader knows the names, shapes and places of all weights from the headers, and reads one tensor, or a piece of one,
into memory of its own. Nothing is mapped, so that the memory in use is that of the tensors which are held.
"""

from __future__ import annotations

import json
import math
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import torch

from concordant.core.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from torch import Tensor

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""Names of precisions in files."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one tensor is.

    Parameters
    ----------
    path
        Its file.
    dtype, shape
        What it is.
    start
        Its first byte in the file.
    """

    path: Path
    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int

    @property
    def n_entries(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    @property
    def n_bytes(self) -> int:
        """How long it is."""
        return self.n_entries * self.dtype.itemsize


class WeightFiles:
    """The weights of a model folder, read tensor by tensor; a context that closes the files.

    Parameters
    ----------
    folder
        With ``model.safetensors``, or shards and their ``model.safetensors.index.json``.
    name
        What messages call the model; the folder by default.
    trust_pickle
        Whether ``pytorch_model.bin`` is read where there are no safetensors. It is then held in memory as a whole.

    Raises
    ------
    ModelError
        If there are no weights, a shard is missing, torn or lacks what the index promises, or there are only pickles
        and these are not trusted.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from safetensors.torch import save_file
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> save_file({"w": torch.arange(6.0).reshape(2, 3)}, folder / "model.safetensors")
    >>> with WeightFiles(folder) as files:
    ...     files["w"].shape, files.read("w").tolist(), files.piece("w", 1, 3).tolist()
    ((2, 3), [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], [1.0, 2.0])
    """

    def __init__(self, folder: Path, *, name: str | None = None, trust_pickle: bool = False) -> None:
        self.folder, self.name = folder, name or str(folder)
        self._open: dict[Path, BinaryIO] = {}
        self._lock = threading.Lock()
        self._held: dict[str, Tensor] = {}
        if (folder / INDEX).is_file():
            self.entries = self._of_shards()
        elif (folder / SINGLE).is_file():
            self.entries = self._header(folder / SINGLE)
        else:
            self.entries = self._of_pickle(trust_pickle=trust_pickle)

    def __enter__(self) -> WeightFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __getitem__(self, name: str) -> Entry:
        return self.entries[name]

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    def close(self) -> None:
        """Close the files."""
        for file in self._open.values():
            file.close()
        self._open.clear()

    def paths(self) -> list[Path]:
        """Return the files that hold the weights."""
        return sorted({entry.path for entry in self.entries.values()})

    def read(self, name: str) -> Tensor:
        """Return one tensor, in memory of its own.

        Raises
        ------
        ModelError
            If the file ends within it.
        """
        return self.piece(name, 0, self.entries[name].n_entries).reshape(self.entries[name].shape)

    def piece(self, name: str, start: int, end: int) -> Tensor:
        """Return entries of the flattened tensor, from and to (without).

        Parameters
        ----------
        name
            Of the tensor.
        start, end
            Which entries of the flattened tensor.
        """
        entry = self.entries[name]
        if name in self._held:
            return self._held[name].reshape(-1)[start:end].clone()
        size = entry.dtype.itemsize
        memory = np.empty((end - start) * size, np.uint8)
        with self._lock:
            if entry.path not in self._open:
                self._open[entry.path] = entry.path.open("rb", buffering=0)
            file = self._open[entry.path]
            file.seek(entry.start + start * size)
            _fill(file, memory, entry.path)
        return (
            torch.from_numpy(memory).view(entry.dtype) if memory.size else torch.empty(0, dtype=entry.dtype)
        )

    def _of_shards(self) -> dict[str, Entry]:
        index = self.folder / INDEX
        try:
            promised: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        except (ValueError, KeyError, OSError) as error:
            message = f"{index}: the index of the shards cannot be read: {type(error).__name__}: {error}"
            raise ModelError(message) from None
        entries: dict[str, Entry] = {}
        for shard in sorted(set(promised.values())):
            path = self.folder / shard
            if Path(shard).name != shard or not path.is_file():
                message = f"{self.folder}: the shard {shard!r} is missing, of which {INDEX} speaks"
                raise ModelError(message)
            entries |= self._header(path)
        if lacking := next((name for name in promised if name not in entries), None):
            message = f"{self.folder}: {promised[lacking]} lacks {lacking!r}, which {INDEX} says it holds"
            raise ModelError(message)
        return entries

    def _header(self, path: Path) -> dict[str, Entry]:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            try:
                header: Any = json.loads(file.read(length)) if 8 + length <= size else None
                found = {name: entry for name, entry in header.items() if name != "__metadata__"}
                entries = {name: _entry(path, 8 + length, entry) for name, entry in found.items()}
                end = max((entry["data_offsets"][1] for entry in found.values()), default=0) + 8 + length
            except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
                message = f"{path}: the file is torn within its header, or is no safetensors file ({error})"
                raise ModelError(message) from None
        if size != end:
            message = f"{path}: the file is torn: its header speaks of {end:,} bytes, and it has {size:,}"
            raise ModelError(message)
        return entries

    def _of_pickle(self, *, trust_pickle: bool) -> dict[str, Entry]:
        if not self.folder.is_dir():
            message = f"{self.name}: there is no folder {self.folder}"
            raise ModelError(message)
        pickles = [path for name in PICKLES if (path := self.folder / name).is_file()]
        if not pickles:
            adapter = (self.folder / "adapter_config.json").is_file()
            what = "an adapter, which must be merged into its base first" if adapter else "no weights"
            message = (
                f"{self.name}: {self.folder} holds {what}; allowed are {SINGLE}, and shards with {INDEX}"
            )
            raise ModelError(message)
        if not trust_pickle:
            message = f"{pickles[0]}: pickled weights can run any code; allow them with --trust-pickle, or convert them"
            raise ModelError(message)
        names = [pickles[0].name]
        if pickles[0].suffix == ".json":
            names = sorted(set(json.loads(pickles[0].read_text(encoding="utf-8"))["weight_map"].values()))
        for name in names:
            self._held |= _unpickled(self.folder / name)
        return {
            name: Entry(pickles[0], tensor.dtype, tuple(tensor.shape), 0)
            for name, tensor in self._held.items()
        }


def _unpickled(path: Path) -> Mapping[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        message = f"{path}: the pickle cannot be read as weights: {type(error).__name__}"
        raise ModelError(message) from None
    return {name: tensor.detach().contiguous() for name, tensor in state.items()}


def _entry(path: Path, data: int, described: Mapping[str, Any]) -> Entry:
    dtype, (start, end) = DTYPES[described["dtype"]], described["data_offsets"]
    entry = Entry(path, dtype, tuple(described["shape"]), data + start)
    if end - start != entry.n_bytes:
        message = f"{end - start} bytes for shape {entry.shape} of {described['dtype']}"
        raise ValueError(message)
    return entry


def _fill(file: BinaryIO, memory: Any, path: Path) -> None:
    view = memoryview(memory)
    while view:
        n_read = file.readinto(view)  # type: ignore[attr-defined]  # a file without a buffer has it
        if not n_read:
            message = f"{path}: the file ends {len(view):,} bytes too early; it was cut while it was read"
            raise ModelError(message)
        view = view[n_read:]
